"""What operators and their machines ask: alive, ready, and how much of what."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio.to_thread
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from otel_replay.receiver.in_flight import InFlight
from otel_replay.store.base import Reader
from otel_replay.store.sqlite.space import FreeSpace


class StateOfServer(Collector):
    """Gauges that are looked up when somebody asks; no question counts whole tables."""

    def __init__(self, reader: Reader, space: FreeSpace, in_flight: InFlight, database: Path) -> None:
        self._reader = reader
        self.space = space
        self._in_flight = in_flight
        self._database = database

    def collect(self) -> Iterable[Metric]:
        lag = GaugeMetricFamily("otel_replay_lag", "Stored, acknowledged, and not worked off yet.", labels=["kind"])
        for kind, waiting in self._reader.lag()._asdict().items():
            lag.add_metric([kind], waiting)
        size = GaugeMetricFamily("otel_replay_file_bytes", "Sizes of the database's files.", labels=["file"])
        for kind, suffix in (("database", ""), ("wal", "-wal")):
            size.add_metric([kind], _size(f"{self._database}{suffix}"))
        disk = GaugeMetricFamily("otel_replay_disk_bytes", "Of the disk of the database.", labels=["kind"])
        self.space.look()
        for kind in ("free", "watermark", "held"):
            disk.add_metric([kind], getattr(self.space, f"{kind}_bytes"))
        requests, held = self._in_flight.requests, self._in_flight.bytes
        yield lag
        yield size
        yield disk
        yield GaugeMetricFamily("otel_replay_intake_stopped", "1 while the disk is too full.", int(self.space.is_low))
        yield GaugeMetricFamily("otel_replay_in_flight_requests", "Ingest requests not answered yet.", requests)
        yield GaugeMetricFamily("otel_replay_in_flight_bytes", "Bytes that these hold.", held)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


class Operations:
    """``/healthz``, ``/readyz`` and ``/metrics``. The registry also gets the process's own CPU, memory and start."""

    def __init__(self, ready: Callable[[], bool], registry: CollectorRegistry, state: StateOfServer) -> None:
        self._ready = ready
        self._space = state.space
        self._registry = registry
        registry.register(state)
        ProcessCollector(registry=registry)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]

    async def _healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        if not self._ready():
            return JSONResponse({"status": "not ready"}, 503)
        if self._space.is_low:
            return JSONResponse({"status": "not ready", "reason": "the disk of the database is full"}, 503)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, request: Request) -> Response:
        """The text format of Prometheus, or OpenMetrics for who accepts that."""
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(await anyio.to_thread.run_sync(encode, self._registry), headers={"content-type": kind})
