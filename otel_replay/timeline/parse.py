"""A timeline from its JSON form, for clients of a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_replay.model import Gap, Usage
from otel_replay.timeline.entry import Entry, Link, Subject, Timeline

_TIMES = ("start_unix_nano", "end_unix_nano", "raw_start_unix_nano")
_TEXTS = ("id", "kind", "title", "status", "trace_id", "span_id", "parent_span_id", "session_id", "stream_id")


def timeline_from_dict(document: Mapping[str, Any]) -> Timeline:
    """The inverse of ``Timeline.to_dict``; fields it does not know are left out, as the interface asks of clients."""
    kind = next(kind for kind in ("trace", "session", "conversation") if f"{kind}_id" in document)
    return Timeline(
        subject=Subject(kind, document[f"{kind}_id"]),  # type: ignore[arg-type]
        sessions=tuple(document["sessions"]),
        traces=tuple(document["traces"]),
        start_unix_nano=int(document["start_unix_nano"]),
        end_unix_nano=int(document["end_unix_nano"]),
        entries=tuple(_entry(entry) for entry in document["entries"]),
        calls=document["interactions"],
        tokens=Usage(**{name: document["tokens"].get(name) for name in Usage.__dataclass_fields__}),
        cost_usd=document["cost_usd"],
        cost_source=document["cost_source"],
        gaps=tuple(gap_from_dict(gap) for gap in document["gaps"]),
        warnings=tuple(document["warnings"]),
        clock_reference=document["clock_reference"],
    )


def gap_from_dict(document: Mapping[str, Any]) -> Gap:
    """The inverse of ``gap_dict``."""
    fields = {name: document[name] for name in Gap.__dataclass_fields__}
    times = {name: int(document[name]) for name in ("from_unix_nano", "to_unix_nano")}
    return Gap(**(fields | times))


def _entry(document: Mapping[str, Any]) -> Entry:
    fields: dict[str, Any] = {name: int(document[name]) for name in _TIMES}
    fields |= {name: document[name] for name in (*_TEXTS, "detail")}
    links = tuple(Link(**{name: link[name] for name in Link._fields}) for link in document["links"])
    return Entry(**fields, links=links)
