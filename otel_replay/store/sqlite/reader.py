"""The reader of one SQLite file, put together from its groups of questions."""

from __future__ import annotations

from collections.abc import Iterator

from otel_replay.model import Chunk, DomEvent, Signal
from otel_replay.recording.streams import ChunkInfo
from otel_replay.store.base import Lag
from otel_replay.store.sqlite import chunks as chunk_rows
from otel_replay.store.sqlite.fulltext import waiting_texts
from otel_replay.store.sqlite.names import NameQueries
from otel_replay.store.sqlite.rollups import waiting_interactions
from otel_replay.store.sqlite.scan import TraceSearchQueries
from otel_replay.store.sqlite.search import SearchQueries
from otel_replay.store.sqlite.session_queries import SessionQueries
from otel_replay.store.sqlite.statistics import StatisticsQueries
from otel_replay.store.sqlite.telemetry import TelemetryQueries


class SqliteReader(TraceSearchQueries, SearchQueries, TelemetryQueries, SessionQueries, StatisticsQueries, NameQueries):
    """A :class:`~otel_replay.store.base.Reader` of one file."""

    def streams(self, project: int, session_id: str) -> list[str]:
        query = (
            "SELECT stream_id FROM chunks WHERE project = ? AND session_id = ?"
            " GROUP BY stream_id ORDER BY min(start_unix_nano), stream_id"
        )
        return self._column(query, (project, session_id))

    def chunk_infos(self, project: int, session_id: str, stream_id: str) -> list[ChunkInfo]:
        with self._connections.snapshot() as connection:
            return chunk_rows.read_infos(connection, (project, session_id, stream_id))

    def chunks(
        self, project: int, session_id: str, stream_id: str, *, from_seq: int = 0, to_seq: int | None = None
    ) -> Iterator[Chunk]:
        with self._connections.snapshot() as connection:
            yield from chunk_rows.read_chunks(connection, (project, session_id, stream_id), from_seq, to_seq)

    def damaged_chunks(self, project: int, session_id: str, stream_id: str) -> frozenset[int]:
        with self._connections.snapshot() as connection:
            return chunk_rows.damaged_chunks(connection, (project, session_id, stream_id))

    def dom_events(self, project: int, session_id: str, stream_id: str) -> list[DomEvent]:
        with self._connections.snapshot() as connection:
            return chunk_rows.read_dom_events(connection, (project, session_id, stream_id))

    def undistilled(self, project: int, session_id: str) -> int:
        query = (
            "SELECT count(*) FROM streams JOIN chunks USING (project, session_id, stream_id)"
            " WHERE project = ? AND session_id = ? AND seq >= distill_from"
        )
        return int(self._rows(query, (project, session_id))[0][0])

    def lag(self, project: int | None = None) -> Lag:
        query = (
            "SELECT count(*) FROM streams JOIN chunks USING (project, session_id, stream_id)"
            " WHERE distill_from IS NOT NULL AND seq >= distill_from AND (?1 IS NULL OR project = ?1)"
        )
        with self._connections.snapshot() as connection:
            chunks = connection.execute(query, (project,)).fetchone()[0]
            return Lag(waiting_texts(connection, project), waiting_interactions(connection, project), chunks)

    def counts(self) -> dict[str, int]:
        names = {Signal.TRACES: "spans", Signal.LOGS: "log_records", Signal.METRICS: "metrics"}
        with self._connections.snapshot() as connection:
            counted = dict(connection.execute("SELECT signal, sum(items) FROM blocks GROUP BY signal"))
            tables = ("blocks", "chunks", "sessions", "interactions", "actions", "quarantine")
            rows = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
        return {name: counted.get(signal, 0) for signal, name in names.items()} | rows
