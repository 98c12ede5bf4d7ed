"""Rows of several receivers, folded and counted as one receiver that had them all would.

The store in memory does that: it has the same rules, and is made anew for each answer from the few rows that it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from otel_replay.model import DEFAULT_PROJECT, Signal, Source
from otel_replay.query.parts import Asking
from otel_replay.store.base import InteractionRow, Write
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite.shared_rows import SessionRows, TraceRows
from otel_replay.timeline.relations import SpanId

AT_ONCE = 5_000
"""Ids in one question."""


class MergedRows(MemoryStore):
    """A store of rows alone. Nothing comes once it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._recorded: set[str] = set()
        self._bits: dict[SpanId, int] | None = None

    def add_sessions(self, rows: SessionRows) -> None:
        self._recorded.update(rows.recorded)
        self._add(sessions=rows.sightings, session_traces=frozenset(rows.traces), error_rows=rows.errors)

    def add_traces(self, rows: TraceRows) -> None:
        self._add(interactions=rows.interactions, actions=rows.actions, session_traces=frozenset(rows.named))

    def _add(self, **told: Any) -> None:
        self.commit(Write(DEFAULT_PROJECT, Signal.TRACES, Source.SERVER, 0, **told))

    def call(self, trace_id: str, span_id: str) -> InteractionRow | None:
        """The winning version of an AI span."""
        return self._calls(DEFAULT_PROJECT).get((trace_id, span_id))

    def sessions_of_calls(self) -> set[str]:
        return {row.session_id for row in self._calls(DEFAULT_PROJECT).values() if row.session_id}

    def streams(self, project: int, session_id: str) -> list[str]:
        """Whether there are any is all that rows tell."""
        return [session_id] if session_id in self._recorded else []

    def _counting(self, project: int) -> dict[SpanId, int]:
        if self._bits is None:
            self._bits = super()._counting(project)
        return self._bits


def merged_rows(asking: Asking, session_ids: Sequence[str], *, with_calls: bool = True) -> MergedRows:
    """What is known of these sessions; with the calls of all their traces, which say what counts of each."""
    store = MergedRows()
    traces = add_sessions(asking, store, session_ids)
    if with_calls:
        add_traces(asking, store, traces)
    return store


def add_sessions(asking: Asking, store: MergedRows, session_ids: Collection[str]) -> set[str]:
    """Gives the ids of their traces."""
    traces: set[str] = set()
    ordered = sorted(session_ids)
    for at in range(0, len(ordered), AT_ONCE):
        for rows in asking.answers("rows_of_sessions", ordered[at : at + AT_ONCE]):
            store.add_sessions(rows)
            traces.update(trace for _, trace in rows.traces)
    return traces


def add_traces(asking: Asking, store: MergedRows, trace_ids: Collection[str]) -> None:
    ordered = sorted(trace_ids)
    for at in range(0, len(ordered), AT_ONCE):
        for rows in asking.answers("rows_of_traces", ordered[at : at + AT_ONCE]):
            store.add_traces(rows)
