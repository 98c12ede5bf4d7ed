"""What follows the acknowledgement: it keeps up, it holds nothing up, and a kill at any point leaves it to be done."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_replay.store.base import Lag, Receipt, Write
from otel_replay.store.sqlite import SqliteReader, SqliteStore, writer
from otel_replay.store.sqlite.space import FreeSpace
from otel_replay.store.sqlite.writer import GroupWriter
from tests.store.conftest import Backend
from tests.store.requests import CHAT, click_event, payload, span, traces, upload, write


class Copies:
    """Follows the table ``written`` to the table ``copied``, some bytes a step."""

    def __init__(self) -> None:
        self.budgets: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        self.fails = False

    def step(self, connection: Any, budget_bytes: int) -> bool:
        self.hold.wait(30)
        self.budgets.append(budget_bytes)
        if self.fails:
            raise ValueError("cannot copy")
        insert = "INSERT INTO copied SELECT * FROM written WHERE n > (SELECT coalesce(max(n), 0) FROM copied) LIMIT 2"
        connection.execute(insert)
        return self.waiting(connection) > 0

    def waiting(self, connection: Any) -> int:
        query = "SELECT (SELECT count(*) FROM written) - (SELECT count(*) FROM copied)"
        found: int = connection.execute(query).fetchone()[0]
        return found


class Written:
    """A writer of numbers with a follower."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        for table in ("written", "copied"):
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (n INTEGER PRIMARY KEY)")
        self.follower = Copies()
        self.commits = 0
        self.writer = GroupWriter(self.connection, self._apply, FreeSpace(path), (self.follower,), self._count)

    def _apply(self, writes: Any) -> list[Receipt]:
        insert = "INSERT INTO written SELECT 1 + coalesce(max(n), 0) FROM written"
        for _ in writes:
            self.connection.execute(insert)
        return [Receipt(False)] * len(writes)

    def _count(self) -> None:
        assert not self.connection.in_transaction
        self.commits += 1

    def idle(self) -> int:
        """How many wait once nobody writes."""
        while self.writer._behind or not self.writer._queue.empty():
            pass
        return self.writer.run(lambda: self.follower.waiting(self.connection)).result()


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path / "numbers.db")
    yield made
    made.follower.hold.set()
    made.writer.close()
    made.connection.close()


def some(size: int = 1000) -> Write:
    return write(traces(span(1, {"noise": "x" * size})))


def test_all_of_it_is_done_when_nobody_waits(written: Written) -> None:
    for _ in range(7):
        written.writer.submit(some()).result()
    assert written.idle() == 0
    assert written.commits >= 7


def test_what_an_ended_process_left_is_done_first_thing(tmp_path: Path) -> None:
    written = Written(tmp_path / "numbers.db")
    written.follower.fails = True
    logging.getLogger(writer.__name__).setLevel(logging.CRITICAL)
    for _ in range(5):
        written.writer.submit(some()).result()
    written.writer.close()
    written.connection.close()
    logging.getLogger(writer.__name__).setLevel(logging.NOTSET)
    again = Written(tmp_path / "numbers.db")
    assert again.idle() == 0
    again.writer.close()
    again.connection.close()


def test_acknowledgements_do_not_wait_for_it(written: Written) -> None:
    written.idle()
    written.follower.hold.clear()
    assert written.writer.submit(some()).result(timeout=10) == Receipt(False)
    written.follower.hold.set()
    assert written.idle() == 0


def test_under_load_it_works_off_twice_what_came(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not after every group: small groups come often."""
    written.idle()
    monkeypatch.setattr(writer, "GROUP_WRITES", 1)
    monkeypatch.setattr(writer, "FOLLOW_BYTES", 100_000)
    written.follower.budgets.clear()
    gate = threading.Event()
    written.writer.run(lambda: gate.wait(30))
    one = some(20_000)
    futures = [written.writer.submit(one) for _ in range(12)]
    gate.set()
    for future in futures:
        future.result()
    written.idle()
    assert [budget for budget in written.follower.budgets if budget != 100_000] == [10 * len(one.body)] * 2


def test_one_that_fails_harms_nothing_and_tries_again(written: Written, caplog: pytest.LogCaptureFixture) -> None:
    written.idle()
    written.follower.fails = True
    with caplog.at_level(logging.CRITICAL, logger=writer.__name__):
        for _ in range(3):
            written.writer.submit(some()).result()
        assert written.idle() == 3
    written.follower.fails = False
    written.writer.submit(some()).result()
    assert written.idle() == 0


def test_closing_does_not_wait_for_it(written: Written) -> None:
    written.idle()
    written.follower.hold.clear()
    written.writer.submit(some()).result()
    closing = threading.Thread(target=written.writer.close)
    closing.start()
    written.follower.hold.set()
    closing.join()
    assert not closing.is_alive()


def test_nothing_is_behind_in_the_end(backend: Backend) -> None:
    backend.commit(write(traces(span(1, CHAT))), upload(0, payload(click_event(0))), upload(1, payload(click_event(1))))
    assert backend.reader.lag().chunks == backend.reader.lag(1).chunks == 2
    assert backend.reader.lag(2).chunks == 0
    backend.store.distill()
    backend.commit(upload(2, payload(click_event(2))))
    assert backend.reader.lag().chunks == 1
    backend.store.distill()
    wait_until(lambda: backend.reader.lag() == Lag(0, 0, 0))


def wait_until(is_true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not in ten seconds")


def test_texts_and_interactions_that_wait_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = CHAT | {"gen_ai.prompt": "How tall is the tower? " * 60}
    monkeypatch.setattr(GroupWriter, "_step", lambda *_: False)
    store = SqliteStore(tmp_path / "replay.db")
    store.commit(write(traces(span(1, said), span(2, CHAT))))
    reader = SqliteReader(tmp_path / "replay.db")
    assert reader.lag() == store.lag() == store.lag(1) == Lag(texts=1, interactions=2, chunks=0)
    assert store.lag(2) == Lag(0, 0, 0)
    monkeypatch.undo()
    store.commit(write(traces(span(3))))
    wait_until(lambda: reader.lag() == Lag(0, 0, 0))
    reader.close()
    store.close()
