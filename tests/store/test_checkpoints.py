"""The write-ahead log stays short, whatever readers do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_replay.store.sqlite import SqliteReader, SqliteStore, checkpoints
from tests.store.requests import TRACE, span, traces, write

FRAME_BYTES = 8192 + 24


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay.db"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    monkeypatch.setattr(checkpoints, "LOG_FRAMES", 100)
    monkeypatch.setattr(checkpoints, "RETRY_FRAMES", 50)
    opened = SqliteStore(path)
    yield opened
    opened.close()


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """How the checkpoints ended."""
    made: list[bool] = []
    restart = checkpoints.Checkpoints._restart

    def counted(self: checkpoints.Checkpoints) -> bool:
        made.append(restart(self))
        return made[-1]

    monkeypatch.setattr(checkpoints.Checkpoints, "_restart", counted)
    return made


def frames(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size // FRAME_BYTES


def fill(store: SqliteStore, first: int, count: int) -> None:
    """About 6 frames each."""
    for number in range(first, first + count):
        store.commit(
            write(traces(span(number, {"noise": "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(9_000))})))
        )


def test_the_log_starts_again_and_again(store: SqliteStore, path: Path, tries: list[bool]) -> None:
    fill(store, 1, 100)
    assert 100 <= frames(path) < 200
    assert tries.count(True) == len(tries) < 12
    assert len(store.spans_of_trace(1, TRACE)) == 100


def test_a_log_that_was_copied_is_not_copied_again(store: SqliteStore, tries: list[bool]) -> None:
    number = 0
    while not tries:
        number += 1
        fill(store, number, 1)
    for _ in range(5):
        store._writer.run(lambda: None).result()  # commits nothing
    assert tries == [True]


@pytest.mark.slow
def test_readers_one_after_the_other_do_not_starve_it(store: SqliteStore, path: Path, tries: list[bool]) -> None:
    """At any time at least one of them is in the middle of a snapshot of the log."""
    reader = SqliteReader(path)
    done = threading.Event()
    turn = [threading.Event(), threading.Event()]

    def read(own: threading.Event, others: threading.Event) -> None:
        while not done.is_set():
            with reader._connections.snapshot() as connection:
                connection.execute("SELECT count(*) FROM blocks").fetchone()
                others.set()
                own.wait(0.01)
                own.clear()

    threads = [threading.Thread(target=read, args=one) for one in (turn, turn[::-1])]
    for thread in threads:
        thread.start()
    most = 0
    for first in range(1, 300, 10):
        fill(store, first, 10)
        most = max(most, frames(path))
    done.set()
    for thread in threads:
        thread.join()
    reader.close()
    assert most < 500
    assert len(tries) < 60
    assert len(store.spans_of_trace(1, TRACE)) == 300


def test_a_reader_that_stays_holds_up_nobody(store: SqliteStore, path: Path) -> None:
    """The log grows while it stays, and ends being used when it goes."""
    fill(store, 1, 5)
    with store._connections.snapshot() as connection:
        before = connection.execute("SELECT count(*) FROM blocks").fetchone()
        fill(store, 6, 100)
        grown = frames(path)
        assert grown > 400
        assert connection.execute("SELECT count(*) FROM blocks").fetchone() == before == (5,)
    fill(store, 106, 100)
    assert frames(path) <= grown + 100
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA wal_checkpoint").fetchone()[1] < 200


def test_a_log_that_is_not_there_is_short(path: Path, store: SqliteStore) -> None:
    keeper = checkpoints.Checkpoints(store._database.conn, path.with_name("other.db"))
    keeper.after_commit()
    assert keeper._at == checkpoints.LOG_FRAMES
