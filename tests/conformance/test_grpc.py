"""OTLP over gRPC: encodings, services, deadlines, and callers that stand still."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from otel_replay._pb.v1 import replay_pb2
from otel_replay.model import Signal
from otel_replay.receiver import calls
from otel_replay.server import INGEST_THREADS, STREAM_THREADS
from otel_replay.store.sqlite import SqliteStore
from tests.conformance import raw
from tests.outside.outside import METHODS, Outside, eventually, refusal, running
from tests.outside.telemetry import page, span, traces

pytestmark = pytest.mark.feature("X6")

EXPORT = METHODS[Signal.TRACES]
BODY = traces(span("c0" * 16, 1)).SerializeToString()


def has_trace(receiver: Outside, trace_id: str) -> bool:
    return receiver.get(f"/api/v1/traces/{trace_id}").status_code == 200


# What is taken


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
)
def test_none_gzip_and_deflate(receiver: Outside, compression: grpc.Compression) -> None:
    trace_id = f"{0xC100 + compression.value:032x}"
    body = traces(*(span(trace_id, number) for number in range(1, 50))).SerializeToString()
    call: Any = receiver.channel.unary_unary(EXPORT)
    assert call(body, timeout=20, compression=compression) == b""
    assert has_trace(receiver, trace_id)


@pytest.mark.parametrize("encoding", ["zstd", "snappy"])
def test_another_encoding_is_a_permanent_error_that_names_it(receiver: Outside, encoding: str) -> None:
    """gRPC asks for UNIMPLEMENTED (12). grpcio ends such a call itself, before any of our code, with INTERNAL (13)."""
    with raw.connected(receiver.server.grpc_address) as connection:
        connection.sendall(raw.grpc_call(EXPORT, encoding=encoding, message=b"x", compressed=True))
        answer = raw.read_until(connection, b"grpc-message&Error parsing 'grpc-encoding' metadata")
    assert b"grpc-status\x0213" in answer
    assert receiver.export(Signal.TRACES, b"") == b"", "others are served on"


def test_every_answer_names_the_encodings_that_are_served(receiver: Outside) -> None:
    with raw.connected(receiver.server.grpc_address) as connection:
        connection.sendall(raw.grpc_call(EXPORT, encoding="identity", message=b"", compressed=False))
        assert raw.read_until(connection, b"identity, deflate, gzip")


def test_profiles_are_unimplemented(receiver: Outside) -> None:
    method = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
    call: Any = receiver.channel.unary_unary(method)
    assert refusal(lambda: call(b"", timeout=20)).code is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_without_a_message(receiver: Outside) -> None:
    call: Any = receiver.channel.stream_unary(EXPORT)
    refused = refusal(lambda: call(iter(()), timeout=20))
    assert (refused.code, refused.details) == (grpc.StatusCode.INVALID_ARGUMENT, "the call has no message")


def test_calls_at_the_same_time_on_one_connection(receiver: Outside) -> None:
    trace_id = "c2" * 16

    def send(number: int) -> None:
        receiver.export(Signal.TRACES, traces(span(trace_id, number)).SerializeToString())

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(send, range(1, 51)))
    found = receiver.document(f"/api/v1/traces/{trace_id}")["resourceSpans"]
    assert len([one for group in found for scope in group["scopeSpans"] for one in scope["spans"]]) == 50


# Deadlines


def test_an_expired_deadline_is_not_worked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads wait for the disk; whoever gives up in line meanwhile is not worked on once one is free.

    grpcio sees to that, as long as calls wait in its own line.
    """
    working, go_on, committed = SqliteStore.commit, threading.Event(), list[bytes]()

    def slow(self: SqliteStore, write: Any) -> Any:
        committed.append(write.body)
        assert go_on.wait(20)
        return working(self, write)

    large = traces(span("c3" * 16, 1, name="n" * 20_000)).SerializeToString()  # too large to be taken with others
    late = traces(span("c4" * 16, 1, name="n" * 20_000)).SerializeToString()
    with running(tmp_path / "replay.db") as outside:
        monkeypatch.setattr(SqliteStore, "commit", slow)
        call: Any = outside.channel.unary_unary(EXPORT)
        holding = [call.future(large, timeout=20) for _ in range(INGEST_THREADS)]
        assert eventually(lambda: len(committed), lambda count: count == INGEST_THREADS) == INGEST_THREADS
        gone = [call.future(late, timeout=0.2) for _ in range(5)]
        codes = {one.exception().code() for one in gone}
        go_on.set()
        for one in holding:
            one.result()
        outside.export(Signal.TRACES, large + BODY)  # the line is worked off
        assert not has_trace(outside, "c4" * 16)
    assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert late not in committed


# Callers that stand still


def never(end: threading.Event) -> Iterator[bytes]:
    end.wait(60)
    yield from ()


@pytest.mark.slow
def test_calls_that_send_no_message_stop_ingest_for_moments_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a thread from the time its headers are there."""
    monkeypatch.setattr(calls, "MESSAGE_SECONDS", 1.0)
    end = threading.Event()
    with running(tmp_path / "replay.db") as outside, grpc.insecure_channel(outside.server.grpc_address) as other:
        held: Any = outside.channel.stream_unary(EXPORT)
        holding = [held.future(never(end), timeout=60) for _ in range(2 * INGEST_THREADS)]
        time.sleep(0.2)
        call: Any = other.unary_unary(EXPORT)
        assert call(BODY, timeout=15) == b""
        codes = {one.exception(20).code() for one in holding}
        end.set()
    assert codes == {grpc.StatusCode.CANCELLED}


@pytest.mark.slow
def test_streams_that_pause_stop_neither_ingest_nor_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PAUSE_SECONDS", 1.0)
    end = threading.Event()
    with running(tmp_path / "replay.db") as outside:
        holding = [
            outside.replay_service.UploadChunks.future(never(end), timeout=60) for _ in range(3 * STREAM_THREADS)
        ]
        time.sleep(0.2)
        started = time.monotonic()
        outside.export(Signal.TRACES, BODY)
        outside.replay_service.ListSessions(replay_pb2.ListSessionsRequest(), timeout=20)
        assert time.monotonic() - started < 1
        chunk = replay_pb2.UploadChunkRequest(session_id="s1", events_json=json.dumps(page()).encode())
        again = eventually(lambda: _uploaded(outside, chunk), bool)
        end.set()
        codes = [one.code() for one in holding]
    assert again, "paused streams are cut off, and others get their turn"
    assert set(codes) <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.OK}
    assert codes.count(grpc.StatusCode.CANCELLED) >= STREAM_THREADS


def _uploaded(outside: Outside, chunk: replay_pb2.UploadChunkRequest) -> bool:
    try:
        outside.replay_service.UploadChunks(iter([chunk]), timeout=5)
    except grpc.RpcError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_64_stalled_recording_streams_leave_ingest_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(calls, "ANSWER_SECONDS", 0.5)
    with running(tmp_path / "replay.db") as outside:
        for seq in range(8):
            filler = [{"type": 5, "timestamp": 1, "data": {"tag": "t", "payload": "x" * 900_000}}]
            outside.upload("s1", [*page(), *filler], seq=seq)
        before = _ingest_seconds(outside, "c5")
        stalled = _stall(outside, way)
        during = _ingest_seconds(outside, "c6")
        sessions = outside.document("/api/v1/sessions")["sessions"]
        found: Any = outside.replay_service.ListSessions(replay_pb2.ListSessionsRequest(), timeout=20)
        # Those that are served are cut off, and then the next in line: there are eight times as many as threads.
        request = replay_pb2.GetRecordingRequest(session_id="s1")
        assert len(list(outside.replay_service.GetRecording(request, timeout=40))) >= 8
        for one in stalled:
            one.cancel() if way == "grpc" else one.close()
    assert [one["session_id"] for one in sessions] == ["s1"]
    assert json.loads(found.sessions_json)["sessions"]
    # Two cores run client, server and other tests: what would show is waiting, seconds of it.
    assert during < 3 * before + 0.5, (before, during)


def _stall(outside: Outside, way: str) -> list[Any]:
    """64 recordings that are asked for, and not read."""
    if way == "grpc":
        request = replay_pb2.GetRecordingRequest(session_id="s1")
        streams = [outside.replay_service.GetRecording(request, timeout=100) for _ in range(64)]
        for one in streams[:STREAM_THREADS]:
            next(one)
        return streams
    connections = []
    for _ in range(64):
        connection = raw.connect(outside.url)
        connection.sendall(b"GET /api/v1/sessions/s1/recording HTTP/1.1\r\nhost: localhost\r\n\r\n")
        connections.append(connection)
    for connection in connections[:8]:
        assert connection.recv(12) == b"HTTP/1.1 200"
    return connections


def _ingest_seconds(outside: Outside, prefix: str) -> float:
    """The shortest of five times that 40 requests take, each alone."""
    body = [traces(span(prefix * 16, number)).SerializeToString() for number in range(1, 201)]
    best = float("inf")
    for start in range(0, 200, 40):
        began = time.monotonic()
        for one in body[start : start + 40]:
            outside.export(Signal.TRACES, one)
        best = min(best, time.monotonic() - began)
    return best
