"""What a chunk says of its session beyond the page: attributes of the session, and traces that the page started."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_replay.model import Chunk
from otel_replay.recording.custom import custom_event
from otel_replay.recording.nodes import mapping
from otel_replay.recording.uploads import custom_data

_MARKER = b'"tag"'
"""Stands in every custom event."""


class Announcements(NamedTuple):
    """``attributes`` by OTel name, from custom events tagged ``otel.session``; ``trace_ids`` in hex."""

    attributes: dict[str, Any]
    trace_ids: frozenset[str]


def announcements(chunk: Chunk) -> Announcements:
    """Looks only into chunks that may hold custom events; a slice of an event tells nothing.

    The events of a chunk were checked when it was made.
    """
    if chunk.slice_count > 1 or _MARKER not in chunk.payload:
        return Announcements({}, frozenset())
    attributes: dict[str, Any] = {}
    trace_ids = set()
    for data in custom_data(chunk.payload):
        draft = custom_event(mapping(data))
        if draft.trace_id:
            trace_ids.add(draft.trace_id)
        if draft.detail.get("type") == "session":
            attributes |= _scalars(draft.detail["attributes"])
    return Announcements(attributes, frozenset(trace_ids))


def _scalars(attributes: Any) -> dict[str, Any]:
    return {name: value for name, value in mapping(attributes).items() if isinstance(value, str | bool | int | float)}
