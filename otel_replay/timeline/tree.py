"""Which span stands under which: the spans' own parent ids, made safe to walk."""

from __future__ import annotations

from collections.abc import Mapping

from otel_replay.timeline.spans import SpanKey, SpanNode


class SpanTree:
    """Parents of spans, and an order to visit them in; no span stands above itself, whatever ids were received."""

    def __init__(self, nodes: Mapping[SpanKey, SpanNode]) -> None:
        claimed = {key: (node.entry.trace_id, node.entry.parent_span_id) for key, node in nodes.items()}
        parents = {key: parent for key, parent in claimed.items() if parent in nodes}
        self.missing_parents = {key: parent for key, parent in claimed.items() if parent[1] and parent not in nodes}
        """Of spans whose parent never arrived."""
        self.cut = _cut_cycles(parents)
        """Spans whose parent is, by way of others, themselves: their parent is not followed."""
        self.parents: Mapping[SpanKey, SpanKey] = parents
        """Of every other span that has one."""
        self.top_down = _top_down(nodes, parents)
        """Every span, parents before their children."""


def _cut_cycles(parents: dict[SpanKey, SpanKey]) -> list[SpanKey]:
    """Takes one edge out of each cycle: that of its smallest span, so that the order of arrival does not matter."""
    done: set[SpanKey] = set()
    cut = []
    for start in list(parents):
        path: dict[SpanKey, int] = {}
        key = start
        while key in parents and key not in done and key not in path:
            path[key] = len(path)
            key = parents[key]
        if key in path:
            cut.append(min(list(path)[path[key] :]))
            del parents[cut[-1]]
        done.update(path)
    return cut


def _top_down(nodes: Mapping[SpanKey, SpanNode], parents: Mapping[SpanKey, SpanKey]) -> list[SpanKey]:
    ordered: dict[SpanKey, None] = {}
    for start in nodes:
        path = []
        key: SpanKey | None = start
        while key is not None and key not in ordered:
            path.append(key)
            key = parents.get(key)
        ordered.update(dict.fromkeys(reversed(path)))
    return list(ordered)
