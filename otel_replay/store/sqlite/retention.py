"""Forgetting what is older than it may be, or more than there may be: step by step, beside the writer.

What goes is no secret, so its pages are only given free and used again: the file neither shrinks nor grows.
``otel-replay prune --vacuum`` writes it anew. SQLite's ``auto_vacuum`` would move pages about with every commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from otel_replay.privacy.retention import Retention
from otel_replay.store.sqlite.erasure import Eraser, WriterParts
from otel_replay.store.sqlite.identifiers import find_string, unpack_id
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.row_removal import RowRemover, remove_chunks
from otel_replay.store.sqlite.sessions import FEATURE

STEP_BLOCKS = 32
STEP_ROWS = 500
STEP_SESSIONS = 50

_NOTE = "forgetting before, project {}"
"""Key of `meta` while a project forgets what is older than the value (ns)."""

_USED = (
    "SELECT (SELECT total(length(data)) FROM blocks WHERE project = ?1)"
    " + (SELECT total(length(data)) FROM body_blocks WHERE project = ?1)"
    " + (SELECT total(length(payload)) FROM chunks WHERE project = ?1)"
)
_OLDEST = (
    "SELECT max(at) FROM (SELECT min(last_start_unix_nano, received_unix_nano) AS at FROM blocks WHERE project = ?1"
    " UNION ALL SELECT min(end_unix_nano, received_unix_nano) FROM chunks WHERE project = ?1"
    f" ORDER BY at LIMIT {STEP_BLOCKS})"
)


@dataclass(slots=True)
class Pruned:
    """How much was forgotten."""

    blocks: int = 0
    sessions: int = 0
    chunks: int = 0
    rows: int = 0

    def __iadd__(self, other: Pruned) -> Pruned:
        self.blocks += other.blocks
        self.sessions += other.sessions
        self.chunks += other.chunks
        self.rows += other.rows
        return self


class Pruner:
    """Forgets by the rules of one project at a time; between two steps it ends once ``stopping()`` is true."""

    def __init__(self, reader: SqliteReader, eraser: Eraser, parts: WriterParts, clock: Callable[[], int]) -> None:
        self._reader = reader
        self._eraser = eraser
        self._parts = parts
        self._clock = clock

    def prune(self, project: int, retention: Retention, stopping: Callable[[], bool]) -> Pruned:
        now, pruned = self._clock(), Pruned()
        self._finish(project, pruned, stopping)
        if retention.max_age_ns is not None:
            self._forget_before(project, now - retention.max_age_ns, pruned, stopping)
        while not stopping() and (step := self.forget_features(project, retention)).sessions:
            pruned += step
        while retention.max_bytes is not None and not stopping() and self._ask(_USED, project) > retention.max_bytes:
            oldest = self._ask(_OLDEST, project)
            if oldest is None:
                break
            self._forget_before(project, oldest + 1, pruned, stopping)
        return pruned

    def finish(self, stopping: Callable[[], bool]) -> None:
        """Goes on with what a kill, or an error, cut off, in every project."""
        self._eraser.finish_retention()
        with self._reader.reading() as connection:
            notes = connection.execute("SELECT key FROM meta WHERE key LIKE ?", (_NOTE.format("%"),)).fetchall()
        for (key,) in notes:
            self._finish(int(key.rpartition(" ")[2]), Pruned(), stopping)

    def _finish(self, project: int, pruned: Pruned, stopping: Callable[[], bool]) -> None:
        self._eraser.finish_retention()
        noted = self._column("SELECT value FROM meta WHERE key = ?", (_NOTE.format(project),))
        if noted:
            self._forget_before(project, int(noted[0]), pruned, stopping)

    def _forget_before(self, project: int, before: int, pruned: Pruned, stopping: Callable[[], bool]) -> None:
        """Notes it first. Blocks go before the rows of what was in them, and once they are gone there may be few enough
        bytes: then nobody would look for those rows any more."""
        note, key = self._parts.connection.execute, _NOTE.format(project)
        self._parts.run(partial(note, "REPLACE INTO meta VALUES (?, ?)", (key, str(before))))
        self._older(project, before, pruned, stopping)
        if not stopping():
            self._parts.run(partial(note, "DELETE FROM meta WHERE key = ?", (key,)))

    def forget_features(self, project: int, retention: Retention) -> Pruned:
        """Forgets some sessions of features that are kept less long; blocks that compaction has sorted hold little
        else."""
        now, pruned = self._clock(), Pruned()
        for feature, age_ns in retention.features.items():
            sessions = self._sessions_of(project, feature, now - age_ns)
            if sessions:
                pruned.chunks += self._eraser.forget_sessions(project, sessions).chunks
                pruned.sessions += len(sessions)
        return pruned

    def _sessions_of(self, project: int, feature: str, before: int) -> set[str]:
        with self._reader.reading() as connection:
            name = find_string(connection, project, feature)
        query = (
            "SELECT told.session_id FROM facets AS told JOIN sessions AS known"
            " ON known.project = ?1 AND known.session_id = told.session_id"
            " WHERE told.kind = ?2 AND told.name = ?3 AND told.start_unix_nano < ?4 AND known.end_unix_nano < ?4"
            f" LIMIT {STEP_SESSIONS}"
        )
        values = (project, FEATURE, name, before)
        return {unpack_id(session) for session in self._column(query, values)} if name else set()

    def _ask(self, query: str, project: int) -> Any:
        with self._reader.reading() as connection:
            return connection.execute(query, (project,)).fetchone()[0]

    def _older(self, project: int, before: int, pruned: Pruned, stopping: Callable[[], bool]) -> None:
        """Forgets what happened before a time; where a clock was ahead, what arrived before it."""
        query = (
            "SELECT id FROM blocks WHERE project = ? AND min(last_start_unix_nano, received_unix_nano) < ?"
            f" ORDER BY id LIMIT {STEP_BLOCKS}"
        )
        while not stopping() and (numbers := self._column(query, (project, before))):
            if not self._eraser.remove_blocks(project, numbers):
                break  # what cannot be read stays where it is
            pruned.blocks += len(numbers)
        rows = RowRemover(self._parts.connection)
        while not stopping() and (gone := self._parts.run(partial(rows.older, project, before, STEP_ROWS))):
            pruned.rows += gone
        query = f"SELECT session_id FROM sessions WHERE project = ? AND end_unix_nano < ? LIMIT {STEP_SESSIONS}"
        while not stopping() and (sessions := self._column(query, (project, before))):
            texts = [unpack_id(session) for session in sessions]
            removed, chunks = self._parts.run(partial(rows.sessions, project, sessions, texts))
            pruned.sessions += removed
            pruned.chunks += chunks
        while not stopping() and (gone := self._parts.run(partial(self._chunks, project, before))):
            pruned.chunks += gone
        self._parts.run(partial(self._rest, project, before, rows))

    def _column(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._reader.reading() as connection:
            return [row[0] for row in connection.execute(query, values)]

    def _chunks(self, project: int, before: int) -> int:
        """Some chunks of sessions that go on; what follows them plays from its next full snapshot on."""
        query = (
            "SELECT session_id, stream_id, seq FROM chunks WHERE project = ?"
            f" AND min(end_unix_nano, received_unix_nano) < ? LIMIT {STEP_ROWS}"
        )
        places = self._parts.connection.execute(query, (project, before)).fetchall()
        return remove_chunks(self._parts.connection, project, places)

    def _rest(self, project: int, before: int, rows: RowRemover) -> None:
        execute = self._parts.connection.execute
        execute("DELETE FROM conversations WHERE project = ? AND end_unix_nano < ?", (project, before))
        execute("DELETE FROM quarantine WHERE project = ? AND received_unix_nano < ?", (project, before))
        rows.forget_names(project)
        self._parts.forget_names()
