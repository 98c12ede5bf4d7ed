"""OTLP over gRPC: encodings, services, deadlines, and callers that stand still."""

from __future__ import annotations

import itertools
import json
import select
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import pytest
from hypothesis import settings

from otel_replay._pb.v1 import replay_pb2, replay_pb2_grpc
from otel_replay.errors import StoreUnavailable
from otel_replay.model import Signal
from otel_replay.receiver import calls
from otel_replay.server import INGEST_THREADS, QUERY_THREADS, STREAM_THREADS
from otel_replay.store.base import Receipt, Write
from otel_replay.store.sqlite import SqliteStore
from tests.conformance import raw
from tests.outside.outside import METHODS, Outside, eventually, refusal, running
from tests.outside.telemetry import page, span, traces

pytestmark = pytest.mark.feature("X6")

EXPORT = METHODS[Signal.TRACES]
BODY = traces(span("c0" * 16, 1)).SerializeToString()

CANCELLED = b"grpc-status\x011"
"""As a trailer on the wire."""

PAIRS, SAMPLE_SECONDS, LEAST_SHARE = (15, 1.0, 0.9) if settings().max_examples > 1_000 else (5, 0.3, 0.5)
"""How often ingest is measured with stalled streams and without, for how long each time, and what must be left of it:
where a stream keeps a thread from ingest it is 2 %; short samples beside other programs say no more."""


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
    monkeypatch.setattr(calls, "STILL_SECONDS", 1.0)
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
def test_a_message_that_comes_slowly_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over far more time than it may stand still."""
    monkeypatch.setattr(calls, "STILL_SECONDS", 2.0)
    monkeypatch.setattr(calls, "LEAST_BYTES", 512)
    message = raw.grpc_message(traces(span("c6" * 16, 1, name="n" * 12_000)).SerializeToString())
    with running(tmp_path / "replay.db") as outside, raw.connected(outside.server.grpc_address) as connection:
        connection.sendall(raw.grpc_head(EXPORT))
        for start in range(0, len(message), 1_000):
            time.sleep(0.5)
            connection.sendall(message[start : start + 1_000])
        raw.read_until(connection, b"grpc-status\x010")
        assert has_trace(outside, "c6" * 16)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "least_bytes"), [("STILL_SECONDS", 512), ("MESSAGE_SECONDS", 1)])
def test_dribbling_does_not_buy_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, least_bytes: int
) -> None:
    """A byte now and then is no progress, and what goes on and on ends, too."""
    monkeypatch.setattr(calls, limit, 1.5)
    monkeypatch.setattr(calls, "LEAST_BYTES", least_bytes)
    message = raw.grpc_message(traces(span("c7" * 16, 1, name="n" * 12_000)).SerializeToString())
    with running(tmp_path / "replay.db") as outside, raw.connected(outside.server.grpc_address) as connection:
        connection.sendall(raw.grpc_head(EXPORT) + message[:1_000])
        connection.settimeout(0.1)
        sent, answer = 1_000, b""
        while CANCELLED not in answer and sent < 1_200:
            connection.sendall(message[sent : sent + 1])
            sent += 1
            with suppress(TimeoutError):
                answer += connection.recv(65_536)
    assert CANCELLED in answer


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


def test_refused_calls_are_not_kept_by_a_log_that_keeps_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """grpcio counts calls that somebody refers to as open, and refuses all others once there are 256."""

    def commit(_store: SqliteStore, _write: Write) -> Receipt:
        raise StoreUnavailable("refused by the test")

    monkeypatch.setattr(SqliteStore, "commit", commit)
    with running(tmp_path / "replay.db") as outside:
        told = {refusal(lambda: outside.export(Signal.TRACES, BODY)).details for _ in range(300)}
    assert told == {"refused by the test"}
    assert len(caplog.records) >= 300


def record(outside: Outside, chunks: int) -> None:
    """A recording of so many MB."""
    for seq in range(chunks):
        filler = [{"type": 5, "timestamp": 1, "data": {"tag": "t", "payload": "x" * 900_000}}]
        outside.upload("s1", [*page(), *filler], seq=seq)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_64_stalled_recording_streams_leave_ingest_unchanged(
    tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With them and without in turn, more often where other programs take their share of the machine."""
    requests = distinct_requests()
    without: list[float] = []
    during: list[float] = []
    with running(tmp_path / "replay.db") as outside:
        record(outside, 8)
        _requests_per_s(outside, requests)
        while len(during) < PAIRS or (median(during) < LEAST_SHARE * median(without) and len(during) < 4 * PAIRS):
            without.append(_requests_per_s(outside, requests))
            with _stalled(outside, way):
                during.append(_requests_per_s(outside, requests))
                sessions = outside.document("/api/v1/sessions")["sessions"]
                found: Any = outside.replay_service.ListSessions(replay_pb2.ListSessionsRequest(), timeout=20)
                assert "s1" in [one["session_id"] for one in sessions]
                assert json.loads(found.sessions_json)["sessions"]
    share = median(during) / median(without)
    with capsys.disabled():
        rate = f"{share:.0%} of {median(without):.0f} requests/s"
        sys.stdout.write(f"64 stalled over {way}: {rate}, {len(during)} pairs\n")
    assert share > LEAST_SHARE, (without, during)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_readers_that_stall_are_cut_off_for_those_behind_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(calls, "ANSWER_SECONDS", 0.5)
    with running(tmp_path / "replay.db") as outside:
        record(outside, 8)
        with _stalled(outside, way):
            request = replay_pb2.GetRecordingRequest(session_id="s1")
            assert len(list(outside.replay_service.GetRecording(request, timeout=40))) >= 8


@contextmanager
def _stalled(outside: Outside, way: str) -> Iterator[None]:
    """64 recordings that are asked for, and not read; those that have a thread stand still when the block begins."""
    with ExitStack() as connections:
        if way == "grpc":
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = connections.enter_context(grpc.insecure_channel(outside.server.grpc_address, options))
            ask: Any = replay_pb2_grpc.ReplayServiceStub(channel).GetRecording
            streams = [ask(replay_pb2.GetRecordingRequest(session_id="s1"), timeout=100) for _ in range(64)]
            assert eventually(lambda: not _is_served(ask), bool)
            assert len(streams) == 64
        else:
            opened = [connections.enter_context(raw.connected(outside.url)) for _ in range(64)]
            for connection in opened:
                connection.sendall(b"GET /api/v1/sessions/s1/recording HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answered = eventually(
                lambda: select.select(opened, [], [], 0)[0], lambda found: len(found) >= QUERY_THREADS
            )
            assert len(answered) >= QUERY_THREADS
            assert all(connection.recv(12) == b"HTTP/1.1 200" for connection in answered)
        yield


def _is_served(ask: Any) -> bool:
    """Whether one more would get a thread, and with it the beginning of the recording."""
    try:
        next(ask(replay_pb2.GetRecordingRequest(session_id="s1"), timeout=0.3))
    except grpc.RpcError as error:
        refused: Any = error
        assert refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return False
    return True


def distinct_requests() -> Iterator[bytes]:
    """Each of 100 spans of a trace of its own."""
    placeholder = "c5" * 16
    body = traces(*(span(placeholder, number) for number in range(1, 101))).SerializeToString()
    for number in itertools.count(1):
        yield body.replace(bytes.fromhex(placeholder), number.to_bytes(16, "big"))


def _requests_per_s(outside: Outside, requests: Iterator[bytes]) -> float:
    """How many are answered one after the other, once all that was begun before has ended or stands still."""
    _wait_for_quiet()
    began, count = time.monotonic(), 0
    while time.monotonic() - began < SAMPLE_SECONDS:
        outside.export(Signal.TRACES, next(requests))
        count += 1
    return count / (time.monotonic() - began)


def _wait_for_quiet() -> None:
    eventually(_cpu_share, lambda share: share < 0.1)


def _cpu_share() -> float:
    """How much of a core this process takes; a worker looks every second."""
    began, used = time.monotonic(), time.process_time()
    time.sleep(0.1)
    return (time.process_time() - used) / (time.monotonic() - began)
