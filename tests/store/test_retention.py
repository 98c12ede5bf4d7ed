"""What is too old or too much goes, with all that was derived from it, and nothing else does."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from sqlite_utils.utils import sqlite3

from otel_replay.privacy.retention import Retention
from otel_replay.store.base import InteractionFilter, SessionFilter
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.integrity import check
from tests.store.groups import on_the_writer
from tests.store.pruning import RETENTIONS
from tests.store.requests import CHAT, START, click_event, log, logs, metrics, payload, span, traces, upload, write
from tests.store.test_erasure import _page, said, settle

pytestmark = [pytest.mark.feature("K16"), pytest.mark.slow]

DAY = 86_400 * 10**9
NOW = START + 40 * DAY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path, clock=lambda: NOW)
    yield opened
    opened.close()


def fill(store: SqliteStore, days: int, per_day: int = 1) -> None:
    """A session a day, from START on, with everything a session can have."""
    for number in range(days * per_day):
        day = number // per_day
        start, name = START + day * DAY, f"day{number:03}"
        trace = f"{number + 1:032x}"
        spans = [
            span(1, said(name, number), trace=trace, start=start),
            span(2, {"n": number}, trace=trace, start=start),
        ]
        store.commit(write(traces(*spans), received=start))
        told = {"session.id": f"session-{name}", "feature": "chat" if number % 2 else "search"}
        store.commit(write(logs(log(told, trace=trace, time=start, event_name="session.start")), received=start))
        events = [_page(name) | {"timestamp": start // 10**6}, click_event(day * 86_400)]
        one = upload(0, payload(*events), session=f"session-{name}")
        store.commit(replace(one, chunks=[replace(one.chunks[0], received_unix_nano=start + DAY)]))
    store.commit(write(metrics(1), received=START))
    settle(store)


def left(store: SqliteStore) -> list[str]:
    page = store.sessions(1, SessionFilter(), limit=1_000)
    return sorted(one.session.session_id for one in page.sessions)


@pytest.mark.parametrize("is_compacted", [True, False])
def test_what_is_too_old_goes_from_everywhere(store: SqliteStore, path: Path, is_compacted: bool) -> None:
    fill(store, 40)
    if is_compacted:
        store.compact_now()
    pruned = store.privacy.prune(1, Retention(max_age_ns=10 * DAY + DAY // 2))
    assert left(store) == [f"session-day{number:03}" for number in range(30, 40)]
    assert (pruned.sessions, pruned.chunks) == (30, 30)
    counted = store.counts()
    if not is_compacted:  # sorted blocks go when all that is in them is too old
        assert (counted["spans"], counted["log_records"], counted["metrics"]) == (20, 10, 0)
    assert (counted["interactions"], counted["chunks"]) == (10, 10)
    assert store.statistics(1, "model", InteractionFilter(), limit=9).total.interactions == 10
    assert len(store.search(1, "only*", InteractionFilter(), limit=99).hits) == 10
    assert store.search(1, "helpful", InteractionFilter(), limit=9).hits[0].trace_id == f"{31:032x}"
    assert store._rows("SELECT count(*) FROM bodies WHERE refs <= 0", ()) == [(0,)]
    assert not check(path).document(path)["damaged"]
    store.privacy.prune(1, Retention(max_age_ns=1))
    assert left(store) == []
    assert [store._rows(f"SELECT count(*) FROM {table}", ())[0][0] for table in TABLES] == [0] * len(TABLES)


TABLES = ("interactions", "actions", "sessions", "facets", "chunks", "dom_chunks", "streams", "conversations")


def test_a_feature_has_an_age_of_its_own(store: SqliteStore) -> None:
    fill(store, 10)
    store.compact_now()
    pruned = store.privacy.prune(1, Retention(features={"chat": DAY, "unknown": DAY}))
    assert pruned.sessions == 5
    assert left(store) == [f"session-day{number:03}" for number in range(0, 10, 2)]
    assert store.counts()["spans"] == 10
    assert not store.spans_of_trace(1, f"{2:032x}")


def test_the_oldest_go_until_what_is_left_is_small_enough(store: SqliteStore) -> None:
    fill(store, 40)
    query = "SELECT (SELECT total(length(data)) FROM blocks) + (SELECT total(length(payload)) FROM chunks)"
    query += " + (SELECT total(length(data)) FROM body_blocks)"
    before = store._rows(query, ())[0][0]
    store.privacy.prune(1, Retention(max_bytes=int(before / 2)))
    assert before / 4 < store._rows(query, ())[0][0] <= before / 2
    sessions = left(store)
    assert sessions == [f"session-day{number:03}" for number in range(40 - len(sessions), 40)]


def test_freed_space_is_used_again(store: SqliteStore, path: Path) -> None:
    fill(store, 30, per_day=4)
    store.close()
    size = path.stat().st_size
    again = SqliteStore(path, clock=lambda: NOW)
    again.privacy.prune(1, Retention(max_age_ns=1))
    fill(again, 20, per_day=4)
    again.close()
    assert path.stat().st_size <= 1.1 * size


def test_another_project_keeps_what_it_has(store: SqliteStore) -> None:
    fill(store, 3)
    store.commit(write(traces(span(1, CHAT, trace="ab" * 16)), project=2))
    store.privacy.prune(1, Retention(max_age_ns=1, max_bytes=1))
    assert len(store.spans_of_trace(2, "ab" * 16)) == 1


def test_it_ends_when_it_is_told_to(store: SqliteStore) -> None:
    fill(store, 3)
    store.privacy.prune(1, Retention(max_age_ns=1, max_bytes=1), lambda: True)
    assert len(left(store)) == 3


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "replay.db"
    with closing(SqliteStore(path, clock=lambda: START + 12 * DAY)) as store:
        fill(store, 12)
        store.compact_now()
    return path


@pytest.mark.parametrize("finished_by", ["the next prune", "a start"])
@pytest.mark.parametrize("retention", RETENTIONS)
def test_pruning_that_was_killed_is_finished(filled: Path, tmp_path: Path, retention: str, finished_by: str) -> None:
    """At any statement: no content is left that nothing refers to, and the second time ends like the first."""

    def pruning(path: Path, statement: int) -> subprocess.CompletedProcess[str]:
        words = (str(path), str(START + 12 * DAY), retention, str(statement))
        command = [sys.executable, "-m", "tests.store.pruning", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    whole = Path(shutil.copy(filled, tmp_path / "whole.db"))
    statements = int(pruning(whole, 0).stdout)
    leftovers = 0
    for statement in random.sample(range(1, statements + 1), KILLS):
        path = Path(shutil.copy(filled, tmp_path / f"killed-at-{statement}.db"))
        assert pruning(path, statement).returncode == -signal.SIGKILL
        leftovers += bool(column(path, UNUSED))
        with closing(SqliteStore(path, clock=lambda: START + 12 * DAY)) as store:
            if finished_by == "a start":
                store.privacy.finish()
                assert column(path, UNUSED) == [], statement
            store.privacy.prune(1, RETENTIONS[retention])
        for query in (UNUSED, "SELECT * FROM erased_records"):
            assert column(path, query) == [], statement
        for query in LEFT:
            assert column(path, query) == column(whole, query), statement
        assert check(path).damaged == []
    assert leftovers or KILLS < 10


UNUSED = "SELECT id FROM bodies WHERE refs <= 0"
LEFT = (
    "SELECT id FROM bodies ORDER BY 1",
    "SELECT session_id FROM sessions ORDER BY 1",
    "SELECT hex(trace_id) FROM interactions ORDER BY 1",
    "SELECT session_id FROM chunks ORDER BY 1",
    "SELECT sum(items) FROM blocks",
    "SELECT key FROM meta ORDER BY 1",
)
KILLS = 40 if settings.get_current_profile_name() == "soak" else 4
ROOT = Path(__file__).parents[2]


def column(path: Path, query: str) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute(query)]


def test_a_block_that_cannot_be_read_stays_and_stops_nothing(store: SqliteStore, path: Path) -> None:
    fill(store, 3)
    on_the_writer(store, "UPDATE blocks SET data = x'00' WHERE id = 1")
    store.privacy.prune(1, Retention(max_age_ns=1))
    assert left(store) == []
    assert store._rows("SELECT id FROM blocks", ()) == [(1,)]
