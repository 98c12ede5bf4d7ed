"""Room on the disk: intake stops before the disk is full, and a file that is let go leaves room to work on.

Two measures. Below the watermark nothing more is taken in: clients are told to keep their data and to come back. And a
server holds a file of zeros beside the database, the ballast. When the disk is full all the same, because somebody else
filled it, the ballast is deleted, so that reading, erasing and checkpoints go on; intake waits until there is room for
the ballast again. That it can be made again is the proof: of quotas the file system's free bytes say nothing.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from pathlib import Path

from otel_replay.errors import StoreUnavailable

logger = logging.getLogger(__name__)

WATERMARK_BYTES = 128 * 1024 * 1024
"""Four write-ahead logs (32 MB) that wait to be copied into the database; no group of writes is larger than 16 MiB."""

WATERMARK_SHARE = 16
"""On a small disk the watermark is this part of it."""

BALLAST_SHARE = 2
"""The ballast is this part of the watermark: letting it go does not open intake."""

LOOK_S = 0.1
LOOK_SHARE = 8
"""The file system is asked (2 us) so often, and after this part of the watermark was written: small commits write ten
times their bytes to the log."""

FULL_SHARE = 64
"""With less free than this part of the watermark (2 MB) the disk is full, and the ballast let go."""

_PIECE = 1024 * 1024


class FreeSpace:
    """What the disk of a database has left. Safe to use from any thread.

    ``watermark_bytes`` and ``ballast_bytes`` follow from the size of the disk.
    """

    def __init__(self, database: Path) -> None:
        database = database.resolve()
        self._directory = database.parent
        self._ballast = Path(f"{database}-ballast")
        self._ballast.unlink(missing_ok=True)  # of a process that was killed: the disk may be full of it
        total = shutil.disk_usage(self._directory).total
        self.watermark_bytes = min(WATERMARK_BYTES, total // WATERMARK_SHARE)
        self.ballast_bytes = self.watermark_bytes // BALLAST_SHARE
        self.free_bytes = 0
        self.is_low = False
        """Whether intake is stopped."""
        self._lock = threading.Lock()
        self._wants_ballast = False
        self._holds = False
        self._owes_ballast = False
        self._look_at = 0.0
        self._bytes_left = 0
        self.look()

    @property
    def held_bytes(self) -> int:
        """What letting the ballast go would free."""
        return self.ballast_bytes if self._holds else 0

    def hold_ballast(self) -> None:
        """Makes the ballast, now or once the disk has room for it, and again after it was let go."""
        with self._lock:
            self._wants_ballast = True
            self._look()
        if not self._holds:
            logger.warning(
                "no room for a ballast of %d bytes beside the database: %d are free",
                self.ballast_bytes,
                self.free_bytes,
            )

    def admit(self, size: int) -> None:
        """Says that ``size`` bytes are to be written. Raises :class:`StoreUnavailable` while intake is stopped."""
        self._bytes_left -= size
        if self.is_low or self._bytes_left < 0 or time.monotonic() >= self._look_at:
            self.look()
        if self.is_low:
            raise StoreUnavailable(
                f"the disk of the database is full: {self.free_bytes} bytes are free, {self._needed()} are needed",
                hint="nothing was stored; intake goes on by itself when there is room",
            )

    def look(self) -> None:
        """Asks the file system, and stops or opens intake."""
        with self._lock:
            self._look()

    def failed(self, error: Exception) -> None:
        """A statement failed; SQLite may know of a full disk, or a quota, where free bytes say nothing of it."""
        with self._lock:
            self._look()
            if self._holds and "is full" in str(error):
                self._let_go()
                self._look()

    def close(self) -> None:
        """Deletes the ballast; safe to repeat."""
        with self._lock:
            self._wants_ballast = False
            self._delete_ballast()

    def _look(self) -> None:
        self._ask()
        if self._holds and self.free_bytes < self.watermark_bytes // FULL_SHARE:
            self._let_go()
        if self._wants_ballast and not self._holds and self.free_bytes >= self._enough_for_ballast():
            self._make_ballast()
        is_low = self._owes_ballast or self.free_bytes < self._needed()
        if is_low != self.is_low:
            self.is_low = is_low
            what = "stops until there is room" if is_low else "goes on"
            logger.warning("intake %s: %d bytes are free on the disk of the database", what, self.free_bytes)

    def _ask(self) -> None:
        self.free_bytes = shutil.disk_usage(self._directory).free
        self._look_at = time.monotonic() + LOOK_S
        self._bytes_left = self.watermark_bytes // LOOK_SHARE

    def _needed(self) -> int:
        """What has to be free for intake: a quarter more once it is stopped, or it would stop and go in turn."""
        if self._owes_ballast:
            return self._enough_for_ballast()
        return self.watermark_bytes + (self.watermark_bytes // 4 if self.is_low else 0)

    def _enough_for_ballast(self) -> int:
        return self.watermark_bytes + self.watermark_bytes // 4 + self.ballast_bytes

    def _make_ballast(self) -> None:
        try:
            with self._ballast.open("wb") as file:
                _fill(file.fileno(), self.ballast_bytes)
        except OSError as error:
            logger.debug("the ballast cannot be made: %s", error)  # tried again with the next look
            self._delete_ballast()
            return
        self._holds, self._owes_ballast = True, False
        self._ask()

    def _let_go(self) -> None:
        logger.error("the disk is full: the ballast of %d bytes is let go", self.ballast_bytes)
        self._owes_ballast = True
        self._delete_ballast()
        self._ask()

    def _delete_ballast(self) -> None:
        self._holds = False
        try:
            self._ballast.unlink(missing_ok=True)
        except OSError as error:
            logger.error("the ballast cannot be deleted: %s", error)


def _fill(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    while size > 0:
        size -= os.write(file, bytes(min(size, _PIECE)))
