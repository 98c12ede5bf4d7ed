"""HTTP connections within bounds: heads of limited size, requests and answers of limited duration.

uvicorn closes connections that idle between requests, and no others: whoever sends a head or a body byte by byte, or
does not read an answer, holds memory for as long as he likes. Its ``callback_notify`` lets :class:`Patience` look at
all connections once a second, so that no request pays for a timer of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from otel_replay.receiver.complaints import Complaints

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 60.0
"""From a connection or the first byte of a request to its last one; exporters give up after 10."""

ANSWER_SECONDS = 60.0
"""How long a client may read nothing of an answer that waits for it."""

KEEP_ALIVE_SECONDS = 75
"""Longer than exporters pause: with uvicorn's 5 a request every 5 s meets a connection that is just being closed."""

MAX_HEAD_BYTES = 64 * 1024
"""Of request line and headers; a read of the socket, 256 KiB at most, may come on top. httptools has no limit."""


HTTP2_BEGINS = b"PRI * HTTP/2.0"
"""What a gRPC client sends first (RFC 9113, 3.4)."""

GRPC_IS_ELSEWHERE = "this is the port of HTTP; gRPC is served on --grpc-port, 4317 unless told otherwise"


class BoundedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # httptools', or h11's without it
    """uvicorn's protocol, which gives up on a head that does not end, and tells gRPC where to go."""

    complaints = Complaints()
    _head: object = None
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self.scope is None and data.startswith(HTTP2_BEGINS):
            self.complaints.tell("gRPC on the port of HTTP", GRPC_IS_ELSEWHERE)
            # Not HTTP/2's own words, GOAWAY: clients would take the connection for a good one, and come again at once.
            self.send_400_response(GRPC_IS_ELSEWHERE)
            return
        super().data_received(data)
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope:  # as in _head_is_whole, whose call would cost 0.4 us
            self._bound_head(len(data))

    def _bound_head(self, size: int) -> None:
        if self._head is not self.scope:
            self._head, self._head_bytes = self.scope, 0
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self.transport.abort()


def _head_is_whole(protocol: Any) -> bool:
    """Whether all headers of the latest request are there; of no request yet, too, they are not."""
    return protocol.cycle is not None and protocol.cycle.scope is protocol.scope


class _Seen(NamedTuple):
    """What a connection was found at, and when for the first time."""

    what: object
    since: float


class Patience:
    """Cuts connections that stay at one thing for too long; the client sees a reset and sends again.

    ``connections`` gives uvicorn's protocols, ``clock`` seconds.
    """

    def __init__(self, connections: Callable[[], set[Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._connections = connections
        self._clock = clock
        self._seen: dict[Any, tuple[_Seen, _Seen]] = {}

    async def look(self) -> None:
        """To be called once a second or so, on the event loop."""
        now = self._clock()
        before, self._seen = self._seen, {}
        for connection in self._connections():
            asked, told = before.get(connection, (_Seen(None, now), _Seen(None, now)))
            arriving, unread = _arriving(connection), _unread(connection)
            asked = asked if arriving is not None and arriving is asked.what else _Seen(arriving, now)
            told = told if unread and unread == told.what else _Seen(unread, now)
            self._seen[connection] = asked, told
            if now - asked.since > REQUEST_SECONDS or now - told.since > ANSWER_SECONDS:
                logger.info("a connection that stood still was cut: %s", connection.client)
                connection.transport.abort()


def _arriving(connection: Any) -> object:
    """What is not whole yet: a request, or the first one of a connection; None when nothing is awaited."""
    if _head_is_whole(connection) and not connection.cycle.more_body:
        return None
    return connection.scope or connection


def _unread(connection: Any) -> int:
    """How many bytes wait for the client to read on."""
    size: int = connection.transport.get_write_buffer_size()
    return size


def watch(server: uvicorn.Server) -> None:
    """Lets ``server`` look at its connections once a second."""
    patience = Patience(lambda: set(server.server_state.connections))
    server.config.callback_notify = patience.look
    server.config.timeout_notify = 1
