"""Spans, logs and recordings in; one ordered, linked timeline out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from otel_replay.genai.prices import Cost
from otel_replay.model import Session, StoredLog, StoredSpan
from otel_replay.timeline.dom import distinct_gaps, dom_entries, gap_entries
from otel_replay.timeline.entry import Entry, StreamView, Subject, Timeline
from otel_replay.timeline.links import exact_links
from otel_replay.timeline.logs import contents_by_span, log_entries
from otel_replay.timeline.sessions import SessionOf
from otel_replay.timeline.spans import SpanKey, SpanNode, span_nodes
from otel_replay.timeline.totals import NO_COSTS, totals, with_costs
from otel_replay.timeline.tree import SpanTree


def build_timeline(
    *,
    subject: Subject,
    sessions: Sequence[Session],
    spans: Sequence[StoredSpan],
    logs: Sequence[StoredLog],
    streams: Sequence[StreamView],
    costs: Mapping[SpanKey, Cost] = NO_COSTS,
) -> Timeline:
    """The timeline of everything given; choosing what belongs to the subject is the caller's part. ``costs`` are those
    of AI spans that report none, where prices said them.

    The same for any order and repetition of the inputs. Never raises for what spans, logs and recordings hold: what
    cannot be read is named in ``warnings``.
    """
    nodes = with_costs(span_nodes(spans, contents_by_span(logs)), costs)
    tree = SpanTree(nodes)
    dom = dom_entries(streams)
    gaps = distinct_gaps(streams)
    told = log_entries(logs)
    links = exact_links(nodes, tree, dom, told)
    written = [*(node.entry for node in nodes.values()), *told, *dom, *gap_entries(gaps)]
    session_of = SessionOf(written, nodes, tree, subject)
    finished = (replace(one, session_id=session_of(one), links=tuple(links.get(one.id, ()))) for one in written)
    entries = sorted(finished, key=lambda entry: entry.order_key)
    summed = totals(nodes, costs)
    start, end = _bounds(entries)
    return Timeline(
        subject=subject,
        sessions=_distinct([*(session.session_id for session in sessions), *(entry.session_id for entry in entries)]),
        traces=_distinct(entry.trace_id for entry in entries),
        start_unix_nano=start,
        end_unix_nano=end,
        entries=tuple(entries),
        calls=summed.calls,
        tokens=summed.tokens,
        cost_usd=summed.cost_usd,
        cost_source=summed.cost_source,
        gaps=tuple(gap for _, gap in gaps),
        warnings=_warnings(nodes, tree),
    )


def _bounds(entries: Iterable[Entry]) -> tuple[int, int]:
    """Earliest start and latest end; what has no time at all (zero) does not count."""
    timed = [entry for entry in entries if entry.start_unix_nano]
    start = min((entry.start_unix_nano for entry in timed), default=0)
    return start, max((entry.end_unix_nano for entry in timed), default=start)


def _distinct(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({one for one in ids if one}))


def _warnings(nodes: Mapping[SpanKey, SpanNode], tree: SpanTree) -> tuple[str, ...]:
    found = {warning for node in nodes.values() for warning in node.warnings}
    found |= {f"{nodes[key].entry.id}: stands under itself, its parent is not followed" for key in tree.cut}
    return _distinct(found)
