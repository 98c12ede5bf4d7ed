"""Cut records: spans whose contents were taken out, to be stored once. Pure.

A cut record is a zero byte (no valid record starts with one), the record without its contents in one piece, the place
of each content in that piece (32 bits), the id of each (64 bits), and how many there are (32 bits), little-endian.
Trace id, span id and all other attributes therefore stand in a cut record as they do in the whole one.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from otel_replay.errors import StoreError

_MARK = b"\0"
_COUNT = struct.Struct("<I")


class MissingBody(StoreError):
    """A content of a cut record cannot be read."""


def is_cut(record: bytes) -> bool:
    return record[:1] == _MARK


def cut(record: bytes, ranges: Sequence[tuple[int, int]], ids: Sequence[int]) -> bytes:
    """The record without what stands in the ranges (ascending, apart), which is to be found under the ids."""
    kept, places = [_MARK], []
    last = taken = 0
    for start, end in ranges:
        kept.append(record[last:start])
        places.append(start - taken)
        last, taken = end, taken + end - start
    count = len(ids)
    return b"".join((*kept, record[last:], struct.pack(f"<{count}I{count}QI", *places, *ids, count)))


def body_ids(record: bytes) -> tuple[int, ...]:
    """The ids of the contents of a cut record, in order; of another one none."""
    return _parts(record)[2] if is_cut(record) else ()


def whole(record: bytes, contents: Mapping[int, bytes]) -> bytes:
    """A record as it was received, from its contents by id. Raises :class:`MissingBody` when one is not there."""
    if not is_cut(record):
        return record
    skeleton, places, ids = _parts(record)
    try:
        found = [contents[body] for body in ids]
    except KeyError as error:
        raise MissingBody(f"content {error} of a span cannot be read") from None
    pieces = [skeleton[start:end] for start, end in pairwise((0, *places, len(skeleton)))]
    return b"".join([part for pair in zip(pieces, (*found, b""), strict=True) for part in pair])


def _parts(record: bytes) -> tuple[bytes, tuple[int, ...], tuple[int, ...]]:
    """The record without its contents, their places and their ids."""
    (count,) = _COUNT.unpack_from(record, len(record) - _COUNT.size)
    end = len(record) - _COUNT.size - 12 * count
    numbers = struct.unpack_from(f"<{count}I{count}Q", record, end)
    return record[1:end], numbers[:count], numbers[count:]


def blank_text(length: int) -> bytes:
    """A text of this length, in place of one that cannot be read."""
    return b" " * length


def blank_value(length: int) -> bytes:
    """An ``AnyValue`` of this encoded length: a string of spaces behind its tag and its length."""
    for digits in range(1, 6):
        size = length - 1 - digits
        if size >= 0 and size < 1 << 7 * digits:
            encoded = bytes((size >> 7 * place & 0x7F) | (0x80 if place < digits - 1 else 0) for place in range(digits))
            return b"\x0a" + encoded + b" " * size
    return b""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in a parsed request."""

    records: Any
    number: int

    @property
    def raw(self) -> bytes:
        raw: bytes = self.records[self.number]
        return raw

    def put(self, record: bytes) -> None:
        self.records[self.number] = record


def places(request: Any, ordinals: Iterable[int]) -> list[Place]:
    """The records with these numbers, counted through all groups of a request (:func:`otel_replay.otlp.thin.parse`)."""
    groups = [scope.records for resource in request.resources for scope in resource.scopes]
    firsts, total = [], 0
    for group in groups:
        firsts.append(total)
        total += len(group)
    found = []
    for ordinal in ordinals:
        number = bisect_right(firsts, ordinal) - 1
        found.append(Place(groups[number], ordinal - firsts[number]))
    return found
