"""Which session an entry belongs to when it does not say so itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otel_replay.timeline.entry import Entry, Subject
from otel_replay.timeline.spans import SpanKey, SpanNode
from otel_replay.timeline.tree import SpanTree


class SessionOf:
    """Finds an entry's session: its own, that of the nearest span above, the only one of its trace, the subject.

    Backend spans often carry no session id: the trace id is then the only way from them to the session.
    """

    def __init__(
        self, entries: Iterable[Entry], nodes: Mapping[SpanKey, SpanNode], tree: SpanTree, subject: Subject
    ) -> None:
        self._inherited = _inherited(nodes, tree)
        self._only = _only_sessions(entries)
        self._default = subject.id if subject.kind == "session" else ""

    def __call__(self, entry: Entry) -> str:
        return (
            entry.session_id
            or self._inherited.get((entry.trace_id, entry.span_id), "")
            or self._only.get(entry.trace_id, "")
            or self._default
        )


def _inherited(nodes: Mapping[SpanKey, SpanNode], tree: SpanTree) -> dict[SpanKey, str]:
    found: dict[SpanKey, str] = {}
    for key in tree.top_down:
        parent = tree.parents.get(key)
        found[key] = nodes[key].entry.session_id or (found[parent] if parent else "")
    return found


def _only_sessions(entries: Iterable[Entry]) -> dict[str, str]:
    """Trace to session, for the traces of which exactly one session is named."""
    named: dict[str, set[str]] = {}
    for entry in entries:
        if entry.trace_id and entry.session_id:
            named.setdefault(entry.trace_id, set()).add(entry.session_id)
    return {trace_id: next(iter(sessions)) for trace_id, sessions in named.items() if len(sessions) == 1}
