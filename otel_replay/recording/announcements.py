"""What a chunk says of its session beyond the page: attributes of the session, and traces that the page started."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_replay.model import Chunk
from otel_replay.recording.custom import custom_event
from otel_replay.recording.events import EventType, raw_events
from otel_replay.recording.nodes import mapping

_MARKERS = (b"otel.session", b'"trace_id"', b'"traceId"')


class Announcements(NamedTuple):
    """``attributes`` by OTel name, from custom events tagged ``otel.session``; ``trace_ids`` in hex."""

    attributes: dict[str, Any]
    trace_ids: frozenset[str]


def announcements(chunk: Chunk) -> Announcements:
    """Looks only into chunks that hold one of the markers; a slice of an event tells nothing.

    The events of a chunk were checked when it was made.
    """
    if chunk.slice_count > 1 or not any(marker in chunk.payload for marker in _MARKERS):
        return Announcements({}, frozenset())
    attributes: dict[str, Any] = {}
    trace_ids = set()
    for event in raw_events(chunk.payload):
        if event["type"] != EventType.CUSTOM:
            continue
        draft = custom_event(mapping(event.get("data")))
        if draft.trace_id:
            trace_ids.add(draft.trace_id)
        if draft.detail.get("type") == "session":
            attributes |= _scalars(draft.detail["attributes"])
    return Announcements(attributes, frozenset(trace_ids))


def _scalars(attributes: Any) -> dict[str, Any]:
    return {name: value for name, value in mapping(attributes).items() if isinstance(value, str | bool | int | float)}
