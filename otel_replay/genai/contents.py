"""Where in an AI span's bytes stands what was said, and what a person reads of it. Pure.

Every turn of a conversation repeats its history: messages taken out of the span, each stored once, are what keeps a
long conversation small, and what is searched. A piece is therefore as small as what repeats: one message.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.interpret import DIALECTS
from otel_replay.genai.json_pieces import MAX_ELEMENTS, elements
from otel_replay.genai.sources import InAttribute, InEventAttribute, InEvents, Numbered
from otel_replay.otlp.attributes import any_value

LARGE_BYTES = 1024
"""A string attribute of this size is content under any key."""

Range = tuple[int, int]

_SOURCES = [source for dialect in DIALECTS for source in (*dialect.input_messages, *dialect.output_messages)]
_KEYS = frozenset(
    [source.name for source in _SOURCES if isinstance(source, InAttribute)]
    + [
        key
        for dialect in DIALECTS
        for key in (*dialect.system_instructions, *dialect.tool_arguments, *dialect.tool_result)
    ]
)
_NUMBERED = tuple(f"{source.name}." for source in _SOURCES if isinstance(source, Numbered))
_NUMBERED_CONTENT = (".content", ".arguments", ".text")
_EVENTS = frozenset(
    [name for source in _SOURCES if isinstance(source, InEvents) for name in source.roles]
    + [source.event for source in _SOURCES if isinstance(source, InEventAttribute)]
)
_EVENT_KEYS = frozenset(
    ["content", "message", "tool_calls", "gen_ai.event.content"]
    + [source.key for source in _SOURCES if isinstance(source, InEventAttribute)]
)


def content_ranges(raw: bytes, span: Span) -> tuple[Range, ...]:
    """The byte ranges (start, end) of ``raw``, the encoding of ``span``, that hold what was said.

    Ascending and apart. A JSON array of messages gives a range for each, without the brackets and commas between; a
    structured one the ``AnyValue`` of each; plain text, and JSON that cannot be followed, one for the whole value.
    Attributes that are encoded unlike protobuf libraries write them are left where they are.
    """
    found: list[Range] = []
    at = 0
    for attribute in _contents(raw, span):
        at = _add_value(raw, attribute, at, found)
    return tuple(found)


def _contents(raw: bytes, span: Span) -> list[KeyValue]:
    """The attributes of a span and of its events that hold content, in the order of the encoding."""
    keyed = [(one, _is_content(one.key)) for one in span.attributes]
    for event in span.events:
        is_message = event.name in _EVENTS
        keyed += [(one, is_message and one.key in _EVENT_KEYS) for one in event.attributes]
    others = len(raw) - sum([one.ByteSize() for one, is_content in keyed if is_content])
    if others < LARGE_BYTES:  # most spans: asking each attribute for its size costs as much as all of this
        return [one for one, is_content in keyed if is_content]
    return [one for one, is_content in keyed if is_content or one.ByteSize() >= LARGE_BYTES]


def may_be_content(key: str) -> bool:
    """Whether values of this key are taken out however small they are."""
    return _is_content(key) or key in _EVENT_KEYS


@lru_cache(4096)
def _is_content(key: str) -> bool:
    return key in _KEYS or (key.startswith(_NUMBERED) and key.endswith(_NUMBERED_CONTENT))


_KEY, _VALUE = 0x0A, 0x12  # tags of KeyValue
_STRING, _ARRAY, _MAP = 0x0A, 0x2A, 0x32  # tags of AnyValue
_NEEDLE_BYTES = 64


def _add_value(raw: bytes, attribute: KeyValue, at: int, found: list[Range]) -> int:
    """Adds the ranges of an attribute's value; returns where to look for the next attribute.

    The whole encoding is looked for, key and all: a short text may well stand in other places.
    """
    encoded = attribute.SerializeToString()
    start = raw.find(encoded[:_NEEDLE_BYTES], at)
    while start >= 0 and not raw.startswith(encoded, start):
        start = raw.find(encoded[:_NEEDLE_BYTES], start + 1)
    if start < 0:
        return at
    found += [(start + first, start + last) for first, last in _pieces(encoded)]
    return start + len(encoded)


def _pieces(encoded: bytes) -> list[Range]:
    """The pieces in an encoded ``KeyValue``."""
    at = 0
    if encoded[0] == _KEY:
        length, at = _varint(encoded, 1)
        at += length
    if encoded[at : at + 1] != bytes((_VALUE,)):
        return []
    size, value = _varint(encoded, at + 1)
    if not size:
        return []
    kind = encoded[value]
    if kind == _MAP:
        return [(value, value + size)]
    if kind not in (_STRING, _ARRAY):
        return []
    length, start = _varint(encoded, value + 1)
    if kind == _ARRAY:
        return _array_elements(encoded, start, start + length)
    return [(start + first, start + last) for first, last in elements(encoded[start : start + length]) if last > first]


def _array_elements(encoded: bytes, at: int, end: int) -> list[Range]:
    """Each ``AnyValue`` of an encoded ``ArrayValue``: field 1, one after the other."""
    found: list[Range] = []
    while at < end and encoded[at] == 0x0A and len(found) < MAX_ELEMENTS:
        length, start = _varint(encoded, at + 1)
        at = start + length
        if length:
            found.append((start, at))
    return found


def _varint(encoded: bytes, at: int) -> tuple[int, int]:
    """A varint and the position after it."""
    value = shift = 0
    while encoded[at] & 0x80:
        value |= (encoded[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | encoded[at] << shift, at + 1


# What a person reads


_MESSAGE_KEYS = frozenset(("role", "parts", "type", "content", "message"))
"""What makes an object a message or a part of one; any other object is data, said as it is."""

_UNREAD = frozenset(
    ("role", "type", "id", "tool_call_id", "call_id", "finish_reason", "index", "mime_type", "modality", "file_id")
)
"""Keys of messages and parts whose values nobody has said."""

_DATA = frozenset(("arguments", "response", "result", "input", "output"))
"""Keys of parts whose values are data: what a tool was asked and what it answered."""

MAX_VALUES = 100_000
MAX_DEPTH = 100
_MEDIA_TYPE_CHARACTERS = 100


def text_of(piece: bytes) -> str:
    """What a person reads of a piece: the texts of a JSON message and of its tool calls, one a line; of a structured
    value its strings; of anything else the text itself. Never raises; a damaged piece is read as text."""
    if piece[:1] in (b"{", b"[", b'"'):
        try:
            return _joined(orjson.loads(piece))
        except (orjson.JSONDecodeError, RecursionError):
            pass
    elif piece[:1] in (b"\x0a", b"\x2a", b"\x32") and (value := _structured(piece)):
        return _joined(any_value(value))
    return piece.decode("utf-8", "replace")


def _structured(piece: bytes) -> AnyValue | None:
    """The value that fills the piece exactly; text that only begins like one is none."""
    try:
        length, start = _varint(piece, 1)
        return AnyValue.FromString(piece) if start + length == len(piece) else None
    except (IndexError, DecodeError):
        return None


def _joined(value: Any) -> str:
    texts: list[str] = []
    _collect(value, False, 0, texts)
    return "\n".join(texts)


def _collect(value: Any, is_data: bool, depth: int, texts: list[str]) -> None:
    """Adds the texts of a value in order, up to a bound on how many and how deep."""
    if len(texts) >= MAX_VALUES or depth > MAX_DEPTH:
        return
    if isinstance(value, str):
        if not (value.startswith("data:") and ";base64," in value[:_MEDIA_TYPE_CHARACTERS]):
            texts.append(value)
    elif isinstance(value, dict):
        is_data = is_data or value.keys().isdisjoint(_MESSAGE_KEYS)
        for key, item in value.items():
            if is_data or key not in _UNREAD:
                _collect(item, is_data or key in _DATA, depth + 1, texts)
    elif isinstance(value, list):
        for item in value:
            _collect(item, is_data, depth + 1, texts)
    elif is_data and isinstance(value, int | float) and not isinstance(value, bool):
        texts.append(str(value))
