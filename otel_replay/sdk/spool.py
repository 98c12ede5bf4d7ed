"""Requests on disk, for as long as their receiver is away.

A directory for each address and signal, in it one for each process with a file for each request::

    ROOT/3f7a.../4711-9c2e41d0/01763748000123456789.512     the time that orders it, the number of its items
    ROOT/3f7a.../4711-9c2e41d0.lock                         held while process 4711 lives

A request is written, fsynced and renamed into place before it counts as kept. What a process leaves behind is taken
over by the next one that exports to the same address: its lock is free then, however it ended.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sys
import threading
import time
import uuid
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import filelock

from otel_replay.sdk.destination import Destination

_log = logging.getLogger(__name__)

VARIABLE, BYTES_VARIABLE = "OTEL_REPLAY_SPOOL", "OTEL_REPLAY_SPOOL_MAX_BYTES"
MAX_BYTES = 256 * 1024 * 1024
"""Of a process; an hour of 70 KB a second."""

_PART = ".part"


class Entry(NamedTuple):
    """A request on disk: of so many spans or log records and so many bytes."""

    path: Path
    items: int
    size: int


class Spool:
    """The requests of one process for one receiver, oldest first; safe to use from several threads.

    Made without I/O. Reading and writing raise ``OSError``.
    """

    def __init__(self, directory: Path, max_bytes: int = MAX_BYTES) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._waiting: deque[Entry] = deque()
        self._taken: set[Entry] = set()
        self._bytes = 0
        self._files: Counter[Path] = Counter()  # by directory
        self._newest = 0
        self._own: Path | None = None
        self._locks: dict[Path, filelock.BaseFileLock] = {}

    @property
    def items(self) -> int:
        """Spans or log records that wait."""
        with self._lock:
            return sum(entry.items for entry in (*self._waiting, *self._taken))

    def is_empty(self) -> bool:
        return not (self._waiting or self._taken)

    def put(self, body: bytes, items: int) -> int:
        """Keeps a request: on disk when this returns. Gives the number of items that were dropped to make room."""
        if len(body) > self.max_bytes:
            raise OSError(errno.EFBIG, f"a request of {len(body)} bytes, and the spool may hold {self.max_bytes}")
        with self._lock:
            dropped = self._make_room(len(body))
            self._newest = max(self._newest + 1, time.time_ns())
            path = self._own_directory() / f"{self._newest:020d}.{items}"
            _write(path, body)
            self._waiting.append(Entry(path, items, len(body)))
            self._bytes += len(body)
            self._files[path.parent] += 1
        return dropped

    def take(self) -> Entry | None:
        """The oldest, in the caller's hand until ``put_back`` or ``remove``; None when nothing waits."""
        with self._lock:
            if not self._waiting:
                return None
            entry = self._waiting.popleft()
            self._taken.add(entry)
            return entry

    def put_back(self, entry: Entry) -> None:
        with self._lock:
            self._taken.discard(entry)
            self._waiting.appendleft(entry)

    def remove(self, entry: Entry) -> None:
        with self._lock:
            self._taken.discard(entry)
            self._delete(entry)

    def adopt(self) -> int:
        """Takes over what processes that are gone have left; gives the number of its items."""
        with self._lock:
            found = [entry for directory in self._others() for entry in self._adopted(directory)]
            self._bytes += sum(entry.size for entry in found)
            self._files.update(entry.path.parent for entry in found)
            self._waiting = deque(sorted([*self._waiting, *found], key=lambda entry: entry.path.name))
            for directory in [directory for directory in self._locks if not self._files[directory]]:
                self._let_go(directory)
        return sum(entry.items for entry in found)

    def close(self) -> None:
        """Leaves what waits to the next process."""
        with self._lock:
            for lock in self._locks.values():
                lock.release()
            self._locks.clear()
            self._waiting.clear()
            self._taken.clear()
            self._files.clear()
            self._own, self._bytes = None, 0

    def _make_room(self, size: int) -> int:
        dropped = 0
        while self._waiting and self._bytes + size > self.max_bytes:
            oldest = self._waiting.popleft()
            self._delete(oldest)
            dropped += oldest.items
        return dropped

    def _own_directory(self) -> Path:
        if self._own is None:
            name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
            _make_directory(self.directory)
            # The lock first: a directory without one would look like a dead process's.
            self._locks[self.directory / name] = _locked(self.directory / name)
            self._own = self.directory / name
            _make_directory(self._own)
        return self._own

    def _others(self) -> list[Path]:
        """Directories that are not this process's, as far as it knows."""
        found = sorted(self.directory.iterdir()) if self.directory.is_dir() else []
        return [path for path in found if path not in self._locks and path.is_dir()]

    def _adopted(self, directory: Path) -> list[Entry]:
        """What is in a directory whose process is gone; nothing where it lives, or where the user may not look."""
        try:
            self._locks[directory] = _locked(directory)
            return self._entries_of(directory)
        except OSError:
            return []

    def _entries_of(self, directory: Path) -> list[Entry]:
        found = []
        for path in directory.iterdir():
            if path.suffix == _PART:
                path.unlink()  # Its process ended before it was kept.
            elif path.suffix[1:].isdecimal():
                found.append(Entry(path, int(path.suffix[1:]), path.stat().st_size))
        return found

    def _delete(self, entry: Entry) -> None:
        self._bytes -= entry.size
        with suppress(FileNotFoundError):
            entry.path.unlink()
        directory = entry.path.parent
        self._files[directory] -= 1
        if not self._files[directory]:
            self._let_go(directory)

    def _let_go(self, directory: Path) -> None:
        """Of an emptied directory; one that holds what is not ours stays."""
        if directory == self._own:
            self._own = None
        del self._files[directory]
        with suppress(OSError):
            directory.rmdir()
        if lock := self._locks.pop(directory, None):
            lock.release()
            with suppress(OSError):
                Path(lock.lock_file).unlink()


def spool_of(destination: Destination, asked: str | os.PathLike[str] | bool | None) -> Spool | None:
    """The spool for a destination; None where there is none: for sinks, and where it was declined.

    ``asked`` is a directory, False for none, or None or True for that of ``OTEL_REPLAY_SPOOL`` (``off`` for none), else
    the user's directory for the state of programs.
    """
    if destination.protocol == "sink" or asked is False:
        return None
    told = os.environ.get(VARIABLE) if asked is None or asked is True else os.fspath(asked)
    if told and told.strip().lower() in ("off", "none", "0", "false"):
        return None
    try:
        # Absolute, for a program may change its directory while requests wait.
        root = (Path(told).expanduser() if told else _state_directory()).absolute()
    except RuntimeError as error:
        _log.warning("there is no spool, so spans are lost while the receiver is away: %s; %s=DIR", error, VARIABLE)
        return None
    address = f"{destination.signal} {destination.protocol} {destination.url}"
    return Spool(root / hashlib.sha256(address.encode()).hexdigest()[:16], _max_bytes())


def _max_bytes() -> int:
    told = os.environ.get(BYTES_VARIABLE, "").strip()
    if told and not told.isdecimal():
        _log.warning("%s is %r, which is no number of bytes: it is %d", BYTES_VARIABLE, told, MAX_BYTES)
    return int(told) if told.isdecimal() else MAX_BYTES


def _state_directory() -> Path:
    """Raises ``RuntimeError`` where the user has no home."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "otel-replay" / "spool"


def _locked(directory: Path) -> filelock.BaseFileLock:
    """Raises ``filelock.Timeout`` when the directory's process lives."""
    lock = filelock.FileLock(f"{directory}.lock", thread_local=False, mode=0o600)
    lock.acquire(blocking=False)
    return lock


def _make_directory(path: Path) -> None:
    """For this user alone, since requests hold prompts; on disk when it returns."""
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        _sync_directory(path.parent)


def _write(path: Path, body: bytes) -> None:
    part = path.with_name(path.name + _PART)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
