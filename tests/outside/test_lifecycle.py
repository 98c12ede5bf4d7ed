"""Starting, saying so, and stopping without losing what was acknowledged."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
import uvicorn
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import otel_replay
from otel_replay._pb.v1 import replay_pb2
from otel_replay.config import Settings
from otel_replay.errors import DatabaseInUse, NotFound, NotOurDatabase, ReplayError
from otel_replay.model import Signal
from otel_replay.server import Server
from otel_replay.store.sqlite import SqliteReader
from tests.e2e import processes
from tests.outside.outside import METHODS, PROTOBUF, Outside, eventually, running
from tests.outside.telemetry import page, span, span_id, traces

pytestmark = pytest.mark.slow

COLLECTOR = "opentelemetry.proto.collector"
SERVICES = [
    f"{COLLECTOR}.trace.v1.TraceService",
    f"{COLLECTOR}.logs.v1.LogsService",
    f"{COLLECTOR}.metrics.v1.MetricsService",
    "otel_replay.v1.ReplayService",
]
STOP_TIMEOUT_S = 10


def settings(folder: Path) -> Settings:
    return Settings(database=folder / "replay.db", grpc_port=0, http_port=0)


# What a running receiver says of itself


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_grpc_health(receiver: Outside, service: str) -> None:
    health: Any = health_pb2_grpc.HealthStub(receiver.channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_grpc_reflection_describes_every_service(receiver: Outside) -> None:
    described = ProtoReflectionDescriptorDatabase(receiver.channel)
    names = described.get_services()
    assert set(names) >= {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    for name in SERVICES:
        file: Any = described.FindFileContainingSymbol(name)
        [service] = [one for one in file.service if f"{file.package}.{one.name}" == name]
        assert service.method


def test_http_health(receiver: Outside) -> None:
    assert receiver.document("/healthz") == {"status": "ok"}
    assert receiver.document("/readyz") == {"status": "ready"}


# Starting and stopping


def test_it_takes_connections_as_soon_as_it_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the HTTP server, on its thread, has not begun yet."""
    go_on = threading.Event()
    working = uvicorn.Server.run

    def late(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        go_on.wait(20)
        working(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "run", late)
    server = Server(settings(tmp_path))
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", int(server.http_url.rsplit(":", 1)[1])), timeout=20) as waiting:
            waiting.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            go_on.set()
            assert waiting.recv(1_000).startswith(b"HTTP/1.1 200 ")
    finally:
        go_on.set()
        server.stop()


def test_after_stopping_the_ports_are_closed_and_no_thread_is_left(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with running(tmp_path / "replay.db") as outside:
        outside.export(Signal.TRACES, traces(span("ab" * 16, 1)).SerializeToString())
        outside.upload("s1", page())
        outside.timeline("/api/v1/sessions/s1/timeline")
        url, address = outside.url, outside.server.grpc_address
    for where in (url.removeprefix("http://"), address):
        host, port = where.rsplit(":", 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5)
    assert eventually(lambda: set(threading.enumerate()) - before, lambda left: not left) == set()
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in (".db", ".lock")] == [], "no journal is left"


def test_stopping_is_safe_at_any_time(tmp_path: Path) -> None:
    unstarted = Server(settings(tmp_path))
    unstarted.stop()
    server = Server(settings(tmp_path))
    server.start()
    server.stop()
    server.stop()
    again = Server(settings(tmp_path))
    again.start()
    again.stop()


def test_the_store_stays_open_for_a_call_that_was_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC forgets a cancelled call, but its thread reads on; SQLite crashes where a connection is closed under it."""
    reading, go_on, read = threading.Event(), threading.Event(), list[object]()
    working = SqliteReader.spans_of_trace

    def slow(self: SqliteReader, project: int, trace_id: str) -> Any:
        reading.set()
        go_on.wait(20)
        read.append(working(self, project, trace_id))
        return read[-1]

    monkeypatch.setattr(SqliteReader, "spans_of_trace", slow)
    with running(tmp_path / "replay.db") as outside:
        request = replay_pb2.GetTimelineRequest(trace_id="ab" * 16)
        call = outside.replay_service.GetTimeline.future(request)
        assert reading.wait(20)
        call.cancel()
        stopping = threading.Thread(target=outside.server.stop)
        stopping.start()
        stopping.join(1)  # long enough to close the store, were it not for the call
        go_on.set()
        stopping.join()
    assert read == [[]]


def test_ready_only_while_it_runs(tmp_path: Path) -> None:
    """A request that is in flight when the receiver stops learns that it is not ready any more."""
    server = Server(settings(tmp_path))
    server.start()
    server._ready = False
    answer = requests.get(server.http_url + "/readyz", timeout=20)
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    assert requests.get(server.http_url + "/healthz", timeout=20).status_code == 200
    server.stop()


def test_ipv6(tmp_path: Path) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    server = Server(replace(settings(tmp_path), host="::1"))
    server.start()
    try:
        assert requests.get(server.http_url + "/readyz", timeout=20).status_code == 200
        with grpc.insecure_channel(server.grpc_address) as channel:
            call: Any = channel.unary_unary(METHODS[Signal.TRACES])
            assert call(b"", timeout=20) == b""
    finally:
        server.stop()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


# What keeps it from starting


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["grpc_port", "http_port"])
def test_a_taken_port_is_named_with_its_option(tmp_path: Path, option: str) -> None:
    before = set(threading.enumerate())
    with taken_port() as port:
        server = Server(
            replace(
                settings(tmp_path),
                grpc_port=port if option == "grpc_port" else 0,
                http_port=port if option == "http_port" else 0,
            )
        )
        with pytest.raises(ReplayError, match=f"port {port} cannot be opened") as refused:
            server.start()
    assert f"--{option.replace('_', '-')}" in refused.value.hint
    assert eventually(lambda: set(threading.enumerate()) - before, lambda left: not left) == set()
    free = Server(settings(tmp_path))
    free.start()  # the failed one holds on to nothing
    free.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_it_does_not_listen_to_the_network_without_being_told(tmp_path: Path, host: str) -> None:
    with pytest.raises(ReplayError, match="--host") as refused:
        Server(replace(settings(tmp_path), host=host)).start()
    assert "--allow-unauthenticated" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_it_listens_to_the_network_when_told(tmp_path: Path) -> None:
    server = Server(replace(settings(tmp_path), host="0.0.0.0", allow_unauthenticated=True))
    server.start()
    port = server.http_url.rsplit(":", 1)[1]
    answer = requests.get(f"http://127.0.0.1:{port}/readyz", headers={"host": "replay.example"}, timeout=20)
    server.stop()
    assert answer.status_code == 200


def test_a_second_writer_is_told_who_writes(receiver: Outside) -> None:
    with pytest.raises(DatabaseInUse, match=rf"process {os.getpid()} \({receiver.url}\)") as refused:
        Server(replace(settings(receiver.database.parent), database=receiver.database)).start()
    assert "--url" in refused.value.hint


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"x" * 2_000])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "replay.db").write_bytes(content)
    with pytest.raises(NotOurDatabase):
        Server(settings(tmp_path)).start()
    assert (tmp_path / "replay.db").read_bytes() == content


# Stopping under load, and as a process


@pytest.mark.feature("X6")
def test_requests_in_flight_are_kept_or_refused_retryably(tmp_path: Path) -> None:
    """Eight clients send until they are refused; what was acknowledged is there, what was refused may come again."""
    server = Server(settings(tmp_path))
    server.start()
    acknowledged: list[str] = []
    codes: list[grpc.StatusCode] = []
    flowing = threading.Semaphore(0)

    def send(client: int) -> None:
        with grpc.insecure_channel(server.grpc_address) as channel:
            call: Any = channel.unary_unary(METHODS[Signal.TRACES])
            for number in range(10_000):
                trace_id = f"{client * 100_000 + number + 1:032x}"
                try:
                    call(traces(span(trace_id, 1)).SerializeToString(), timeout=20)
                except grpc.RpcError as error:
                    refused: Any = error
                    codes.append(refused.code())
                    return
                acknowledged.append(trace_id)
                flowing.release()

    with ThreadPoolExecutor(8) as clients:
        done = [clients.submit(send, client) for client in range(8)]
        for _ in range(100):
            flowing.acquire()
        server.stop()
        for one in done:
            one.result()
    assert len(codes) == 8
    assert set(codes) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    replay = otel_replay.open(tmp_path / "replay.db")
    found = [trace_id for trace_id in acknowledged if _is_there(replay, trace_id)]
    replay.close()
    assert found == acknowledged
    assert len(acknowledged) >= 100


def _is_there(replay: Any, trace_id: str) -> bool:
    try:
        return bool(replay.trace(trace_id))
    except NotFound:
        return False


def _serve(database: Path) -> list[str]:
    command = [sys.executable, "-u", "-m", "otel_replay", "serve", "--db", str(database)]
    return [*command, "--grpc-port", "0", "--http-port", "0"]


def _announced(process: subprocess.Popen[str], transport: str) -> str:
    """The address that ``serve`` writes on standard error when it is ready."""
    assert process.stderr is not None
    beginning = f"otel-replay: {transport} "
    return next(line.removeprefix(beginning).strip() for line in process.stderr if line.startswith(beginning))


@pytest.mark.feature("X6")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_stops_on_a_signal_with_all_it_acknowledged(tmp_path: Path, number: signal.Signals) -> None:
    database = tmp_path / "replay.db"
    process = subprocess.Popen(_serve(database), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = _announced(process, "http")
        body = traces(span("ab" * 16, 1)).SerializeToString()
        answer = requests.post(f"{url}/v1/traces", body, headers={"content-type": PROTOBUF}, timeout=20)
        process.send_signal(number)
        output, errors = process.communicate(timeout=STOP_TIMEOUT_S)
    finally:
        process.kill()
        process.communicate()
    assert (answer.status_code, process.returncode, output) == (200, 0, "")
    assert "otel-replay: stopping" in errors.splitlines()
    replay = otel_replay.open(database)
    assert replay.trace("ab" * 16) == body
    replay.close()


def test_a_second_serve_on_the_same_file(tmp_path: Path) -> None:
    database = tmp_path / "replay.db"
    with processes.receiver(database) as first:
        second = subprocess.run(_serve(database), capture_output=True, text=True, timeout=60, check=False)
        body = traces(span("cd" * 16, 1)).SerializeToString()
        posted = requests.post(f"{first.url}/v1/traces", body, headers={"content-type": PROTOBUF}, timeout=20)
        found = processes.command("timeline", "cd" * 16, "--db", str(database), "--format", "json")
    assert (second.returncode, second.stdout, posted.status_code) == (1, "", 200)
    assert f"is being written by process {_pid(second.stderr)} ({first.url})" in second.stderr
    assert "--url" in second.stderr
    assert "Traceback" not in second.stderr
    assert [entry["span_id"] for entry in found["entries"]] == [span_id(1)]


def _pid(text: str) -> str:
    return text.partition("by process ")[2].partition(" ")[0]
