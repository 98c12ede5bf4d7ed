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

        Once that is noted a kill, or an error, only delays it: :meth:`finish`. ``vacuum``: as
        :meth:`~otel_replay.store.sqlite.scrubbing.Scrubber.scrub`. Raises :class:`InvalidRequest`.
        """
        with self._lock:
            number = self._eraser.begin(project, subject, vacuum)
            return self._finish()[number]

    def finish(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Goes on with erasing and forgetting that a kill, or an error, cut off; False when there was no erasure."""
        with self._lock:
            self._pruner.finish(stopping)
            return bool(self._finish(stopping))

    def _finish(self, stopping: Callable[[], bool] = lambda: False) -> dict[int, Erased]:
        """What was erased now, by the number of the erasure."""
        done: dict[int, Erased] = {}
        for begun in self._eraser.unfinished():
            if stopping():
                break
            done[begun.number] = erased = self._eraser.take_out(begun)
            erased.scrubbed = self._scrubber.scrub(begun.vacuum)
            self._eraser.end(begun)
        return done

    def prune(self, project: int, retention: Retention, stopping: Callable[[], bool] = lambda: False) -> Pruned:
        """Forgets what is older, or more, than a project keeps; returns early once ``stopping()`` is true."""
        with self._lock:
            return self._pruner.prune(project, retention, stopping)

    def forget_features(self, project: int, retention: Retention) -> bool:
        """A step of forgetting sessions whose feature is kept less long; False when none was due."""
        if not retention.features:
            return False
        with self._lock:
            return self._pruner.forget_features(project, retention).sessions > 0

    def vacuum(self) -> None:
        """Writes the file anew, as small as it can be; the writer waits meanwhile."""
        with self._lock:
            self._scrubber.scrub(vacuum=True)
