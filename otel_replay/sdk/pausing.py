"""When which session was paused, in this process: what began meanwhile is not recorded, whatever thread it is on."""

from __future__ import annotations

import threading
from collections import OrderedDict

MAX_PAUSED = 100_000
"""Sessions that are paused at a time; beyond that the one that was paused first is recorded again."""

MAX_SESSIONS = 1_000
MAX_PAUSES = 100
"""Pauses that are over: of so many sessions, and so many of each; the oldest are forgotten."""


class Pauses:
    """Times in Unix nanoseconds, half open. Safe to use from any thread."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, int] = OrderedDict()
        self._over: OrderedDict[str, tuple[tuple[int, int], ...]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, session_id: str, at: int) -> None:
        """A session is paused from then on; without effect where it is already."""
        with self._lock:
            self._since.setdefault(session_id, at)
            if len(self._since) > MAX_PAUSED:
                self._since.popitem(last=False)

    def end(self, session_id: str, at: int) -> None:
        """A session goes on from then on."""
        with self._lock:
            since = self._since.get(session_id)
            if since is None:
                return
            self._over[session_id] = (*self._over.get(session_id, ()), (since, at))[-MAX_PAUSES:]
            self._over.move_to_end(session_id)
            if len(self._over) > MAX_SESSIONS:
                self._over.popitem(last=False)
            del self._since[session_id]  # last: others look without the lock, and must not find it in neither

    def is_paused(self, session_id: str) -> bool:
        return session_id in self._since

    def covers(self, session_id: str, at: int) -> bool:
        """Whether a session was paused at a time."""
        since = self._since.get(session_id)
        if since is not None and since <= at:
            return True
        return any(start <= at < end for start, end in self._over.get(session_id, ()))

    def __bool__(self) -> bool:
        """Whether there has been any."""
        return bool(self._since or self._over)


PAUSES = Pauses()
"""Of this process."""
