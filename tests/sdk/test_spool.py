"""Requests on disk: whatever ends the process, in their order, and never more than is allowed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_replay.sdk import OTelReplaySpanExporter
from tests.sdk.receivers import grpc_receiver, http_receiver, span
from tests.sdk.test_delivery import free_port

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
ROOT = Path(__file__).resolve().parents[2]

EXPORTING = """
    import sys
    from otel_replay.sdk import OTelReplaySpanExporter
    from tests.sdk.receivers import span
    made = OTelReplaySpanExporter(sys.argv[1])
    for name in sys.argv[2]:
        print(made.export([span(name)]).name, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def exporting(url: str, names: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has exported a span for each letter, and waits."""
    command = [sys.executable, "-c", textwrap.dedent(EXPORTING), url, names]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert [lines(process).readline() for _ in names] == ["SUCCESS\n"] * len(names)
        yield process
    finally:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def test_what_a_killed_process_left_is_sent_by_the_next_one(spool: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with exporting(url, "abc") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (killed,) = (path for path in spool.glob("*/*") if path.is_dir())
    (killed / "00000000000000000001.1.part").write_bytes(b"half a request")
    unlockable = killed.with_name("0-cannot-be-locked")
    unlockable.mkdir()
    Path(f"{unlockable}.lock").mkdir()
    with http_receiver(port=port) as receiver:
        made = OTelReplaySpanExporter(url)
        assert made.export([span("d")]) is SUCCESS
        assert made.force_flush(10_000)
        assert receiver.names() == ["a", "b", "c", "d"]
        made.shutdown()
    assert {path.name.removesuffix(".lock") for path in spool.glob("*/*")} == {unlockable.name}


def test_what_a_living_process_has_is_its_own(spool: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with exporting(url, "ab"):
        made = OTelReplaySpanExporter(url)
        assert made.export([span("c")]) is SUCCESS
        assert made.spooled == 1
        assert len({path.parent for path in spool.glob("*/*/*")}) == 2
        made.shutdown()


def test_one_receivers_requests_are_not_another_ones(spool: Path) -> None:
    first, second = (OTelReplaySpanExporter(f"http://127.0.0.1:{free_port()}") for _ in range(2))
    first.export([span("a")])
    first.shutdown()
    second.export([span("b")])
    assert (first.spooled, second.spooled) == (1, 1)
    assert len(list(spool.iterdir())) == 2
    second.shutdown()


def test_a_full_spool_drops_the_oldest_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    monkeypatch.setenv("OTEL_REPLAY_SPOOL_MAX_BYTES", "50000")
    port = free_port()
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{port}")
    assert [made.export([span(name, size=10_000), span(name)]) for name in "abcdefg"] == [SUCCESS] * 7
    assert sum(path.stat().st_size for path in spool.glob("*/*/*")) <= 50_000
    assert (made.spooled, made.lost) == (8, 6)
    assert "is full: of the oldest items, 2 are lost so far" in caplog.text
    with http_receiver(port=port) as receiver:
        assert not made.force_flush(10_000)  # Three requests are lost.
        assert made.force_flush(10_000)
        assert receiver.names() == list("ddeeffgg")
        made.shutdown()


def test_it_is_on_disk_before_it_counts_as_exported(monkeypatch: pytest.MonkeyPatch, spool: Path) -> None:
    synced: list[tuple[str, int]] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        found = os.fstat(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.suffix if path.is_file() else "directory", found.st_size))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{free_port()}")
    assert made.export([span("a")]) is SUCCESS
    (kept,) = spool.glob("*/*/*")
    assert synced[-2] == (".part", kept.stat().st_size)
    assert synced[-1][0] == "directory"
    made.shutdown()


def test_a_disk_that_takes_nothing_is_no_success(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, spool: Path
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{free_port()}", timeout_s=0.3)
    assert made.export([span("a")]) is FAILURE
    assert (made.lost, made.spooled) == (1, 0)
    assert "No space left on device" in caplog.text
    assert [path for path in spool.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    made.shutdown()


def test_nobody_else_reads_it(spool: Path) -> None:
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{free_port()}")
    made.export([span("a")])
    modes = {oct(path.stat().st_mode & 0o777) for path in [spool, *spool.rglob("*")]}
    assert modes == {"0o700", "0o600"}
    made.shutdown()


@pytest.mark.parametrize("given", ["argument", "variable"])
def test_it_can_be_declined(monkeypatch: pytest.MonkeyPatch, given: str, spool: Path) -> None:
    monkeypatch.setenv("OTEL_REPLAY_SPOOL", "off" if given == "variable" else str(spool))
    declined = None if given == "variable" else False
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{free_port()}", spool=declined, timeout_s=0.2)
    assert made.export([span("a")]) is FAILURE
    assert not spool.exists()
    made.shutdown()


def test_it_is_where_programs_keep_their_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OTEL_REPLAY_SPOOL")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{free_port()}")
    made.export([span("a")])
    assert len(list((tmp_path / "state" / "otel-replay" / "spool").glob("*/*/*"))) == 1
    made.shutdown()


@pytest.mark.parametrize("told", ["here/spool", "~/spool"])
def test_it_stays_where_it_is_when_the_program_changes_its_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str
) -> None:
    port = free_port()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{port}", spool=told)
    assert made.export([span("a")]) is SUCCESS
    assert len(list((tmp_path / "here" / "spool").glob("*/*/*"))) == 1
    monkeypatch.chdir("/")
    assert made.export([span("b")]) is SUCCESS
    with http_receiver(port=port) as receiver:
        assert made.force_flush(10_000)
        assert receiver.names() == ["a", "b"]
    made.shutdown()


FORKING = """
    import os, sys
    from otel_replay.sdk import OTelReplaySpanExporter
    from tests.sdk.receivers import span
    up, down = (OTelReplaySpanExporter(url, sys.argv[1]) for url in sys.argv[2:])
    up.export([span("parent before")])
    down.export([span("parent keeps")])
    child = os.fork()
    who = "parent" if child else "child"
    up.export([span(who)])
    down.export([span(who + " keeps")])
    told = f"{who} {up.force_flush()} {up.spooled} {down.spooled}"
    os.write(1, (told + "\\n").encode())
    if child:
        os.write(1, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    up.shutdown(), down.shutdown()
    os._exit(0)
"""


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_after_a_fork_both_go_on(way: str) -> None:
    port, start = free_port(), grpc_receiver if way == "grpc" else http_receiver
    protocol = "grpc" if way == "grpc" else "http/protobuf"
    with start() as receiver:
        command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKING), protocol]
        command += [receiver.url, f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert sorted(done.stdout.splitlines()) == ["0", "child True 0 1", "parent True 0 2"], done.stderr
        assert sorted(receiver.names()) == ["child", "parent", "parent before"]
    with start(port=port) as receiver:
        made = OTelReplaySpanExporter(f"http://127.0.0.1:{port}", protocol)
        made.export([span("later")])
        assert made.force_flush(10_000)
        assert sorted(receiver.names()) == ["child keeps", "later", "parent keeps", "parent keeps"]
        made.shutdown()
