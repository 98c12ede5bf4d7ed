"""A backend of one's own that takes recordings from its pages and hands them on: ASGI, Flask and Express."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

import otel_replay
from tests.e2e.processes import Program
from tests.outside.access import ask, make_key
from tests.outside.outside import JSON, PROBLEM, Outside, running
from tests.outside.telemetry import click, page

pytestmark = [pytest.mark.slow, pytest.mark.feature("R4")]

ROOT = Path(__file__).resolve().parents[2]
PATH = "/api/session-record"
KINDS = ("asgi", "flask", "express")


class Backend(NamedTuple):
    """A backend that runs; ``key`` is what it shows the receiver."""

    url: str
    key: str
    pid: int

    def send(self, body: bytes, **headers: str) -> requests.Response:
        named = {"content-type": JSON} | {name.replace("_", "-"): value for name, value in headers.items()}
        with requests.Session() as http:
            http.trust_env = False
            return http.post(self.url + PATH, data=body, headers=named, timeout=60)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """One that wants keys."""
    with running(tmp_path_factory.mktemp("forwarded") / "replay.db") as outside:
        outside.http.headers["x-api-key"] = make_key(outside, "read", "admin")
        yield outside


@pytest.fixture(scope="module", params=KINDS)
def backend(request: pytest.FixtureRequest, receiver: Outside) -> Iterator[Backend]:
    with started(request.param, receiver.url, make_key(receiver, "ingest")) as found:
        yield found


@contextmanager
def started(kind: str, receiver_url: str, key: str) -> Iterator[Backend]:
    """The example of this kind, as a reader would start it."""
    command = [sys.executable, "-u", "-m", f"otel_replay.examples.forward_{kind}"]
    folder = ROOT
    if kind == "express":
        folder = express()
        command = ["node", "forward_express.mjs"]
    process = subprocess.Popen(
        [*command, receiver_url, "0"],
        cwd=folder,
        env={**os.environ, "OTEL_REPLAY_API_KEY": key},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    program = Program(process)
    try:
        yield Backend(program.wait_for(r"(?i)running on (http://127\.0\.0\.1:\d+)"), key, process.pid)
    finally:
        program.stop()


def express() -> Path:
    """Where Express is installed, once for all runs, with the example beside it."""
    folder = ROOT / ".build" / "forwarding-js"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / "js" / name, folder / name)
    shutil.copy(Path(otel_replay.__file__).parent / "examples" / "forward_express.mjs", folder)
    if not (folder / "node_modules" / ".package-lock.json").exists():
        command = [str(ROOT / ".ci" / "npm"), "ci"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
        if done.returncode and not os.environ.get("CI"):
            pytest.skip("npm cannot install Express here")
        assert done.returncode == 0, done.stderr
    return folder


def recorded(session_id: str, events: Any, **more: Any) -> bytes:
    return json.dumps({"sessionId": session_id, "events": events, **more}).encode()


def events_of(receiver: Outside, session_id: str) -> Any:
    return receiver.document(f"/api/v1/sessions/{session_id}/events")["events"]


def test_a_recording_is_handed_on_and_the_page_gets_the_answer(backend: Backend, receiver: Outside) -> None:
    session_id = f"handed-on-{backend.url[-5:]}"
    first = backend.send(recorded(session_id, page(), metadata={"userId": "ada"}))
    assert (first.status_code, first.headers["content-type"].partition(";")[0]) == (200, JSON)
    assert first.json() == {"sessionId": session_id, "stream_id": "main", "seq": 0, "duplicate": False}
    again = backend.send(recorded(session_id, [click(5)]), x_otel_replay_stream="tab-2")
    assert again.json()["stream_id"] == "tab-2"
    assert events_of(receiver, session_id) == [*page(), click(5)]
    assert receiver.document(f"/api/v1/sessions/{session_id}")["user"] == "ada"
    assert backend.key[-43:] not in first.text + str(first.headers)


def test_compressed_recordings(backend: Backend, receiver: Outside) -> None:
    session_id = f"packed-{backend.url[-5:]}"
    answer = backend.send(gzip.compress(recorded(session_id, page())), content_encoding="gzip")
    assert answer.status_code == 200, answer.text
    assert events_of(receiver, session_id) == page()


@pytest.mark.parametrize("body", [b"{}", b"", b'{"sessionId": "s"}', b'{"events": [{"type": 4, "timestamp": 1}]}'])
def test_missing_data(backend: Backend, body: bytes) -> None:
    answer = backend.send(body)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (400, PROBLEM)
    assert "Missing data" in answer.json()["detail"]


def test_pages_of_other_sites_may_not_send(backend: Backend, receiver: Outside) -> None:
    elsewhere = {"origin": "https://evil.example", "sec_fetch_site": "cross-site"}
    answer = backend.send(recorded("elsewhere", page()), **elsewhere)
    assert answer.status_code == 403
    assert receiver.get("/api/v1/sessions/elsewhere").status_code == 404
    own = {"origin": backend.url, "sec_fetch_site": "same-origin"}
    assert backend.send(recorded("own", page()), **own).status_code == 200


def test_fifty_megabytes(backend: Backend, receiver: Outside) -> None:
    session_id = f"large-{backend.url[-5:]}"
    events = large(1_000)
    body = recorded(session_id, events)
    assert 49_000_000 < len(body) < 50_000_000
    assert backend.send(recorded(session_id, large(200), metadata={"warm": True})).status_code == 200
    before = peak_bytes(backend.pid)
    assert backend.send(body).status_code == 200
    grown = peak_bytes(backend.pid) - before
    assert grown < 35_000_000, f"it goes through a file, and memory grew by {grown} bytes"
    assert events_of(receiver, session_id) == [*large(200), *events]


def large(count: int) -> list[dict[str, Any]]:
    """So many events of 49 KB."""
    text = "x" * 49_000
    return [*page(), *(click(number) | {"text": f"{number}{text}"} for number in range(count))]


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_more_is_refused(backend: Backend) -> None:
    answer = backend.send(b" " * 50_000_001)
    assert answer.status_code == 413
    assert "50000000 bytes" in answer.json()["detail"]


def test_other_methods_are_not_served(backend: Backend) -> None:
    with requests.Session() as http:
        http.trust_env = False
        assert http.get(backend.url + PATH, timeout=20).status_code in (404, 405)


@pytest.mark.parametrize("kind", KINDS)
def test_while_the_receiver_is_busy_it_comes_again(kind: str, receiver: Outside) -> None:
    key = make_key(receiver, "ingest", requests_per_second=1)
    with started(kind, receiver.url, key) as backend:
        sent = [backend.send(recorded(f"busy-{kind}", [click(number)])) for number in range(4)]
    assert [(answer.status_code, answer.json()["seq"]) for answer in sent] == [(200, number) for number in range(4)]
    refused = receiver.get("/metrics", accept="text/plain").text
    assert 'reason="rate_limited"' in refused, "nothing was busy"


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_the_receiver_does_not_take(kind: str, receiver: Outside) -> None:
    """The page could do nothing about it, and is not told which key it is."""
    key = make_key(receiver, "read")
    with started(kind, receiver.url, key) as backend:
        answer = backend.send(recorded("no-key", page()))
    assert answer.status_code == 502
    assert key[-43:] not in answer.text
    assert "ingest" not in answer.text


def test_the_forwarder_loads_no_server_parts() -> None:
    program = "import json, sys, otel_replay.forward; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"grpc", "numpy", "sqlite3", "starlette", "uvicorn"}.isdisjoint(json.loads(done.stdout))


@pytest.mark.parametrize("kind", KINDS)
def test_a_receiver_that_is_away(kind: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and nobody listens
        with started(kind, f"http://127.0.0.1:{nobody.getsockname()[1]}", "key") as backend:
            answer = backend.send(recorded("away", page()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"].partition(";")[0] == PROBLEM


@pytest.mark.parametrize("kind", KINDS)
def test_a_receiver_that_comes_back_gets_what_waited(kind: str, tmp_path: Path) -> None:
    """The body has been sent once already, to one that went away in the middle of it."""
    with socket.create_server(("127.0.0.1", 0)) as going:
        port = going.getsockname()[1]
        with started(kind, f"http://127.0.0.1:{port}", "") as backend, ThreadPoolExecutor(1) as threads:
            sent = threads.submit(backend.send, recorded("back", page()))
            connection, _ = going.accept()
            assert connection.recv(1_000)
            going.close()
            connection.close()
            with running(tmp_path / "replay.db", http_port=port) as receiver:
                assert sent.result().status_code == 200
                assert ask(receiver, "GET", "/api/v1/sessions/back/events").json()["events"] == page()
