"""Checkpoints: what stands in the write-ahead log goes into the database before the log grows without end.

SQLite starts the log again from its beginning only in a moment without readers in it, and left to itself waits for that
moment to come by chance: readers that overlap one another starve it. Asked to restart, it waits for them: those that
come later read the database itself, so that the wait is as long as the longest reader, and bounded here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlite_utils.utils import sqlite3

logger = logging.getLogger(__name__)

LOG_FRAMES = 4_000
"""Pages in the log (32 MB) at which it is checkpointed: enough for pages that change often to be copied once."""

RETRY_FRAMES = 1_000
"""While a reader holds on to the log, one try for so many more."""

WAIT_MS = 20
"""How long a try waits for readers; acknowledgements wait as long."""

_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24


class Checkpoints:
    """Keeps the log of the one writing ``connection`` short; ``failed`` is told what failed."""

    def __init__(self, connection: Any, path: Path, failed: Callable[[Exception], None] = lambda _error: None) -> None:
        self._connection = connection
        self._failed = failed
        self._log = Path(f"{path}-wal")
        page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
        self._frame_bytes = page_bytes + _FRAME_HEADER_BYTES
        self._at = LOG_FRAMES
        self._salts = self._copied = b""  # of the log as it was looked at last; of one that is in the database already

    def after_commit(self) -> None:
        """Checkpoints when it is time to; outside a transaction."""
        if self._has_frame(self._at):
            restarted = self._restart()
            self._at = LOG_FRAMES if restarted else self._at + RETRY_FRAMES
            self._copied = self._salts if restarted else b""

    def _has_frame(self, number: int) -> bool:
        """Whether the log holds so many frames since it was last started again.

        A frame of now carries the salts of the log's header, which the first write after a restart changes:
        https://www.sqlite.org/fileformat2.html#walformat
        """
        try:
            with self._log.open("rb", buffering=0) as log:
                self._salts = log.read(_HEADER_BYTES)[16:24]
                if len(self._salts) < 8 or self._salts == self._copied:
                    return False
                log.seek(_HEADER_BYTES + (number - 1) * self._frame_bytes + 8)
                return log.read(8) == self._salts
        except FileNotFoundError:
            return False

    def _restart(self) -> bool:
        execute = self._connection.execute
        usual = execute("PRAGMA busy_timeout").fetchone()[0]
        execute(f"PRAGMA busy_timeout = {WAIT_MS}")
        try:
            busy: int = execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]
        except sqlite3.Error as error:
            logger.warning("the write-ahead log could not be checkpointed, the next try follows: %s", error)
            self._failed(error)
            return False
        finally:
            execute(f"PRAGMA busy_timeout = {usual}")
        return not busy
