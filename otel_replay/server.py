"""The composition root: one store, one handler, two transports; started in order, stopped in reverse."""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from otel_replay._pb.v1 import replay_pb2, replay_pb2_grpc
from otel_replay.config import LOOPBACK_HOSTS, Settings
from otel_replay.errors import ReplayError
from otel_replay.query import LocalReplay
from otel_replay.receiver.bodies import MAX_BODY_BYTES
from otel_replay.receiver.grpc import SERVICES, otlp_handlers
from otel_replay.receiver.handler import Handler
from otel_replay.receiver.http import HttpReceiver, refused
from otel_replay.receiver.recordings import UploadRpcs
from otel_replay.store.base import Store
from otel_replay.store.sqlite import SqliteStore
from otel_replay.web.api import Api
from otel_replay.web.page import page_routes
from otel_replay.web.rpc import ReplayService

logger = logging.getLogger(__name__)

GRPC_THREADS = 32
"""More threads than requests in one group commit: while they wait for the disk they cost nothing."""

STOP_SECONDS = 5.0
"""How long requests in flight may take when stopping; then they are cut off, unacknowledged, and clients send again."""


class Distiller:
    """Distills recordings behind the acknowledgement, on a thread of its own, whenever chunks have arrived."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="otel-replay-distiller", daemon=True)

    def start(self) -> None:
        self._wake.set()  # what an earlier process left
        self._thread.start()

    def chunks_arrived(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while self._wake.wait() and not self._stopping:
            self._wake.clear()
            try:
                self._store.distill(lambda: self._stopping)
            except Exception:
                logger.exception("distilling recordings failed; it goes on with the next chunk")


class Server:
    """A running receiver. Construct without I/O, :meth:`start`, :meth:`stop`; stopping twice or unstarted is safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running = ExitStack()
        self._ready = False
        self.grpc_address = ""
        self.http_url = ""
        self.handler: Handler
        self.replay: LocalReplay

    def start(self) -> None:
        """Opens the store, then the ports. Raises :class:`ReplayError` with the way out, holding on to nothing."""
        self._check_exposure()
        with ExitStack() as starting:
            self._start_parts(starting)
            self._running = starting.pop_all()
        self._ready = True

    def stop(self) -> None:
        """Readiness off, ports closed, requests in flight committed, store closed."""
        self._ready = False
        self._running.close()

    def _start_parts(self, parts: ExitStack) -> None:
        store = SqliteStore(self._settings.database)
        parts.callback(store.close)
        distiller = Distiller(store)
        parts.callback(distiller.stop)
        self.handler = Handler(store, time.time_ns, distiller.chunks_arrived)
        self.replay = LocalReplay(store)
        http_socket = self._bind_http()
        parts.callback(http_socket.close)
        self._start_http(parts, http_socket)
        self._start_grpc(parts)
        store.announce(self.http_url)
        distiller.start()

    def _check_exposure(self) -> None:
        if self._settings.is_loopback or self._settings.allow_unauthenticated:
            return
        raise ReplayError(
            f"--host {self._settings.host} would let anyone on the network read every recording: there are no keys yet",
            hint="bind 127.0.0.1 behind a proxy that authenticates, or pass --allow-unauthenticated",
        )

    def _bind_http(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._settings.host, self._settings.http_port))
            listener.listen()  # from here on connections wait in line until uvicorn, on its thread, takes them
        except OSError as error:
            listener.close()
            raise _port_error("--http-port", self._settings.http_port, error) from error
        return listener

    def _start_http(self, parts: ExitStack, listener: socket.socket) -> None:
        self.http_url = f"http://{_in_address(self._settings.host)}:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._http_app(),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(STOP_SECONDS),
            lifespan="off",
        )
        http_server = uvicorn.Server(config)
        thread = threading.Thread(target=http_server.run, args=([listener],), name="otel-replay-http", daemon=True)
        thread.start()

        def stop() -> None:
            http_server.should_exit = True
            thread.join()

        parts.callback(stop)

    def _http_app(self) -> Starlette:
        # Bound to loopback there are no keys: a page elsewhere must not reach us through a DNS name of its own.
        hosts = [*map(_in_address, LOOPBACK_HOSTS)] if self._settings.is_loopback else ["*"]
        routes: list[BaseRoute] = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            *HttpReceiver(self.handler, self._settings.browser_origins).routes(),
            *Api(self.replay, time.time_ns).routes(),
            *page_routes(),
        ]
        app = Starlette(
            routes=routes,
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
            exception_handlers={HTTPException: refused},
        )
        app.router.redirect_slashes = False  # OTLP clients do not follow redirects with their data
        return app

    async def _healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ready" if self._ready else "not ready"}, 200 if self._ready else 503)

    def _start_grpc(self, parts: ExitStack) -> None:
        threads = ThreadPoolExecutor(GRPC_THREADS, thread_name_prefix="otel-replay-grpc")
        server = grpc.server(
            threads,
            options=[("grpc.max_receive_message_length", MAX_BODY_BYTES), ("grpc.so_reuseport", 0)],
        )
        server.add_generic_rpc_handlers(otlp_handlers(self.handler))
        service = ReplayService(UploadRpcs(self.handler), self.replay)
        replay_pb2_grpc.add_ReplayServiceServicer_to_server(service, server)
        names = (*SERVICES, replay_pb2.DESCRIPTOR.services_by_name["ReplayService"].full_name)
        health_service = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
        reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        try:
            port = server.add_insecure_port(f"{_in_address(self._settings.host)}:{self._settings.grpc_port}")
        except RuntimeError as error:
            raise _port_error("--grpc-port", self._settings.grpc_port, error) from error
        server.start()
        parts.callback(threads.shutdown)  # a cancelled call may still be reading: the store must not close under it
        parts.callback(lambda: server.stop(STOP_SECONDS).wait())
        parts.callback(health_service.enter_graceful_shutdown)
        for name in names:
            health_service.set(name, health_pb2.HealthCheckResponse.SERVING)
        self.grpc_address = f"{_in_address(self._settings.host)}:{port}"


def _in_address(host: str) -> str:
    """A host as it stands before a port: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _port_error(option: str, port: int, error: Exception) -> ReplayError:
    return ReplayError(f"port {port} cannot be opened: {error}", hint=f"is it taken? choose another with {option}")
