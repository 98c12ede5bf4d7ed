"""The composition root: one store, one handler, two transports; started in order, stopped in reverse."""

from __future__ import annotations

import ctypes
import gc
import logging
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from otel_replay._pb.v1 import replay_pb2, replay_pb2_grpc
from otel_replay.access.guard import Guard, Listener
from otel_replay.access.registry import Registry
from otel_replay.background import Worker
from otel_replay.config import Settings, read_config
from otel_replay.errors import ReplayError
from otel_replay.genai.prices import Prices
from otel_replay.listening import STOP_SECONDS, ByPort, bind, in_address, open_grpc_port, serve_http
from otel_replay.model import DEFAULT_PROJECT
from otel_replay.privacy.redaction import ProjectRedaction
from otel_replay.query import LocalReplay
from otel_replay.query.erasing import Erasing, ErasingEverywhere
from otel_replay.query.facts import Facts
from otel_replay.query.parts import LocalPart, remote_parts
from otel_replay.query.privacy import PrivacyDesk
from otel_replay.query.several import SeveralReplay
from otel_replay.query.worker import ReaderProcess, with_reader_process
from otel_replay.receiver import calls
from otel_replay.receiver.answers import PATHS, is_otlp, refused
from otel_replay.receiver.batching import BatchingHandler
from otel_replay.receiver.complaints import Complaints
from otel_replay.receiver.grpc import SERVICES, GrpcReceiver
from otel_replay.receiver.http import HttpReceiver, Shortcut
from otel_replay.receiver.in_flight import InFlight
from otel_replay.receiver.measures import CountingCommits, Measures
from otel_replay.receiver.recordings import UploadRpcs
from otel_replay.receiver.visit_routes import VisitRoutes
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.shared_rows import SharedRows
from otel_replay.tls import uvicorn_options
from otel_replay.web.access import AccessRoutes
from otel_replay.web.answering import QueryThreads
from otel_replay.web.api import Api
from otel_replay.web.facts import FactsRoutes
from otel_replay.web.guarding import GuardingInterceptor, everywhere, guarded
from otel_replay.web.openapi import openapi_route
from otel_replay.web.operations import Operations, StateOfServer
from otel_replay.web.page import page_routes
from otel_replay.web.privacy import PrivacyRoutes
from otel_replay.web.rpc import ReplayService
from otel_replay.web.session_replay import SessionReplayRoutes

logger = logging.getLogger(__name__)

INGEST_THREADS = 32
"""For each transport; while they wait for a group commit they cost nothing."""

QUERY_THREADS = 8
"""Of gRPC, apart from ingest's; HTTP's queries have a pool of that size, too."""

STREAM_THREADS = 8
"""Of gRPC's streams: whoever stalls in one can stop neither ingest nor queries."""

MAINTAIN_SECONDS = 1.0
"""Under load three segments of the index are to be merged a second; looking for cold blocks bounds itself."""

PRUNE_SECONDS, AUDIT_SECONDS = 300.0, 1.0
"""How often it is looked for what is too old, and the audit trail written."""

RETRY_SECONDS = 30.0
"""What failed on a full disk is tried again so often, also when nothing more arrives."""

COLLECT_AFTER = 20_000
"""Objects between two collections of garbage: with Python's 700 they cost 5 % of the time, and what is made for a
request is freed without them."""

HEAPS, _M_ARENA_MAX = 2, -8
"""Of malloc, and what glibc calls that: https://man7.org/linux/man-pages/man3/mallopt.3.html"""

DRAIN_SECONDS = 4.0
"""How long requests in flight may take when stopping, before the transports close: together well below the 10 s after
which machines kill what they stop."""


def keep_memory_together() -> None:
    """For a process that does nothing but serve, before it has threads: few places in which they leave gaps.

    glibc gives every thread a heap of its own, 16 of them on two cores, and none gives back what lies below something
    that is used. Under ten times the load it can bear a server grew to 370 MiB so, and with two heaps to 250.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS)
    except (AttributeError, OSError, TypeError):  # of another C library
        return


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
        """The address of telemetry; of page and API, too, unless they have a port of their own."""
        self.ui_url = ""
        self.routes: list[BaseRoute] = []
        self.registry: Registry
        self.handler: BatchingHandler
        self.replay: LocalReplay

    def start(self) -> None:
        """Opens the store, then the ports. Raises :class:`ReplayError` with the way out, holding on to nothing."""
        if not self._settings.database.exists():
            self._check_exposure(has_keys=False)  # before there is a file
        with ExitStack() as starting:
            self._start_parts(starting)
            self._running = starting.pop_all()
        self._ready = True

    def stop(self) -> None:
        """Readiness off, new requests refused, those in flight committed, ports and store closed."""
        self._ready = False
        self._running.close()

    def _start_parts(self, parts: ExitStack) -> None:
        rules = read_config(self._settings.config)
        store = SqliteStore(self._settings.database, prices=Prices(rules.prices))
        parts.callback(store.close)
        store.space.hold_ballast()
        self.registry = Registry(store.access, time.time_ns, secrets.token_bytes)
        self._check_exposure(has_keys=self.registry.has_keys)
        self._guard = Guard(self.registry, self._listener())
        distiller = Worker("distilling recordings", store.distill, every_s=RETRY_SECONDS)
        parts.callback(distiller.stop)
        self._desk = PrivacyDesk(store, self.registry, rules.retentions)
        compact = partial(store.compact, forget=self._desk.forget_features)
        compactor = Worker("compaction", compact, every_s=MAINTAIN_SECONDS)
        parts.callback(compactor.stop)
        heavy = ReaderProcess(self._settings.database)
        self._rows = SharedRows(self._settings.database)
        parts.callback(self._rows.close)
        self._measures, self._in_flight = Measures(), InFlight(self._in_flight_bytes())
        self._complaints = Complaints()
        name_of, redacted = self.registry.project_name, self._measures.redacted
        redaction = ProjectRedaction(rules.policies, store.redaction_key, name_of, redacted)
        self._measures.count_late(lambda: store.tombstones.dropped)
        commits = CountingCommits(store, self._measures)
        self.handler = BatchingHandler(commits, time.time_ns, distiller.wake, redaction)
        pruner = Worker("retention", self._desk.forget_old, every_s=PRUNE_SECONDS)
        parts.callback(pruner.stop)
        eraser = Worker("erasing", self._desk.finish_erasing, every_s=RETRY_SECONDS)
        parts.callback(eraser.stop)
        self._note = store.audit.note
        auditor = Worker("audit trail", store.audit.flush, every_s=AUDIT_SECONDS)
        parts.callback(auditor.stop)
        parts.callback(self.handler.stop)
        self._reader = with_reader_process(store, heavy)
        self.replay = LocalReplay(self._reader)
        self._erasing: Erasing = self._desk
        if self._settings.upstreams:
            self._join_upstreams(parts)
        self._start_http(parts, StateOfServer(store, store.space, self._in_flight, self._settings.database))
        self._start_grpc(parts)
        parts.callback(heavy.close)  # a query at work would hold up the transports
        parts.callback(self._drain)
        store.announce(self.ui_url)
        self.handler.start()
        distiller.start()
        compactor.start()
        pruner.start()
        eraser.start()
        auditor.start()

    def _join_upstreams(self, parts: ExitStack) -> None:
        """Answers for them, too, and erases there, too."""
        settings = self._settings
        own = LocalPart("this receiver", Facts(self._reader, self._rows, DEFAULT_PROJECT))
        others = remote_parts(settings.upstreams, settings.upstream_key, settings.upstream_ca)
        self.replay = SeveralReplay([own, *others], self.replay)
        parts.callback(self.replay.close)
        self._erasing = ErasingEverywhere(self._desk, others)

    def _in_flight_bytes(self) -> int:
        """The largest request must fit, packed and unpacked, or it would never be taken."""
        return max(self._settings.max_in_flight_bytes, 2 * self._settings.max_body_bytes)

    def _drain(self) -> None:
        left = self._in_flight.drain(DRAIN_SECONDS)
        if left:
            logger.warning("%d requests were not finished within %g s; their clients send again", left, DRAIN_SECONDS)

    def _check_exposure(self, *, has_keys: bool) -> None:
        if self._settings.is_loopback or self._settings.allow_unauthenticated or has_keys:
            return
        raise ReplayError(
            f"--host {self._settings.host} would let anyone on the network read every recording: there are no keys yet",
            hint="make one first (otel-replay keys create NAME --scope admin), or pass --allow-unauthenticated",
        )

    def _listener(self) -> Listener:
        settings = self._settings
        return Listener(settings.is_loopback, settings.allow_unauthenticated, re.compile(settings.browser_origins))

    def _start_http(self, parts: ExitStack, state: StateOfServer) -> None:
        settings, tls = self._settings, uvicorn_options(self._settings)
        listeners = [bind(parts, settings.host, "--http-port", settings.http_port)]
        if settings.ui_port is not None:
            listeners.append(bind(parts, settings.host, "--ui-port", settings.ui_port))
        ports = [listener.getsockname()[1] for listener in listeners]
        urls = [f"{'https' if tls else 'http'}://{in_address(settings.host)}:{port}" for port in ports]
        self.http_url, self.ui_url = urls[0], urls[-1]
        app = self._http_app(parts, state, ports[0] if settings.ui_port is not None else None)
        serve_http(parts, app, listeners, tls)

    def _http_app(self, parts: ExitStack, state: StateOfServer, telemetry_port: int | None) -> ASGIApp:
        """All routes; on ``telemetry_port``, where there is one of its own, only those that the table serves there."""
        limit, threads = self._settings.max_body_bytes, _pool(parts, "http", INGEST_THREADS)
        receiver = HttpReceiver(
            self.handler, self._guard, threads, self._in_flight, self._measures, limit, time.time_ns, self._complaints
        )
        queries = QueryThreads()
        visits = VisitRoutes(receiver, self.replay, self.registry, lambda: secrets.token_hex(16))
        ingest = [*receiver.routes(), *visits.routes()]
        routes: list[BaseRoute] = [
            *Operations(lambda: self._ready, self._measures.registry, state).routes(),
            *PrivacyRoutes(self._erasing).routes(),
            *FactsRoutes(self._reader, self._rows).routes(),
            *SessionReplayRoutes(self.replay, time.time_ns, self.registry, queries).routes(),
            *Api(self.replay, time.time_ns, self.registry, queries).routes(),
            *AccessRoutes(self._guard, time.time_ns, self.replay).routes(),
            openapi_route(),
            *page_routes(),
        ]
        routes = guarded(routes, self._guard, self._note, self._measures.refused)
        self.routes = [*ingest, *routes]
        app: ASGIApp = _application(self.routes, self._complaints)
        if telemetry_port is not None:
            ingesting = _application([*ingest, *everywhere(routes)], self._complaints)
            app = ByPort(telemetry_port, ingesting, app)
        return Shortcut(app, receiver)

    def _start_grpc(self, parts: ExitStack) -> None:
        threads = _pool(parts, "grpc", INGEST_THREADS)
        queries = _pool(parts, "grpc-query", QUERY_THREADS)
        patience = calls.CallPatience(_pool(parts, "grpc-stream", STREAM_THREADS))
        watching = Worker("calls", patience.look, every_s=1)
        parts.callback(watching.stop)
        size = ("grpc.max_receive_message_length", self._settings.max_body_bytes)
        server = grpc.server(
            threads,
            interceptors=[
                GuardingInterceptor(self._guard, self._note, self._measures.refused, self._complaints),
                patience,
            ],
            options=[size, ("grpc.so_reuseport", 0), *calls.OPTIONS],
        )
        receiver = GrpcReceiver(self.handler, self._in_flight, self._measures, self._complaints)
        server.add_generic_rpc_handlers(receiver.otlp_handlers())
        service = ReplayService(UploadRpcs(receiver), self.replay, queries)
        replay_pb2_grpc.add_ReplayServiceServicer_to_server(service, server)
        names = (*SERVICES, replay_pb2.DESCRIPTOR.services_by_name["ReplayService"].full_name)
        health_service = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
        reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        self.grpc_address = open_grpc_port(server, self._settings)
        server.start()
        watching.start()
        parts.callback(lambda: server.stop(STOP_SECONDS).wait())
        parts.callback(health_service.enter_graceful_shutdown)
        for name in names:
            health_service.set(name, health_pb2.HealthCheckResponse.SERVING)


def _application(routes: list[BaseRoute], complaints: Complaints) -> Starlette:
    async def nowhere(request: Request, error: Exception) -> Response:
        if is_otlp(request):
            words = f"{request.method} {request.url.path[:200]}: OTLP is taken by POST at {', '.join(PATHS)}"
            complaints.tell("http address", words)
        return await refused(request, error)

    app = Starlette(routes=routes, exception_handlers={HTTPException: nowhere})
    app.router.redirect_slashes = False  # OTLP clients do not follow redirects with their data
    return app


def _pool(parts: ExitStack, name: str, threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(threads, thread_name_prefix=f"otel-replay-{name}")
    parts.callback(pool.shutdown)  # a cancelled call may still be at work: the store must not close under it
    return pool
