"""How much a key may send a second."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from otel_replay.errors import RateLimited

_SECOND_NS = 10**9
BURST_SECONDS = 2
"""A key that was silent may send so many seconds' worth at once: a page that loads sends all its first requests."""


class _Bucket:
    """Fills by ``rate`` a second. What is taken is known when it is there: below zero the next has to wait."""

    def __init__(self, rate: int, now_ns: int) -> None:
        self._rate = rate
        self._level = float(rate * BURST_SECONDS)
        self._at_ns = now_ns

    def seconds_until_filled(self, now_ns: int) -> float:
        """How long until something may be taken; 0: now."""
        grown = self._level + max(0, now_ns - self._at_ns) / _SECOND_NS * self._rate
        self._level, self._at_ns = min(grown, float(self._rate * BURST_SECONDS)), now_ns
        return 0.0 if self._level >= 1 else (1 - self._level) / self._rate

    def take(self, amount: int) -> None:
        self._level -= amount


class Allowance:
    """The buckets of one key. ``clock`` gives nanoseconds. Safe to use from any thread."""

    def __init__(self, requests: int | None, size: int | None, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._requests = _Bucket(requests, clock()) if requests else None
        self._bytes = _Bucket(size, clock()) if size else None

    def admit(self) -> None:
        """Takes one request. Raises :class:`RateLimited` with the seconds to wait."""
        with self._lock:
            now = self._clock()
            wait = max((one.seconds_until_filled(now) for one in (self._requests, self._bytes) if one), default=0.0)
            if wait:
                raise RateLimited("this key sends more than it may", retry_after_s=math.ceil(wait))
            if self._requests:
                self._requests.take(1)

    def charge(self, size: int) -> None:
        """Takes the bytes of a request that was admitted; what is too much is waited for before the next."""
        if self._bytes:
            with self._lock:
                self._bytes.take(size)
