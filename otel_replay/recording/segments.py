"""Segments of Splunk's recorder from 1.0 on: a format of its own, which nothing public plays, kept as it came.

A segment becomes one custom event of rrweb, so that it is stored, downloaded, exported and erased like everything else
of a recording. Source: ``@splunk/otel-web-session-recorder`` 3.1.0, ``src/session-replay/recorder.ts``.
"""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

import orjson

from otel_replay.errors import InvalidRequest
from otel_replay.recording.events import MAX_TIMESTAMP_MS, EventType
from otel_replay.recording.nodes import mapping
from otel_replay.recording.untrusted import number

SEGMENT_KEY = "segmentMetadata"
"""The attribute of a log record that makes it a segment, or a slice of one."""
SEGMENT_TAG = "splunk.segment"
_MS = 1_000_000


class Segment(NamedTuple):
    """What a log record says of a segment."""

    payload: bytes
    """The custom event. A segment sent again, also by the next page, gives the same bytes."""
    stream_id: str | None
    """The tab that recorded it, whichever page sends it."""
    end_ms: int


def segment(body: Any, metadata: Any, slice_index: int, slice_count: int, time_unix_nano: int) -> Segment:
    """The event of a segment: ``body`` as the string that was sent, or bytes in base64, as ``encoding`` says.

    Raises ``InvalidRequest`` where body or metadata are something else.
    """
    if not isinstance(body, str | bytes) or not isinstance(metadata, str):
        raise InvalidRequest(f"body: expected a segment as bytes or a string, and {SEGMENT_KEY} as a string")
    told = _told(metadata)
    start_ms = _milliseconds(told.get("startUnixMs")) or time_unix_nano // _MS
    payload = {
        "playable": False,
        "metadata": metadata,
        "chunk": slice_index,
        "chunks": slice_count,
        "encoding": "utf-8" if isinstance(body, str) else "base64",
        "body": body if isinstance(body, str) else base64.b64encode(body).decode(),
    }
    event = {"type": EventType.CUSTOM, "timestamp": start_ms, "data": {"tag": SEGMENT_TAG, "payload": payload}}
    stream_id = told.get("browser.instance.id")
    return Segment(
        _json(event),
        stream_id if isinstance(stream_id, str) and stream_id else None,
        max(start_ms, _milliseconds(told.get("endUnixMs")) or start_ms),
    )


def _told(metadata: str) -> dict[str, Any]:
    try:
        return mapping(orjson.loads(metadata))
    except ValueError:
        return {}


def _milliseconds(value: Any) -> int | None:
    found = number(value)
    return int(found) if found is not None and 0 < found <= MAX_TIMESTAMP_MS else None


def _json(event: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(event)
    except TypeError:  # a lone surrogate, which JSON can escape and UTF-8 cannot hold
        return json.dumps(event).encode()
