"""The quick test of bytes before anything is decoded: which spans may match a filter. Pure.

It never turns away what the exact test would take, however a span is encoded (protobuf allows overlong lengths and
numbers, fields in any order and more than once); it is what makes a scan nearly as fast as decompression.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable

from otel_replay.genai.contents import LARGE_BYTES, may_be_content
from otel_replay.store.base import AttributeTest, SpanFilter

Find = Callable[[bytes, int], int]
"""Where in some bytes (a span, or many of them) from a place on there is what a match holds; -1: nowhere."""


def quick_test(wanted: SpanFilter, left: Iterable[AttributeTest]) -> list[Find]:
    """All of them find something in the bytes of every span that passes; what is likely to be rarest comes first.

    Also in a span whose contents were taken out. With ``wanted.attributes`` for ``left``: in every block with a match.
    """
    rare, common = [], []
    for test in sorted(left, key=_expected_rarity, reverse=True):
        key = test.key.encode()
        if isinstance(test.value, bool | int | float):
            rare.append(_find_number(key, test.value))
            continue
        common.append(_find_string(key))
        if test.value and not _may_be_taken_out(test):
            rare.append(_find_string(test.value.encode()))
    if wanted.operation:
        rare.append(_find_string(wanted.operation.encode()))
    return rare + common


def _may_be_taken_out(test: AttributeTest) -> bool:
    """Whether the value may be among the contents that are stored apart from their span."""
    size = len(str(test.value).encode()) + len(test.key.encode())
    return size + 32 >= LARGE_BYTES or may_be_content(test.key)  # 32: more than the tags and lengths between


def _expected_rarity(test: AttributeTest) -> int:
    return len(test.value) if isinstance(test.value, str) else 0


def _find_string(text: bytes) -> Find:
    """A whole string: after its length, which ends in a zero byte where it is overlong."""
    length = _varint(len(text))

    def find(data: bytes, at: int) -> int:
        at = data.find(text, at)
        while at > 0 and data[at - 1] and data[max(0, at - len(length)) : at] != length:
            at = data.find(text, at + 1)
        return at

    return find


def _find_number(key: bytes, value: float) -> Find:
    pattern = _number_pattern(key, value)

    def find(data: bytes, at: int) -> int:
        found = pattern.search(data, at)
        return found.start() if found else -1

    return find


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*encoded, number))


_PLAIN_KEY_BYTES = 100
"""With a number, such a key still makes a ``KeyValue`` whose length is one byte."""


def _number_pattern(key: bytes, value: float) -> re.Pattern[bytes]:
    """The key, unless a number or boolean other than ``value`` follows in the encoding that every library writes.

    Numbers are short: their bytes alone would be found everywhere. Any other encoding is left to the exact test.
    """
    name = re.escape(key)
    whole = re.escape(_varint(len(key)))
    is_key = rb"(?:(?<=%b%b)|(?<=\x00%b))" % (whole, name, name)
    if len(key) > _PLAIN_KEY_BYTES:
        return re.compile(name + is_key)
    others = b"|".join(_other(key, tag, size, value) for tag, size in _PLAIN_NUMBERS)
    return re.compile(b"%b%b(?!%b)" % (name, is_key, others), re.DOTALL)


_BOOL, _INT, _DOUBLE = 0x10, 0x18, 0x21  # tags of AnyValue
_PLAIN_NUMBERS = ((_BOOL, 1), *((_INT, size) for size in range(1, 11)), (_DOUBLE, 8))


def _other(key: bytes, tag: int, size: int, value: float) -> bytes:
    """Matches the rest of a ``KeyValue`` that holds a value of this kind and size, but not ``value``."""
    start = bytes((0x12, 1 + size))
    head = bytes((len(key) + size + 5, 0x0A, len(key))) + key + start
    same = b"|".join(re.escape(one) for one in _encodings(tag, value) if len(one) == size)
    return b"%b(?<=%b)%b%b%b" % (
        re.escape(start),
        re.escape(head),
        re.escape(bytes((tag,))),
        b"(?!%b)" % same if same else b"",
        _PAYLOADS[tag] if tag != _INT else _canonical(size),
    )


_PAYLOADS = {_BOOL: rb"[\x00\x01]", _DOUBLE: b".{8}"}


def _canonical(size: int) -> bytes:
    """A varint of ``size`` bytes that is not overlong."""
    return rb"[\x00-\x7f]" if size == 1 else rb"[\x80-\xff]{%d}[\x01-\x7f]" % (size - 1)


def _encodings(tag: int, value: float) -> list[bytes]:
    """How ``value`` is written as that kind; none when it cannot be."""
    if tag == _BOOL:
        return [bytes((value,))] if isinstance(value, bool) else []
    if isinstance(value, bool):
        return []
    if tag == _INT:
        fits = value == value // 1 and -(2**63) <= value < 2**63
        return [_varint(int(value) % 2**64)] if fits else []
    return _doubles(value)


def _doubles(value: float) -> list[bytes]:
    return [struct.pack("<d", one) for one in ((0.0, -0.0) if value == 0 else (value,))]
