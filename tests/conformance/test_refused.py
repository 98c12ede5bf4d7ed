"""70 % of the answers are UNAVAILABLE: the official exporters end with every item stored once."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

from otel_replay.errors import StoreUnavailable
from otel_replay.store.base import Receipt, Write
from otel_replay.store.sqlite import SqliteStore
from tests.outside.outside import Outside, running

pytestmark = [pytest.mark.slow, pytest.mark.feature("X6")]

ROOT = Path(__file__).resolve().parents[2]
SOAK_SECONDS = 60
REFUSALS = (1, 2, 4)
"""How often a request is refused before it is taken, in turn: 7 of 10 answers, and never more than exporters stand."""

BATCHES, SPANS = 12, 60
"""Sent at once; so many spans are too many to be taken together with other requests."""


class Refusing:
    """In front of the store's commit: refuses each write so often, half of them after they are on disk."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self._left: dict[bytes, int] = {}
        self._turns = itertools.cycle(REFUSALS)
        self._working = SqliteStore.commit
        self._lock = threading.Lock()

    def commit(self, store: SqliteStore, write: Write) -> Receipt:
        with self._lock:
            left = self._left.setdefault(write.digest, next(self._turns) if write.digest not in self._left else 0)
            self._left[write.digest] = left - 1
            self.answers["refused" if left > 0 else "taken"] += 1
        if left <= 0:
            return self._working(store, write)
        if left % 2:  # the answer is lost, not the data: it comes a second time
            self._working(store, write)
        raise StoreUnavailable("refused by the test")


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Refusing:
    refusing = Refusing()
    monkeypatch.setattr(SqliteStore, "commit", lambda store, write: refusing.commit(store, write))
    return refusing


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    with running(tmp_path / "replay.db") as found:
        yield found


def rounds() -> Iterator[str]:
    """A trace id for each round: one, or as many as begin within a minute."""
    soak = hypothesis_settings().max_examples > 1_000
    started = time.monotonic()
    for number in itertools.count(1):
        yield f"{number:032x}"
        if not soak or time.monotonic() - started > SOAK_SECONDS:
            return


def readable(trace_id: str, number: int) -> ReadableSpan:
    context = SpanContext(int(trace_id, 16), number, is_remote=False, trace_flags=TraceFlags(1))
    resource = Resource({"service.name": "python"})
    return ReadableSpan("n" * 400, context, resource=resource, start_time=10**18 + number, end_time=2 * 10**18)


@pytest.mark.parametrize("way", ["grpc", "http"])
def test_python_exporters_deliver_everything_once(outside: Outside, refusing: Refusing, way: str) -> None:
    def send(trace_id: str, batch: int) -> SpanExportResult:
        exporter: Any = (
            GrpcSpanExporter(endpoint=outside.server.grpc_address, insecure=True, timeout=20)
            if way == "grpc"
            else HttpSpanExporter(endpoint=f"{outside.url}/v1/traces", timeout=20)
        )
        result = exporter.export([readable(trace_id, batch * SPANS + number + 1) for number in range(SPANS)])
        exporter.shutdown()
        return result  # type: ignore[no-any-return]

    for trace_id in rounds():
        with ThreadPoolExecutor(BATCHES) as pool:
            results = list(pool.map(send, [trace_id] * BATCHES, range(BATCHES)))
        assert results == [SpanExportResult.SUCCESS] * BATCHES
        assert_stored_once(outside, trace_id)
    assert_refused(refusing)


def test_the_javascript_exporter_delivers_everything_once(outside: Outside, refusing: Refusing) -> None:
    folder = javascript()
    for trace_id in rounds():
        arguments = ["--", f"{outside.url}/v1/traces", trace_id, str(BATCHES), str(SPANS)]
        done = npm(folder, "run", "--silent", "send", *arguments)
        assert (done.returncode, done.stdout.strip()) == (0, str(BATCHES)), done.stdout + done.stderr
        assert_stored_once(outside, trace_id)
    assert_refused(refusing)


def assert_stored_once(outside: Outside, trace_id: str) -> None:
    groups = outside.document(f"/api/v1/traces/{trace_id}")["resourceSpans"]
    ids = [int(one["spanId"], 16) for group in groups for scope in group["scopeSpans"] for one in scope["spans"]]
    assert sorted(ids) == list(range(1, BATCHES * SPANS + 1))
    [summary] = outside.document("/api/v1/traces", limit=1)["traces"]
    assert (summary["trace_id"], summary["spans"]) == (trace_id, BATCHES * SPANS)


def assert_refused(refusing: Refusing) -> None:
    share = refusing.answers["refused"] / refusing.answers.total()
    assert 0.65 < share < 0.75, refusing.answers


def javascript() -> Path:
    """Where the exporter is installed, once for all runs."""
    source, folder = Path(__file__).parent / "js", ROOT / ".build" / "conformance-js"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "exporter.mjs"):
        shutil.copy(source / name, folder / name)
    if not (folder / "node_modules" / ".package-lock.json").exists():
        done = npm(folder, "ci")
        if done.returncode and not os.environ.get("CI"):
            pytest.skip("npm cannot install OpenTelemetry's JavaScript exporter here")
        assert done.returncode == 0, done.stderr
    return folder


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / ".ci" / "npm"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
