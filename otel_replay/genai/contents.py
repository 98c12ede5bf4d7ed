"""Where in an AI span's bytes stands what was said, and what a person reads of it. Pure.

Every turn of a conversation repeats its history: messages taken out of the span, each stored once, are what keeps a
long conversation small, and what is searched. A piece is therefore as small as what repeats: one message.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otel_replay.genai.json_pieces import MAX_ELEMENTS, elements
from otel_replay.genai.told import CONTENT_EVENT_KEYS, CONTENT_EVENTS, CONTENT_KEYS, CONTENT_PREFIXES
from otel_replay.otlp.attributes import any_value
from otel_replay.otlp.encoded import SpanPlaces, UnusualEncoding, span_places, varint

LARGE_BYTES = 1024
"""A string attribute of this size is content under any key."""

Range = tuple[int, int]


def _encoded(names: Iterable[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)


_KEYS = _encoded(CONTENT_KEYS)
_NUMBERED = tuple(prefix.encode() for prefix in CONTENT_PREFIXES)
_NUMBERED_CONTENT = (
    b".content",
    b".arguments",
    b".text",
    b".url",
    b".json_schema",
    b".parameters",
    b".input_schema",
    b".metadata",
    b".function_call_arguments_json",
)
_EVENTS = _encoded(CONTENT_EVENTS)
_EVENT_KEYS = _encoded(CONTENT_EVENT_KEYS)
_NO_KEYS: frozenset[bytes] = frozenset()


def content_ranges(raw: bytes) -> tuple[Range, ...]:
    """The byte ranges (start, end) of ``raw``, an encoded span, that hold what was said.

    Ascending and apart. A JSON array of messages gives a range for each, without the brackets and commas between; a
    structured one the ``AnyValue`` of each; plain text, and JSON that cannot be followed, one for the whole value.
    Spans that are encoded unlike protobuf libraries write them are left whole.
    """
    try:
        return ranges_at(raw, span_places(raw))
    except UnusualEncoding:
        return ()


def ranges_at(raw: bytes, places: SpanPlaces) -> tuple[Range, ...]:
    """:func:`content_ranges` of a span whose attributes are found already."""
    found = [one for one in places.attributes if one[2] - one[1] >= LARGE_BYTES or _is_content(one[0])]
    for name, attributes in places.events:
        keys = _EVENT_KEYS if name in _EVENTS else _NO_KEYS
        found += [one for one in attributes if one[2] - one[1] >= LARGE_BYTES or one[0] in keys]
    if places.events:  # attributes may stand behind them
        found.sort(key=itemgetter(1))
    return tuple([piece for _, start, end in found for piece in _pieces(raw, start, end)])


def may_be_content(key: str) -> bool:
    """Whether values of this key are taken out however small they are."""
    return _is_content(key.encode()) or key.encode() in _EVENT_KEYS


@lru_cache(4096)
def _is_content(key: bytes) -> bool:
    return key in _KEYS or (key.startswith(_NUMBERED) and key.endswith(_NUMBERED_CONTENT))


_STRING, _ARRAY, _MAP = 0x0A, 0x2A, 0x32  # tags of AnyValue
_TELLING = frozenset((_STRING, _ARRAY, _MAP))


def _pieces(raw: bytes, at: int, end: int) -> list[Range]:
    """The pieces of an encoded ``AnyValue``."""
    kind = raw[at] if at < end else None
    if kind == _MAP:
        return [(at, end)]
    if kind not in (_STRING, _ARRAY):
        return []
    length, start = varint(raw, at + 1)
    if start + length != end:
        return []
    if kind == _ARRAY:
        return _array_elements(raw, start, end)
    return [(start + first, start + last) for first, last in elements(raw[start:end]) if last > first]


def _array_elements(raw: bytes, at: int, end: int) -> list[Range]:
    """Each ``AnyValue`` of an encoded ``ArrayValue``: field 1, one after the other. Numbers are not told apart."""
    found: list[Range] = []
    while at < end and raw[at] == 0x0A and len(found) < MAX_ELEMENTS:
        length, start = varint(raw, at + 1)
        at = start + length
        if length and raw[start] not in _TELLING:
            return found
        if length:
            found.append((start, at))
    return found


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
        for document in (piece, *_completed(piece)):
            try:
                value = orjson.loads(document)
                return _only_text(value) or _joined(value)
            except (orjson.JSONDecodeError, RecursionError):
                pass
    elif piece[:1] in (b"\x0a", b"\x2a", b"\x32") and (value := _structured(piece)):
        return _joined(any_value(value))
    return piece.decode("utf-8", "replace")


def _completed(piece: bytes) -> tuple[bytes, ...]:
    """What stands before and behind the messages of an object, as objects again."""
    if piece.startswith(b"{") and piece.rstrip().endswith(b":"):
        return (piece + b"null}",)
    return (b"{" + piece,) if piece.startswith(b'"') else ()


def _structured(piece: bytes) -> AnyValue | None:
    """The value that fills the piece exactly; text that only begins like one is none."""
    try:
        length, start = varint(piece, 1)
        return AnyValue.FromString(piece) if start + length == len(piece) else None
    except (IndexError, DecodeError):
        return None


def _only_text(value: Any) -> str:
    """The text of a message that is nothing else, as most are; empty for any other value."""
    if not (isinstance(value, dict) and len(value) == 2 and "role" in value):
        return ""
    parts = value.get("parts")
    if not (isinstance(parts, list) and len(parts) == 1 and isinstance(part := parts[0], dict)):
        return ""
    text = part.get("content") if len(part) == 2 and "type" in part else None
    if not isinstance(text, str) or text.startswith("data:") or _may_be_escaped(text):
        return ""
    return text


def _may_be_escaped(text: str) -> bool:
    """Whether it may be JSON with words that nobody reads as they are written: ``Z\\u00fcrich``, ``first\\nsecond``."""
    return "\\" in text and text.lstrip()[:1] in ("{", "[")


def _unescaped(text: str) -> Any:
    """What JSON in a text holds, as tools are asked and answer in most APIs; None where it is none."""
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
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
        if _may_be_escaped(value) and (inner := _unescaped(value)) is not None:
            _collect(inner, is_data, depth + 1, texts)
        elif not (value.startswith("data:") and ";base64," in value[:_MEDIA_TYPE_CHARACTERS]):
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
