"""Makes a request new in place: other ids, other times, other texts, the same sizes and structure.

Serializing 30 million distinct spans from Python objects takes a quarter of an hour; patching them takes 20 seconds.
Ids are XORed with a mask that belongs to a pass over the templates, so what is equal in the templates (a trace id, a
parent, a conversation's history) is equal in every pass, and no two passes share an id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .words import TAPE_CHARACTERS, tape

# Fields 1, 2, 4 (where there is a parent), 5, 6, 7 and 8 of a span, in the order in which protobuf writes them.
SPAN = re.compile(
    rb"\x0a\x10(.{16})\x12\x08(.{8})(?:\x22\x08(.{8}))?\x2a.[ -~]*?\x30[\x00-\x05]\x39(.{8})\x41(.{8})", re.DOTALL
)
HEX_ID = re.compile(rb"(?:session\.id|service\.instance\.id|gen_ai\.conversation\.id)\x12\x22\x0a\x20([0-9a-f]{32})")
RESPONSE_ID = re.compile(rb"chatcmpl-([0-9a-f]{24})")
SAID = re.compile(rb'"role": "(?:user|assistant)", "parts": \[\{"type": "text", "content": "([a-z ]+)"')

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Mask:
    """What one pass over the templates changes: `key` ids, `later_ns` times, `further` where texts are cut."""

    key: bytes
    later_ns: int
    further: int

    @classmethod
    def of(cls, seed: str, number: int, later_ns: int) -> Mask:
        key = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=64).digest()
        return cls(key, later_ns, int.from_bytes(key[-4:], "little"))


@dataclass(frozen=True)
class Template:
    """A request and where in it something has to change; each row of an array of places is one value's bytes."""

    raw: Bytes
    trace_ids: Places
    span_ids: Places
    times: Places
    hex_ids: Places
    response_ids: Places
    texts: Sequence[tuple[int, int, int]]
    """Position, length, and where on the tape it is cut."""

    def patched(self, mask: Mask) -> Bytes:
        raw = self.raw.copy()
        key = np.frombuffer(mask.key, np.uint8)
        raw[self.trace_ids] ^= key[:16]
        raw[self.span_ids] ^= key[16:24]
        raw[self.times] = later(raw[self.times], mask.later_ns)
        for places in (self.hex_ids, self.response_ids):
            raw[places] = other_hex(raw[places], key[24 : 24 + places.shape[1]] & np.uint8(15))
        for position, length, cut in self.texts:
            at = (cut + mask.further) % (TAPE_CHARACTERS - length)
            raw[position : position + length] = np.frombuffer(tape(), np.uint8, length, at)
        return raw


def later(times: Bytes, by_ns: int) -> Bytes:
    """Rows of eight bytes, little-endian, each `by_ns` later."""
    return (np.ascontiguousarray(times).view("<u8") + np.uint64(by_ns)).view(np.uint8)


def other_hex(digits: Bytes, mask: Bytes) -> Bytes:
    """Lower-case hexadecimal digits XORed with the numbers 0 to 15 of `mask`."""
    numbers = np.where(digits > ord("9"), digits - (ord("a") - 10), digits - ord("0")) ^ mask
    return np.where(numbers > 9, numbers + (ord("a") - 10), numbers + ord("0")).astype(np.uint8)


def templates(requests: Sequence[bytes]) -> list[Template]:
    """Finds what has to change. Equal texts, such as a conversation's history, stay equal: they share their cut."""
    cuts: dict[bytes, int] = {}
    numbers = count(1)
    found = []
    for request in requests:
        said = [match.span(1) for match in SAID.finditer(request)]
        for start, end in said:
            if request[start:end] not in cuts:
                cuts[request[start:end]] = next(numbers) * 7_919_993 % TAPE_CHARACTERS
        texts = [(start, end - start, cuts[request[start:end]]) for start, end in said]
        found.append(template(request, texts))
    return found


def template(request: bytes, texts: Sequence[tuple[int, int, int]]) -> Template:
    spans = list(SPAN.finditer(request))
    return Template(
        raw=np.frombuffer(request, np.uint8),
        trace_ids=places(16, starts(spans, 1)),
        span_ids=places(8, starts(spans, 2, 3)),
        times=places(8, starts(spans, 4, 5)),
        hex_ids=places(32, starts(HEX_ID.finditer(request), 1)),
        response_ids=places(24, starts(RESPONSE_ID.finditer(request), 1)),
        texts=texts,
    )


def starts(matches: Iterator[re.Match[bytes]] | Sequence[re.Match[bytes]], *groups: int) -> list[int]:
    return [start for match in matches for group in groups if (start := match.start(group)) >= 0]


def places(width: int, at: Sequence[int]) -> Places:
    first: Any = np.array(at, np.int64).reshape(-1, 1)
    return np.asarray(first + np.arange(width))
