"""The SQLite store: one file, one writer, many readers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from otel_replay.store.base import Receipt, Write
from otel_replay.store.distillation import Distillation
from otel_replay.store.sqlite import chunks as chunk_rows
from otel_replay.store.sqlite.database import WriterLock, connect_writing, remember_writer
from otel_replay.store.sqlite.ingest import Ingest
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.writer import GroupWriter

DISTILL_CHUNKS = 200
"""Chunks distilled in one go: bounds memory and how long the writer is kept."""


class SqliteStore(SqliteReader):
    """A :class:`~otel_replay.store.base.Store` on one SQLite file, which only this process writes to.

    Raises :class:`~otel_replay.errors.DatabaseInUse` when another process does, and
    :class:`~otel_replay.errors.NotOurDatabase` for a file of something else.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        lock = WriterLock(path)
        self._distillation = Distillation()
        with ExitStack() as closing:
            lock.acquire()
            closing.callback(lock.release)
            self._database = connect_writing(path)
            closing.callback(self._close_database)
            super().__init__(path)
            closing.callback(super().close)
            ingest = Ingest(self._database.conn, self._hash)
            self._writer = GroupWriter(self._database.conn, ingest.apply)
            closing.callback(self._writer.close)
            self.announce("")
            self._closing = closing.pop_all()

    def announce(self, url: str) -> None:
        """Notes in the file who writes it and under which address, for whoever else would."""
        self._writer.run(lambda: remember_writer(self._database, url)).result()

    def commit(self, write: Write) -> Receipt:
        return self._writer.submit(write).result()

    def distill(self, stopping: Callable[[], bool] = lambda: False) -> None:
        while not stopping() and self._distill_stream():
            pass

    def _distill_stream(self) -> bool:
        """Distills the next due chunks of one stream; False when nothing is due."""
        with self._connections.snapshot() as connection:
            row = connection.execute(
                "SELECT project, session_id, stream_id, distill_from, revision FROM streams"
                " WHERE distill_from IS NOT NULL LIMIT 1"
            ).fetchone()
            if row is None:
                return False
            *key, due_from, revision = row
            stream = (key[0], key[1], key[2])
            due, next_due = chunk_rows.due_chunks(connection, stream, due_from, DISTILL_CHUNKS)
            events = self._distillation.run(
                stream,
                due,
                lambda seq: chunk_rows.snapshot_before(connection, stream, seq),
                lambda seq: chunk_rows.address_before(connection, stream, seq),
                lambda first, last: chunk_rows.read_chunks(connection, stream, first, last),
            )

        def keep() -> None:
            connection = self._database.conn
            chunk_rows.replace_dom_events(connection, stream, due, events)
            # Chunks that came meanwhile have set an earlier start or a greater revision: then the cursor stays.
            connection.execute(
                "UPDATE streams SET distill_from = ?"
                " WHERE project = ? AND session_id = ? AND stream_id = ? AND revision = ?",
                (next_due, *stream, revision),
            )

        self._writer.run(keep).result()
        return True

    def close(self) -> None:
        self._closing.close()

    def _close_database(self) -> None:
        try:
            self._database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._database.close()


__all__ = ["SqliteReader", "SqliteStore"]
