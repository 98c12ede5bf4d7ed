"""OTLP over HTTP: what browsers are told, what is answered where nothing is served, and senders that stand still."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
from google.rpc.code_pb2 import UNIMPLEMENTED
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_replay.model import Signal
from otel_replay.receiver import connections
from otel_replay.receiver.handler import MESSAGE_BYTES
from otel_replay.store.sqlite import SqliteStore
from tests.conformance import raw
from tests.outside.outside import JSON, PROBLEM, PROTOBUF, Outside, eventually, running
from tests.outside.telemetry import span, span_id, traces

pytestmark = pytest.mark.feature("X6")

PAGE = "http://localhost:3000"
BODY = traces(span("d0" * 16, 1)).SerializeToString()
CHUNK_PATH = "/api/v1/sessions/s1/events"


# Browsers


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/traces/", CHUNK_PATH])
@pytest.mark.parametrize("header", ["content-type", "authorization", "x-api-key", "content-encoding", "traceparent"])
def test_preflight_allows_the_headers_that_exporters_set(receiver: Outside, path: str, header: str) -> None:
    asked = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": header}
    answer = receiver.http.options(receiver.url + path, headers=asked, timeout=20)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    assert header in answer.headers["access-control-allow-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_preflight_of_a_page_that_may_not_send(receiver: Outside) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = receiver.http.options(receiver.url + "/v1/traces", headers=asked, timeout=20)
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [(PROTOBUF, BODY, 200), (PROTOBUF, b"\xff", 400), ("text/html", b"", 415), (PROTOBUF, bytes(20_001), 413)],
)
def test_cors_headers_stand_on_errors_too(tmp_path: Path, kind: str, body: bytes, status: int) -> None:
    with running(tmp_path / "replay.db", max_body_bytes=20_000) as outside:
        answer = outside.post("/v1/traces", body, kind, origin=PAGE)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)


def test_a_page_may_read_when_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unforeseen")

    with running(tmp_path / "replay.db") as outside:
        monkeypatch.setattr(SqliteStore, "commit", fail)
        answer = outside.post("/v1/traces", BODY, origin=PAGE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


def test_beacons_send_json_as_text(receiver: Outside) -> None:
    trace_id = "d1" * 16
    spans = [{"traceId": trace_id, "spanId": span_id(1), "name": "left the page"}]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    answer = receiver.post("/v1/traces", body, "text/plain;charset=UTF-8", origin=PAGE)
    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, JSON, {})
    assert receiver.get(f"/api/v1/traces/{trace_id}").status_code == 200


# What is not served


@pytest.mark.parametrize(
    ("path", "status"), [("/v1development/profiles", 404), ("/v1/profiles", 404), ("/v1/nothing", 404)]
)
@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
def test_profiles_and_unknown_signals_are_not_found(receiver: Outside, path: str, status: int, kind: str) -> None:
    answer = receiver.post(path, b"", kind)
    assert (answer.status_code, answer.headers["content-type"]) == (status, kind)
    told = answer.json()["code"] if kind == JSON else Status.FromString(answer.content).code
    assert told == UNIMPLEMENTED


def test_other_routes_answer_with_problems(receiver: Outside) -> None:
    answer = receiver.get("/api/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


def test_nothing_is_redirected(receiver: Outside) -> None:
    """Exporters take a redirect for success, or follow it without their data."""
    for path in ("/v1/traces/", "/v1/traces//", "//v1/traces"):
        answer = receiver.http.post(
            receiver.url + path, BODY, headers={"content-type": PROTOBUF}, timeout=20, allow_redirects=False
        )
        assert answer.status_code == (200 if path == "/v1/traces/" else 404)


# Answers are limited, whatever is wrong


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
def test_an_answer_stays_small_however_much_is_rejected(receiver: Outside, kind: str) -> None:
    """The count is of all, words and what is kept aside of some."""
    bad = 20_000
    if kind == JSON:
        spans = [{"traceId": "x", "spanId": "y"}] * bad + [{"traceId": "d2" * 16, "spanId": span_id(1)}]
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    else:
        body = traces(*[span("", 1)] * bad, span("d3" * 16, 1)).SerializeToString()
    answer = receiver.post("/v1/traces", body, kind)
    if kind == JSON:
        told = answer.json()["partialSuccess"]
        rejected, message = int(told["rejectedSpans"]), told["errorMessage"]
    else:
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        rejected, message = partial.rejected_spans, partial.error_message
    assert (answer.status_code, rejected, len(message)) == (200, bad, MESSAGE_BYTES)
    assert receiver.get(f"/api/v1/traces/{('d2' if kind == JSON else 'd3') * 16}").status_code == 200


# Senders and readers that stand still


HEAD = f"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PROTOBUF}\r\n"
BEGINNINGS = {
    "nothing": "",
    "half a head": HEAD,
    "no body": f"{HEAD}content-length: 100\r\n\r\n",
    "half a body": f"{HEAD}content-length: 100\r\n\r\nhalf",
    "half a chunked body": f"{HEAD}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_request_that_does_not_become_whole_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beginning: str
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 1.0)
    with running(tmp_path / "replay.db") as outside, raw.connected(outside.url) as connection:
        started = time.monotonic()
        connection.sendall(BEGINNINGS[beginning].encode())
        assert raw.read_to_end(connection) == b""
        assert time.monotonic() - started < 10
        assert eventually(lambda: outside.server._in_flight.requests, lambda count: count == 0) == 0
        assert outside.post("/v1/traces", BODY).status_code == 200


@pytest.mark.slow
def test_dribbling_does_not_buy_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow-loris: a byte now and then, of the second request of a connection, of head and of body."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 1.0)
    with running(tmp_path / "replay.db") as outside:
        for beginning in (HEAD, f"{HEAD}content-length: 1000000\r\n\r\n"):
            with raw.connected(outside.url) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
                assert b'"ok"' in raw.read_until(connection, b"}")
                connection.sendall(beginning.encode())
                assert _dribbled(connection) < 10


def _dribbled(connection: socket.socket) -> float:
    """How long the other side takes a byte now and then."""
    started = time.monotonic()
    try:
        while time.monotonic() - started < 15:
            connection.sendall(b"x")
            time.sleep(0.05)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return time.monotonic() - started


@pytest.mark.slow
def test_an_answer_that_nobody_reads_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 1.0)
    with running(tmp_path / "replay.db") as outside:
        large = [{"type": 5, "timestamp": 1, "data": {"tag": "t", "payload": "x" * 15_000_000}}]
        outside.upload("s1", large)
        with raw.connected(outside.url) as connection:
            connection.sendall(b"GET /api/v1/sessions/s1/recording HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
            time.sleep(4)
            assert len(raw.read_to_end(connection)) < 15_000_000


@pytest.mark.slow
def test_a_connection_that_only_pauses_between_requests_stays(receiver: Outside) -> None:
    """Exporters send every 5 s, which is when uvicorn would close the connection."""
    with raw.connected(receiver.url) as connection:
        for pause in (5.5, 0.0):
            connection.sendall(f"{HEAD}content-length: {len(BODY)}\r\n\r\n".encode() + BODY)
            assert raw.read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
            time.sleep(pause)


@pytest.mark.parametrize("beginning", [b"GET /", HEAD.encode() + b"x: "], ids=["address", "header"])
def test_a_head_that_does_not_end_is_cut_off(receiver: Outside, beginning: bytes) -> None:
    with raw.connected(receiver.url) as connection:
        connection.sendall(beginning)
        sent = 0
        try:
            while sent < 100 * connections.MAX_HEAD_BYTES:
                connection.sendall(b"a" * 16_384)
                sent += 16_384
        except (BrokenPipeError, ConnectionResetError):
            pass
    # What the kernel took for both sides comes on top.
    assert sent < 100 * connections.MAX_HEAD_BYTES
    assert receiver.export(Signal.TRACES, b"") == b""
