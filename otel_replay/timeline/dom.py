"""Recordings to entries: what happened on the page, and where the recording has gaps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from otel_replay.model import DomEvent, Gap
from otel_replay.timeline.entry import Entry, StreamView, gap_dict
from otel_replay.timeline.plain import one_line, plain


def dom_entries(streams: Iterable[StreamView]) -> list[Entry]:
    """One entry per distilled event, in the order of streams, sequence and position."""
    found: dict[tuple[str, str, int, int], Entry] = {}
    for stream in streams:
        for event in stream.dom_events:
            entry = _dom_entry(stream, event)
            key = (stream.session_id, stream.stream_id, event.seq, event.index)
            if key not in found or _canonical(found[key]) < _canonical(entry):
                found[key] = entry
    return [found[key] for key in sorted(found)]


def distinct_gaps(streams: Iterable[StreamView]) -> list[tuple[str, Gap]]:
    """(session id, gap), one per stream and position: of several versions the smallest, which knows of most chunks."""
    found: dict[tuple[str, str, int], Gap] = {}
    for stream in streams:
        for gap in stream.gaps:
            key = (stream.session_id, gap.stream_id, gap.after_seq)
            if key not in found or _gap_order(gap) < _gap_order(found[key]):
                found[key] = gap
    return [(session_id, found[session_id, stream_id, seq]) for session_id, stream_id, seq in sorted(found)]


def gap_entries(gaps: Iterable[tuple[str, Gap]]) -> Iterator[Entry]:
    """One entry per gap."""
    for session_id, gap in gaps:
        chunks = "1 chunk" if gap.missing == 1 else f"{gap.missing} chunks"
        yield Entry(
            id=f"gap:{gap.stream_id}:{gap.after_seq}",
            kind="gap",
            start_unix_nano=gap.from_unix_nano,
            end_unix_nano=max(gap.from_unix_nano, gap.to_unix_nano),
            raw_start_unix_nano=gap.from_unix_nano,
            title=one_line(f"{chunks} of the recording missing: {gap.reason}"),
            detail=plain(gap_dict(gap)),
            session_id=session_id,
            stream_id=gap.stream_id,
        )


def _dom_entry(stream: StreamView, event: DomEvent) -> Entry:
    return Entry(
        id=f"dom:{stream.stream_id}:{event.seq}:{event.index}",
        kind=event.kind,
        start_unix_nano=event.time_unix_nano,
        end_unix_nano=event.time_unix_nano,
        raw_start_unix_nano=event.time_unix_nano,
        title=one_line(event.title),
        detail=plain(event.detail),
        status="error" if event.kind == "error" else "unset",
        trace_id=event.trace_id,
        span_id=event.span_id,
        session_id=stream.session_id,
        stream_id=stream.stream_id,
    )


def _canonical(entry: Entry) -> str:
    return json.dumps(entry.to_dict(), sort_keys=True)


def _gap_order(gap: Gap) -> tuple[int, str, int, int, int]:
    resumes_at = -1 if gap.resumes_at is None else gap.resumes_at
    return gap.missing, gap.reason, gap.from_unix_nano, gap.to_unix_nano, resumes_at
