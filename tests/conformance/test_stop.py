"""Stopping: nothing new is let in, what is in flight is committed, and it is over within 10 s."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

import otel_replay
from otel_replay import server as server_module
from otel_replay.model import Signal
from otel_replay.store.sqlite import SqliteStore
from tests.conformance.processes import serving
from tests.outside.outside import METHODS, PROTOBUF, Outside, eventually, refusal, running
from tests.outside.telemetry import span, traces

pytestmark = pytest.mark.feature("X6")

LARGE = "n" * 20_000
"""As a name: the request is too large to be taken together with others."""


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Commits wait: set once one has begun, and to be set for them to go on."""
    begun, go_on = threading.Event(), threading.Event()
    working = SqliteStore.commit

    def slow(self: SqliteStore, write: Any) -> Any:
        begun.set()
        assert go_on.wait(20)
        return working(self, write)

    monkeypatch.setattr(SqliteStore, "commit", slow)
    return begun, go_on


def post(outside: Outside, trace_id: str, answers: list[int]) -> threading.Thread:
    """Sends a span on a thread of its own."""
    body = traces(span(trace_id, 1, name=LARGE)).SerializeToString()
    headers = {"content-type": PROTOBUF}

    def send() -> None:
        answers.append(requests.post(outside.url + "/v1/traces", body, headers=headers, timeout=20).status_code)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.slow
def test_it_refuses_what_is_new_and_finishes_what_is_in_flight(
    tmp_path: Path, held: tuple[threading.Event, threading.Event]
) -> None:
    begun, go_on = held
    answers = list[int]()
    with running(tmp_path / "replay.db") as outside:
        sending = post(outside, "e0" * 16, answers)
        assert begun.wait(20)
        stopping = threading.Thread(target=outside.server.stop)
        stopping.start()
        ready = eventually(lambda: outside.get("/readyz").status_code, lambda status: status == 503)
        refused = eventually(lambda: outside.post("/v1/traces", b""), lambda answer: answer.status_code == 503)
        over_grpc = refusal(lambda: outside.export(Signal.TRACES, b""))
        assert not answers
        go_on.set()
        sending.join()
        stopping.join()
    assert (ready, refused.status_code, refused.headers["retry-after"]) == (503, 503, "1")
    assert (over_grpc.code, over_grpc.details) == (
        grpc.StatusCode.UNAVAILABLE,
        "the receiver is stopping (send again in a second)",
    )
    assert "google.rpc.retryinfo-bin" in over_grpc.trailers
    assert answers == [200]
    replay = otel_replay.open(tmp_path / "replay.db")
    assert replay.trace("e0" * 16)
    replay.close()


@pytest.mark.slow
def test_what_takes_too_long_is_counted_and_logged(
    tmp_path: Path,
    held: tuple[threading.Event, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, go_on = held
    monkeypatch.setattr(server_module, "DRAIN_SECONDS", 0.2)
    with running(tmp_path / "replay.db") as outside, caplog.at_level(logging.WARNING):
        call: Any = outside.channel.unary_unary(METHODS[Signal.TRACES])
        sent = [
            call.future(traces(span(f"{number:032x}", 1, name=LARGE)).SerializeToString(), timeout=20)
            for number in range(1, 4)
        ]
        assert begun.wait(20)
        eventually(lambda: outside.server._in_flight.requests, lambda count: count == 3)
        stopping = threading.Thread(target=outside.server.stop)
        stopping.start()
        codes = {one.exception(20).code() for one in sent}
        go_on.set()
        stopping.join()
    assert codes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert "3 requests were not finished within 0.2 s; their clients send again" in caplog.text


@pytest.mark.slow
def test_the_process_ends_in_time_with_a_sender_that_stands_still(tmp_path: Path) -> None:
    """A body that does not come, and a call without its message, when the signal comes."""
    body = traces(span("e1" * 16, 1)).SerializeToString()
    with serving(tmp_path / "replay.db") as process:
        headers = {"content-type": PROTOBUF}
        assert requests.post(f"{process.url}/v1/traces", body, headers=headers, timeout=20).status_code == 200
        go_on = threading.Event()
        statuses = list[int]()
        dribbling = threading.Thread(target=_dribble, args=(process.url, go_on, statuses))
        dribbling.start()
        with grpc.insecure_channel(process.grpc_address) as channel:
            call: Any = channel.stream_unary(METHODS[Signal.TRACES])
            held = call.future(_none(go_on), timeout=60)
            time.sleep(0.5)
            started = time.monotonic()
            process.popen.send_signal(signal.SIGTERM)
            code = process.popen.wait(20)
            took = time.monotonic() - started
            go_on.set()
            held.exception(20)
        dribbling.join()
    assert (code, took < 10) == (0, True), (took, process.said)
    assert statuses in ([], [503]), "no permanent answer"
    assert "1 requests were not finished" in "".join(process.said)
    assert [path.suffix for path in tmp_path.iterdir() if path.name.endswith(("-wal", "-shm"))] == [], "checkpointed"


def _dribble(url: str, end: threading.Event, statuses: list[int]) -> None:
    def body() -> Any:
        yield b"x"
        end.wait(30)

    headers = {"content-type": PROTOBUF}
    with suppress(requests.RequestException):
        statuses.append(requests.post(f"{url}/v1/traces", body(), headers=headers, timeout=30).status_code)


def _none(end: threading.Event) -> Any:
    end.wait(30)
    yield from ()


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    database = tmp_path / "replay.db"
    with serving(database) as process:
        headers = {"content-type": PROTOBUF}
        body = traces(span("e2" * 16, 1)).SerializeToString()
        assert requests.post(f"{process.url}/v1/traces", body, headers=headers, timeout=20).status_code == 200
        end = threading.Event()
        dribbling = threading.Thread(target=_dribble, args=(process.url, end, []))
        dribbling.start()
        time.sleep(0.5)
        process.popen.send_signal(signal.SIGINT)
        process.announced("stopping")
        started = time.monotonic()
        process.popen.send_signal(signal.SIGINT)
        code = process.popen.wait(20)
        took = time.monotonic() - started
        end.set()
        dribbling.join()
    assert (code, took < 1.5) == (1, True), (took, process.said)
    replay = otel_replay.open(database)
    assert replay.trace("e2" * 16) == body
    replay.close()
