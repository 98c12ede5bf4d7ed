"""Trouble of the store never loses data: every client is told to keep it and to come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)

from otel_replay._pb.v1 import replay_pb2
from otel_replay.errors import StoreUnavailable
from otel_replay.model import Signal
from otel_replay.store.sqlite.writer import GroupWriter
from tests.outside.outside import JSON, PROBLEM, PROTOBUF, Outside, refusal, running
from tests.outside.telemetry import log, logs, page, span, traces

UNAVAILABLE = 14
TRACE = "5a" * 16
BODY = traces(span(TRACE, 1)).SerializeToString()
METRIC = Metric(name="requests", gauge=Gauge(data_points=[NumberDataPoint(as_int=1)]))
METRICS = MetricsData(resource_metrics=[ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=[METRIC])])])
BODIES = {
    Signal.TRACES: BODY,
    Signal.LOGS: logs(log("text")).SerializeToString(),
    Signal.METRICS: METRICS.SerializeToString(),
}
TROUBLE: dict[str, Exception] = {
    "locked": StoreUnavailable("the store cannot write: database is locked", hint="nothing was stored"),
    "unforeseen": RuntimeError("the secret inside"),
}

pytestmark = [pytest.mark.feature("X6"), pytest.mark.slow]


@pytest.fixture(params=TROUBLE)
def troubled(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Outside, str]]:
    """A receiver whose store cannot write, and what it may say of that."""
    error = TROUBLE[request.param]

    def fail(_self: Any, _write: Any) -> None:
        raise error

    with running(tmp_path / "replay.db") as outside:
        monkeypatch.setattr("otel_replay.store.sqlite.SqliteStore.commit", fail)
        yield outside, str(error) if request.param == "locked" else "an error inside the receiver; its log says more"


def assert_retryable(call: Callable[[], object], message: str) -> None:
    """UNAVAILABLE with RetryInfo where Go's clients look for it, and where Python's do."""
    code, details, trailers = refusal(call)
    assert (code, details) == (grpc.StatusCode.UNAVAILABLE, message)
    assert RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds == 1
    status, info = Status.FromString(trailers["grpc-status-details-bin"]), RetryInfo()
    assert (status.code, status.message) == (UNAVAILABLE, message)
    assert status.details[0].Unpack(info)
    assert info.retry_delay.seconds == 1


@pytest.mark.parametrize("signal", Signal, ids=lambda signal: signal.name.lower())
def test_grpc_clients_are_told_to_come_back(troubled: tuple[Outside, str], signal: Signal) -> None:
    outside, message = troubled
    assert_retryable(lambda: outside.export(signal, BODIES[signal]), message)


def test_http_clients_are_told_to_come_back(troubled: tuple[Outside, str]) -> None:
    outside, message = troubled
    answer = outside.post("/v1/traces", BODY)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"]) == (503, "1", PROTOBUF)
    status = Status.FromString(answer.content)
    assert (status.code, status.message, len(status.details)) == (UNAVAILABLE, message, 1)

    spans = [{"traceId": TRACE, "spanId": "01" * 8}]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    answer = outside.post("/v1/traces", body, JSON)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"]) == (503, "1", JSON)
    document = answer.json()
    assert (document["code"], document["message"]) == (UNAVAILABLE, message)
    assert document["details"][0]["retryDelay"] == "1s"


def test_recorders_are_told_to_come_back(troubled: tuple[Outside, str]) -> None:
    outside, message = troubled
    events = json.dumps(page()).encode()
    answer = outside.post("/api/v1/sessions/s1/events", events, JSON)
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"]) == (503, "1", PROBLEM)
    assert answer.json()["detail"] == message
    chunk = replay_pb2.UploadChunkRequest(session_id="s1", events_json=events)
    assert_retryable(lambda: outside.replay_service.UploadChunk(chunk), message)
    assert_retryable(lambda: outside.replay_service.UploadChunks(iter([chunk])), message)


def test_what_was_refused_is_taken_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The group's transaction itself fails, once, inside SQLite's own thread."""
    working = GroupWriter._transaction
    failures = iter([OSError(28, "No space left on device")])

    def failing(self: GroupWriter, work: Any, *, durable: bool) -> Any:
        for error in failures if durable else ():
            raise error
        return working(self, work, durable=durable)

    with running(tmp_path / "replay.db") as outside:
        monkeypatch.setattr(GroupWriter, "_transaction", failing)
        refused = outside.post("/v1/traces", BODY)
        assert refused.status_code == 503
        assert "No space left on device" in Status.FromString(refused.content).message
        assert outside.get(f"/api/v1/traces/{TRACE}").status_code == 404
        assert outside.post("/v1/traces", BODY).status_code == 200
        assert outside.get(f"/api/v1/traces/{TRACE}", accept=PROTOBUF).content == BODY


def test_trouble_while_reading_is_retryable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise RuntimeError("the secret inside")

    with running(tmp_path / "replay.db") as outside:
        monkeypatch.setattr("otel_replay.store.sqlite.SqliteReader.spans_of_trace", fail)
        answer = outside.get(f"/api/v1/traces/{TRACE}/timeline")
        assert (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"]) == (
            503,
            "1",
            PROBLEM,
        )
        assert "secret" not in answer.text
        request = replay_pb2.GetTimelineRequest(trace_id=TRACE)
        assert_retryable(
            lambda: outside.replay_service.GetTimeline(request), "an error inside the receiver; its log says more"
        )


def test_a_store_that_is_shutting_down(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as outside:
        store: Any = outside.server.replay._reader
        store._writer.close()
        assert_retryable(lambda: outside.export(Signal.TRACES, BODY), "the store is shutting down")
        assert outside.post("/v1/traces", BODY).status_code == 503
