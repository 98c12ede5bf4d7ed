"""How many bytes of requests are being worked on, over both transports: beyond the limit senders come again later."""

from __future__ import annotations

import threading
from types import TracebackType

from otel_replay.errors import RetryableError

MAX_IN_FLIGHT_BYTES = 128 * 1024 * 1024
"""Two of the largest bodies, or one that is both compressed and unpacked; some 500 requests of 512 spans."""


class Overloaded(RetryableError):
    """Too much is in flight; nothing of the request was stored."""


class InFlight:
    """Counts the bytes of requests from their arrival to their answer. Safe to use from any thread."""

    def __init__(self, limit: int = MAX_IN_FLIGHT_BYTES) -> None:
        self.limit = limit
        self.bytes = 0
        self.requests = 0
        self._lock = threading.Lock()

    def request(self) -> Hold:
        """One request's share, as a context manager: what it holds is given back at the end."""
        return Hold(self)

    def change(self, requests: int, size: int) -> None:
        """Adds to both counts. Raises :class:`Overloaded`, nothing added, where that would pass the limit."""
        with self._lock:
            if size > 0 and self.bytes + size > self.limit:
                raise Overloaded(f"{self.bytes} bytes of requests are in flight", hint="send again in a second")
            self.bytes += size
            self.requests += requests


class Hold:
    """What one request holds, from one thread at a time."""

    __slots__ = ("_in_flight", "_size")

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._size = 0

    def __enter__(self) -> Hold:
        self._in_flight.change(1, 0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._in_flight.change(-1, -self._size)

    def add(self, size: int) -> None:
        """Counts ``size`` bytes more. Raises :class:`Overloaded`."""
        self._in_flight.change(0, size)
        self._size += size
