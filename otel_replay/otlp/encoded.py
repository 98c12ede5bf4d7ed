"""Where attributes stand in an encoded span, and their values read off the bytes. Pure.

protobuf makes a Python object of every key and value that is looked at, 0.2 us each, and does not tell where they were.
What is given here must be well-formed: encodings that protobuf has parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otel_replay.otlp.attributes import any_value

_ATTRIBUTES, _EVENTS = 0x4A, 0x5A  # tags of Span
_TIMES = frozenset((0x39, 0x41))
_SHORT = frozenset((0x0A, 0x12, 0x1A, 0x22, 0x2A, 0x7A))  # ids, state, name, status: passed over without a call
_EVENT_NAME, _EVENT_ATTRIBUTES = 0x12, 0x1A  # of Span.Event
_KEY, _VALUE = 0x0A, 0x12  # of KeyValue
_STRING, _INT = 0x0A, 0x18  # of AnyValue

MAX_VARINT_BYTES = 10
"""protobuf takes no longer ones; 60 MB of 0xFF, read as one number, would take days."""


Place = tuple[bytes, int, int]
"""An attribute: its key, and start and end of its encoded ``AnyValue``."""


class SpanPlaces(NamedTuple):
    """The attributes of a span and, for each of its events, the name and the attributes."""

    attributes: list[Place]
    events: list[tuple[bytes, list[Place]]]


class UnusualEncoding(ValueError):
    """The bytes are correct, but no protobuf library writes them so: they are to be read by protobuf."""


def span_places(raw: bytes) -> SpanPlaces:
    """Raises :class:`UnusualEncoding` for attributes that are not one key and at most one value, in this order."""
    attributes: list[Place] = []
    events = []
    at, end = 0, len(raw)
    while at < end:
        tag = raw[at]
        if tag == _ATTRIBUTES:
            at = _add_attributes(raw, at, end, _ATTRIBUTES, attributes)
        elif tag in _TIMES:
            at += 9
        elif tag in _SHORT and raw[at + 1] < 0x80:
            at += 2 + raw[at + 1]
        else:
            tag, start, at = field(raw, at)
            if tag == _EVENTS:
                events.append(_event(raw, start, at))
    return SpanPlaces(attributes, events)


def values_at(raw: bytes, places: list[Place], names: Mapping[bytes, str]) -> dict[str, Any]:
    """The values of the attributes that have one of the names, as
    :func:`~otel_replay.otlp.attributes.attributes_under` gives them: of equal keys the last one wins."""
    return {names[key]: _value(raw, start, end) for key, start, end in places if key in names}


def varint(encoded: bytes, at: int) -> tuple[int, int]:
    """A varint and the position after it. Raises ``IndexError`` where it does not end, or not as early as it must."""
    byte = encoded[at]
    if byte < 0x80:
        return byte, at + 1
    value = 0
    for place in range(MAX_VARINT_BYTES):
        byte = encoded[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise IndexError("a number that does not end")


def field(encoded: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the value that stands here."""
    tag, at = varint(encoded, at)
    kind = tag & 7
    if kind == 2:  # with its length in front
        size, at = varint(encoded, at)
        return tag, at, at + size
    if kind == 0:
        return tag, at, varint(encoded, at)[1]
    if kind in (1, 5):
        return tag, at, at + (8 if kind == 1 else 4)
    raise UnusualEncoding("a group")


def _event(raw: bytes, at: int, end: int) -> tuple[bytes, list[Place]]:
    name = b""
    attributes: list[Place] = []
    while at < end:
        if raw[at] == _EVENT_ATTRIBUTES:
            at = _add_attributes(raw, at, end, _EVENT_ATTRIBUTES, attributes)
            continue
        tag, start, at = field(raw, at)
        if tag == _EVENT_NAME:
            name = raw[start:at]
    return name, attributes


def _add_attributes(raw: bytes, at: int, end: int, tag: int, found: list[Place]) -> int:
    """Adds the attributes that stand here one after the other; returns the position after them.

    Lengths below 128 are read without a call: 0.5 us an attribute instead of 1.4.
    """
    while at < end and raw[at] == tag:
        size, first = raw[at + 1], at + 2
        if size >= 0x80:
            size, first = varint(raw, at + 1)
        at = first + size
        if size < 2 or raw[first] != _KEY:
            raise UnusualEncoding("an attribute without a key in front")
        length, first = raw[first + 1], first + 2
        if length >= 0x80:
            length, first = varint(raw, first - 1)
        last = first + length
        if last == at:  # no value, which is an empty one
            found.append((raw[first:last], at, at))
            continue
        if last + 1 >= at or raw[last] != _VALUE:
            raise UnusualEncoding("an attribute whose value does not follow its key")
        length, start = raw[last + 1], last + 2
        if length >= 0x80:
            length, start = varint(raw, last + 1)
        if start + length != at:
            raise UnusualEncoding("an attribute with more than a key and a value")
        found.append((raw[first:last], start, at))
    return at


def _value(raw: bytes, at: int, end: int) -> Any:
    """:func:`any_value` of an encoded ``AnyValue``."""
    kind = raw[at] if end - at > 1 else 0
    if kind == _INT and end - at <= 6:  # up to 35 bits: neither negative nor too long
        value, last = varint(raw, at + 1)
        if last == end:
            return value
    elif kind == _STRING:
        size, start = raw[at + 1], at + 2
        if size >= 0x80:
            size, start = varint(raw, at + 1)
        if start + size == end:
            return raw[start:end].decode()
    return any_value(AnyValue.FromString(raw[at:end]))
