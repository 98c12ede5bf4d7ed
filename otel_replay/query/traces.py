"""Trace search: the JSON of the interface out."""

from __future__ import annotations

from typing import Any

from otel_replay.query.sessions import encode_cursor
from otel_replay.store.base import TracePage, TraceSummary


def trace_page_dict(page: TracePage) -> dict[str, Any]:
    """``{"traces", "next_cursor"}``."""
    return {
        "traces": [_trace_dict(summary) for summary in page.traces],
        "next_cursor": encode_cursor(page.next_position),
    }


def _trace_dict(summary: TraceSummary) -> dict[str, Any]:
    """One trace as JSON; times and durations as strings of nanoseconds."""
    return {
        **summary._asdict(),
        "start_unix_nano": str(summary.start_unix_nano),
        "duration_ns": str(summary.duration_ns),
        "matched_span_ids": list(summary.matched_span_ids),
    }
