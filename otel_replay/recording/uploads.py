"""Uploaded payloads, read as far as storing takes: 1 ns a byte, where making Python values of all of it takes 6."""

from __future__ import annotations

import codecs
import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np

from otel_replay.errors import InvalidRequest
from otel_replay.model import Chunk
from otel_replay.recording.events import (
    MAX_DEPTH,
    MAX_SEQ,
    MAX_TIMESTAMP_MS,
    ChunkSummary,
    EventType,
    check_id,
    is_repeat,
    load,
    ms_to_unix_nano,
    parse_events,
    raw_events,
    summarise,
)

_IN_RANGE = msgspec.Meta(ge=0, le=MAX_TIMESTAMP_MS)


class _Event(msgspec.Struct, gc=False):
    """An event of the usual kind; the rest of it is known to be JSON, and nothing is made of it."""

    type: int
    timestamp: Annotated[int, _IN_RANGE] | Annotated[float, _IN_RANGE]
    repeats: bool = False


class _Whole(_Event, gc=False):
    data: msgspec.Raw = msgspec.Raw(b"null")


E = TypeVar("E", bound=_Event)


class _Upload(msgspec.Struct, Generic[E], gc=False):
    events: list[E]
    stream_id: str | None = None
    seq: int | None = None
    sent_at: int | None = None


_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENS = np.int8(2)
"""The bit that brackets have which open, and those that close have not."""

_UTF8_STEP_BYTES = 1024 * 1024


class _Decoders(NamedTuple, Generic[E]):
    array: msgspec.json.Decoder[list[E]]
    object: msgspec.json.Decoder[_Upload[E]]


class _Parts(msgspec.Struct, gc=False):
    events: list[msgspec.Raw] | None = None
    """None for a payload that is one event."""


_RAW_ARRAY, _RAW_OBJECT = msgspec.json.Decoder(list[msgspec.Raw]), msgspec.json.Decoder(_Parts)
_HEADS = _Decoders(msgspec.json.Decoder(list[_Event]), msgspec.json.Decoder(_Upload[_Event]))
_EVENTS = _Decoders(msgspec.json.Decoder(list[_Whole]), msgspec.json.Decoder(_Upload[_Whole]))


class Document:
    """A payload, with what it says of itself. What is not of the usual kind is parsed as a whole.

    Of the usual kind, a number that overflows a double, or nesting beyond the limit that brackets in strings hide, is
    found only when the chunk is read: it is left out of the recording then.
    """

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._usual = _usual(payload, _HEADS)

    @cached_property
    def told(self) -> dict[str, Any]:
        """``stream_id``, ``seq`` and ``sent_at``, whatever their types; without those that are missing."""
        if self._usual is None:
            with contextlib.suppress(InvalidRequest):  # whether it is JSON at all is asked by `summary`
                whole = load(self.payload)
                return whole if isinstance(whole, dict) else {}
            return {}
        told = {"stream_id": self._usual.stream_id, "seq": self._usual.seq, "sent_at": self._usual.sent_at}
        return {name: value for name, value in told.items() if value is not None}

    @property
    def summary(self) -> ChunkSummary:
        """Raises :class:`InvalidRequest` as :func:`parse_events`, and for a payload without events."""
        if self._usual is not None and self._usual.events:
            return _summary(self._usual.events)
        events = parse_events(self.payload)
        if not events:
            raise InvalidRequest("events: the array is empty", hint="send a chunk only when there are events")
        return summarise(events)


def custom_data(payload: bytes) -> Iterator[Any]:
    """The data of the custom events in a payload that was checked when it came."""
    usual = _usual(payload, _EVENTS)
    if usual is not None:
        yield from (load(bytes(event.data)) for event in usual.events if event.type == EventType.CUSTOM)
        return
    for event in raw_events(payload):
        if event["type"] == EventType.CUSTOM:
            yield event.get("data")


def each_event(payload: bytes) -> Iterator[Any]:
    """The events of a payload one after the other, unchecked: four times as fast as :func:`parse_events`.

    Values of all events of 50 MB take 300 MB, those of one nothing. Raises :class:`InvalidRequest`, at once, where the
    payload is not JSON or holds no events; an event that cannot be read is left out.
    """
    parts = _parts(payload)
    return _loaded(parts) if parts is not None else iter(raw_events(payload))


def event_texts(payload: bytes) -> list[str]:
    """The events of a payload as JSON texts, each as it was sent, in ASCII: what is not, is escaped.

    For whoever hands them on: making values of 2 MB of events, and text of those, takes 90 ms, this 10. Raises as
    :func:`each_event`; what is no object is left out.
    """
    parts = _parts(payload)
    if parts is None:
        return [json.dumps(event) for event in raw_events(payload)]
    return [_ascii(text) for part in parts if (text := bytes(part)).startswith(b"{")]


def _parts(payload: bytes) -> list[msgspec.Raw] | None:
    """The text of each event; None where only a look at everything can say what they are."""
    try:
        _check_utf8(payload)
        if payload.lstrip()[:1] == b"[":
            return _RAW_ARRAY.decode(payload)
        return _RAW_OBJECT.decode(payload).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _loaded(parts: list[msgspec.Raw]) -> Iterator[Any]:
    for part in parts:
        with contextlib.suppress(InvalidRequest):
            yield load(bytes(part))


def _ascii(text: bytes) -> str:
    return text.decode("ascii") if text.isascii() else json.dumps(load(text))


def _usual(payload: bytes, decoders: _Decoders[E]) -> _Upload[E] | None:
    """What msgspec makes of it; None where only a look at everything can say what it is."""
    try:
        _check_utf8(payload)
        if _seems_deep(payload):
            return None
        is_array = payload.lstrip()[:1] == b"["
        return _Upload(decoders.array.decode(payload)) if is_array else decoders.object.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _check_utf8(payload: bytes) -> None:
    """Raises ``UnicodeDecodeError``: msgspec does not look into the strings that it skips.

    In steps, as a string of all of it would take up to four times its bytes.
    """
    if payload.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(payload)
    for start in range(0, len(view), _UTF8_STEP_BYTES):
        decoder.decode(view[start : start + _UTF8_STEP_BYTES])
    decoder.decode(b"", final=True)


def _seems_deep(payload: bytes) -> bool:
    """Whether there are as many open brackets as no payload may have levels, those in strings counted too."""
    brackets = np.frombuffer(payload.translate(None, _NO_BRACKETS), np.int8)
    steps = (brackets & _OPENS) - np.int8(1)
    return bool(steps.cumsum(dtype=np.int32).max(initial=0) > MAX_DEPTH)


def _summary(events: Sequence[_Event]) -> ChunkSummary:
    times = [event.timestamp for event in events]
    has_full_snapshot = any(event.type == EventType.FULL_SNAPSHOT for event in events)
    repeats = has_full_snapshot and is_repeat((event.type, event.repeats) for event in events)
    return ChunkSummary(
        ms_to_unix_nano(min(times)), ms_to_unix_nano(max(times)), len(events), has_full_snapshot, repeats
    )


def chunk_from_upload(
    *,
    project: int,
    session_id: str,
    stream_id: str,
    seq: int | None,
    payload: bytes | Document,
    received_unix_nano: int,
    sent_at_unix_nano: int | None,
) -> Chunk:
    """A chunk as uploaded over HTTP or gRPC, checked; the payload is kept byte for byte.

    Raises ``InvalidRequest`` for ids that are empty, over 200 characters or hold control characters, a sequence
    number outside 0..2**53, a payload that is not rrweb JSON, and a payload without events.
    """
    check_id("session_id", session_id)
    check_id("stream_id", stream_id)
    if seq is not None and (isinstance(seq, bool) or not 0 <= seq <= MAX_SEQ):
        raise InvalidRequest(f"seq: {seq} is not in 0..2**53", hint="number the chunks of a stream from 0")
    document = payload if isinstance(payload, Document) else Document(payload)
    return Chunk(
        project=project,
        session_id=session_id,
        stream_id=stream_id,
        seq=seq,
        payload=document.payload,
        received_unix_nano=received_unix_nano,
        sent_at_unix_nano=sent_at_unix_nano,
        **document.summary._asdict(),
    )
