"""Erasing and forgetting as the store offers them: one at a time, each step beside the writer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from otel_replay.privacy.retention import Retention
from otel_replay.store.sqlite.erasure import Erased, Eraser, Subject
from otel_replay.store.sqlite.retention import Pruned, Pruner
from otel_replay.store.sqlite.scrubbing import Scrubber


class SqlitePrivacy:
    """What must not be kept for ever, of one file. Safe to share by threads."""

    def __init__(self, eraser: Eraser, pruner: Pruner, scrubber: Scrubber) -> None:
        self._eraser = eraser
        self._pruner = pruner
        self._scrubber = scrubber
        self._lock = threading.Lock()

    def erase(self, project: int, subject: Subject, *, vacuum: bool | None = None) -> Erased:
        """Erases a session, trace, user, or what a key wrote, and keeps what comes late from coming back.

        ``vacuum``: as :meth:`~otel_replay.store.sqlite.scrubbing.Scrubber.scrub`. Raises :class:`InvalidRequest`.
        """
        with self._lock:
            erased = self._eraser.erase(project, subject)
            erased.scrubbed = self._scrubber.scrub(vacuum)
            return erased

    def prune(self, project: int, retention: Retention, stopping: Callable[[], bool] = lambda: False) -> Pruned:
        """Forgets what is older, or more, than a project keeps; returns early once ``stopping()`` is true."""
        with self._lock:
            return self._pruner.prune(project, retention, stopping)

    def vacuum(self) -> None:
        """Writes the file anew, as small as it can be; the writer waits meanwhile."""
        with self._lock:
            self._scrubber.scrub(vacuum=True)
