"""The SQLite store: one file, one writer, many readers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from otel_replay.store.base import Receipt, Write
from otel_replay.store.sqlite.block_rows import BlockRows
from otel_replay.store.sqlite.bodies import BodyWriter
from otel_replay.store.sqlite.checkpoints import Checkpoints
from otel_replay.store.sqlite.compaction import Compaction, Rewriter
from otel_replay.store.sqlite.database import WriterLock, connect_writing, remember_writer
from otel_replay.store.sqlite.distilling import ChunkDistiller
from otel_replay.store.sqlite.fulltext import FullTextFollower
from otel_replay.store.sqlite.ingest import Ingest
from otel_replay.store.sqlite.maintenance import Maintenance
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.rollups import RollupFollower
from otel_replay.store.sqlite.segments import SegmentMerger
from otel_replay.store.sqlite.writer import GroupWriter


class SqliteStore(SqliteReader):
    """A :class:`~otel_replay.store.base.Store` on one SQLite file, which only this process writes to.

    Raises :class:`~otel_replay.errors.DatabaseInUse` when another process does, and
    :class:`~otel_replay.errors.NotOurDatabase` for a file of something else.
    """

    def __init__(self, path: str | Path, clock: Callable[[], int] = time.time_ns) -> None:
        path = Path(path)
        lock = WriterLock(path)
        with ExitStack() as closing:
            lock.acquire()
            closing.callback(lock.release)
            self._database = connect_writing(path)
            closing.callback(self._close_database)
            super().__init__(path)
            closing.callback(super().close)
            self._writer = self._start_writer(path)
            closing.callback(self._writer.close)
            self._maintenance = self._make_maintenance(clock)
            self._distiller = ChunkDistiller(self._connections, self._writer, self._database.conn)
            self.announce("")
            self._closing = closing.pop_all()

    def _start_writer(self, path: Path) -> GroupWriter:
        connection = self._database.conn
        bodies = BodyWriter(connection, self._hash.key)
        return GroupWriter(
            connection,
            Ingest(connection, self._hash, bodies).apply,
            followers=(FullTextFollower(bodies), RollupFollower()),
            after_commit=Checkpoints(connection, path).after_commit,
        )

    def _make_maintenance(self, clock: Callable[[], int]) -> Maintenance:
        connection = self._database.conn
        rewriter = Rewriter(self._connections, BlockRows(connection, self._hash), self._run_beside)
        return Maintenance(
            SegmentMerger(connection, self._connections, self._run_beside),
            Compaction(self._connections, rewriter, self._hash),
            clock,
            lambda: self._writer.busy_seconds,
        )

    def _run_beside(self, task: Callable[[], Any]) -> Any:
        """Runs a task of the background on the writer thread."""
        return self._writer.run(task, durable=False).result()

    def announce(self, url: str) -> None:
        """Notes in the file who writes it and under which address, for whoever else would."""
        self._writer.run(lambda: remember_writer(self._database, url)).result()

    def commit(self, write: Write) -> Receipt:
        return self._writer.submit(write).result()

    def distill(self, stopping: Callable[[], bool] = lambda: False) -> None:
        self._distiller.run(stopping)

    def compact(self, stopping: Callable[[], bool] = lambda: False) -> None:
        self._maintenance.run(stopping)

    def compact_now(self) -> None:
        """Sorts all blocks, however new, without rest."""
        self._maintenance.run_now()

    def close(self) -> None:
        self._closing.close()

    def _close_database(self) -> None:
        try:
            self._database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._database.close()


__all__ = ["SqliteReader", "SqliteStore"]
