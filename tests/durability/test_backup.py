"""Backups: of a file that is being written, whole, and over nothing that is there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from otel_replay.errors import StoreError
from otel_replay.query.opening import open_replay
from otel_replay.store.sqlite import SqliteReader, SqliteStore
from otel_replay.store.sqlite.backup import copy_database
from otel_replay.store.sqlite.integrity import check
from tests.durability.files import fill, flip
from tests.outside.outside import command, running
from tests.outside.telemetry import page
from tests.store.requests import TRACE
from tests.store.writing import another_process, said

pytestmark = pytest.mark.feature("X6")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "replay.db"
    store = SqliteStore(made)
    fill(store)
    store.close()
    return made


def test_a_backup_is_the_same_database(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    done = command("backup", str(copy), "--db", str(path), "--format", "json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["file"], report["bytes"], report["ok"]) == (str(copy), copy.stat().st_size, True)
    assert report["checked"]["chunks"] == 12
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.startswith("copy")) == ["copy.db"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    first, second = (open_replay(one) for one in (path, copy))
    assert first.trace(TRACE) == second.trace(TRACE)
    assert first.timeline(session_id="s1").to_dict() == second.timeline(session_id="s1").to_dict()
    first.close()
    second.close()
    store = SqliteStore(copy)
    fill(store, first=50, count=1)
    store.close()


@pytest.mark.slow
def test_a_backup_while_a_process_writes(path: Path, tmp_path: Path) -> None:
    """It holds all that was acknowledged before it began, and the state of one moment: no number is left out."""
    written = tmp_path / "written.db"
    with another_process("write", str(written), "1") as process:
        for number in range(5):
            for _ in range(40):
                before = int(said(process))
            copy = tmp_path / f"copy-{number}.db"
            copy_database(written, copy)
            assert check(copy, alone=True).damaged == []
            reader = SqliteReader(copy)
            found = sorted(int(one.span_id, 16) for one in reader.spans_of_trace(1, TRACE))
            reader.close()
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= before
        assert int(said(process)) > before, "it writes on"


def test_a_backup_beside_a_server(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as outside:
        outside.upload("s1", page())
        done = command("backup", str(tmp_path / "copy.db"), "--db", str(outside.database))
        assert done.exit_code == 0, done.output
        assert "nothing damaged" in done.output
    replay = open_replay(tmp_path / "copy.db")
    assert [one.events for one in replay.recordings.download("s1")] == [page()]
    replay.close()


def test_nothing_is_overwritten(path: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("something else")
    done = command("backup", str(there), "--db", str(path))
    assert isinstance(done.exception, StoreError)
    assert "exists already" in str(done.exception)
    assert there.read_text() == "something else"


def test_a_backup_that_cannot_be_written_leaves_nothing(path: Path, tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "copy.db", path / "copy.db"):
        with pytest.raises(StoreError, match="cannot be written"):
            copy_database(path, target)
    assert sorted(os.listdir(tmp_path)) == ["replay.db", "replay.db.lock"]


def test_a_backup_of_a_damaged_file_says_so(path: Path, tmp_path: Path) -> None:
    flip(path, "blocks", "data")
    done = command("backup", str(tmp_path / "copy.db"), "--db", str(path))
    assert done.exit_code == 1
    assert "block 1" in done.output
    assert (tmp_path / "copy.db").exists()


def test_there_has_to_be_a_database(tmp_path: Path) -> None:
    for arguments in (("backup", str(tmp_path / "copy.db")), ("check",)):
        done = command(*arguments, "--db", str(tmp_path / "none.db"))
        assert isinstance(done.exception, StoreError)
        assert "there is no database" in str(done.exception)
    assert list(tmp_path.iterdir()) == []
