"""The load generator sends all of it, notices what is missing, and says what it needs."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_replay.cli import cli
from otel_replay.errors import ReplayError
from tests.bench.load.client import Address, Answers, Client, Load, Protocol, build_client
from tests.bench.load.measure import address, entries_file, expect, limited, load_for, stored_in
from tests.bench.load.metrics import stored
from tests.bench.load.samples import compare_recordings, compare_traces
from tests.bench.load.servers import RunningServer, replay_server, started
from tests.bench.load.workload import Entry, Stream, Workload, read_entries, write_entries

pytestmark = pytest.mark.slow
ANSWERS = Answers(10, 10, 1_000, 2.0, 1.6, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    try:
        return Client(build_client(tmp_path_factory.mktemp("client")))
    except ReplayError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with (
        tempfile.TemporaryDirectory() as scratch,
        started(replay_server(Path(scratch) / "replay.db"), core=None, log=Path(scratch) / "log") as running,
    ):
        yield running


@pytest.mark.parametrize("load", [Load(), Load(connections=3, in_flight=7), Load(Protocol.HTTP, in_flight=3)])
@pytest.mark.parametrize("spans", [10, 512])
def test_sends_every_request_once(
    client: Client, server: RunningServer, tmp_path: Path, load: Load, spans: int
) -> None:
    stream = Stream(Workload.W2, f"{load}{spans}", spans)
    items = write_entries(entries_file(tmp_path), limited(stream, 20))
    before = stored(server.http, Workload.W2)
    answers = client.send(address(server, load), entries_file(tmp_path), load)
    assert (answers.answered, answers.succeeded) == (20, 20)
    assert answers.bytes == sum(len(body) for _, body in read_entries(entries_file(tmp_path)))
    assert 0 < answers.p50_ms <= answers.p90_ms <= answers.p99_ms <= answers.max_ms
    assert stored(server.http, Workload.W2) - before == items == 20 * spans
    assert compare_traces(server.http, entries_file(tmp_path), 20) > 100


def test_notices_a_span_that_is_not_what_was_sent(client: Client, server: RunningServer, tmp_path: Path) -> None:
    file = entries_file(tmp_path)
    write_entries(file, limited(Stream(Workload.W1, "altered"), 2))
    client.send(server.grpc, file, Load())
    sent = list(read_entries(file))
    write_entries(file, [Entry(body.replace(b"shop.example.com", b"shop.example.org"), 512) for _, body in sent])
    with pytest.raises(ReplayError, match="spans were sent"):
        compare_traces(server.http, file, 2)


def test_notices_a_recording_that_is_not_what_was_sent(client: Client, server: RunningServer, tmp_path: Path) -> None:
    file, load = entries_file(tmp_path), load_for(Workload.RECORDINGS, Load(in_flight=4))
    write_entries(file, limited(Stream(Workload.RECORDINGS, "chunks"), 48))
    client.send(server.http, file, load)
    assert compare_recordings(server.http, read_entries(file), 48) == 9
    altered = ((path, body.replace(b'"source": 3', b'"source": 4')) for path, body in read_entries(file))
    with pytest.raises(ReplayError, match="not what was sent"):
        compare_recordings(server.http, altered, 48)


def test_says_what_a_server_refuses(client: Client, server: RunningServer, tmp_path: Path) -> None:
    write_entries(entries_file(tmp_path), [Entry(b"\xff\xff nonsense", 1)])
    for load in (Load(in_flight=1), Load(Protocol.HTTP, in_flight=1)):
        with pytest.raises(ReplayError, match="1 of 1 requests were refused"):
            client.send(address(server, load), entries_file(tmp_path), load)


def test_stops_when_the_time_is_over(client: Client, server: RunningServer, tmp_path: Path) -> None:
    write_entries(entries_file(tmp_path), limited(Stream(Workload.W1, "time"), 400))
    answers = client.send(server.grpc, entries_file(tmp_path), Load(in_flight=1, seconds=0.05))
    assert 0 < answers.answered < 400


def test_counts_what_is_in_the_file(client: Client, tmp_path: Path) -> None:
    database = tmp_path / "replay.db"
    with started(replay_server(database), core=None, log=tmp_path / "log") as server:
        write_entries(entries_file(tmp_path), limited(Stream(Workload.W1, "file"), 3))
        client.send(server.grpc, entries_file(tmp_path), Load())
    assert stored_in(database, Workload.W1) == 3 * 512
    with pytest.raises(ReplayError, match="1,536 are stored"):
        expect(1_537, stored_in(database, Workload.W1))


def test_a_client_that_is_busy_makes_a_run_invalid() -> None:
    assert ANSWERS.valid
    assert not replace(ANSWERS, cpu_seconds=1.71).valid


def test_needs_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReplayError, match="C compiler") as refused:
        build_client(tmp_path)
    assert "libnghttp2-dev" in refused.value.hint


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", ":4317", "localhost:http"])
def test_an_address_needs_host_and_port(text: str) -> None:
    with pytest.raises(ReplayError, match="HOST:PORT"):
        Address.parse(text)


def test_an_address() -> None:
    assert Address.parse("[::1]:4317").url == "http://[::1]:4317"


@pytest.mark.feature("X7")
@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("target", [True, False])
def test_the_command(server: RunningServer, tmp_path: Path, target: bool) -> None:
    there = [f"{one.host}:{one.port}" for one in (server.grpc, server.http)]
    options = ["--target", there[0], "--api", there[1]] if target else []
    few = ["--requests", "6", "--spans-per-request", "50", "--repeat", "2", "--format", "json"]
    done = CliRunner().invoke(cli, ["bench", *few, *options, "--work-dir", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["medians"]["items"] == 600
    assert document["medians"]["compared"] > 50
    assert (document["medians"]["stored_bytes_per_item"] > 0) is not target
    assert list(tmp_path.iterdir()) == []
