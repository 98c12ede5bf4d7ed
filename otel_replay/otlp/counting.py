"""How many records and groups a request has, before anything is made of them.

Two bytes are an empty span, and 560 of memory: 8 MiB of them, 8 KB of gzip, took 2.4 GB and 49 s. So large requests are
counted first, by their wire format alone, and only as far as the limit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from otel_replay.errors import RequestTooLarge
from otel_replay.otlp.encoded import varint

MAX_RECORDS = 2**18
"""Records, resources and scopes of one request together. 64 MiB of spans with their ids, times and names have fewer;
the Collector sends 8,192 at once."""

_RESOURCES, _SCOPES, _RECORDS = 1, 2, 2
"""Field numbers: of the groups in a request, the groups in those, and the records in those."""

_RESOURCE_TAG, _RECORD_TAG = 0x0A, 0x12


def check_count(body: bytes, limit: int = MAX_RECORDS) -> None:
    """Raises :class:`RequestTooLarge` for more than ``limit`` records and groups.

    A record begins with one of four bytes, or six of a longer encoding, so a body with fewer of these needs no walk:
    looking for them costs 0.2 ms a MiB (``bytes.count`` 1.6), the walk 0.4 us a record.
    """
    if len(body) > limit and _possible_beginnings(body) > limit:
        for count, _ in enumerate(_walk(body), 1):
            if count > limit:
                raise RequestTooLarge(f"the request has over {limit} records", hint="send smaller batches")


def _possible_beginnings(body: bytes) -> int:
    """Bytes that are 0x0A, 0x12, or one of them with the bit of a longer number."""
    low = np.frombuffer(body, np.uint8) & 0x7F
    return int(np.count_nonzero(low == _RESOURCE_TAG) + np.count_nonzero(low == _RECORD_TAG))


def _walk(body: bytes) -> Iterator[None]:
    """One for each record and group."""
    for resources in _members(body, 0, len(body), _RESOURCES):
        yield
        for scopes in _members(body, *resources, _SCOPES):
            yield
            for _ in _members(body, *scopes, _RECORDS):
                yield


def _members(body: bytes, at: int, end: int, number: int) -> Iterator[tuple[int, int]]:
    """Where the members of a repeated field lie in ``body[at:end]``; ends where that cannot be read.

    Groups, which OTLP does not have, are read as if their fields stood outside: that may count more, never less.
    """
    try:
        while at < end:
            tag, at = varint(body, at)
            kind = tag & 7
            if kind == 0:
                _, at = varint(body, at)
            elif kind == 1:
                at += 8
            elif kind == 5:
                at += 4
            elif kind == 2:
                size, at = varint(body, at)
                if tag >> 3 == number:
                    yield at, min(at + size, end)
                at += size
    except IndexError:
        return
