"""Files of older and of newer versions: brought up to date in one step or not at all, or refused in words."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import settings

from otel_replay.errors import NotOurDatabase, StoreError
from otel_replay.store.sqlite import SqliteReader, SqliteStore
from otel_replay.store.sqlite.integrity import check
from otel_replay.store.sqlite.schema import SCHEMA_VERSION
from tests.durability.files import changed, fill
from tests.durability.golden import facts, unpack

ROOT = Path(__file__).parents[2]
KILLS = 50 if settings.get_current_profile_name() == "soak" else 4

pytestmark = pytest.mark.feature("X6")


def schema_of(path: Path) -> list[tuple[str, str, str]]:
    with changed(path) as connection:
        query = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'texts%' ORDER BY type, name"
        return [tuple(row) for row in connection.execute(query)]


def until_counted(store: SqliteStore) -> None:
    """A new schema may have what is stored counted again, in the background."""
    deadline = time.monotonic() + 20
    while store.lag().interactions:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def version_of(path: Path) -> int:
    with changed(path) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_a_file_of_every_released_schema(tmp_path: Path, version: int) -> None:
    """Where the present schema was edited before its release: python -m tests.durability.golden."""
    path, new = tmp_path / "replay.db", tmp_path / "new.db"
    expected = unpack(version, path)
    store = SqliteStore(path)
    until_counted(store)
    assert facts(store) == expected
    fill(store, first=300, count=2)
    store.close()
    SqliteStore(new).close()
    assert schema_of(path) == schema_of(new)
    assert version_of(path) == SCHEMA_VERSION
    assert check(path).damaged == []


def test_an_older_file_is_not_read_but_explained(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    SqliteStore(path).close()
    with changed(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    with pytest.raises(StoreError, match="older otel-replay") as refused:
        SqliteReader(path)
    assert "otel-replay serve" in refused.value.hint


@pytest.mark.slow
def test_a_migration_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    store = SqliteStore(path)
    fill(store)
    store.close()
    reader = SqliteReader(path)
    expected, before, blocks = facts(reader), schema_of(path), reader.counts()["blocks"]
    reader.close()
    for kill_after in random.choices(range(1, blocks + 1), k=KILLS):
        _migrate(path, kill_after)
        assert schema_of(path) == before
        store = SqliteStore(path)
        assert facts(store) == expected
        store.close()
        assert check(path).damaged == []
    assert _migrate(path)[-1] == "done"
    assert version_of(path) == SCHEMA_VERSION + 1
    with changed(path) as connection:
        assert {row[0][-1:] for row in connection.execute("SELECT requests FROM blocks")} == {" "}
        assert not connection.execute("SELECT 1 FROM blocks WHERE requests LIKE '%  '").fetchall(), "once each"
    for opener in (SqliteStore, SqliteReader):
        with pytest.raises(NotOurDatabase, match="newer otel-replay"):
            opener(path)


def _migrate(path: Path, kill_after: int = 0) -> list[str]:
    """Lines of the newer program, which is killed after so many."""
    command = [sys.executable, "-m", "tests.durability.migrating", str(path)]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if len(lines) == kill_after:
                process.kill()
    return lines
