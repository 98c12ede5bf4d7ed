"""A copy of a file at one moment, made while its server writes on.

Pages are copied inside one read transaction: the copy is the state in which that began, however long it takes, and the
writer is not held up; only its log grows meanwhile. (Without the transaction SQLite starts again with every commit.)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from sqlite_utils.utils import sqlite3

from otel_replay.errors import StoreError
from otel_replay.store.sqlite.database import connect_reading

STEP_PAGES = 256
"""2 MB at a time, between which progress is told."""


def copy_database(source: Path, target: Path, progress: Callable[[int, int], None] = lambda _done, _total: None) -> int:
    """Copies the database to ``target``, which must not exist; returns its bytes, which are on disk then.

    ``progress`` is told pages done and pages in all. Raises :class:`StoreError`, leaving nothing behind.
    """
    if target.exists():
        raise StoreError(f"{target} exists already", hint="a backup overwrites nothing: choose another name")
    part = Path(f"{target}.{os.getpid()}.part")
    try:
        _copy(source, part, progress)
        _sync(part)
        os.rename(part, target)
        _sync(target.absolute().parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{target} cannot be written: {error}", hint="is there room, and may it be written?"
        ) from error
    finally:
        for path in (part, Path(f"{part}-journal")):
            with suppress(OSError):
                path.unlink()
    return target.stat().st_size


def _copy(source: Path, part: Path, progress: Callable[[int, int], None]) -> None:
    with connect_reading(source) as connection:
        connection.execute("BEGIN")
        pages, page_bytes = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # takes the snapshot
        free = shutil.disk_usage(part.absolute().parent).free
        if free < pages * page_bytes:
            raise StoreError(
                f"a backup takes {pages * page_bytes} bytes, and only {free} are free there", hint="choose another disk"
            )
        part.touch(mode=0o600, exist_ok=False)  # as private as what is in it
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # it is synced as a whole
            copy.execute("PRAGMA journal_mode = OFF")
            connection.backup(copy, pages=STEP_PAGES, progress=lambda _, left, all_: progress(all_ - left, all_))


def _sync(path: Path) -> None:
    """Waits until a file, or what a directory lists, is on disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows has no such call
    file = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)
