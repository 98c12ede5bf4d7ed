"""The file: whose it is, who writes it, and what is left of it when bytes of it are broken."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_replay.errors import DatabaseInUse, NotOurDatabase, StoreError, StoreUnavailable
from otel_replay.store.sqlite import SqliteReader, SqliteStore, database, ingest
from otel_replay.store.sqlite.schema import APPLICATION_ID, migrations
from tests.store.requests import CHAT, OTHER_TRACE, TRACE, click_event, log, logs, payload, span, traces, upload, write
from tests.store.writing import ROOT, another_process, said

OPENERS = [SqliteStore, SqliteReader]
Opener = Callable[[Path], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay.db"


def test_a_second_writer_in_this_process_is_told_who_writes(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(DatabaseInUse, match=rf"written by process {os.getpid()} "):
        SqliteStore(path)
    store.announce("http://127.0.0.1:4318")
    with pytest.raises(DatabaseInUse, match=r"\(http://127\.0\.0\.1:4318\)") as caught:
        SqliteStore(path)
    assert "--url" in caught.value.hint
    store.commit(write(traces(span(1))))
    store.close()
    SqliteStore(path).close()


def test_a_second_writer_in_another_process_is_told_who_writes(path: Path) -> None:
    url = "http://127.0.0.1:9"
    with another_process("hold", str(path), url) as holder:
        assert said(holder) == "ready"
        with pytest.raises(DatabaseInUse, match=rf"process {holder.pid} \({url}\)"):
            SqliteStore(path)
        holder.kill()
        holder.wait()
        SqliteStore(path).close()


def test_a_file_has_one_writer_under_all_its_names(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    store = SqliteStore(path)
    for name in (link, path.parent / "x" / ".." / path.name):
        (path.parent / "x").mkdir(exist_ok=True)
        with pytest.raises(DatabaseInUse):
            SqliteStore(name)
    store.close()


def _text(path: Path) -> None:
    path.write_text("Dear diary, this is no database. " * 100)


def _other_application(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()


def _newer_version(path: Path) -> None:
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize("opener", OPENERS, ids=lambda opener: opener.__name__)
@pytest.mark.parametrize("make", [_text, _other_application, _newer_version], ids=lambda make: make.__name__)
def test_what_is_not_ours_is_left_alone(path: Path, make: Callable[[Path], None], opener: Opener) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase, match=r"replay\.db") as caught:
        opener(path)
    assert caught.value.hint
    assert path.read_bytes() == before
    assert not path.with_name("replay.db-wal").exists()


def test_a_failed_opening_lets_go_of_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _text(path)
    for _ in range(2):
        with pytest.raises(NotOurDatabase):
            SqliteStore(path)
    path.unlink()
    SqliteStore(path).close()
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_S", 0.05)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    before = set(threading.enumerate())
    with pytest.raises(StoreUnavailable, match="locked"):
        SqliteStore(path)
    connection.close()
    assert set(threading.enumerate()) <= before
    SqliteStore(path).close()


def test_a_creation_that_was_interrupted_is_finished(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables are made in one transaction; whose file it is, is said before."""

    def killed(_database: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(migrations._migrations[0], "fn", killed)
        with pytest.raises(KeyboardInterrupt):
            SqliteStore(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    connection.close()
    store = SqliteStore(path)
    store.commit(write(traces(span(1))))
    assert len(store.spans_of_trace(1, TRACE)) == 1
    store.close()


def test_a_reader_of_a_missing_file_says_how_to_start(path: Path) -> None:
    with pytest.raises(StoreError, match="no database") as caught:
        SqliteReader(path)
    assert "otel-replay serve --db" in caught.value.hint
    assert not path.exists()


def test_a_place_that_cannot_hold_a_file_is_an_error_with_a_hint(path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="cannot lock") as caught:
        SqliteStore(path / "replay.db")
    assert caught.value.hint


READ_AS_NOBODY = """
import os, sys
from pathlib import Path
from otel_replay.store.sqlite import SqliteReader
if os.getuid() == 0:
    os.setgroups([])
    os.setuid(65534)
assert not os.access(Path(sys.argv[1]).parent, os.W_OK)
sys.stdout.write(str(len(SqliteReader(Path(sys.argv[1])).spans_of_trace(1, sys.argv[2]))))
"""


@pytest.mark.parametrize("writing", [False, True], ids=["at rest", "being written"])
def test_a_file_in_a_directory_that_cannot_be_written_can_be_read(writing: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "replay.db"
        store = SqliteStore(path)
        store.commit(write(traces(span(1), span(2))))
        if not writing:
            store.close()
        os.chmod(directory, 0o555)
        command = [sys.executable, "-c", READ_AS_NOBODY, str(path), TRACE]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        os.chmod(directory, 0o755)
        store.close()
    assert (done.stdout, done.stderr) == ("2", "")


# Every byte of the frame's header, the content and the checksum; 0x80 turns a size of two bytes into one of eight.
DAMAGE = [*((at, 0xFF) for at in (0, 4, 5, 6, 7, 8, 9, 20, -1)), (4, 0x80)]
FILLER = {"filler": "0123456789" * 30}
"""Makes what is compressed longer than 255 bytes."""


def _flip(path: Path, table: str, column: str, at: int, mask: int) -> None:
    connection = sqlite3.connect(path)
    number, data = connection.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid LIMIT 1").fetchone()
    broken = bytearray(data)
    broken[at % len(broken)] ^= mask
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (bytes(broken), number))
    connection.commit()
    connection.close()


@pytest.mark.parametrize(("at", "mask"), DAMAGE)
def test_a_broken_block_hides_only_itself(path: Path, at: int, mask: int, caplog: pytest.LogCaptureFixture) -> None:
    store = SqliteStore(path)
    store.commit(write(traces(span(1, {"session.id": "s1"}), span(2, FILLER))))
    store.commit(write(traces(span(3, {"session.id": "s1"}), span(4, trace=OTHER_TRACE))))
    store.commit(write(logs(log({"session.id": "s1"}, trace=TRACE))))
    _flip(path, "blocks", "data", at, mask)
    with caplog.at_level(logging.ERROR):
        assert [one.span_id for one in store.spans_of_trace(1, TRACE)] == ["0" * 15 + "3"]
        assert [one.span_id for one in store.spans_of_session(1, "s1")] == ["0" * 15 + "3"]
        assert len(store.spans_of_trace(1, OTHER_TRACE)) == len(store.logs_of_trace(1, TRACE)) == 1
    assert "block 1 cannot be read" in caplog.text
    store.close()


@pytest.mark.parametrize(("at", "mask"), DAMAGE)
def test_a_broken_chunk_is_a_gap_and_holds_up_no_other(
    path: Path, at: int, mask: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(path)
    for seq in (0, 1):
        store.commit(upload(seq, payload(click_event(seq) | FILLER)))
    store.commit(upload(0, payload(click_event(0)), session="s2"))
    _flip(path, "chunks", "payload", at, mask)
    with caplog.at_level(logging.ERROR):
        store.distill()
        assert [chunk.seq for chunk in store.chunks(1, "s1", "tab")] == [1]
    assert "chunk 0 cannot be read" in caplog.text
    assert [event.seq for event in store.dom_events(1, "s1", "tab")] == [1]
    assert len(store.dom_events(1, "s2", "tab")) == 1
    assert store.undistilled(1, "s1") == 0
    store.close()


def test_broken_dom_events_hide_only_themselves(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = SqliteStore(path)
    for seq in (0, 1):
        store.commit(upload(seq, payload(click_event(seq))))
    store.distill()
    _flip(path, "dom_chunks", "data", 20, 0xFF)
    with caplog.at_level(logging.ERROR):
        assert [event.seq for event in store.dom_events(1, "s1", "tab")] == [1]
    store.close()


def test_the_index_is_sorted_into_segments_while_others_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "TAIL_BLOCKS", 4)
    store, watching = SqliteStore(path), SqliteReader(path)
    for number in range(1, 11):
        store.commit(write(traces(span(number, {"session.id": f"s{number % 3}"}))))
        assert len(watching.spans_of_trace(1, TRACE)) == number
        assert any(int(one.span_id, 16) == number for one in watching.spans_of_session(1, f"s{number % 3}"))
    fresh = SqliteReader(path)
    assert len(fresh.spans_of_trace(1, TRACE)) == len(store.spans_of_trace(1, TRACE)) == 10
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT first_block, last_block FROM index_segments").fetchall() == [(1, 4), (5, 8)]
    assert connection.execute("SELECT block_id FROM index_tail").fetchall() == [(9,), (10,)]
    connection.close()
    for one in (fresh, watching, store):
        one.close()


def test_the_file_says_what_it_is(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(write(traces(span(1, CHAT))))
    store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone()[0] == int.from_bytes(b"ORPL", "big")
    assert connection.execute("PRAGMA page_size").fetchone()[0] == 8192
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()


def test_closing_waits_for_open_snapshots(path: Path) -> None:
    """A connection closed under its reader takes the process down."""
    store = SqliteStore(path)
    for seq in range(3):
        store.commit(upload(seq, payload(click_event(seq))))
    chunks = store.chunks(1, "s1", "tab")
    next(chunks)
    closing = threading.Thread(target=store.close)
    closing.start()
    assert len(list(chunks)) == 2
    closing.join()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.streams(1, "s1")


def test_connections_are_used_again(path: Path) -> None:
    store = SqliteStore(path)
    for _ in range(5):
        asking = threading.Thread(target=store.counts)
        asking.start()
        asking.join()
    assert len(store._connections._idle) == 1
    store.close()
