"""A timeline as text for people: one line per entry, safe to print whatever was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_replay.timeline.entry import Entry, Timeline
from otel_replay.timeline.plain import one_line

MAX_DEPTH = 20
"""Levels of indentation; what lies deeper is shown at this depth."""

_KIND_WIDTH = 12
_INDENT = "  "


def render_text(timeline: Timeline) -> str:
    """A head line, then per entry: seconds since the start, kind, title indented by the depth of its span.

    Of a run of DOM events of one type on one element (keys typed, an answer streaming in) only the last is told, at the
    time of the first: it holds what the others led to.

    Control characters are taken out of everything, so that no recorded text can drive the terminal it is shown on.
    """
    depths = _depths(timeline)
    lines = [_head(timeline)]
    lines += [_line(run, timeline.start_unix_nano, depths.get(run[0].id, 0)) for run in _runs(timeline.entries)]
    lines += [f"warning: {one_line(warning)}" for warning in timeline.warnings]
    return "\n".join(lines) + "\n"


def _head(timeline: Timeline) -> str:
    tokens = [
        f"{value} {name}"
        for name, value in (("tokens in", timeline.tokens.input), ("tokens out", timeline.tokens.output))
        if value is not None
    ]
    cost = [f"${timeline.cost_usd}"] if timeline.cost_usd is not None else []
    count = timeline.calls
    calls = "1 interaction" if count == 1 else f"{count} interactions"
    duration = f"{seconds(timeline.end_unix_nano - timeline.start_unix_nano)} s"
    return one_line(", ".join([f"{timeline.subject.kind} {timeline.subject.id}: {duration}", calls, *tokens, *cost]))


def _runs(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries one by one, but for DOM events that go on with what their stream was doing to the same element."""
    runs: list[list[Entry]] = []
    open_runs: dict[tuple[str, str], tuple[object, list[Entry]]] = {}
    for entry in entries:
        stream = (entry.session_id, entry.stream_id)
        doing = _doing(entry)
        before = open_runs.get(stream)
        if doing is not None and before is not None and before[0] == doing:
            before[1].append(entry)
            continue
        runs.append([entry])
        if entry.stream_id:
            open_runs[stream] = (doing, runs[-1])
    return runs


def _doing(entry: Entry) -> object:
    """What a DOM event does to which element; None for one that always stands alone."""
    kind, selector = entry.detail.get("type"), entry.detail.get("selector")
    if entry.kind != "dom" or kind not in ("input", "text") or not isinstance(selector, str):
        return None
    return kind, entry.detail.get("node_id", selector)


def _line(run: Sequence[Entry], origin: int, depth: int) -> str:
    entry = run[-1]
    count = f" ({len(run)} changes)" if len(run) > 1 else ""
    failed = " [error]" if entry.status == "error" else ""
    time = f"+{seconds(run[0].start_unix_nano - origin)}" if run[0].start_unix_nano else "no time"
    title = f"{_INDENT * depth}{one_line(entry.title)}{count}{failed}"
    return f"{time:>12}  {one_line(entry.kind):<{_KIND_WIDTH}}  {title}"


def seconds(duration_ns: int) -> str:
    """Nanoseconds as seconds to the millisecond, rounded down, by integer arithmetic alone."""
    return f"{duration_ns // 1_000_000_000}.{duration_ns % 1_000_000_000 // 1_000_000:03d}"


def _depths(timeline: Timeline) -> dict[str, int]:
    """Entry id to depth: a span's ancestors are counted, a log record stands under its span."""
    parents = {entry.id: link.target for entry in timeline.entries for link in entry.links if link.rel == "child_of"}
    spans = {(entry.trace_id, entry.span_id): entry.id for entry in timeline.entries if entry.id.startswith("span:")}
    parents |= {
        entry.id: spans[entry.trace_id, entry.span_id]
        for entry in timeline.entries
        if entry.id.startswith("log:") and (entry.trace_id, entry.span_id) in spans
    }
    return {entry.id: _depth(entry.id, parents) for entry in timeline.entries}


def _depth(entry_id: str, parents: dict[str, str]) -> int:
    depth = 0
    while depth < MAX_DEPTH and (parent := parents.get(entry_id)) is not None:
        entry_id = parent
        depth += 1
    return depth
