"""The SQLite store: one file, one writer, many readers."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlite_utils.utils import sqlite3

from otel_replay.genai.prices import Prices
from otel_replay.store.base import Receipt, Write
from otel_replay.store.pricing import NO_PRICES
from otel_replay.store.sqlite.access import SqliteAccess
from otel_replay.store.sqlite.audit import AuditLog
from otel_replay.store.sqlite.block_rows import BlockRows
from otel_replay.store.sqlite.bodies import BodyWriter
from otel_replay.store.sqlite.checkpoints import Checkpoints
from otel_replay.store.sqlite.compaction import Compaction, Rewriter
from otel_replay.store.sqlite.database import WriterLock, connect_writing, remember_writer
from otel_replay.store.sqlite.distilling import ChunkDistiller
from otel_replay.store.sqlite.erasure import Eraser, WriterParts
from otel_replay.store.sqlite.forgetting import ContentRemover
from otel_replay.store.sqlite.fulltext import FullTextFollower
from otel_replay.store.sqlite.ingest import Ingest
from otel_replay.store.sqlite.maintenance import Maintenance
from otel_replay.store.sqlite.privacy import SqlitePrivacy
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.retention import Pruner
from otel_replay.store.sqlite.rollups import RollupFollower
from otel_replay.store.sqlite.scrubbing import Scrubber
from otel_replay.store.sqlite.segments import SegmentMerger
from otel_replay.store.sqlite.space import FreeSpace
from otel_replay.store.sqlite.tombstones import Tombstones
from otel_replay.store.sqlite.writer import GroupWriter

logger = logging.getLogger(__name__)


class SqliteStore(SqliteReader):
    """A :class:`~otel_replay.store.base.Store` on one SQLite file, which only this process writes to.

    Raises :class:`~otel_replay.errors.DatabaseInUse` when another process does, and
    :class:`~otel_replay.errors.NotOurDatabase` for a file of something else.
    """

    def __init__(self, path: str | Path, clock: Callable[[], int] = time.time_ns, prices: Prices = NO_PRICES) -> None:
        path = Path(path)
        lock = WriterLock(path)
        with ExitStack() as closing:
            lock.acquire()
            closing.callback(lock.release)
            self.space = FreeSpace(path)
            closing.callback(self.space.close)
            self._database = connect_writing(path)
            closing.callback(self._close_database)
            super().__init__(path)
            closing.callback(super().close)
            self._writer = self._start_writer(path, prices)
            closing.callback(self._writer.close)
            self.access = SqliteAccess(self._database.conn, self._writer.run, self._connections)
            self._maintenance = self._make_maintenance(clock)
            self.privacy = self._make_privacy(path, clock)
            self.audit = AuditLog(self._database.conn, self, self._hash, self._run_durable, clock)
            closing.callback(self.audit.flush)
            self._distiller = ChunkDistiller(self._connections, self._writer, self._database.conn)
            self.announce("")
            self._closing = closing.pop_all()

    def _start_writer(self, path: Path, prices: Prices) -> GroupWriter:
        connection = self._database.conn
        self._bodies = BodyWriter(connection, self._hash.key)
        self._texts = FullTextFollower(self._bodies)
        self.tombstones = Tombstones(connection, self._hash)
        self._ingest = Ingest(connection, self._hash, self._bodies, self.tombstones, prices)
        return GroupWriter(
            connection,
            self._ingest.apply,
            self.space,
            followers=(self._texts, RollupFollower()),
            after_commit=Checkpoints(connection, path, self.space.failed).after_commit,
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

    def _make_privacy(self, path: Path, clock: Callable[[], int]) -> SqlitePrivacy:
        connection, writer = self._database.conn, self._writer
        parts = WriterParts(
            connection=connection,
            bodies=self._bodies,
            contents=ContentRemover(connection, self._bodies, self._texts),
            tombstones=self.tombstones,
            forget_names=self._ingest.forget_names,
            run=self._run_beside,
            run_durable=self._run_durable,
        )
        rewriter = Rewriter(self._connections, BlockRows(connection, self._hash), self._run_beside)
        scrubber = Scrubber(connection, path, self._run_beside, lambda task: writer.run_outside(task).result())
        eraser = Eraser(self, rewriter, parts, clock)
        return SqlitePrivacy(eraser, Pruner(self, eraser, parts, clock), scrubber)

    def _run_durable(self, task: Callable[[], Any]) -> Any:
        """Runs a task on the writer thread; on disk when it returns."""
        return self._writer.run(task).result()

    def _run_beside(self, task: Callable[[], Any]) -> Any:
        """Runs a task of the background on the writer thread."""
        return self._writer.run(task, durable=False).result()

    @property
    def redaction_key(self) -> bytes:
        """The secret of hashes that stand for redacted values: of this file, so that they stay equal."""
        return hashlib.blake2b(self._hash.key, digest_size=32, person=b"redaction").digest()

    def projects(self) -> list[int]:
        return [number for (number,) in self._rows("SELECT id FROM projects ORDER BY id", ())]

    def announce(self, url: str) -> None:
        """Notes in the file who writes it and under which address, for whoever else would."""
        self._writer.run(lambda: remember_writer(self._database, url)).result()

    def commit(self, write: Write) -> Receipt:
        return self._writer.submit(write).result()

    def distill(self, stopping: Callable[[], bool] = lambda: False) -> None:
        self._distiller.run(stopping)

    def compact(self, stopping: Callable[[], bool] = lambda: False, forget: Callable[[], bool] = lambda: False) -> None:
        """Merges, sorts, and then forgets, as :meth:`Maintenance.run` does.

        Not while the disk is full: what is rewritten stands there twice for a while.
        """
        self.space.look()
        if not self.space.is_low:
            self._maintenance.run(stopping, forget)

    def compact_now(self) -> None:
        """Sorts all blocks, however new, without rest."""
        self._maintenance.run_now()

    def close(self) -> None:
        self._closing.close()

    def _close_database(self) -> None:
        """A log that cannot be copied now, on a full disk, is read by the next process."""
        try:
            self._database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            logger.error("the write-ahead log stays as it is: %s", error)
        finally:
            self._database.close()


__all__ = ["SqliteReader", "SqliteStore"]
