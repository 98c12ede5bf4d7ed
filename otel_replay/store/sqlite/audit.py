"""The audit trail: who did what to which session or trace. A table that is only added to; triggers refuse the rest.

Ids of what was read or erased are keyed hashes: the trail can be asked about an id, and names none itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from otel_replay.store.sqlite.index import KeyedHash
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.segments import RunTask

MOST_WAITING = 10_000
"""Notes kept until they are written; whoever adds more waits for the disk."""


class AuditEntry(NamedTuple):
    """One thing that was done. ``subject`` is the keyed hash of an id, 16 hexadecimal digits; empty: of nothing."""

    id: int
    time_unix_nano: int
    key_id: int
    action: str
    kind: str
    subject: str
    outcome: str


class AuditLog:
    """Notes what is done; :meth:`flush` writes what waits. Safe to share by threads."""

    def __init__(
        self, connection: Any, reader: SqliteReader, index_hash: KeyedHash, run: RunTask, clock: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._hash = index_hash
        self._run = run
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[tuple[Any, ...]] = []

    def note(
        self, project: int, key_id: int, action: str, kind: str = "", subject: str = "", outcome: str = "ok"
    ) -> None:
        """Notes an action: ``read``, ``export``, ``share``, ``erase``, ``login``, ``create`` a key. Costs no disk.

        ``key_id`` is 0 where no key was needed. What must not be lost is followed by :meth:`flush`.
        """
        hashed = self._hash_of(project, kind, subject)
        row = (self._clock(), project, key_id, action, kind, hashed, outcome)
        with self._lock:
            self._waiting.append(row)
            is_much = len(self._waiting) >= MOST_WAITING
        if is_much:
            self.flush()

    def flush(self, _stopping: Callable[[], bool] = lambda: False) -> None:
        """Returns when all that was noted is on disk; what fails stays for the next time."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            self._run(lambda: self._insert(waiting))
        except BaseException:
            with self._lock:
                self._waiting = [*waiting, *self._waiting]
            raise

    def entries(
        self, project: int, *, kind: str = "", subject: str = "", limit: int = 100, before: int | None = None
    ) -> list[AuditEntry]:
        """Newest first, before the entry with number ``before``; with ``subject`` only what was done to that id."""
        self.flush()
        query = (
            "SELECT id, time_unix_nano, key_id, action, kind, lower(hex(subject)), outcome FROM audit"
            f" WHERE project = ? AND id < ? {'AND subject = ?' if subject else ''} ORDER BY id DESC LIMIT ?"
        )
        values: list[Any] = [project, 2**62 if before is None else before]
        if subject:
            values.append(self._hash_of(project, kind, subject))
        with self._reader.reading() as connection:
            return [AuditEntry(*row) for row in connection.execute(query, (*values, limit))]

    def _insert(self, rows: list[tuple[Any, ...]]) -> None:
        columns = "time_unix_nano, project, key_id, action, kind, subject, outcome"
        self._connection.executemany(f"INSERT INTO audit ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _hash_of(self, project: int, kind: str, subject: str) -> bytes:
        text = f"audit {kind} {subject}".encode(errors="surrogatepass")
        return self._hash.pack(project, [text]) if subject else b""
