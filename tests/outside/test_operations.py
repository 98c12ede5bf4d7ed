"""What a server tells machines of itself, and what it does when too much is in flight."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from otel_replay._pb.v1.replay_pb2 import ListSessionsRequest, UploadChunkRequest
from otel_replay.model import Signal
from tests.outside.access import ask, bearer, make_key
from tests.outside.outside import JSON, METHODS, PROBLEM, Outside, eventually, refusal, running
from tests.outside.telemetry import page, span, traces

PROTOBUF = "application/x-protobuf"


def measured(receiver: Outside) -> dict[tuple[str, ...], float]:
    """Values by name and label values, of ``/metrics``."""
    answer = receiver.http.get(receiver.url + "/metrics", timeout=20)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    samples = [one for family in families for one in family.samples]
    # Versions of the parser differ in the order of labels.
    return {(one.name, *sorted(one.labels.values(), key=_place)): one.value for one in samples}


def _place(label: str) -> int:
    order = ("grpc", "http"), ("traces", "logs", "metrics", "chunks")
    return next((place for place, labels in enumerate(order) if label in labels), len(order))


def test_metrics_count_requests_and_what_they_stored(tmp_path: Path) -> None:
    body = traces(span("ab" * 16, 1), span("ab" * 16, 2)).SerializeToString()
    with running(tmp_path / "replay.db") as outside:
        outside.export(Signal.TRACES, body)
        assert outside.post("/v1/traces", body).status_code == 200  # the same request: not stored again
        assert outside.post("/v1/traces", b"\xff", origin="http://localhost").status_code == 400
        outside.upload("s1", page())
        found = measured(outside)
    assert found["otel_replay_requests_total", "grpc", "traces", "OK"] == 1
    assert found["otel_replay_requests_total", "http", "traces", "200"] == 1
    assert found["otel_replay_requests_total", "http", "traces", "400"] == 1
    assert found["otel_replay_requests_total", "http", "chunks", "200"] == 1
    assert found["otel_replay_received_bytes_total", "grpc"] == len(body)
    assert found["otel_replay_stored_records_total", "spans"] == 2
    assert found["otel_replay_stored_records_total", "chunks"] == 1
    assert found["otel_replay_in_flight_requests",] == found["otel_replay_in_flight_bytes",] == 0
    assert found["otel_replay_file_bytes", "wal"] > 0
    assert {name[1] for name in found if name[0] == "otel_replay_lag"} == {"texts", "interactions", "chunks"}


def test_metrics_count_what_was_rejected(tmp_path: Path) -> None:
    bad = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "nonsense"}]}]}]}
    with running(tmp_path / "replay.db") as outside:
        assert outside.http.post(outside.url + "/v1/traces", json=bad, timeout=20).status_code == 200
        found = measured(outside)
    assert found["otel_replay_rejected_records_total", "spans"] == 1
    assert found["otel_replay_stored_records_total", "spans"] == 0


# Too much in flight


def retry_after(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers["retry-after"]


def test_beyond_the_bytes_in_flight_senders_are_asked_to_come_again(tmp_path: Path) -> None:
    body = traces(span("ab" * 16, 1)).SerializeToString()
    with running(tmp_path / "replay.db") as outside:
        outside.server._in_flight.limit = len(body) - 1
        assert retry_after(outside.post("/v1/traces", body)) == (503, "1")
        upload = outside.post("/api/v1/sessions/s1/events", b"[" + bytes(1_000), JSON)
        assert (retry_after(upload), upload.headers["content-type"]) == ((503, "1"), PROBLEM)
        refused = refusal(lambda: outside.export(Signal.TRACES, body))
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert "google.rpc.retryinfo-bin" in refused.trailers
        outside.server._in_flight.limit = len(body)
        assert outside.post("/v1/traces", body).status_code == 200
        outside.export(Signal.TRACES, body)


def test_what_a_compressed_body_becomes_counts_too(tmp_path: Path) -> None:
    body = gzip.compress(bytes(100_000))
    with running(tmp_path / "replay.db") as outside:
        outside.server._in_flight.limit = 50_000
        assert retry_after(outside.post("/v1/traces", body, content_encoding="gzip")) == (503, "1")
        assert measured(outside)["otel_replay_in_flight_bytes",] == 0


def test_a_body_counts_while_it_comes_and_a_sender_that_goes_away_gives_it_back(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as outside:
        in_flight = outside.server._in_flight

        def held() -> tuple[int, int]:
            return in_flight.requests, in_flight.bytes

        port = int(outside.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as half:
            head = f"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PROTOBUF}\r\n"
            half.sendall(f"{head}content-length: 9000\r\n\r\n".encode() + bytes(4_000))
            assert eventually(held, lambda now: now == (1, 4_000)) == (1, 4_000)
        assert eventually(held, lambda now: now == (0, 0)) == (0, 0)


# The shortcut past router and layers changes nothing that a sender can see


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "127.0.0.1:1"}, 200),
        ({"host": "evil.example"}, 401),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://evil.example"}, 403),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/traces/", "/api/v1/sessions/a/b/events"])
def test_who_may_send(receiver: Outside, headers: dict[str, str], status: int, path: str) -> None:
    chunk = path.startswith("/api")
    body, kind = (b'[{"type": 4, "timestamp": 1, "data": {}}]', JSON) if chunk else (b"", PROTOBUF)
    answer = receiver.http.post(receiver.url + path, body, headers={"content-type": kind, **headers}, timeout=20)
    assert answer.status_code == status
    assert answer.headers.get("access-control-allow-origin") == (headers.get("origin") if status == 200 else None)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/sessions/s1/snapshot", 404),
        ("PUT", "/api/v1/sessions/s1/events", 405),
        ("POST", "/api/v1/sessions//events", 405),
        ("POST", "/api/v1/nothing", 404),
        ("POST", "/healthz", 405),
    ],
)
def test_what_is_not_ingest_goes_the_long_way(receiver: Outside, method: str, path: str, status: int) -> None:
    answer: Any = receiver.http.request(method, receiver.url + path, timeout=20)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)


def refusals(receiver: Outside, admin: str) -> dict[tuple[str, str, str], float]:
    """Requests not let in, by transport, scope and reason."""
    text = ask(receiver, "GET", "/metrics", admin).text
    samples = (one for family in text_string_to_metric_families(text) for one in family.samples)
    return {
        (one.labels["transport"], one.labels["scope"], one.labels["reason"]): one.value
        for one in samples
        if one.name == "otel_replay_refused_requests_total"
    }


def test_who_is_not_let_in_is_counted_by_transport_scope_and_reason(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as outside:
        export: Any = outside.channel.unary_unary(METHODS[Signal.TRACES])
        admin, slow = make_key(outside, "admin"), make_key(outside, "ingest", bytes_per_second=1)
        for key in (None, admin, slow, slow):
            ask(outside, "POST", "/v1/traces", key, data=bytes(2), headers={"content-type": PROTOBUF})
            with contextlib.suppress(grpc.RpcError):
                export(b"", metadata=[*bearer(key).items()], timeout=20)
        for key, status in ((None, 401), (admin, 403), ("no key of ours", 401)):
            assert ask(outside, "GET", "/api/v1/sessions", key).status_code == status
        assert ask(outside, "POST", "/api/v1/login", json={"key": "orpl_0_guessed"}).status_code == 401
        refusal(lambda: outside.replay_service.ListSessions(ListSessionsRequest()))
        chunks = [UploadChunkRequest(session_id="s1", events_json=json.dumps(page()).encode())] * 2
        metadata = [*bearer(make_key(outside, "ingest", bytes_per_second=1)).items()]
        refusal(lambda: outside.replay_service.UploadChunks(iter(chunks), metadata=metadata, timeout=20))
        counted = refusals(outside, admin)
    assert counted == {
        ("http", "ingest", "rate_limited"): 1,
        ("grpc", "ingest", "rate_limited"): 3,
        ("http", "ingest", "unauthenticated"): 1,
        ("http", "ingest", "forbidden"): 1,
        ("grpc", "ingest", "unauthenticated"): 1,
        ("grpc", "ingest", "forbidden"): 1,
        ("http", "read", "unauthenticated"): 2,
        ("http", "read", "forbidden"): 1,
        ("http", "none", "unauthenticated"): 1,
        ("grpc", "read", "unauthenticated"): 1,
    }
