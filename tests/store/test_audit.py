"""The audit trail: what was noted stays, and nobody can change it through the database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from otel_replay.store.sqlite import SqliteStore
from tests.store.bytes_of import places_of

pytestmark = pytest.mark.feature("K21")


def test_notes_are_kept_in_order_and_name_no_id(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    store = SqliteStore(path, clock=lambda: 5)
    store.audit.note(1, 7, "read", "session", "alice")
    store.audit.note(1, 7, "read", "session", "bobby")
    store.audit.note(2, 8, "read", "session", "alice")
    found = store.audit.entries(1)
    assert [(one.time_unix_nano, one.key_id, one.action, one.kind, one.outcome) for one in found] == [
        (5, 7, "read", "session", "ok")
    ] * 2
    assert [one.id for one in store.audit.entries(1, kind="session", subject="alice")] == [1]
    assert store.audit.entries(1, kind="trace", subject="alice") == []
    assert [one.id for one in store.audit.entries(1, before=2)] == [1]
    store.audit.note(1, 0, "read")
    store.close()
    again = SqliteStore(path)
    assert len(again.audit.entries(1)) == 3  # what waited was written when the store was closed
    again.close()
    assert places_of(path, [b"alice", b"bobby"]) == set()


@pytest.mark.parametrize("change", ["UPDATE audit SET outcome = 'no'", "DELETE FROM audit"])
def test_it_is_only_added_to(tmp_path: Path, change: str) -> None:
    store = SqliteStore(tmp_path / "replay.db")
    store.audit.note(1, 0, "read")
    store.close()
    connection = sqlite3.connect(tmp_path / "replay.db")
    with pytest.raises(sqlite3.IntegrityError, match="only added to"):
        connection.execute(change)
    connection.close()


def test_what_cannot_be_written_is_written_next_time(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    store = SqliteStore(path)
    store.audit.note(1, 0, "read")
    blocker = sqlite3.connect(path, isolation_level=None)
    store._database.conn.execute("PRAGMA busy_timeout = 1")
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(Exception, match="cannot write"):
        store.audit.flush()
    blocker.execute("ROLLBACK")
    blocker.close()
    assert len(store.audit.entries(1)) == 1
    store.close()
