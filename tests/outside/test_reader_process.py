"""The process that answers what takes long: it is small, may die or hang at any time, and never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_replay.errors import InvalidRequest, RetryableError, StoreError, StoreUnavailable
from otel_replay.query import LocalReplay
from otel_replay.query.worker import WAITING_CALLS, ReaderProcess, with_reader_process
from otel_replay.store.base import SpanFilter, TracePage
from otel_replay.store.sqlite import SqliteStore
from tests.outside.outside import eventually
from tests.store.requests import TRACE, span, traces, write

ROOT = Path(__file__).parents[2]
EVERYTHING = SpanFilter()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "replay.db")
    opened.commit(write(traces(span(1, {"n": 1}))))
    yield opened
    opened.close()


@pytest.fixture
def process(store: SqliteStore, tmp_path: Path) -> Iterator[ReaderProcess]:
    reader = ReaderProcess(tmp_path / "replay.db")
    yield reader
    reader.close()


def ask(process: ReaderProcess) -> TracePage:
    page: TracePage = process.call("search_traces", 1, EVERYTHING, limit=5)
    return page


def started(process: ReaderProcess) -> int:
    """The child's id, once it has answered."""
    ask(process)
    assert process.pid
    return process.pid


def is_alive(pid: int) -> bool:
    """A zombie that nobody has waited for is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux about processes")


def test_it_answers_as_the_reader_does(store: SqliteStore, process: ReaderProcess) -> None:
    assert process.pid is None, "it starts when it is needed"
    assert ask(process) == store.search_traces(1, EVERYTHING, limit=5)
    first = process.pid
    store.commit(write(traces(span(1, trace="ab" * 16))))
    assert [one.trace_id for one in ask(process).traces] == ["ab" * 16, TRACE]
    assert process.pid == first


def test_a_replay_asks_it(store: SqliteStore, process: ReaderProcess) -> None:
    replay = LocalReplay(with_reader_process(store, process))
    assert replay.services() == ["api"]
    light = process.pid
    assert [one["trace_id"] for one in replay.traces(attributes=["n=1"])["traces"]] == [TRACE]
    assert (light, bool(process.pid)) == (None, True)
    with pytest.raises(InvalidRequest, match="write key=value"):
        replay.traces(attributes=["n"])


def test_only_what_it_is_for(process: ReaderProcess) -> None:
    with pytest.raises(ValueError, match="close is not a question"):
        process.call("close")


def test_errors_keep_their_kind_and_hint(tmp_path: Path) -> None:
    process = ReaderProcess(tmp_path / "missing.db")
    with pytest.raises(StoreError, match="there is no database") as refused:
        ask(process)
    assert refused.value.hint.startswith("start one with")
    (tmp_path / "missing.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="not an SQLite database"):
        ask(process)
    process.close()


def test_an_error_that_nobody_foresaw(process: ReaderProcess) -> None:
    with pytest.raises(RetryableError, match="an error inside the reader process"):
        process.call("search_traces", 1, EVERYTHING, limit="many")
    assert ask(process).traces


@pytest.mark.slow
def test_it_dies_and_comes_back(process: ReaderProcess) -> None:
    first = started(process)
    os.kill(first, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (first, signal.SIGKILL)).start()
    with pytest.raises(RetryableError, match="the reader process has ended"):
        ask(process)
    assert ask(process).traces
    assert process.pid != first


@pytest.mark.slow
def test_dead_between_two_calls_is_not_noticed(process: ReaderProcess) -> None:
    first = started(process)
    os.kill(first, signal.SIGKILL)
    assert process._child
    process._child.wait(20)
    assert ask(process).traces
    assert process.pid != first


@pytest.mark.slow
def test_too_long(store: SqliteStore, tmp_path: Path) -> None:
    process = ReaderProcess(tmp_path / "replay.db", call_seconds=3)
    first = started(process)
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(RetryableError, match=r"no answer within 3 s \(narrow it"):
        ask(process)
    assert not is_alive(first)
    assert ask(process).traces
    process.close()


@pytest.mark.slow
def test_too_many(process: ReaderProcess) -> None:
    first = started(process)
    os.kill(first, signal.SIGSTOP)
    answers: list[TracePage] = []
    waiting = [threading.Thread(target=lambda: answers.append(ask(process))) for _ in range(WAITING_CALLS)]
    for thread in waiting:
        thread.start()
    assert eventually(lambda: process._places._value, lambda left: left == 0) == 0
    with pytest.raises(StoreUnavailable, match=r"too many questions wait .* \(ask again"):
        ask(process)
    os.kill(first, signal.SIGCONT)
    for thread in waiting:
        thread.join()
    assert len(answers) == WAITING_CALLS


@pytest.mark.slow
def test_closing_ends_it_in_the_middle_of_a_call(process: ReaderProcess) -> None:
    first = started(process)
    os.kill(first, signal.SIGSTOP)
    refusals: list[RetryableError] = []

    def call() -> None:
        with pytest.raises(RetryableError) as refused:
            ask(process)
        refusals.append(refused.value)

    thread = threading.Thread(target=call)
    thread.start()
    assert eventually(process._turn.locked, bool)
    process.close()
    thread.join()
    process.close()
    assert len(refusals) == 1
    assert not is_alive(first)
    with pytest.raises(StoreUnavailable, match="closed"):
        ask(process)


PARENT = """
import sys, time
from pathlib import Path
from otel_replay.query.worker import ReaderProcess
from otel_replay.store.base import SpanFilter
process = ReaderProcess(Path(sys.argv[1]))
process.call("search_traces", 1, SpanFilter(), limit=1)
print(process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
@needs_proc
def test_it_does_not_outlive_its_parent(store: SqliteStore, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "replay.db")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
        parent.wait()
        assert eventually(lambda: is_alive(child), lambda alive: not alive) is False


@pytest.mark.slow
@needs_proc
def test_an_interrupt_is_for_the_server(process: ReaderProcess) -> None:
    child = started(process)
    os.kill(child, signal.SIGINT)
    time.sleep(0.1)
    assert ask(process).traces
    assert process.pid == child


@needs_proc
def test_it_steps_back_for_the_receiver(process: ReaderProcess) -> None:
    assert os.getpriority(os.PRIO_PROCESS, started(process)) == os.getpriority(os.PRIO_PROCESS, 0) + 5


def test_it_loads_no_server_parts() -> None:
    program = (
        "import sys, json, otel_replay.query.worker, otel_replay.store.sqlite.reader;"
        " print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    loaded = set(json.loads(done.stdout))
    assert "otel_replay.store.sqlite.reader" in loaded
    assert loaded & {"grpc", "starlette", "uvicorn", "granian", "requests", "rich", "hyperscan"} == set()
