"""The composition root: one store, one handler, two transports; started in order, stopped in reverse."""

from __future__ import annotations

import gc
import socket
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from otel_replay._pb.v1 import replay_pb2, replay_pb2_grpc
from otel_replay.background import Worker
from otel_replay.config import LOOPBACK_HOSTS, Settings
from otel_replay.errors import ReplayError
from otel_replay.query import LocalReplay
from otel_replay.query.worker import ReaderProcess, with_reader_process
from otel_replay.receiver.batching import BatchingHandler
from otel_replay.receiver.bodies import MAX_BODY_BYTES
from otel_replay.receiver.grpc import SERVICES, GrpcReceiver
from otel_replay.receiver.http import HttpReceiver, Shortcut, refused
from otel_replay.receiver.in_flight import InFlight
from otel_replay.receiver.measures import CountingCommits, Measures
from otel_replay.receiver.recordings import UploadRpcs
from otel_replay.store.sqlite import SqliteStore
from otel_replay.web.api import Api
from otel_replay.web.operations import Operations, StateOfServer
from otel_replay.web.page import page_routes
from otel_replay.web.rpc import ReplayService

INGEST_THREADS = 32
"""For each transport; while they wait for a group commit they cost nothing."""

QUERY_THREADS = 8
"""Of gRPC, apart from ingest's: readers that stall cannot stop it. HTTP's queries have a pool of that size, too."""

MAINTAIN_SECONDS = 1.0
"""Under load three segments of the index are to be merged a second; looking for cold blocks bounds itself."""

COLLECT_AFTER = 20_000
"""Objects between two collections of garbage: with Python's 700 they cost 5 % of the time, and what is made for a
request is freed without them."""

STOP_SECONDS = 5.0
"""How long requests in flight may take when stopping; then they are cut off, unacknowledged, and clients send again."""


def collect_garbage_rarely() -> None:
    """For a process that does nothing but serve: leaves out what is there now, and looks at the rest less often."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


class Server:
    """A running receiver. Construct without I/O, :meth:`start`, :meth:`stop`; stopping twice or unstarted is safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running = ExitStack()
        self._ready = False
        self.grpc_address = ""
        self.http_url = ""
        self.handler: BatchingHandler
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
        distiller = Worker("distilling recordings", store.distill)
        parts.callback(distiller.stop)
        compactor = Worker("compaction", store.compact, every_s=MAINTAIN_SECONDS)
        parts.callback(compactor.stop)
        heavy = ReaderProcess(self._settings.database)
        self._measures, self._in_flight = Measures(), InFlight()
        self.handler = BatchingHandler(CountingCommits(store, self._measures), time.time_ns, distiller.wake)
        parts.callback(self.handler.stop)
        self.replay = LocalReplay(with_reader_process(store, heavy))
        http_socket = self._bind_http()
        parts.callback(http_socket.close)
        self._start_http(parts, http_socket, StateOfServer(store, self._in_flight, self._settings.database))
        self._start_grpc(parts)
        parts.callback(heavy.close)  # first of all: a query at work would hold up the transports
        store.announce(self.http_url)
        self.handler.start()
        distiller.start()
        compactor.start()

    def _check_exposure(self) -> None:
        if self._settings.is_loopback or self._settings.allow_unauthenticated:
            return
        raise ReplayError(
            f"--host {self._settings.host} would let anyone on the network read every recording: there are no keys yet",
            hint="bind 127.0.0.1 behind a proxy that authenticates, or pass --allow-unauthenticated",
        )

    def _bind_http(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET
        # asyncio turns Nagle's delay off for sockets that say they are TCP's; others answer 45 ms late now and then.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._settings.host, self._settings.http_port))
            listener.listen()  # from here on connections wait in line until uvicorn, on its thread, takes them
        except OSError as error:
            listener.close()
            raise _port_error("--http-port", self._settings.http_port, error) from error
        return listener

    def _start_http(self, parts: ExitStack, listener: socket.socket, state: StateOfServer) -> None:
        port = listener.getsockname()[1]
        self.http_url = f"http://{_in_address(self._settings.host)}:{port}"
        threads = _pool(parts, "http", INGEST_THREADS)
        config = uvicorn.Config(
            self._http_app(threads, port, state),
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

    def _http_app(self, threads: Executor, port: int, state: StateOfServer) -> ASGIApp:
        # Bound to loopback there are no keys: a page elsewhere must not reach us through a DNS name of its own.
        hosts = [*map(_in_address, LOOPBACK_HOSTS)] if self._settings.is_loopback else ["*"]
        receiver = HttpReceiver(self.handler, self._settings.browser_origins, threads, self._in_flight, self._measures)
        routes: list[BaseRoute] = [
            *Operations(lambda: self._ready, self._measures.registry, state).routes(),
            *receiver.routes(),
            *Api(self.replay, time.time_ns).routes(),
            *page_routes(),
        ]
        app = Starlette(
            routes=routes,
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
            exception_handlers={HTTPException: refused},
        )
        app.router.redirect_slashes = False  # OTLP clients do not follow redirects with their data
        known = frozenset(f"{host}{end}".encode() for host in hosts for end in ("", f":{port}"))
        return Shortcut(app, receiver, known if self._settings.is_loopback else None)

    def _start_grpc(self, parts: ExitStack) -> None:
        threads = _pool(parts, "grpc", INGEST_THREADS)
        queries = _pool(parts, "grpc-query", QUERY_THREADS)
        server = grpc.server(
            threads,
            options=[("grpc.max_receive_message_length", MAX_BODY_BYTES), ("grpc.so_reuseport", 0)],
        )
        receiver = GrpcReceiver(self.handler, self._in_flight, self._measures)
        server.add_generic_rpc_handlers(receiver.otlp_handlers())
        service = ReplayService(UploadRpcs(receiver), self.replay, queries)
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
        parts.callback(lambda: server.stop(STOP_SECONDS).wait())
        parts.callback(health_service.enter_graceful_shutdown)
        for name in names:
            health_service.set(name, health_pb2.HealthCheckResponse.SERVING)
        self.grpc_address = f"{_in_address(self._settings.host)}:{port}"


def _pool(parts: ExitStack, name: str, threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(threads, thread_name_prefix=f"otel-replay-{name}")
    parts.callback(pool.shutdown)  # a cancelled call may still be at work: the store must not close under it
    return pool


def _in_address(host: str) -> str:
    """A host as it stands before a port: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _port_error(option: str, port: int, error: Exception) -> ReplayError:
    return ReplayError(f"port {port} cannot be opened: {error}", hint=f"is it taken? choose another with {option}")
