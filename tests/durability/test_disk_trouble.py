"""Disks that are full, limited, locked or read-only: clients are told to come back, and nothing that they send is lost.

A receiver in a process of its own, which is never started again, under clients that send all the time.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.rpc.error_details_pb2 import RetryInfo
from hypothesis import settings

from otel_replay.model import Signal
from otel_replay.store.sqlite import SqliteReader
from otel_replay.store.sqlite.integrity import check
from tests.durability.files import fill_with_noise, needles_of, tell_of
from tests.durability.senders import Sender
from tests.e2e.processes import Program, Receiver, running
from tests.outside.outside import JSON, METHODS, PROTOBUF
from tests.outside.telemetry import CHAT, click, log, logs, page, span, traces
from tests.store.bytes_of import places_of

SOAK = settings.get_current_profile_name() == "soak"
TROUBLE_S = 20.0 if SOAK else 6.0
MIB = 1024 * 1024
DISK_BYTES = 96 * MIB

pytestmark = [pytest.mark.feature("X6"), pytest.mark.slow]


class _Client(Sender):
    """Sends single items of one kind over one way in, and counts what it is answered."""

    def __init__(self, receiver: Callable[[], Receiver], kind: str) -> None:
        super().__init__(receiver)
        self.kind = kind
        self.answers: Counter[str] = Counter()

    def connect(self, receiver: Receiver) -> Any:
        http = requests.Session()
        http.trust_env = False
        return http, receiver.url, grpc.insecure_channel(receiver.grpc)

    def batch(self, number: int) -> tuple[Any, int]:
        return number, number

    def export(self, connection: Any, batch: Any) -> bool:
        http, url, channel = connection
        if self.kind == "rpc":
            return self._call(channel, _spans(self.trace(batch)))
        path, body, content_type = "/v1/traces", _spans(self.trace(batch)), PROTOBUF
        if self.kind == "log":
            path, body = "/v1/logs", _logs(self.trace(batch))
        elif self.kind == "chunk":
            path, body, content_type = f"/api/v1/sessions/{self.name}/events", _chunk(batch), JSON
        answer = http.post(url + path, body, headers={"content-type": content_type}, timeout=30)
        self.answers[str(answer.status_code)] += 1
        if answer.status_code != 200:
            assert answer.headers["retry-after"] == "1"
        return bool(answer.status_code == 200)

    def _call(self, channel: Any, body: bytes) -> bool:
        try:
            channel.unary_unary(METHODS[Signal.TRACES])(body, timeout=30)
        except grpc.RpcError as error:
            refused: Any = error
            self.answers[refused.code().name] += 1
            trailers = dict(refused.trailing_metadata())
            assert RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds == 1
            return False
        self.answers["OK"] += 1
        return True

    def trace(self, number: int) -> str:
        return f"{self.name[:16]}{number + 1:016x}"

    def lost(self, reader: SqliteReader) -> list[int]:
        """What was acknowledged and is not there exactly once."""
        chunks = Counter(chunk.seq for chunk in reader.chunks(1, self.name, "main"))

        def count(number: int) -> int:
            if self.kind == "chunk":
                return chunks[number]
            ask = reader.logs_of_trace if self.kind == "log" else reader.spans_of_trace
            return len(ask(1, self.trace(number)))

        return [number for number in self.acknowledged if count(number) != 1]


def _spans(trace: str) -> bytes:
    noise = os.urandom(2_000).hex()  # does not compress well: disks fill
    return traces(span(trace, 1, attributes={**CHAT, "session.id": "s", "noise": noise})).SerializeToString()


def _logs(trace: str) -> bytes:
    return logs(log("text", trace_id=trace)).SerializeToString()


def _chunk(number: int) -> bytes:
    return json.dumps({"seq": number, "events": [*page(number), click(number)]}).encode()


class _Running:
    """A receiver in a process of its own, and its clients."""

    def __init__(self, program: Program, receiver: Receiver) -> None:
        self.process = program._process
        self.receiver = receiver
        self.clients = [_Client(lambda: receiver, kind) for kind in ("span", "rpc", "log", "chunk") * 2]

    def answers(self) -> Counter[str]:
        return sum((client.answers for client in self.clients), Counter())

    def wait_for_more(self) -> None:
        """Until each client has had something acknowledged."""
        before = [len(client.acknowledged) for client in self.clients]
        deadline = time.monotonic() + 30
        while any(len(client.acknowledged) <= count for client, count in zip(self.clients, before, strict=True)):
            assert not [error for client in self.clients for error in client.errors]
            assert time.monotonic() < deadline, self.answers()
            time.sleep(0.02)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.receiver.url + path, timeout=20)

    def a_trace(self) -> str:
        """One that was acknowledged."""
        client = next(client for client in self.clients if client.kind == "span")
        return client.trace(client.acknowledged[0])

    def metric(self, name: str) -> float:
        lines = self.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(name)).rsplit(" ", 1)[1])


@contextmanager
def under_load(db: Path) -> Iterator[_Running]:
    """At the end everything that clients sent is there, and they were told nothing but to come back."""
    arguments = ("serve", "--db", str(db), "--grpc-port", "0", "--http-port", "0")
    with running("otel_replay", *arguments) as program:
        grpc_address = program.wait_for(r"otel-replay: grpc (\S+)")
        receiver = Receiver(program.wait_for(r"otel-replay: http (http://\S+)"), grpc_address, db)
        now = _Running(program, receiver)
        for client in now.clients:
            client.start()
        try:
            now.wait_for_more()
            yield now
            now.wait_for_more()
        except BaseException:
            for client in now.clients:
                client.abandon()
            raise
        for client in now.clients:
            client.stop()
        assert now.process.poll() is None
        assert set(now.answers()) <= {"200", "OK", "503", "UNAVAILABLE"}
        reader = SqliteReader(db)
        assert [client.lost(reader) for client in now.clients] == [[]] * len(now.clients)
        reader.close()
        assert check(db).damaged == []


def refusals(now: _Running, seconds: float) -> None:
    """Waits so long, and sees that clients are refused over both transports, and that reading goes on."""
    before = now.answers()
    time.sleep(seconds)
    more = now.answers() - before
    assert more["503"]
    assert more["UNAVAILABLE"]
    assert now.get(f"/api/v1/traces/{now.a_trace()}/timeline").status_code == 200


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    with mounted(tmp_path / "disk", DISK_BYTES) as place:
        yield place


@contextmanager
def mounted(place: Path, size: int) -> Iterator[Path]:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled(place: Path, *, leaving: int) -> Iterator[None]:
    """Somebody else takes what is left of the disk, piece by piece, but for ``leaving`` bytes.

    What the server lets go meanwhile he leaves to it: without a byte nothing could be copied out of the log.
    """
    other, ballast = place / "other", place / "replay.db-ballast"
    held = ballast.exists()
    with other.open("wb", buffering=0) as file:
        most = shutil.disk_usage(place).free * 3 // 4
        os.posix_fallocate(file.fileno(), 0, most)
        file.seek(most)
        while ballast.exists() == held and (more := shutil.disk_usage(place).free - leaving) > 0:
            with suppress(OSError):
                file.write(bytes(min(more, 256 * 1024)))
        try:
            yield
        finally:
            other.unlink()


def test_below_the_watermark_intake_stops_and_goes_on(disk: Path) -> None:
    with under_load(disk / "replay.db") as now:
        watermark = int(now.metric('otel_replay_disk_bytes{kind="watermark"}'))
        held = now.metric('otel_replay_disk_bytes{kind="held"}')
        assert (watermark, held) == (DISK_BYTES // 16, DISK_BYTES // 32)
        with filled(disk, leaving=watermark - watermark // 8):
            time.sleep(1.5)
            refusals(now, 2)
            answer = now.get("/readyz")
            assert (answer.status_code, answer.json()["reason"]) == (503, "the disk of the database is full")
            assert now.metric("otel_replay_intake_stopped") == 1
            assert now.metric('otel_replay_disk_bytes{kind="held"}') == held, "nothing has failed yet"
        now.wait_for_more()
        assert now.get("/readyz").status_code == 200
        assert now.metric("otel_replay_intake_stopped") == 0


def test_on_a_full_disk_the_ballast_lets_everything_else_go_on(disk: Path) -> None:
    with under_load(disk / "replay.db") as now:
        with filled(disk, leaving=0):
            refusals(now, TROUBLE_S)
            assert now.metric("otel_replay_intake_stopped") == 1
            key = {"name": "n", "scopes": ["ingest"]}
            made = requests.post(f"{now.receiver.url}/api/v1/keys", json=key, timeout=20)
            assert made.status_code in (200, 201), made.text
            assert now.metric('otel_replay_disk_bytes{kind="held"}') == 0
            assert not (disk / "replay.db-ballast").exists()
        now.wait_for_more()
        assert now.get("/readyz").status_code == 200
        assert (disk / "replay.db-ballast").stat().st_size == now.metric('otel_replay_disk_bytes{kind="held"}') > 0
    assert not (disk / "replay.db-ballast").exists()


@pytest.mark.feature("K16")
def test_on_a_full_disk_a_session_is_erased_to_the_last_byte(tmp_path: Path) -> None:
    """There is no room to write the file anew."""
    needles = needles_of("bobby")
    with mounted(tmp_path / "disk", 2048 * MIB) as disk:
        fill_with_noise(disk / "replay.db", 40 * MIB)
        with under_load(disk / "replay.db") as now:
            for name in ("alice", "bobby"):
                tell_of(now.receiver.url, name)
            now.wait_for_more()
            with filled(disk, leaving=0):
                refusals(now, 2)
                assert {needle for needle, _ in places_of(now.receiver.db, needles)} == set(needles)
                erased = requests.delete(f"{now.receiver.url}/api/v1/sessions/session-bobby", timeout=60)
                assert erased.status_code == 200, erased.text
                assert (erased.json()["records"], erased.json()["chunks"], erased.json()["scrubbed"]) == (3, 1, True)
                assert places_of(now.receiver.db, needles) == set()
                refusals(now, 1)
                assert now.metric("otel_replay_intake_stopped") == 1
            now.wait_for_more()
            assert now.get("/readyz").status_code == 200
            assert now.get("/api/v1/sessions/session-bobby/timeline").status_code == 404
            assert now.get("/api/v1/sessions/session-alice/timeline").status_code == 200
            assert places_of(now.receiver.db, needles) == set()


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    with under_load(tmp_path / "replay.db") as now:
        usual = resource.prlimit(now.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            refusals(now, TROUBLE_S)
        finally:
            resource.prlimit(now.process.pid, resource.RLIMIT_FSIZE, usual)


HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def test_a_lock_of_another_program(tmp_path: Path) -> None:
    with under_load(tmp_path / "replay.db") as now:
        command = [sys.executable, "-c", HOLD, str(now.receiver.db), str(TROUBLE_S)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            refusals(now, TROUBLE_S)


def test_a_file_that_may_not_be_written_any_more(tmp_path: Path) -> None:
    with under_load(tmp_path / "replay.db") as now, ExitStack() as restoring:
        for path in (now.receiver.db, now.receiver.db.with_name("replay.db-wal")):
            if subprocess.run(["chattr", "+i", str(path)], capture_output=True, check=False).returncode:
                pytest.skip("files cannot be made immutable here")
            restoring.callback(subprocess.run, ["chattr", "-i", str(path)], check=True)
        refusals(now, TROUBLE_S)
