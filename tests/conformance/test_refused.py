"""70 % of the answers, at random, are UNAVAILABLE: the official exporters end with every item stored once."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
SECONDS = 60 if hypothesis_settings().max_examples > 1_000 else 4
SHARE = 0.7
LANES = 8
"""Of each exporter: so many batches are on their way at once."""

SPANS = (60, 3)
"""Of batches in turn: one too large to be taken together with other requests, one that is."""


class Refusing:
    """In front of the store's commit: for so long refuses most writes, half of them after they are on disk."""

    def __init__(self) -> None:
        self.seed = random.randrange(2**32)
        self.until = time.monotonic() + SECONDS
        self.answers: Counter[str] = Counter()
        self._random = random.Random(self.seed)
        self._working = SqliteStore.commit
        self._lock = threading.Lock()

    def commit(self, store: SqliteStore, write: Write) -> Receipt:
        answer = self._draw()
        if answer == "refused":
            raise StoreUnavailable("refused by the test")
        receipt = self._working(store, write)
        if answer == "lost":  # the answer, not the data: it comes a second time
            raise StoreUnavailable("refused by the test")
        return receipt

    def _draw(self) -> str:
        with self._lock:
            if time.monotonic() > self.until:
                return "taken"
            is_refused, is_lost = self._random.random() < SHARE, self._random.random() < 0.5
            answer = "taken" if not is_refused else "lost" if is_lost else "refused"
            self.answers[answer] += 1
            return answer


@dataclass
class Delivered:
    """What an exporter says that it has delivered: spans by trace; and how often it gave up on a batch before."""

    spans: dict[str, int] = field(default_factory=dict)
    given_up: int = 0


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Refusing:
    refusing = Refusing()
    monkeypatch.setattr(SqliteStore, "commit", lambda store, write: refusing.commit(store, write))
    return refusing


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    with running(tmp_path / "replay.db") as found:
        yield found


@pytest.mark.timeout(300)
def test_exporters_deliver_everything_once(
    outside: Outside, refusing: Refusing, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = javascript()
    refusing.until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(2 * LANES + 1) as pool:
        lanes = {
            way: [pool.submit(export, outside, way, f"{kind}{lane:x}", refusing.until) for lane in range(LANES)]
            for way, kind in (("grpc", "a"), ("http", "b"))
        }
        lanes["javascript"] = [pool.submit(export_from_javascript, folder, outside, "c")]
        delivered = {way: [lane.result() for lane in found] for way, found in lanes.items()}
    told = [told_of(way, found) for way, found in delivered.items()]
    with capsys.disabled():
        sys.stdout.write(f"{SECONDS} s, seed {refusing.seed}, {dict(refusing.answers)}; {'; '.join(told)}\n")
    for one in (one for found in delivered.values() for one in found):
        assert one.spans
        for trace_id, spans in one.spans.items():
            assert_stored_once(outside, trace_id, spans)
    assert 0.5 < 1 - refusing.answers["taken"] / refusing.answers.total() < 0.9
    assert min(refusing.answers["refused"], refusing.answers["lost"]) > 10


def told_of(way: str, found: list[Delivered]) -> str:
    batches, spans = sum(len(one.spans) for one in found), sum(sum(one.spans.values()) for one in found)
    return f"{way}: {batches} batches, {spans} spans, given up {sum(one.given_up for one in found)} times"


def export(outside: Outside, way: str, lane: str, until: float) -> Delivered:
    """Batch after batch, each a trace. One that the exporter gives up on, after six tries, it is given again."""
    exporter: Any = (
        GrpcSpanExporter(endpoint=outside.server.grpc_address, insecure=True, timeout=20)
        if way == "grpc"
        else HttpSpanExporter(endpoint=f"{outside.url}/v1/traces", timeout=20)
    )
    delivered = Delivered()
    number = 0
    while time.monotonic() < until:
        number += 1
        trace_id, spans = f"{lane}{number:030x}", SPANS[number % 2]
        batch = [readable(trace_id, span + 1) for span in range(spans)]
        while exporter.export(batch) is not SpanExportResult.SUCCESS:
            delivered.given_up += 1
        delivered.spans[trace_id] = spans
    exporter.shutdown()
    return delivered


def readable(trace_id: str, number: int) -> ReadableSpan:
    context = SpanContext(int(trace_id, 16), number, is_remote=False, trace_flags=TraceFlags(1))
    resource = Resource({"service.name": "python"})
    return ReadableSpan("n" * 400, context, resource=resource, start_time=10**18 + number, end_time=2 * 10**18)


def export_from_javascript(folder: Path, outside: Outside, kind: str) -> Delivered:
    arguments = ["--", f"{outside.url}/v1/traces", kind, str(LANES), str(SECONDS), *map(str, SPANS)]
    done = npm(folder, "run", "--silent", "send", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return Delivered(**json.loads(done.stdout))


def assert_stored_once(outside: Outside, trace_id: str, spans: int) -> None:
    groups = outside.document(f"/api/v1/traces/{trace_id}")["resourceSpans"]
    ids = [int(one["spanId"], 16) for group in groups for scope in group["scopeSpans"] for one in scope["spans"]]
    assert sorted(ids) == list(range(1, spans + 1)), trace_id


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
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS + 110, check=False)
