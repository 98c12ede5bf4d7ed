"""The receiver stops under load and starts again: every span arrives, once, and nobody had to wait for it."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_replay.model import Signal
from otel_replay.sdk import OTelReplaySpanExporter, SessionSpanProcessor, session
from tests.bench.sdk import REQUESTS, latencies
from tests.outside.outside import Outside, running
from tests.sdk.test_delivery import free_port

IS_SOAK = hypothesis_settings().max_examples > 1_000
SECONDS = 60 if IS_SOAK else 2
PAIRS = 20 if IS_SOAK else 1
RATIO = 1.05
"""Of the latencies of an application's answers, with ``instrument()`` and without, at most."""

BEFORE_S = AFTER_S = 1.0
SPANS_A_SECOND = 400
SPANS_A_TRACE = 20

pytestmark = [pytest.mark.slow, pytest.mark.feature("C6")]


class Load:
    """Traces of spans at a steady rate, until it is stopped."""

    def __init__(self, provider: TracerProvider) -> None:
        self.traces: list[str] = []
        """Of each its spans have ended."""
        self._tracer = provider.get_tracer("load")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        with session("load"):
            while not self._is_over.wait(SPANS_A_TRACE / SPANS_A_SECOND):
                with self._tracer.start_as_current_span("root") as root:
                    for number in range(SPANS_A_TRACE - 1):
                        self._tracer.start_span(f"span {number}").end()
                self.traces.append(format(root.get_span_context().trace_id, "032x"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["http", "grpc"])
def test_every_span_arrives_once(tmp_path: Path, way: str) -> None:
    ports = {"http_port": free_port(), "grpc_port": free_port()}
    protocol = "grpc" if way == "grpc" else "http/protobuf"
    exporter = OTelReplaySpanExporter(f"http://127.0.0.1:{ports[f'{way}_port']}", protocol)
    provider = TracerProvider()
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
    with running(tmp_path / "replay.db", **ports):
        load = Load(provider)
        time.sleep(BEFORE_S)
    time.sleep(SECONDS)
    assert exporter.spooled > SECONDS * SPANS_A_SECOND / 4
    with running(tmp_path / "replay.db", **ports) as outside:
        time.sleep(AFTER_S)
        load.stop()
        assert provider.force_flush()
        assert exporter.force_flush(60_000)
        assert (exporter.spooled, exporter.lost) == (0, 0)
        assert len(load.traces) > SECONDS * SPANS_A_SECOND / SPANS_A_TRACE / 2
        wrong = {trace_id: found for trace_id in load.traces if (found := spans_of(outside, trace_id)) != EXPECTED}
        assert wrong == {}
        counted = outside.document("/api/v1/sessions", limit=10)["sessions"]
        assert [row["session_id"] for row in counted] == ["load"]
    provider.shutdown()
    assert stored_spans(tmp_path / "replay.db") == len(load.traces) * SPANS_A_TRACE


@pytest.mark.timeout(1800)
def test_an_application_is_not_slower_meanwhile(
    tmp_path: Path, spool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Processes that ask a model, one after the other, half of them recorded; each ends before the receiver is back."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    found = latencies(PAIRS, str(spool), endpoint)
    with running(tmp_path / "replay.db", http_port=port) as outside:
        exporter = OTelReplaySpanExporter(endpoint)
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(exporter))
        provider.get_tracer("next").start_span("the next process").end()
        assert provider.force_flush()
        assert exporter.force_flush(60_000)
        provider.shutdown()
        traces = outside.document("/api/v1/traces", limit=1_000)["traces"]
    calls = [trace for trace in traces if trace["root_name"] != "the next process"]
    assert len(calls) == PAIRS * (REQUESTS + 1)  # and the one that found the application up
    assert stored_spans(tmp_path / "replay.db") == sum(trace["spans"] for trace in traces)
    with capsys.disabled():
        sys.stdout.write(f"{found}\n")
    assert found.ratio <= RATIO or not IS_SOAK


def stored_spans(database: Path) -> int:
    """Every one that was stored: a trace that is read shows one of those that are equal."""
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT sum(items) FROM blocks WHERE signal = ?", [Signal.TRACES]).fetchone()
    return int(count)


EXPECTED = Counter(["root", *(f"span {number}" for number in range(SPANS_A_TRACE - 1))])


def spans_of(outside: Outside, trace_id: str) -> Counter[str]:
    answer = outside.get(f"/api/v1/traces/{trace_id}")
    groups = answer.json()["resourceSpans"] if answer.status_code == 200 else []
    return Counter(one["name"] for group in groups for scope in group["scopeSpans"] for one in scope["spans"])
