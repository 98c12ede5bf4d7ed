"""Distilling what waits: the streams in turn, each in sequence order, from a cursor that survives a crash."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from otel_replay.store.distillation import Distillation, Due, StreamKey
from otel_replay.store.page_errors import PageError, page_errors
from otel_replay.store.sqlite import chunks as chunk_rows
from otel_replay.store.sqlite.database import ReadConnections
from otel_replay.store.sqlite.errors import replace_page_errors
from otel_replay.store.sqlite.pauses import Pauses
from otel_replay.store.sqlite.writer import GroupWriter

STEP_CHUNKS = 200
"""Chunks distilled in one go: bounds memory, how long the writer is kept, and how long other streams wait."""


class _Step(NamedTuple):
    """What was read and distilled; ``chunks`` of those due had come by then."""

    stream: StreamKey
    from_seq: int
    due: Due
    chunks: int
    rows: list[chunk_rows.DomRow]
    errors: list[PageError]


class ChunkDistiller:
    """Distills due chunks and keeps the result through the writer; ``connection`` is the writer's."""

    def __init__(self, connections: ReadConnections, writer: GroupWriter, connection: Any) -> None:
        self._connections = connections
        self._writer = writer
        self._connection = connection
        self._distillation = Distillation()
        # While much arrives it works a quarter of the time: whoever sends waits for an answer, and nobody for this.
        self._pauses = Pauses(lambda: writer.busy_seconds, idle=0.0, busy=3.0, busy_share=0.05)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Until nothing is due, or ``stopping()`` between two steps."""
        while not stopping():
            with self._pauses.after(stopping):
                step = self._distilled()
                if step is None:
                    return
                self._writer.run(partial(self._keep, step)).result()

    def _distilled(self) -> _Step | None:
        """The next due chunks of the stream whose turn it is; None when nothing is due."""
        with self._connections.snapshot() as connection:
            found = chunk_rows.next_due(connection)
            if found is None:
                return None
            stream, from_seq = found
            due = chunk_rows.due_chunks(connection, stream, from_seq, STEP_CHUNKS)
            events = self._distillation.run(
                stream,
                due,
                lambda seq: chunk_rows.snapshot_before(connection, stream, seq),
                lambda seq: chunk_rows.address_before(connection, stream, seq),
                lambda first, last: chunk_rows.read_chunks(connection, stream, first, last),
            )
            rows, errors = chunk_rows.dom_rows(stream, events), page_errors(events)
            return _Step(stream, from_seq, due, chunk_rows.count_chunks(connection, stream, due), rows, errors)

    def _keep(self, step: _Step) -> None:
        """Runs in the writer's transaction. Where an earlier chunk came meanwhile, the cursor stays, and all is due."""
        chunk_rows.replace_dom_events(self._connection, step.stream, step.due, step.rows)
        replace_page_errors(self._connection, step.stream, step.due, step.errors)
        is_whole = chunk_rows.count_chunks(self._connection, step.stream, step.due) == step.chunks
        chunk_rows.end_turn(self._connection, step.stream, step.from_seq, step.due.last if is_whole else None)
