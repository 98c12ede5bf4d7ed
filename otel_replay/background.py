"""Work that follows the acknowledgement, each kind on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Worker:
    """Calls ``work(stopping)`` on a thread whenever it was woken, and every ``every_s`` seconds if that is given.

    ``work`` does what is due and returns early once ``stopping()`` is true. An error is logged, and the next turn tries
    again.
    """

    def __init__(self, name: str, work: Callable[[Callable[[], bool]], None], every_s: float | None = None) -> None:
        self._name = name
        self._work = work
        self._every_s = every_s
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"otel-replay-{name}", daemon=True)

    def start(self) -> None:
        self._wake.set()  # what an earlier process left
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Returns when the thread has ended; safe before :meth:`start` and to repeat."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._every_s)
            if self._stopping:
                return
            self._wake.clear()
            try:
                self._work(lambda: self._stopping)
            except Exception:
                logger.exception("%s failed; it goes on with what comes next", self._name)
