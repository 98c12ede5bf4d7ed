"""A sender of HTTP requests on a schedule: it does not wait for answers before it sends the next request."""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from tests.conformance import raw

CONNECTIONS = 800
"""At most: a request that finds none free is late, and counted so."""

AT_ONCE = 50
"""Sent before answers are looked at again."""


@dataclass(slots=True)
class _Connection:
    """One request at a time."""

    socket: socket.socket
    request: bytes = b""
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    answer: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class Told:
    """What came of it: answers by status, requests that never found a connection, and how long it was sent."""

    statuses: Counter[int] = field(default_factory=Counter)
    late: int = 0
    seconds: float = 0.0

    @property
    def offered_per_s(self) -> float:
        return self.statuses.total() / self.seconds

    @property
    def accepted_per_s(self) -> float:
        return self.statuses[200] / self.seconds


class OpenLoop:
    """Sends whole requests to ``address``, new ones from ``requests``; one that was refused is sent again later.

    ``look`` is called some times a second.
    """

    def __init__(self, address: str, requests: Iterator[bytes], look: Callable[[], object] = lambda: None) -> None:
        self._address = address
        self._requests = requests
        self._look = look
        self._selector = selectors.DefaultSelector()
        self._free: list[_Connection] = []
        self._opened = 0
        self._refused: deque[bytes] = deque(maxlen=4 * CONNECTIONS)

    def run(self, seconds: float, *, per_s: float = 0.0, connections: int = CONNECTIONS) -> Told:
        """Sends so many requests a second, or, with 0, as many as are answered on so many connections."""
        told = Told()
        began = looked = time.monotonic()
        due = 0
        while (now := time.monotonic()) < began + seconds:
            wanted = int((now - began) * per_s) - due if per_s else connections
            for _ in range(min(wanted, AT_ONCE)):
                due += 1
                if not self._send(connections):
                    told.late += bool(per_s)
            self._work(told, 0.002)
            if now - looked > 0.2:
                looked = now
                self._look()
        told.seconds = time.monotonic() - began
        self._end()
        return told

    def _send(self, connections: int) -> bool:
        if not self._free:
            if self._opened >= connections:
                return False
            self._opened += 1
            opened = raw.connect(self._address)
            opened.setblocking(False)
            self._free.append(_Connection(opened))
        connection = self._free.pop()
        connection.request = self._refused.popleft() if len(self._refused) > CONNECTIONS else next(self._requests)
        connection.unsent = memoryview(connection.request)
        connection.answer.clear()
        self._selector.register(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        return True

    def _work(self, told: Told, patience_s: float) -> None:
        for key, events in self._selector.select(patience_s):
            connection: _Connection = key.data
            if events & selectors.EVENT_WRITE and connection.unsent:
                with suppress(BlockingIOError):
                    connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
                if not connection.unsent:
                    self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            if events & selectors.EVENT_READ:
                self._read(connection, told)

    def _read(self, connection: _Connection, told: Told) -> None:
        part = connection.socket.recv(65_536)
        assert part, "the server has closed a connection"
        connection.answer += part
        head, end, body = bytes(connection.answer).partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r")[0]):
            return
        status = int(head.split()[1])
        told.statuses[status] += 1
        if status != 200:
            self._refused.append(connection.request)
        self._selector.unregister(connection.socket)
        if connection.unsent:  # it was refused before it was read: the rest of the body cannot be left out
            connection.socket.close()
            self._opened -= 1
        else:
            self._free.append(connection)

    def _end(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            key.data.socket.close()
        for connection in self._free:
            connection.socket.close()
        self._free.clear()
        self._opened = 0
