"""When which session was paused, in this process: what began meanwhile is not recorded, whatever thread it is on."""

from __future__ import annotations

import threading
from collections import OrderedDict

MAX_SESSIONS = 1_000
MAX_PAUSES = 100
"""Remembered at a time, and for each session; the oldest are forgotten."""


class Pauses:
    """Times in Unix nanoseconds, half open. Safe to use from any thread."""

    def __init__(self) -> None:
        self._pauses: OrderedDict[str, list[tuple[int, int | None]]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, session_id: str, at: int) -> None:
        """A session is paused from then on; without effect where it is already."""
        with self._lock:
            known = self._pauses.setdefault(session_id, [])
            if not known or known[-1][1] is not None:
                known.append((at, None))
                del known[:-MAX_PAUSES]
            self._pauses.move_to_end(session_id)
            while len(self._pauses) > MAX_SESSIONS:
                self._pauses.popitem(last=False)

    def end(self, session_id: str, at: int) -> None:
        """A session goes on from then on."""
        with self._lock:
            known = self._pauses.get(session_id)
            if known and known[-1][1] is None:
                known[-1] = (known[-1][0], at)

    def is_paused(self, session_id: str) -> bool:
        known = self._pauses.get(session_id)
        return known is not None and known[-1][1] is None

    def covers(self, session_id: str, at: int) -> bool:
        """Whether a session was paused at a time."""
        return any(start <= at and (end is None or at < end) for start, end in self._pauses.get(session_id, ()))

    def __bool__(self) -> bool:
        """Whether there has been any."""
        return bool(self._pauses)


PAUSES = Pauses()
"""Of this process."""
