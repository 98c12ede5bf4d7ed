"""Recordings that travel as OTLP log records: otel-replay's own, HyperDX's, and Splunk's.

The ``rr-web.*`` record family is a convention of Splunk's recorder that HyperDX forked; OpenTelemetry has none. One
record holds one rrweb event, or one slice of an event that is longer than 950 KiB; from Splunk's 1.0 on a segment of
its own format (:mod:`segments`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_replay.errors import InvalidRequest
from otel_replay.model import Chunk
from otel_replay.recording.events import MAX_SEQ, ChunkSummary, check_id, ms_to_unix_nano, parse_events, summarise
from otel_replay.recording.segments import SEGMENT_KEY, Segment, segment
from otel_replay.recording.streams import DEFAULT_STREAM

Attributes = Mapping[str, Any]

SCOPES = frozenset({"rum.rr-web", "splunk.rr-web"})
SESSION_KEYS = ("session.id", "rum.sessionId", "splunk.rumSessionId", "browser.session.id")
OWN_STREAM_KEY = "rr-web.stream"
"""Set by otel-replay's own recorder, whose streams count on over sessions and reloads."""
STREAM_KEYS = (OWN_STREAM_KEY, "rum.scriptInstance", "splunk.scriptInstance", "browser.instance.id")
MAX_SLICES = 10_000
"""Of 950 KiB each: far beyond any body the receiver takes."""
_NANOSECONDS_FROM = 10**15
"""Splunk's recorder writes milliseconds into ``time_unix_nano``; as nanoseconds these would be January 1970."""
_FULL_SNAPSHOT_START = re.compile(
    rb'\A\s*\{\s*(?:"(?:timestamp|delay)"\s*:\s*[0-9.eE+-]+\s*,\s*)*"type"\s*:\s*2\s*[,}]'
)


def is_recording(record: LogRecord, scope_name: str) -> bool:
    """Whether a log record carries a piece of a recording (the rule of HyperDX's collector, and the two scopes)."""
    return scope_name in SCOPES or any(attribute.key == "rr-web.event" for attribute in record.attributes)


def chunk_from_log(
    *,
    project: int,
    resource_attributes: Attributes,
    record_attributes: Attributes,
    body: Any,
    time_unix_nano: int,
    received_unix_nano: int,
) -> Chunk:
    """The chunk in a log record whose attributes and body are plain Python values.

    The sequence number is ``rr-web.offset`` - 1, which counts records, slices included. A slice is not parsed: its
    times are the record's. Raises ``InvalidRequest`` where session, numbers or body are not what they should be.
    """
    session_id, stream_id = _identity(record_attributes, resource_attributes)
    slice_index, slice_count = _slice(record_attributes)
    time = _record_time(time_unix_nano) or received_unix_nano
    if SEGMENT_KEY in record_attributes:
        found = segment(body, record_attributes[SEGMENT_KEY], slice_index, slice_count, time)
        return _segment_chunk(project, session_id, found.stream_id or stream_id, found, received_unix_nano)
    payload = _payload(body)
    offset = _integer(record_attributes, "rr-web.offset", 1, MAX_SEQ)
    if slice_count > 1 and offset is None:
        raise InvalidRequest("rr-web.offset: missing on a slice", hint="slices are joined by their offset")
    summary = _slice_summary(payload, slice_index, time) if slice_count > 1 else _summary(payload)
    return Chunk(
        project=project,
        session_id=session_id,
        stream_id=stream_id,
        seq=None if offset is None else offset - 1,
        payload=payload,
        received_unix_nano=received_unix_nano,
        slice_index=slice_index,
        slice_count=slice_count,
        counted_anew=offset is not None and OWN_STREAM_KEY not in record_attributes,
        **summary._asdict(),
    )


def _segment_chunk(project: int, session_id: str, stream_id: str, found: Segment, received_unix_nano: int) -> Chunk:
    """Numbered in the order of arrival: a page sends again what the one before could not, with numbers of its own."""
    check_id("browser.instance.id", stream_id)
    summary = _summary(found.payload)
    end = max(summary.start_unix_nano, ms_to_unix_nano(found.end_ms))
    return Chunk(
        project=project,
        session_id=session_id,
        stream_id=stream_id,
        seq=None,
        payload=found.payload,
        received_unix_nano=received_unix_nano,
        **summary._replace(end_unix_nano=end)._asdict(),
    )


def _identity(record: Attributes, resource: Attributes) -> tuple[str, str]:
    session_id = _first(SESSION_KEYS, record, resource)
    if session_id is None:
        raise InvalidRequest("session.id: missing", hint="set session.id on the record or on its resource")
    stream_id = _first(STREAM_KEYS, record, resource) or DEFAULT_STREAM
    check_id("session.id", session_id)
    check_id("rr-web.stream", stream_id)
    return session_id, stream_id


def _first(keys: tuple[str, ...], record: Attributes, resource: Attributes) -> str | None:
    found = (attributes.get(key) for key in keys for attributes in (record, resource))
    return next((value for value in found if isinstance(value, str) and value), None)


def _slice(record: Attributes) -> tuple[int, int]:
    count = _integer(record, "rr-web.total-chunks", 1, MAX_SLICES) or 1
    index = _integer(record, "rr-web.chunk", 1, count) or 1
    return index, count


def _integer(attributes: Attributes, key: str, low: int, high: int) -> int | None:
    """A whole number that may have come as an int, a double or a string; None where the attribute is missing."""
    value = attributes.get(key)
    if value is None:
        return None
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        whole = low - 1
    is_whole = whole == value or isinstance(value, str)
    if isinstance(value, bool) or not is_whole or not low <= whole <= high:
        raise InvalidRequest(f"{key}: {str(value)[:30]!r} is not a whole number in {low}..{high}")
    return whole


def _payload(body: Any) -> bytes:
    if isinstance(body, str):
        try:
            return body.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequest(f"body: a lone surrogate at character {error.start}") from error
    if not isinstance(body, bytes):
        raise InvalidRequest("body: expected the JSON of an rrweb event as a string or bytes")
    return body


def _record_time(time: int) -> int | None:
    """A record's time in nanoseconds, whichever unit it came in; None where it is neither set nor in range."""
    time_unix_nano = time if time >= _NANOSECONDS_FROM else ms_to_unix_nano(time)
    return time_unix_nano if 0 < time_unix_nano < 2**63 else None


def _summary(payload: bytes) -> ChunkSummary:
    events = parse_events(payload)
    if not events:
        raise InvalidRequest("body: holds no rrweb event")
    return summarise(events)


def _slice_summary(payload: bytes, slice_index: int, time_unix_nano: int) -> ChunkSummary:
    """An event counts once, with its first slice, which also tells by its beginning whether it is a full snapshot."""
    is_first = slice_index == 1
    has_full_snapshot = is_first and _FULL_SNAPSHOT_START.match(payload[:200]) is not None
    return ChunkSummary(time_unix_nano, time_unix_nano, int(is_first), has_full_snapshot)
