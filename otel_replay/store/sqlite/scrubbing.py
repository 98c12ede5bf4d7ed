"""After something was erased: no byte of it may stay in the full text, in free pages, in the log.

SQLite leaves what was deleted where it stood until something else is written there. ``secure_delete = FAST`` zeroes it
in pages that are in use; here free pages are overwritten, and the log is cut off. Copies that B-trees leave behind when
pages are split (one deleted row in some hundreds) only go when the whole file is written anew, by VACUUM.
"""

from __future__ import annotations

import logging
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlite_utils.utils import sqlite3

from otel_replay.store.sqlite.segments import RunTask

logger = logging.getLogger(__name__)

VACUUM_BYTES = 256 * 1024 * 1024
"""Up to this size the file is written anew: the writer waits for a second or two. Larger ones on demand."""

MERGE_PAGES = 500
WIPE_PAGES = 100
"""Worked on in one task: acknowledgements wait behind it. A blob of more pages has a longer header."""

_CHECKPOINT_S = 10.0


class Scrubber:
    """Scrubs one file. ``run_outside`` runs a task on the writer's thread outside of transactions."""

    def __init__(self, connection: Any, path: Path, run: RunTask, run_outside: RunTask) -> None:
        self._connection = connection
        self._path = path
        self._run = run
        self._run_outside = run_outside

    def scrub(self, vacuum: bool | None = None) -> bool:
        """Overwrites what is left of deleted data; ``vacuum`` writes the file anew (None: a small one that has room).

        False when readers held on to the log, or the disk had no room to copy it, so that something is still in it.
        """
        self._merge_texts()
        if vacuum or (vacuum is None and self._can_vacuum()):
            self._run_outside(partial(self._connection.execute, "VACUUM"))
        else:
            self._wipe_free_pages()
        return self._cut_log()

    def _can_vacuum(self) -> bool:
        """The new file stands beside the old one, and then in the log."""
        size = self._path.stat().st_size
        return size <= VACUUM_BYTES and 2 * size < shutil.disk_usage(self._path.parent).free

    def _merge_texts(self) -> None:
        """Makes one segment of the full text: only there do words meet the deletion of their document."""
        self._run(partial(self._merge, -MERGE_PAGES))
        while self._run(partial(self._merge, MERGE_PAGES)):
            pass

    def _merge(self, pages: int) -> bool:
        """Whether there is more: https://www.sqlite.org/fts5.html#the_merge_command"""
        before = self._connection.total_changes
        self._connection.execute("INSERT INTO texts (texts, rank) VALUES ('merge', ?)", (pages,))
        changed: int = self._connection.total_changes - before
        return changed >= 2

    def _wipe_free_pages(self) -> None:
        """Fills free pages with zeros, some at a time, and frees them again."""
        self._run(lambda: self._connection.execute("DROP TABLE IF EXISTS wiping").close())
        self._run(lambda: self._connection.execute("CREATE TABLE wiping (zeros BLOB)").close())
        while self._run(self._fill):
            pass
        self._run(lambda: self._connection.execute("DROP TABLE wiping").close())

    def _fill(self) -> bool:
        page_bytes, free = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "freelist_count")
        )
        if free:
            zeros = _filling(page_bytes, max(min(free - 1, WIPE_PAGES), 1))
            self._connection.execute("INSERT INTO wiping VALUES (zeroblob(?))", (zeros,))
        return bool(free)

    def _cut_log(self) -> bool:
        """Empties the write-ahead log, once readers that still need it have ended and the disk has room for it."""
        deadline = time.monotonic() + _CHECKPOINT_S
        while obstacle := self._run_outside(self._try_to_cut_log):
            if time.monotonic() > deadline:
                logger.warning("what was erased stays in the write-ahead log for now: %s", obstacle)
                return False
            time.sleep(0.1)
        return True

    def _try_to_cut_log(self) -> str:
        """Why it cannot be emptied; empty when it is."""
        try:
            busy: int = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError as error:
            return str(error)
        return "readers hold on to it" if busy else ""


def _filling(page_bytes: int, pages: int) -> int:
    """The length of a blob that fills so many overflow pages to the last byte: what a blob leaves over stays as it was.

    https://www.sqlite.org/fileformat2.html#cell_payload_overflow_pages; the record's header takes four bytes.
    """
    in_leaf = (page_bytes - 12) * 32 // 255 - 23
    return in_leaf + pages * (page_bytes - 4) - 4
