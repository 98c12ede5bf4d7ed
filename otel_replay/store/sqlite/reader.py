"""Questions to the SQLite file, on connections of their own, from any process."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import zstandard

from otel_replay.model import Chunk, DomEvent, Session, Signal, StoredLog, StoredSpan
from otel_replay.recording.streams import ChunkInfo
from otel_replay.store import blocks
from otel_replay.store.base import SessionFilter, SessionPage, SessionSummary
from otel_replay.store.folding import load_attributes, plain_attributes
from otel_replay.store.sqlite import chunks as chunk_rows
from otel_replay.store.sqlite.database import ReadConnections
from otel_replay.store.sqlite.index import SESSIONS, TRACES, IndexReader, KeyedHash

logger = logging.getLogger(__name__)


class SqliteReader:
    """A :class:`~otel_replay.store.base.Reader` of one file."""

    def __init__(self, path: Path) -> None:
        self._connections = ReadConnections(path)
        self._index = IndexReader()
        with self._connections.snapshot() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'index_key'").fetchone()
        self._hash = KeyedHash(bytes.fromhex(row[0]))

    def close(self) -> None:
        self._connections.close()

    # Spans, logs, metrics

    def trace(self, project: int, trace_id: str) -> bytes:
        wanted = bytes.fromhex(trace_id)
        bodies = self._bodies(project, Signal.TRACES, TRACES, wanted)
        return blocks.trace_data(blocks.spans_of_trace(bodies, wanted))

    def spans_of_trace(self, project: int, trace_id: str) -> list[StoredSpan]:
        wanted = bytes.fromhex(trace_id)
        bodies = self._bodies(project, Signal.TRACES, TRACES, wanted)
        return blocks.stored_spans(blocks.spans_of_trace(bodies, wanted))

    def spans_of_session(self, project: int, session_id: str) -> list[StoredSpan]:
        bodies = self._bodies(project, Signal.TRACES, SESSIONS, session_id.encode())
        return blocks.stored_spans(blocks.spans_of_session(bodies, session_id))

    def logs_of_trace(self, project: int, trace_id: str) -> list[StoredLog]:
        wanted = bytes.fromhex(trace_id)
        bodies = self._bodies(project, Signal.LOGS, TRACES, wanted)
        return blocks.stored_logs(project, blocks.logs_of_trace(bodies, wanted))

    def logs_of_session(self, project: int, session_id: str) -> list[StoredLog]:
        bodies = self._bodies(project, Signal.LOGS, SESSIONS, session_id.encode())
        return blocks.stored_logs(project, blocks.logs_of_session(bodies, session_id))

    def metrics(self, project: int) -> Iterator[bytes]:
        with self._connections.snapshot() as connection:
            query = "SELECT id FROM blocks WHERE project = ? AND signal = ? ORDER BY id"
            numbers = [number for (number,) in connection.execute(query, (project, Signal.METRICS))]
            yield from _decompressed(connection, numbers, Signal.METRICS)

    def _bodies(self, project: int, signal: Signal, kind: int, item: bytes) -> list[bytes]:
        """The blocks that may hold an id, decompressed."""
        with self._connections.snapshot() as connection:
            numbers = self._index.blocks(connection, kind, self._hash(project, item))
            return list(_decompressed(connection, numbers, signal, project))

    # Edges and sessions

    def sessions_of_trace(self, project: int, trace_id: str) -> list[str]:
        query = "SELECT session_id FROM session_traces WHERE project = ? AND trace_id = ? ORDER BY session_id"
        return self._column(query, (project, trace_id))

    def traces_of_session(self, project: int, session_id: str) -> list[str]:
        query = "SELECT trace_id FROM session_traces WHERE project = ? AND session_id = ? ORDER BY trace_id"
        return self._column(query, (project, session_id))

    def traces_of_conversation(self, project: int, conversation_id: str) -> list[str]:
        query = "SELECT DISTINCT trace_id FROM interactions WHERE project = ? AND conversation_id = ? ORDER BY trace_id"
        return self._column(query, (project, conversation_id))

    def session(self, project: int, session_id: str) -> Session | None:
        query = f"SELECT {_SESSION} FROM sessions WHERE project = ? AND session_id = ?"
        rows = self._rows(query, (project, session_id))
        return _session(rows[0]) if rows else None

    def sessions(
        self, project: int, wanted: SessionFilter, *, limit: int, after: tuple[int, str] | None = None
    ) -> SessionPage:
        where, values = _conditions(project, wanted)
        page_where, page_values = where, list(values)
        if after:
            page_where += " AND (start_unix_nano, session_id) < (?, ?)"
            page_values += after
        order = "ORDER BY start_unix_nano DESC, session_id DESC LIMIT ?"
        with self._connections.snapshot() as connection:
            total = connection.execute(f"SELECT count(*) FROM sessions WHERE {where}", values).fetchone()[0]
            query = f"SELECT {_SESSION} FROM sessions WHERE {page_where} {order}"
            found = [_session(row) for row in connection.execute(query, (*page_values, limit + 1))]
            page = found[:limit]
            summaries = _summaries(connection, project, page)
        more = len(found) > limit
        return SessionPage(summaries, total, (page[-1].start_unix_nano, page[-1].session_id) if more else None)

    # Recordings

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

    def dom_events(self, project: int, session_id: str, stream_id: str) -> list[DomEvent]:
        with self._connections.snapshot() as connection:
            return chunk_rows.read_dom_events(connection, (project, session_id, stream_id))

    def undistilled(self, project: int, session_id: str) -> int:
        query = (
            "SELECT count(*) FROM streams JOIN chunks USING (project, session_id, stream_id)"
            " WHERE project = ? AND session_id = ? AND seq >= distill_from"
        )
        return int(self._rows(query, (project, session_id))[0][0])

    def counts(self) -> dict[str, int]:
        names = {Signal.TRACES: "spans", Signal.LOGS: "log_records", Signal.METRICS: "metrics"}
        with self._connections.snapshot() as connection:
            counted = dict(connection.execute("SELECT signal, sum(items) FROM blocks GROUP BY signal"))
            tables = ("blocks", "chunks", "sessions", "interactions", "actions", "quarantine")
            rows = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
        return {name: counted.get(signal, 0) for signal, name in names.items()} | rows

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._connections.snapshot() as connection:
            rows: list[Any] = connection.execute(query, values).fetchall()
            return rows

    def _column(self, query: str, values: Sequence[Any]) -> list[str]:
        return [row[0] for row in self._rows(query, values)]


_SESSION = "project, session_id, start_unix_nano, end_unix_nano, state, attributes"


def _session(row: Any) -> Session:
    project, session_id, start, end, state, attributes = row
    plain = plain_attributes(load_attributes(attributes))
    plain.pop("state", None)
    return Session(project, session_id, start, end, state, plain)


def _conditions(project: int, wanted: SessionFilter) -> tuple[str, list[Any]]:
    clauses, values = ["project = ?"], [project]
    for clause, value in (
        ("user = ?", wanted.user),
        ("feature = ?", wanted.feature),
        ("label = ?", wanted.label),
        ("start_unix_nano >= ?", wanted.since_unix_nano),
        ("start_unix_nano < ?", wanted.until_unix_nano),
    ):
        if value is not None:
            clauses.append(clause)
            values.append(value)  # type: ignore[arg-type]
    return " AND ".join(clauses), values


def _summaries(connection: Any, project: int, sessions: Sequence[Session]) -> list[SessionSummary]:
    """Counts for the sessions of one page, each by one grouped query."""
    ids = [session.session_id for session in sessions]
    within = f"WHERE project = ? AND session_id IN ({', '.join('?' * len(ids))})"

    def grouped(columns: str, table: str) -> dict[str, Any]:
        query = f"SELECT session_id, {columns} FROM {table} {within} GROUP BY session_id"
        return {row[0]: row[1:] for row in connection.execute(query, (project, *ids))}

    calls = grouped(
        "sum(kind = 'interaction'), sum(status = 'error'),"
        " json_group_array(DISTINCT coalesce(response_model, request_model)),"
        " total(iif(kind = 'interaction', input_tokens, 0)), total(iif(kind = 'interaction', output_tokens, 0))",
        "interactions",
    )
    actions = grouped("count(*)", "actions")
    traces = grouped("count(*)", "session_traces")
    streams = grouped("1", "streams")
    summaries = []
    for session in sessions:
        count, errors, models, tokens_in, tokens_out = calls.get(session.session_id, (0, 0, "[]", 0, 0))
        summaries.append(
            SessionSummary(
                session=session,
                interactions=count,
                actions=actions.get(session.session_id, (0,))[0],
                errors=errors,
                traces=traces.get(session.session_id, (0,))[0],
                has_recording=session.session_id in streams,
                models=sorted(model for model in json.loads(models) if model),
                tokens=(int(tokens_in), int(tokens_out)),
            )
        )
    return summaries


def _decompressed(
    connection: Any, numbers: Sequence[int], signal: Signal, project: int | None = None
) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor()
    for number in numbers:
        row = connection.execute("SELECT project, signal, data FROM blocks WHERE id = ?", (number,)).fetchone()
        if row is None or row[1] != signal or (project is not None and row[0] != project):
            continue
        try:
            yield decompressor.decompress(row[2])
        except (zstandard.ZstdError, MemoryError) as error:  # a damaged header may claim any size
            # A damaged block must not hide the others; it stays in the file for `check`.
            logger.error("block %d cannot be read and is left out: %s", number, error)
