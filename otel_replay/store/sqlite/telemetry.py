"""Spans, logs and metrics out of blocks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import zstandard
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_replay.model import Signal, StoredLog, StoredSpan
from otel_replay.otlp import thin
from otel_replay.store import blocks
from otel_replay.store.bodies import body_ids, is_cut
from otel_replay.store.sqlite.body_reading import BodyReader
from otel_replay.store.sqlite.database import ReadConnections
from otel_replay.store.sqlite.index import SESSIONS, TRACES, IndexReader, KeyedHash
from otel_replay.store.sqlite.queries import Queries

logger = logging.getLogger(__name__)

PIECE_BLOCKS = 64
"""Blocks read in one snapshot, some 20 ms: a checkpoint never waits longer for a query."""

_PIECE_TRACES = 256
"""Traces looked up at once."""


class TelemetryQueries(Queries):
    """Spans and logs by trace and session, metrics by time of arrival."""

    def trace(self, project: int, trace_id: str) -> bytes:
        return blocks.trace_data(self._spans_of_trace(project, trace_id))

    def spans_of_trace(self, project: int, trace_id: str) -> list[StoredSpan]:
        return blocks.stored_spans(self._spans_of_trace(project, trace_id))

    def _spans_of_trace(self, project: int, trace_id: str) -> list[blocks.Matched]:
        wanted, reading = bytes.fromhex(trace_id), self._reading(project, Signal.TRACES)
        return blocks.spans_of_trace(reading.bodies(TRACES, [wanted]), wanted, reading.whole)

    def spans_of_session(self, project: int, session_id: str) -> list[StoredSpan]:
        reading = self._reading(project, Signal.TRACES)
        naming = reading.bodies(SESSIONS, [session_id.encode()])
        found = blocks.spans_of_session(
            naming, session_id, lambda traces: reading.bodies(TRACES, sorted(traces)), reading.whole
        )
        return blocks.stored_spans(found)

    def logs_of_trace(self, project: int, trace_id: str) -> list[StoredLog]:
        wanted = bytes.fromhex(trace_id)
        reading = self._reading(project, Signal.LOGS)
        found = blocks.logs_of_trace(reading.bodies(TRACES, [wanted]), wanted, reading.whole)
        return blocks.stored_logs(project, found)

    def logs_of_session(self, project: int, session_id: str) -> list[StoredLog]:
        reading = self._reading(project, Signal.LOGS)
        naming = reading.bodies(SESSIONS, [session_id.encode()])
        return blocks.stored_logs(project, blocks.logs_of_session(naming, session_id, reading.whole))

    def is_in_a_log(self, project: int, trace_id: bytes, span_id: bytes, body: int) -> bool:
        """Whether a log record that tells of a span carries a content."""
        reading = self._reading(project, Signal.LOGS)
        return any(
            LogRecord.FromString(reading.whole(raw)).span_id == span_id
            for block in reading.bodies(TRACES, [trace_id])
            for raw in thin.records_of(thin.parse(block))
            if trace_id in raw and body in body_ids(raw)
        )

    def metrics(self, project: int) -> Iterator[bytes]:
        query = "SELECT id FROM blocks WHERE project = ? AND signal = ? ORDER BY id"
        numbers = [number for (number,) in self._rows(query, (project, Signal.METRICS))]
        reading = self._reading(project, Signal.METRICS)
        for number in numbers:  # each in a snapshot of its own: whoever reads them may take any time
            with self._connections.snapshot() as connection:
                body = reading.read(connection, number)
            if body is not None:
                yield body

    def _reading(self, project: int, signal: Signal) -> _Reading:
        return _Reading(self._connections, self._index, self._hash, project, signal)


class _Reading:
    """One query for blocks of a project and signal.

    They are read piece by piece, each piece in a snapshot of its own (or all in the one that is open around the query),
    until no block is left that was not read. A block that compaction takes away in between is found again where its
    records went; records that come twice are one to whoever reads them. So the answer is that of the last snapshot.
    """

    def __init__(
        self, connections: ReadConnections, index: IndexReader, index_hash: KeyedHash, project: int, signal: Signal
    ) -> None:
        self._connections = connections
        self._index = index
        self._hash = index_hash
        self._project = project
        self._signal = signal
        self._decompressor = zstandard.ZstdDecompressor()
        self._contents: BodyReader | None = None

    def bodies(self, kind: int, items: Sequence[bytes]) -> Iterator[bytes]:
        """Blocks that may hold one of the ids, ascending by number for every few hundred ids, each block once."""
        seen: set[int] = set()
        for at in range(0, len(items), _PIECE_TRACES):
            yield from self._unseen(kind, items[at : at + _PIECE_TRACES], seen)

    def _unseen(self, kind: int, items: Sequence[bytes], seen: set[int]) -> Iterator[bytes]:
        has_more = True
        while has_more:
            with self._connections.snapshot() as connection:
                self._contents = None
                found = sorted(self._numbers(connection, kind, items) - seen)
                piece = found[:PIECE_BLOCKS]
                for number in piece:
                    body = self.read(connection, number)
                    if body is not None:
                        yield body
            seen.update(piece)
            has_more = len(found) > len(piece)

    def _numbers(self, connection: Any, kind: int, items: Sequence[bytes]) -> set[int]:
        hashes = (self._hash(self._project, item) for item in items)
        return {number for hashed in hashes for number in self._index.blocks(connection, kind, hashed)}

    def whole(self, record: bytes) -> bytes:
        """A record of the block that was given last, as it was received."""
        if not is_cut(record):
            return record
        if self._contents is None:
            with self._connections.snapshot() as connection:  # the one around that block
                self._contents = BodyReader(connection, self._project, self._signal)
        return self._contents.whole(record)

    def read(self, connection: Any, number: int) -> bytes | None:
        """The body of a block; None when there is no such block of this project and signal, or it cannot be read."""
        query = "SELECT data FROM blocks WHERE id = ? AND project = ? AND signal = ?"
        row = connection.execute(query, (number, self._project, self._signal)).fetchone()
        if row is None:
            return None
        try:
            return self._decompressor.decompress(row[0])
        except (zstandard.ZstdError, MemoryError) as error:  # a damaged header may claim any size
            # A damaged block must not hide the others; it stays in the file for `check`.
            logger.error("block %d cannot be read and is left out: %s", number, error)
            return None
