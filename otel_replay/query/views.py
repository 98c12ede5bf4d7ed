"""What timelines show of recordings: the part of a stream that is near a trace, and one view from several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_replay.model import DomEvent, Gap, StoredLog, StoredSpan
from otel_replay.timeline import StreamView

AROUND_TRACE_NS = 10 * 10**9
"""A trace's timeline shows the page from this long before the trace to this long after it: the click that caused it
comes just before, and the words stay on the page after."""


def near(
    views: Iterable[StreamView], trace_id: str, spans: Sequence[StoredSpan], logs: Sequence[StoredLog]
) -> list[StreamView]:
    """The views cut to the time of a trace, but for events that carry its id."""
    times = [time for one in spans for time in (one.span.start_time_unix_nano, one.span.end_time_unix_nano)]
    times += [one.record.time_unix_nano or one.record.observed_time_unix_nano for one in logs]
    times += [event.time_unix_nano for view in views for event in view.dom_events if event.trace_id == trace_id]
    if not times:
        return []
    start, end = min(times) - AROUND_TRACE_NS, max(times) + AROUND_TRACE_NS

    def within(event: DomEvent) -> bool:
        return start <= event.time_unix_nano <= end

    return [
        StreamView(
            view.session_id,
            view.stream_id,
            [event for event in view.dom_events if within(event)],
            [gap for gap in view.gaps if gap.from_unix_nano <= end and gap.to_unix_nano >= start],
        )
        for view in views
    ]


def merged(parts: Iterable[Iterable[StreamView]]) -> list[StreamView]:
    """One view of each stream from those of several traces, nothing twice."""
    events: dict[tuple[str, str], dict[tuple[int, int], DomEvent]] = {}
    gaps: dict[tuple[str, str], dict[int, Gap]] = {}
    for view in (view for part in parts for view in part):
        key = (view.session_id, view.stream_id)
        events.setdefault(key, {}).update({(event.seq, event.index): event for event in view.dom_events})
        gaps.setdefault(key, {}).update({gap.after_seq: gap for gap in view.gaps})
    return [
        StreamView(*key, [seen[place] for place in sorted(seen)], [gaps[key][seq] for seq in sorted(gaps[key])])
        for key, seen in events.items()
    ]
