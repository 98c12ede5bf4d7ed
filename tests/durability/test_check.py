"""Damaged files: found by ``otel-replay check``, refused at the start, shown as gaps, never made anew in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_replay.errors import StoreError
from otel_replay.query.local import LocalReplay
from otel_replay.store.sqlite import SqliteReader, SqliteStore, ingest
from otel_replay.store.sqlite.integrity import check
from tests.durability.files import changed, fill, flip, overwrite_page, page_of
from tests.outside.outside import command, running
from tests.outside.telemetry import click, page

pytestmark = pytest.mark.feature("X6")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file at rest whose index has segments and a tail."""
    made = tmp_path_factory.mktemp("filled") / "replay.db"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ingest, "TAIL_BLOCKS", 8)
        store = SqliteStore(made)
        fill(store)
        store.close()
    return made


@pytest.fixture
def path(tmp_path: Path, filled: Path) -> Path:
    """A copy of it, for a test to damage."""
    return Path(shutil.copyfile(filled, tmp_path / "replay.db"))


def test_a_whole_file(path: Path) -> None:
    done = command("check", "--db", str(path))
    assert (done.exit_code, "nothing damaged" in done.output) == (0, True), done.output
    report = json.loads(command("check", "--db", str(path), "--format", "json").stdout)
    assert (report["ok"], report["damaged"], report["advice"]) == (True, [], [])
    checked = report["checked"]
    assert (checked["blocks"], checked["chunks"], checked["page events"]) == (26, 12, 12)
    assert checked["contents"] > 0
    assert checked["index entries"] > 0


def test_a_whole_file_after_compaction_and_while_it_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "TAIL_BLOCKS", 8)
    store = SqliteStore(path)
    fill(store, first=13, count=40)
    store.compact_now()
    fill(store, first=60, count=5)
    assert check(path).damaged == []
    store.close()


@pytest.mark.parametrize(
    ("table", "column", "what"),
    [
        ("blocks", "data", "block"),
        ("body_blocks", "data", "contents"),
        ("chunks", "payload", "chunk"),
        ("dom_chunks", "data", "page events"),
    ],
)
def test_a_flipped_byte_is_found(path: Path, table: str, column: str, what: str) -> None:
    number = flip(path, table, column, row=1)
    before = path.read_bytes()
    done = command("check", "--db", str(path), "--format", "json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["ok"]) == (1, False)
    assert [(one["what"], one["place"].split()[0]) for one in report["damaged"]] == [(what, str(number))]
    assert len(report["advice"]) == 1
    assert path.read_bytes() == before
    text = command("check", "--db", str(path))
    assert text.exit_code == 1
    assert f"  {what} {number}" in text.output


_TAIL = "SELECT max(block_id) FROM index_tail WHERE block_id IN (SELECT id FROM blocks WHERE signal = 1)"
DISAGREEMENTS = {
    "a block that is not in the index": (f"DELETE FROM index_tail WHERE block_id = ({_TAIL})", "index"),
    "a block that is gone": ("DELETE FROM blocks WHERE id = 1", "index"),
    "an index row that is not sorted": (
        "UPDATE index_buckets SET data = CAST(x'ffffffffffffffff' || substr(data, 9) AS BLOB) WHERE id = "
        "(SELECT id FROM index_buckets WHERE length(data) > 12 ORDER BY length(data) DESC LIMIT 1)",
        "index",
    ),
    "a number of records that is wrong": ("UPDATE blocks SET items = 99 WHERE id = 1", "block"),
    "contents that are gone": ("DELETE FROM bodies WHERE id = 1", "block"),
    "a block of contents that is gone": ("DELETE FROM body_blocks WHERE id = 1", "content"),
    "a chunk that its stream does not know": ("UPDATE streams SET next_seq = 5", "chunk"),
    "another chunk's payload": (
        "UPDATE chunks SET payload = (SELECT payload FROM chunks WHERE seq = 3) WHERE seq = 4",
        "chunk",
    ),
}


@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_what_does_not_agree_is_found(path: Path, name: str) -> None:
    statement, what = DISAGREEMENTS[name]
    with changed(path) as connection:
        assert connection.execute(statement).rowcount
    damaged = check(path).damaged
    assert {one.what for one in damaged} == {what}


@pytest.mark.parametrize("name", ["blocks", "chunks", "interactions_span", "bodies", "index_buckets"])
def test_an_overwritten_page_is_found(path: Path, name: str) -> None:
    overwrite_page(path, page_of(path, name))
    done = command("check", "--db", str(path), "--format", "json")
    assert done.exit_code == 1, done.output
    report = json.loads(done.stdout)
    assert "file" in {one["what"] for one in report["damaged"]}
    assert any("backup" in text for text in report["advice"])


# At the start


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _emptied(path: Path) -> None:
    """As some file systems leave a file after a failure of the power, its log beside it."""
    _log_of(path)
    path.write_bytes(b"")


def _removed(path: Path) -> None:
    _log_of(path)
    path.unlink()


def _log_of(path: Path) -> None:
    """Leaves a log with data, as a killed server does."""
    store = SqliteStore(path)
    fill(store, first=100, count=2)
    shutil.copy(f"{path}-wal", f"{path}-kept")
    store.close()
    Path(f"{path}-kept").rename(f"{path}-wal")


def _page(name: str) -> Callable[[Path], None]:
    def overwrite(path: Path) -> None:
        overwrite_page(path, page_of(path, name))

    overwrite.__name__ = f"_{name}_overwritten"
    return overwrite


def _first_page(path: Path) -> None:
    overwrite_page(path, 1)


DAMAGES = [_cut, _emptied, _removed, _page("blocks"), _page("chunks"), _page("streams"), _page("meta"), _first_page]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_refused_and_left_alone(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    files = {one.name: one.read_bytes() for one in path.parent.iterdir() if not one.name.endswith((".lock", "-shm"))}
    with pytest.raises(StoreError, match=r"damaged|holds data") as refused:
        SqliteStore(path)
    assert refused.value.hint
    left = {one.name: one.read_bytes() for one in path.parent.iterdir() if not one.name.endswith((".lock", "-shm"))}
    assert left == files


def test_an_empty_file_without_a_log_is_a_new_database(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    path.touch()
    SqliteStore(path).close()
    assert check(path).damaged == []


# Recordings


def test_a_damaged_chunk_is_a_gap_that_says_so(tmp_path: Path) -> None:
    """In the recording and in the timeline, beside one that never came."""
    with running(tmp_path / "replay.db") as outside:
        for seq in (0, 1, 2, 3, 5):
            events = page(seq * 100) if seq in (0, 5) else [click(seq * 100), click(seq * 100 + 50)]
            outside.upload("s1", events, stream_id="tab", seq=seq)
        outside.timeline("/api/v1/sessions/s1/timeline")
        flip(outside.database, "chunks", "payload", row=2)
        expected = [(1, 1, "damaged", 5), (3, 1, "missing", 5)]
        timeline = outside.document("/api/v1/sessions/s1/timeline")
        [stream] = outside.document("/api/v1/sessions/s1/recording")["streams"]
        for gaps in (timeline["gaps"], stream["gaps"]):
            assert [(gap["after_seq"], gap["missing"], gap["reason"], gap["resumes_at"]) for gap in gaps] == expected
        gap_ids = [entry["id"] for entry in timeline["entries"] if entry["kind"] == "gap"]
        assert gap_ids == ["gap:tab:1", "gap:tab:3"]


@pytest.mark.parametrize("broken", range(6))
def test_no_page_of_a_recording_hides_a_damaged_chunk(path: Path, broken: int) -> None:
    """Wherever pages are cut, each gap stands on one of them."""
    flip(path, "chunks", "payload", row=broken)
    reader = SqliteReader(path)
    for max_bytes in (1, 800, 10**9):
        gaps, cursor = list[tuple[int, str]](), None
        while True:
            found = LocalReplay(reader).recordings.page("s1", max_bytes=max_bytes, cursor=cursor)
            gaps += [(gap.after_seq, gap.reason) for stream in found.streams for gap in stream.gaps]
            if (cursor := found.next_cursor) is None:
                break
        assert gaps == [(broken - 1, "damaged")]
    reader.close()
