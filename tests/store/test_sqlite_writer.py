"""The one writer of a file: groups, failures of one write and of all, durability, and its end."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from hypothesis import settings

import otel_replay
from otel_replay.errors import StoreUnavailable
from otel_replay.query.local import LocalReplay
from otel_replay.store.base import Write
from otel_replay.store.sqlite import SqliteReader, SqliteStore, database, ingest
from tests.e2e.processes import running
from tests.store.groups import submit_as_group
from tests.store.requests import CHAT, START, TRACE, click_event, payload, span, traces, upload, write
from tests.store.writing import another_process, rest, said

ROUNDS = 100 if settings.get_current_profile_name() == "soak" else 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program, such as the SQLite shell, holds the file for itself."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


def spans(store: SqliteReader, project: int = 1) -> list[int]:
    return sorted(int(one.span_id, 16) for one in store.spans_of_trace(project, TRACE))


def chat(number: int, project: int = 1) -> Write:
    return write(traces(span(number, {**CHAT, "session.id": "s1"})), project=project)


def poisoned(number: int) -> Write:
    """A row that SQLite cannot hold."""
    made = chat(number)
    return replace(made, interactions=[row._replace(start_unix_nano=2**63) for row in made.interactions])


def test_acknowledged_means_synced(store: SqliteStore) -> None:
    def pragma(name: str) -> object:
        return store._writer.run(lambda: store._database.conn.execute(f"PRAGMA {name}").fetchone()[0]).result()

    assert pragma("synchronous") == 2  # FULL: the log is synced before COMMIT returns
    assert pragma("journal_mode") == "wal"


def test_writes_that_wait_are_committed_together(store: SqliteStore) -> None:
    writes = [chat(number) for number in range(1, 9)] + [chat(9, project=2)]
    assert not any(future.result().duplicate for future in submit_as_group(store, writes))
    assert store.counts()["blocks"] == 2
    assert spans(store) == list(range(1, 9))
    assert spans(store, project=2) == [9]


def test_a_write_that_cannot_be_stored_fails_alone(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL):
        futures = submit_as_group(store, [chat(1), poisoned(2), chat(3), upload(0, payload(click_event(1)))])
        with pytest.raises(StoreUnavailable, match="nothing was stored"):
            futures[1].result()
    assert [one.result().duplicate for one in futures if one is not futures[1]] == [False] * 3
    assert spans(store) == [1, 3]
    counts = store.counts()
    assert (counts["spans"], counts["interactions"], counts["chunks"]) == (2, 2, 1)


def test_what_failed_can_be_sent_again(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    """Its digest was not kept, so that it is no duplicate."""
    with caplog.at_level(logging.CRITICAL), pytest.raises(StoreUnavailable):
        store.commit(poisoned(1))
    assert store.commit(chat(1)).duplicate is False
    assert spans(store) == [1]


def test_requests_are_remembered_for_an_hour(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is older goes when the index is flushed, so that the file does not grow by every request for ever."""
    monkeypatch.setattr(ingest, "TAIL_BLOCKS", 3)
    hour = 3600 * 10**9
    for number, received in enumerate((START, START + 1, START + hour + 1), start=1):
        store.commit(write(traces(span(number)), received=received))
    again = [store.commit(write(traces(span(number)), received=START + hour + 2)).duplicate for number in (1, 2, 3)]
    assert again == [False, True, True]


def test_a_locked_file_is_a_retryable_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_S", 0.05)
    store = SqliteStore(path)
    writes = [chat(1), chat(2)]
    with caplog.at_level(logging.CRITICAL), locked(path):
        for future in submit_unguarded(store, writes):
            with pytest.raises(StoreUnavailable, match="locked"):
                future()
    assert store.counts()["spans"] == 0
    assert [store.commit(one).duplicate for one in writes] == [False, False]
    assert spans(store) == [1, 2]
    store.close()


def submit_unguarded(store: SqliteStore, writes: list[Write]) -> list[Callable[[], object]]:
    """Without a task before them, which would fail as well."""
    return [store._writer.submit(write).result for write in writes]


def test_a_full_disk_is_a_retryable_error(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    def limit(pages: int) -> None:
        store._writer.run(lambda: store._database.conn.execute(f"PRAGMA max_page_count = {pages}")).result()

    large = write(traces(span(1, {"noise": "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(300_000))})))
    limit(1)  # SQLite takes the present size instead: not a page more
    with caplog.at_level(logging.CRITICAL), pytest.raises(StoreUnavailable, match="full"):
        store.commit(large)
    assert store.counts()["spans"] == 0
    limit(2**30)
    assert store.commit(large).duplicate is False
    assert spans(store) == [1]


def test_close_is_final_and_safe_to_repeat(path: Path) -> None:
    before = set(threading.enumerate())
    store = SqliteStore(path)
    store.commit(chat(1))
    assert any(thread.name == "otel-replay-writer" for thread in set(threading.enumerate()) - before)
    store.close()
    store.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(StoreUnavailable, match="shutting down"):
        store.commit(chat(2))
    reopened = SqliteStore(path)
    assert spans(reopened) == [1]
    reopened.close()


def test_what_was_accepted_before_close_is_committed(path: Path) -> None:
    store = SqliteStore(path)
    futures = submit_as_group(store, [chat(number) for number in range(1, 200)])
    store.close()
    assert all(future.done() and not future.exception() for future in futures)
    reader = SqliteReader(path)
    assert spans(reader) == list(range(1, 200))
    reader.close()


def test_many_threads_write_at_once(store: SqliteStore) -> None:
    def send(first: int) -> None:
        for number in range(first, first + 25):
            store.commit(chat(number))

    threads = [threading.Thread(target=send, args=(1 + 25 * part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spans(store) == list(range(1, 101))


def test_readers_see_all_that_was_acknowledged_before_they_asked(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that share a reader, in any state of the index between two flushes."""
    monkeypatch.setattr(ingest, "TAIL_BLOCKS", 3)
    reader = SqliteReader(path)
    acknowledged = 0
    wrong: list[tuple[int, list[int]]] = []

    def ask() -> None:
        while acknowledged < 60:
            before = acknowledged
            found = spans(reader)
            if len(found) < before or found != list(range(1, len(found) + 1)):
                wrong.append((before, found))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 61):
        store.commit(chat(number))
        acknowledged = number
    for thread in threads:
        thread.join()
    reader.close()
    assert wrong == []


def test_what_is_being_read_stays_as_it_was(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread is in the middle of a recording while the index is flushed and another thread has read behind that."""
    monkeypatch.setattr(ingest, "TAIL_BLOCKS", 3)
    reader = SqliteReader(path)
    for one in (upload(0, payload(click_event(0))), chat(1), chat(2)):
        store.commit(one)
    reading = reader.chunks(1, "s1", "tab")
    next(reading)
    for number in (3, 4):
        store.commit(chat(number))
    behind: list[list[int]] = []
    other = threading.Thread(target=lambda: behind.append(spans(reader)))
    other.start()
    other.join()
    assert behind == [[1, 2, 3, 4]]
    assert spans(reader) == [1, 2]
    assert not list(reading)
    assert spans(reader) == [1, 2, 3, 4]
    reader.close()


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    """One file, whose writer is killed again and again."""
    stored = 0
    for kill_after in range(1, ROUNDS + 1):
        with another_process("write", str(path), str(stored + 1)) as process:
            for number in range(stored + 1, stored + 1 + kill_after):
                assert said(process) == str(number)
            process.kill()
            acknowledged = int([str(number), *rest(process)][-1])
        store = SqliteStore(path)
        found = spans(store)
        stored = len(found)
        assert found == list(range(1, stored + 1))
        assert stored in (acknowledged, acknowledged + 1)  # the last may have been stored and not yet said
        assert store.sessions_of_trace(1, TRACE) == sorted(f"s{number}" for number in found)
        store.close()


@pytest.mark.feature("X6")
@pytest.mark.feature("S3")
def test_a_server_that_is_killed_loses_nothing_it_acknowledged(path: Path) -> None:
    """Spans and a recording over HTTP into one SQLite file; the server dies, the file is opened with Python."""
    arguments = ("serve", "--db", str(path), "--grpc-port", "0", "--http-port", "0")
    with running("otel_replay", *arguments) as program:
        url = program.wait_for(r"otel-replay: http (http://\S+)")
        headers = {"content-type": "application/x-protobuf"}
        for number in (1, 2, 3):
            body = traces(span(number, {"session.id": "s1"})).SerializeToString()
            assert requests.post(f"{url}/v1/traces", body, headers=headers, timeout=30).status_code == 200
        answer = requests.post(f"{url}/api/v1/sessions/s1/events", json=[click_event(1)], timeout=30)
        assert answer.ok
        program._process.kill()
        program._process.wait()
    replay = otel_replay.open(path)
    assert isinstance(replay, LocalReplay)
    entries = replay.timeline(TRACE).to_dict()["entries"]
    assert sorted(entry["span_id"] for entry in entries if entry["kind"] == "span") == [f"{n:016x}" for n in (1, 2, 3)]
    assert [recording.events for recording in replay.recordings.download("s1")] == [[click_event(1)]]
    replay.close()
