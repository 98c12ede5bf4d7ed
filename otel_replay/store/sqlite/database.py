"""One SQLite file: opening it, and the one process that may write to it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import sqlite_utils
from sqlite_utils.utils import sqlite3

from otel_replay.errors import DatabaseInUse, NotOurDatabase, StoreError, StoreUnavailable
from otel_replay.store.sqlite.first_look import damaged_file, look_at_files, look_inside
from otel_replay.store.sqlite.schema import APPLICATION_ID, SCHEMA_VERSION, migrate

PAGE_CACHE_KIB = 64 * 1024
_BUSY_TIMEOUT_S = 2.0
"""How long to wait for another program's lock. Clients give a request 10 s, and it may wait behind two groups."""

_CLOSE_TIMEOUT_S = 5.0


class WriterLock:
    """The operating system's lock on ``FILE.lock``: freed by the kernel however the process ends."""

    def __init__(self, path: Path) -> None:
        self._database = path
        self._lock = filelock.FileLock(f"{path.resolve()}.lock", thread_local=False)  # one lock for all names of a file

    def acquire(self) -> None:
        """Raises :class:`DatabaseInUse`, naming the holder, when another process writes to the file."""
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise DatabaseInUse(
                f"{self._database} is being written by {_holder(self._database)}",
                hint="read it with --db, write through that server's URL (--url), or give this one another --db",
            ) from None
        except OSError as error:
            raise StoreError(f"cannot lock {self._database}: {error}", hint="is the directory writable?") from error

    def release(self) -> None:
        self._lock.release()


def writer_of(path: Path) -> dict[str, Any]:
    """``pid`` and ``url`` of who has last written the file; empty when nobody knows."""
    try:
        with connect_reading(path) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'writer'").fetchone()
    except (StoreError, sqlite3.Error):
        row = None
    found: dict[str, Any] = json.loads(row[0]) if row else {}
    return found


def _holder(path: Path) -> str:
    writer = writer_of(path)
    if not writer:
        return "another process"
    return f"process {writer['pid']}" + (f" ({writer['url']})" if writer.get("url") else "")


def connect_writing(path: Path) -> sqlite_utils.Database:
    """Opens or creates the file for its one writer and brings its schema up to date.

    Raises :class:`NotOurDatabase` for a file of something else, and :class:`StoreError` for one that is damaged, of
    which nothing is changed.
    """
    look_at_files(path.resolve())
    try:
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=_BUSY_TIMEOUT_S)
        is_new = not _has_tables(connection)
        if not is_new:
            _check_ours(connection, path)
            look_inside(connection, path)
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see checkpoints.py
        connection.execute("PRAGMA secure_delete = FAST")  # what is deleted in a page that is written anyway is zeroed
        if is_new:
            # Before the first table: what an interrupted creation leaves behind is ours as well.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database = sqlite_utils.Database(connection)
        migrate(database)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return database


def remember_writer(database: sqlite_utils.Database, url: str) -> None:
    """Notes who writes, so that a second writer can be told where to turn."""
    value = json.dumps({"pid": os.getpid(), "url": url})
    database.execute("INSERT OR REPLACE INTO meta VALUES ('writer', ?)", [value])


@contextmanager
def connect_reading(path: Path) -> Iterator[Any]:
    """A connection that cannot write, closed at the end."""
    connection = open_reading(path)
    try:
        yield connection
    finally:
        connection.close()


def open_reading(path: Path, *, alone: bool = False) -> Any:
    """A connection that cannot write; with ``alone`` nobody else can.

    Raises :class:`StoreError` when there is no such file, or it cannot be read by this version.
    """
    if not path.is_file():
        raise StoreError(f"there is no database at {path}", hint="start one with: otel-replay serve --db " + str(path))
    try:
        connection = sqlite3.connect(
            f"file:{_uri(path)}?{_ALONE if alone else _reading_mode(path)}",
            uri=True,
            check_same_thread=False,
            isolation_level=None,
            timeout=_BUSY_TIMEOUT_S,
        )
        connection.execute("PRAGMA query_only = ON")
        _check_ours(connection, path, to_write=False)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return connection


_ALONE = "mode=ro&immutable=1"


def _reading_mode(path: Path) -> str:
    """Reading a file in WAL mode makes files beside it; where that is forbidden, those of its writer are used."""
    if os.access(path.parent, os.W_OK):
        return "mode=rw"
    return "mode=ro" if Path(f"{path}-wal").exists() else _ALONE


def _uri(path: Path) -> str:
    return path.absolute().as_uri().removeprefix("file://")


def _check_ours(connection: Any, path: Path, *, to_write: bool = True) -> None:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found != APPLICATION_ID:
        connection.close()
        raise NotOurDatabase(f"{path} is an SQLite file, but not one of otel-replay", hint="choose another --db")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        connection.close()
        raise NotOurDatabase(
            f"{path} was written by a newer otel-replay (schema {version}, this one knows {SCHEMA_VERSION})",
            hint="upgrade otel-replay, or choose another --db",
        )
    if version < SCHEMA_VERSION and not to_write:
        connection.close()
        raise StoreError(
            f"{path} was written by an older otel-replay (schema {version}, this one reads {SCHEMA_VERSION})",
            hint=f"bring it up to date by starting a server on it once: otel-replay serve --db {path}",
        )


def _has_tables(connection: Any) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _unusable(path: Path, error: Exception) -> StoreError:
    if "not a database" in str(error):
        return NotOurDatabase(
            f"{path} is not an SQLite database, or its first page is damaged",
            hint="choose another --db, or put a backup in its place; nothing was changed",
        )
    if "malformed" in str(error):
        return damaged_file(path, error)
    return StoreError(f"cannot open {path}: {error}")


class ReadConnections:
    """Reading connections for whoever asks, as many as are in use at once; closed when the last one is given back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._current = threading.local()
        self._changed = threading.Condition()
        self._idle: list[Any] = []
        self._busy = 0
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[Any]:
        """A connection inside a read transaction: it sees one state of the file throughout. May be nested.

        Raises :class:`StoreUnavailable` after :meth:`close`.
        """
        outer = getattr(self._current, "connection", None)
        if outer is not None:
            yield outer
            return
        connection = self._take()
        self._current.connection = connection
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            self._current.connection = None
            connection.rollback()
            self._give_back(connection)

    def close(self) -> None:
        """Waits a while for open snapshots: a connection closed under its reader would take the process down."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._busy, _CLOSE_TIMEOUT_S)
            while self._idle:
                self._idle.pop().close()

    def _take(self) -> Any:
        with self._changed:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._busy += 1
            idle = self._idle.pop() if self._idle else None
        try:
            return idle or open_reading(self._path)
        except BaseException:
            self._give_back(None)
            raise

    def _give_back(self, connection: Any) -> None:
        with self._changed:
            self._busy -= 1
            if connection is not None and self._closed:
                connection.close()
            elif connection is not None:
                self._idle.append(connection)
            self._changed.notify_all()
