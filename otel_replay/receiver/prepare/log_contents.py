"""Where in a log record's bytes stands what was said in the operation of a span. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from otel_replay.genai import DETAILS_EVENT
from otel_replay.genai.contents import Range, ranges_at
from otel_replay.otlp.encoded import Place, SpanPlaces, UnusualEncoding, field

_BODY, _ATTRIBUTE = 5, 6
"""Fields of ``LogRecord``."""


_MAP, _ENTRY = 6, 1
"""Fields of ``AnyValue`` and of its ``KeyValueList``."""

_MESSAGE = b"content"
"""The body of a message event is its message, as the attribute of this name is where it is a span's event."""


def log_contents(raw: bytes, event_name: str) -> tuple[Range, ...]:
    """The byte ranges (start, end; ascending, apart) of ``raw``, an encoded log record that tells of an operation.

    They are what :func:`otel_replay.genai.contents.content_ranges` gives of a span that says the same. Nothing for a
    record that is encoded unlike protobuf libraries write it.
    """
    try:
        attributes = [_attribute(raw, start, end) for number, start, end in _fields(raw) if number == _ATTRIBUTE]
        bodies = [(start, end) for number, start, end in _fields(raw) if number == _BODY]
        if event_name == DETAILS_EVENT:
            attributes += [place for start, end in bodies for place in _entries(raw, start, end)]
            return ranges_at(raw, SpanPlaces(sorted(attributes, key=itemgetter(1)), []))
    except UnusualEncoding:
        return ()
    said = [*attributes, *((_MESSAGE, start, end) for start, end in bodies)]
    return ranges_at(raw, SpanPlaces([], [(event_name.encode(), said)]))


def _entries(raw: bytes, at: int, end: int) -> Iterator[Place]:
    """The entries of a map."""
    for number, start, last in _fields(raw, at, end):
        if number == _MAP:
            yield from (_attribute(raw, *place) for entry, *place in _fields(raw, start, last) if entry == _ENTRY)


def _attribute(raw: bytes, at: int, end: int) -> Place:
    """Of a ``KeyValue``, whose key is field 1 and whose value is field 2."""
    match list(_fields(raw, at, end)):
        case [(1, start, last)]:  # no value, which is an empty one
            return raw[start:last], end, end
        case [(1, start, last), (2, first, behind)]:
            return raw[start:last], first, behind
    raise UnusualEncoding("an attribute that is not one key and at most one value, in this order")


def _fields(raw: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field that has a length; a message's bytes are well-formed."""
    end = len(raw) if end is None else end
    while at < end:
        tag, start, at = field(raw, at)
        if tag & 7 == 2:
            yield tag >> 3, start, at
