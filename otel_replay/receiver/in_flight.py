"""How much is being worked on, over both transports: beyond the limits, and when stopping, senders come again later.

It is counted here and not by the transports: grpcio's ``maximum_concurrent_rpcs`` and uvicorn's ``limit_concurrency``
answer without saying when to come back, the first with a code after which clients throw their data away.
"""

from __future__ import annotations

import threading
from types import TracebackType

from otel_replay.errors import Overloaded, Stopping

MAX_IN_FLIGHT_REQUESTS = 8192
"""However small: one that waits takes some 10 KB beside its body."""


class InFlight:
    """Counts requests and their bytes from arrival to answer. Safe to use from any thread."""

    def __init__(self, limit: int, max_requests: int = MAX_IN_FLIGHT_REQUESTS) -> None:
        self.limit = limit
        self.max_requests = max_requests
        self.bytes = 0
        self.requests = 0
        self._draining = False
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)

    def request(self) -> Hold:
        """One request's share, as a context manager: what it holds is given back at the end.

        Entering it raises :class:`Overloaded`, or :class:`Stopping` once it is draining.
        """
        return Hold(self)

    def begin(self) -> None:
        """Counts one request more."""
        with self._lock:
            if self._draining:
                raise Stopping("the receiver is stopping", hint="send again in a second")
            if self.requests >= self.max_requests:
                raise Overloaded(f"{self.requests} requests are in flight", hint="send again in a second")
            self.requests += 1

    def end(self, size: int) -> None:
        """One request, of so many bytes, is answered."""
        with self._lock:
            self.requests -= 1
            self.bytes -= size
            if self._draining and not self.requests:
                self._idle.notify_all()

    def drain(self, timeout_s: float) -> int:
        """Lets no request in any more and waits for those inside; how many are left after that time."""
        with self._lock:
            self._draining = True
            self._idle.wait_for(lambda: not self.requests, timeout_s)
            return self.requests

    def add(self, size: int) -> None:
        """Counts bytes of a request. Raises :class:`Overloaded`, nothing added, where that would pass the limit."""
        with self._lock:
            if self.bytes + size > self.limit:
                raise Overloaded(f"{self.bytes} bytes of requests are in flight", hint="send again in a second")
            self.bytes += size


class Hold:
    """What one request holds, from one thread at a time."""

    __slots__ = ("_in_flight", "_size")

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._size = 0

    def __enter__(self) -> Hold:
        self._in_flight.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._in_flight.end(self._size)

    def add(self, size: int) -> None:
        """Counts ``size`` bytes more. Raises :class:`Overloaded`."""
        self._in_flight.add(size)
        self._size += size
