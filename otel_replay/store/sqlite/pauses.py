"""How work in the background leaves the time to those who wait for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NAP_S = 0.05


class Pauses:
    """Rests after each piece of work so many times as long as it took: ``idle`` times, or ``busy`` times when the
    writer was at work for more than ``busy_share`` of it.

    ``writer_seconds`` tells how long the writer has worked so far.
    """

    def __init__(self, writer_seconds: Callable[[], float], *, idle: float, busy: float, busy_share: float) -> None:
        self._writer_seconds = writer_seconds
        self._idle = idle
        self._busy = busy
        self._busy_share = busy_share

    @contextmanager
    def after(self, stopping: Callable[[], bool]) -> Iterator[None]:
        """Rests once the block has ended; shortened when ``stopping()`` becomes true."""
        began, writing = time.monotonic(), self._writer_seconds()
        yield
        worked = time.monotonic() - began
        is_busy = self._writer_seconds() - writing > worked * self._busy_share
        _rest(worked * (self._busy if is_busy else self._idle), stopping)


def _rest(seconds: float, stopping: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not stopping() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _NAP_S))
