"""Ports and the transports behind them: sockets, addresses, uvicorn's thread; not what is served there."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import grpc
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from otel_replay.config import Settings
from otel_replay.errors import ReplayError
from otel_replay.receiver import connections
from otel_replay.tls import grpc_credentials

STOP_SECONDS = 1.0
"""How long each transport may take to close; what is left is cut off, unacknowledged, and clients send it again."""


def bind(parts: ExitStack, host: str, option: str, port: int) -> socket.socket:
    """A listening socket, closed with the ``parts``. ``option`` is what to choose another port with."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off for sockets that say they are TCP's; others answer 45 ms late now and then.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # from here on connections wait in line until uvicorn, on its thread, takes them
    except OSError as error:
        listener.close()
        raise _port_error(option, port, error) from error
    parts.callback(listener.close)
    return listener


def serve_http(parts: ExitStack, app: ASGIApp, listeners: Sequence[socket.socket], tls: dict[str, Any]) -> None:
    """Serves ``app`` on all of the sockets until the ``parts`` end; ``tls`` are options of uvicorn."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=connections.BoundedProtocol,
        timeout_keep_alive=connections.KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(STOP_SECONDS),
        lifespan="off",
        **tls,
    )
    # Addresses may hold keys and links: not even a handler that somebody adds may get them.
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL + 1)
    server = uvicorn.Server(config)
    connections.watch(server)
    thread = threading.Thread(target=server.run, args=(list(listeners),), name="otel-replay-http", daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()

    parts.callback(stop)


def open_grpc_port(server: grpc.Server, settings: Settings) -> str:
    """The address that ``server`` will serve, once it is started."""
    host, tls = in_address(settings.host), grpc_credentials(settings)
    address = f"{host}:{settings.grpc_port}"
    with ExitStack() as parts:  # says why it cannot be opened, where grpcio writes that to standard error
        bind(parts, settings.host, "--grpc-port", settings.grpc_port)
    try:
        port = server.add_secure_port(address, tls) if tls else server.add_insecure_port(address)
    except RuntimeError as error:
        raise _port_error("--grpc-port", settings.grpc_port, error) from error
    return f"{host}:{port}"


class ByPort:
    """One application for a port, another for all others."""

    def __init__(self, port: int, there: ASGIApp, elsewhere: ASGIApp) -> None:
        self._port = port
        self._there = there
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._there if scope["server"][1] == self._port else self._elsewhere
        await app(scope, receive, send)


def in_address(host: str) -> str:
    """A host as it stands before a port: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _port_error(option: str, port: int, error: Exception) -> ReplayError:
    return ReplayError(f"port {port} cannot be opened: {error}", hint=f"is it taken? choose another with {option}")
