"""The indexes: every lookup finds what a search through all entries finds, in any state of tail, tiers and merges."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.store import buckets
from otel_replay.store.sqlite import segments
from otel_replay.store.sqlite.database import ReadConnections, connect_writing
from otel_replay.store.sqlite.index import (
    BUILDING,
    RETIRED,
    SESSIONS,
    TRACES,
    VISIBLE,
    IndexReader,
    KeyedHash,
    TailRow,
    add_block,
    flush_tail,
    note_removed,
)
from otel_replay.store.sqlite.segments import FAN_OUT, SegmentMerger

X_RAY = [bytes.fromhex(f"6925d0f30af7651916cd43dd{number:08x}") for number in range(40)]
"""These start with the time."""
SHORT = [bytes(8) + number.to_bytes(8, "big") for number in range(40)]
"""64-bit ids start with zeros."""
HASH = KeyedHash(b"k" * 32)


class Killed(Exception):
    """Stands for the end of the process."""


class Index(NamedTuple):
    """The index of a file, without blocks."""

    writing: Any
    reading: ReadConnections
    merger: SegmentMerger
    reader: IndexReader

    def run(self, task: Callable[[], Any]) -> Any:
        self.writing.execute("BEGIN IMMEDIATE")
        result = task()
        self.writing.execute("COMMIT")
        return result

    def add(self, block: int, traces: list[int], sessions: list[int], at: int = 0) -> None:
        packed = [b"".join(one.to_bytes(8, "little") for one in hashes) for hashes in (traces, sessions)]
        self.run(lambda: add_block(self.writing, TailRow(block, at, at + 5, *packed)))

    def flush(self) -> None:
        self.run(lambda: flush_tail(self.writing))

    def remove(self, *blocks: int) -> None:
        self.run(lambda: note_removed(self.writing, blocks))

    def find(self, kind: int, wanted: int, reader: IndexReader | None = None, **bounds: int) -> list[int]:
        with self.reading.snapshot() as connection:
            return (reader or self.reader).blocks(connection, kind, wanted, **bounds)

    def segments(self, visible: int = VISIBLE) -> list[tuple[int, int, int]]:
        query = "SELECT tier, first_block, last_block FROM index_segments WHERE visible = ? ORDER BY first_block"
        return list(self.writing.execute(query, (visible,)))

    def count(self, table: str) -> int:
        found: int = self.writing.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


def opened(path: Path, run: Callable[[Index], Callable[[Callable[[], Any]], Any]] = lambda index: index.run) -> Index:
    writing = connect_writing(path).conn
    index = Index(writing, ReadConnections(path), None, IndexReader())  # type: ignore[arg-type]
    return index._replace(merger=SegmentMerger(writing, index.reading, lambda task: run(index)(task)))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = opened(tmp_path / "replay.db")
    yield made
    made.reading.close()
    made.writing.close()


# Buckets


ENTRIES = st.lists(
    st.tuples(st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 256, 2**63, 2**64 - 1]), st.integers(1, 9))
)


def as_entries(pairs: list[tuple[int, int]]) -> buckets.Entries:
    return np.array([one for one, _ in pairs], buckets.HASH), np.array([one for _, one in pairs], buckets.BLOCK)


@given(pairs=ENTRIES, bits=st.integers(0, 9))
def test_rows_hold_every_entry_in_its_bucket(pairs: list[tuple[int, int]], bits: int) -> None:
    rows = dict(buckets.rows(as_entries(pairs), bits))
    for wanted, _ in pairs:
        expected = sorted(block for hashed, block in pairs if hashed == wanted)
        assert sorted(buckets.find(rows[buckets.bucket(wanted, bits)], wanted)) == expected
    assert sum(map(len, rows.values())) == len(pairs) * buckets.ENTRY_BYTES


def test_a_hash_across_two_others_is_not_found() -> None:
    """The bytes of a hash may stand half in one entry and half in the next."""
    first, second = 0x1111_1111_2222_2222, 0x3333_3333_4444_4444
    (row,) = dict(buckets.rows(as_entries([(first, 1), (second, 2)]), 0)).values()
    across = int.from_bytes(row[4:12], "little")
    assert buckets.find(row, across) == []
    (row,) = dict(buckets.rows(as_entries([(first, 1), (second, 2), (across, 3)]), 0)).values()
    assert buckets.find(row, across) == [3]


def test_blocks_are_not_taken_for_hashes() -> None:
    (row,) = dict(buckets.rows(as_entries([(5, 7), (6, 0)]), 0)).values()
    assert buckets.find(row, 7) == []


def test_rows_have_the_size_they_are_made_for() -> None:
    for count in (1, 299, 301, 5_000, 100_000):
        hashes = np.random.default_rng(1).integers(0, 2**63, count, dtype=np.uint64) * np.uint64(2)
        sizes = [len(row) for _, row in buckets.rows((hashes, np.ones(count, buckets.BLOCK)), buckets.bits_for(count))]
        assert max(sizes) < 2_100
        assert count < 300 or sum(sizes) / len(sizes) > buckets.ROW_BYTES / 2.2


# Hashes


def test_ids_that_look_alike_have_different_hashes() -> None:
    packed = HASH.pack(1, X_RAY + SHORT) + HASH.pack(2, X_RAY + SHORT)
    hashes = [packed[at : at + 8] for at in range(0, len(packed), 8)]
    assert len(set(hashes)) == len(hashes) == 160
    assert len({one[-1] for one in hashes}) > 80  # the bits that choose the bucket
    assert HASH(1, X_RAY[3]).to_bytes(8, "little") == hashes[3]


@given(st.lists(st.binary(max_size=80), max_size=12))
def test_the_hash_of_an_id_does_not_depend_on_its_neighbours(ids: list[bytes]) -> None:
    packed = HASH.pack(3, ids)
    assert [packed[at : at + 8] for at in range(0, len(packed), 8)] == [
        HASH(3, one).to_bytes(8, "little") for one in ids
    ]


@pytest.mark.parametrize(
    ("item", "hashed"),
    [
        (b"", 0xF46E6DD30FACC9E1),
        (bytes(range(16)), 0xDEE52BF162B072EC),
        (bytes(range(15)), 0x688E6A2238EBE7BC),
        (b"x" * 64, 0x688550A92C6C6E0A),
        (b"x" * 65, 0x87EEF4C2B1A8CDB6),
    ],
)
def test_files_hold_these_hashes(item: bytes, hashed: int) -> None:
    assert HASH(1, item) == hashed


def test_ids_that_differ_in_zeros_at_the_end_have_different_hashes() -> None:
    assert len({HASH(1, b"id" + bytes(zeros)) for zeros in range(80)}) == 80


def test_another_key_gives_other_hashes() -> None:
    assert not {KeyedHash(b"other" * 6)(1, one) for one in X_RAY} & {HASH(1, one) for one in X_RAY}


# Lookups


def check(index: Index, expected: dict[tuple[int, int], set[int]], gone: set[int]) -> None:
    """Every reader finds every block that is there, and no block that never had the id."""
    for (kind, wanted), blocks in expected.items():
        for reader in (index.reader, IndexReader()):
            found = index.find(kind, wanted, reader)
            assert found == sorted(set(found))
            assert blocks - gone <= set(found) <= blocks


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_lookups_find_what_a_search_through_everything_finds(
    index: Index, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random adds, flushes, removals and merges. A few hashes stand in very many blocks.

    Rows are small, and few are written at once, so that merges go through many slices.
    """
    monkeypatch.setattr(buckets, "ROW_BYTES", 240)
    monkeypatch.setattr(segments, "_TASK_ROW_BITS", seed)
    random_ = random.Random(seed)
    common = [0, 1, 2**56, 2**63, 2**64 - 1]
    rare = [random_.getrandbits(64) for _ in range(3_000)]
    expected: dict[tuple[int, int], set[int]] = {}
    gone: set[int] = set()
    for block in range(1, 161):
        hashes = [sorted({*random_.sample(rare, random_.choice([0, 1, 60])), *random_.sample(common, 2)}) for _ in "ab"]
        index.add(block, hashes[TRACES], hashes[SESSIONS])
        for kind in (TRACES, SESSIONS):
            for one in hashes[kind]:
                expected.setdefault((kind, one), set()).add(block)
        if random_.random() < 0.3:
            index.flush()
        if random_.random() < 0.2:
            removed = set(random_.sample(range(1, block + 1), min(block, 6))) - gone
            index.remove(*removed)
            gone |= removed
        if random_.random() < 0.2:
            while index.merger.step():
                pass
        if block % 40 == 0:
            check(index, expected, gone)
    assert max(tier for tier, *_ in index.segments()) >= 2


def test_equal_hashes_give_the_blocks_of_both_ids(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 bits are not 128: two ids with one hash cost a look into a block and nothing else."""
    monkeypatch.setattr(KeyedHash, "pack", lambda self, project, items: b"".join(b"samehash" for _ in items))
    assert HASH(1, X_RAY[0]) == HASH(1, SHORT[0])
    for block in (1, 2, 3):
        index.add(block, [HASH(1, X_RAY[block])], [HASH(1, b"s")])
    assert index.find(TRACES, HASH(1, X_RAY[1])) == [1, 2, 3]
    index.flush()
    assert index.find(TRACES, HASH(1, X_RAY[1])) == [1, 2, 3]


# Tiers


def fill(index: Index, blocks: range) -> None:
    """A flush every second block; block n has hashes n and 2**40 + n."""
    for block in blocks:
        index.add(block, [block << 40, block], [block], at=100 * block)
        if block % 2 == 0:
            index.flush()


def test_segments_are_merged_in_tiers(index: Index) -> None:
    fill(index, range(1, 2 * FAN_OUT**2 + 1))
    while index.merger.step():
        pass
    assert index.segments() == [(2, 1, 2 * FAN_OUT**2)]
    fill(index, range(33, 45))
    while index.merger.step():
        pass
    assert index.segments() == [(2, 1, 32), (1, 33, 40), (0, 41, 42), (0, 43, 44)]
    assert index.find(TRACES, 7) == index.find(SESSIONS, 7) == [7]
    assert index.count("index_segments") == 4


def test_few_rows_are_read_at_any_size(index: Index) -> None:
    most = 0
    for block in range(1, 4**4 + 1):
        index.add(block, [block], [])
        index.flush()
        while index.merger.step():
            pass
        most = max(most, len(index.segments()))
    assert most <= (FAN_OUT - 1) * 4


def test_entries_of_removed_blocks_are_dropped(index: Index) -> None:
    fill(index, range(1, 9))
    index.remove(1, 3, 4)
    while index.merger.step():
        pass
    assert index.segments() == [(1, 1, 8)]
    assert index.find(TRACES, 3) == index.find(TRACES, 3 << 40) == []
    assert index.find(TRACES, 2) == [2]
    assert index.count("removed_blocks") == 0


def test_a_segment_whose_blocks_are_mostly_gone_is_written_again(index: Index) -> None:
    fill(index, range(1, 9))
    while index.merger.step():
        pass
    index.remove(1, 2, 3)
    assert index.merger.step() is False
    assert index.find(TRACES, 3) == [3]
    index.remove(5)
    assert index.merger.step() is True
    assert index.merger.step() is False
    assert index.segments() == [(1, 1, 8)]
    assert [index.find(TRACES, block) for block in (3, 5, 6)] == [[], [], [6]]
    index.remove(4, 6, 7, 8)
    while index.merger.step():
        pass
    assert index.count("index_buckets") == index.count("removed_blocks") == 0


def test_no_entry_is_dropped_for_the_removal_of_others(index: Index) -> None:
    """As many numbers of its range are gone as the segment has blocks, but they are others."""
    for block in (2, 4, 6, 8):
        index.add(block, [block], [block])
    index.flush()
    index.remove(1, 3, 5, 7)
    assert index.merger.step() is True
    assert [index.find(TRACES, block) for block in (2, 4, 6, 8)] == [[2], [4], [6], [8]]


def test_blocks_removed_before_the_flush_never_get_entries(index: Index) -> None:
    fill(index, range(1, 2))
    index.remove(1)
    assert index.find(TRACES, 1) == [1]  # a reader may still see the state before
    index.flush()
    assert index.find(TRACES, 1) == []
    assert index.count("removed_blocks") == index.count("index_buckets") == 0


def test_bounds_in_time_spare_segments(index: Index) -> None:
    fill(index, range(1, 7))
    index.add(7, [1], [], at=0)
    for block in (1, 3, 5):
        index.add(block + 100, [9], [], at=100 * block)
        index.flush()
    found = index.find(TRACES, 9, since_unix_nano=300)
    assert found == [103, 105]
    assert index.find(TRACES, 9, until_unix_nano=300) == [101]
    assert index.find(TRACES, 9, since_unix_nano=305, until_unix_nano=306) == [103]


# Ends at any point


@pytest.mark.slow
def test_a_merge_that_was_killed_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    """At every single task of a merge of three tiers; then the next process goes on."""
    path = tmp_path / "replay.db"
    survived = 0
    tasks_before_kill = 0
    while not survived:
        tasks_before_kill += 1
        left = iter(range(tasks_before_kill))

        def dying(index: Index, left: Iterator[int] = left) -> Callable[[Callable[[], Any]], Any]:
            if next(left, None) is None:
                raise Killed
            return index.run

        index = opened(path, dying)
        first = 1 + (index.writing.execute("SELECT coalesce(max(last_block), 0) FROM index_segments").fetchone()[0])
        fill(index, range(first, first + 2 * FAN_OUT))
        try:
            while index.merger.step():
                pass
            survived = first
        except Killed:
            pass
        for block in range(1, first + 2 * FAN_OUT):
            assert index.find(TRACES, block) == index.find(SESSIONS, block) == [block]
        index.reading.close()
        index.writing.close()
    index = opened(path)
    while index.merger.step():
        pass
    assert tasks_before_kill > 5
    assert index.segments(BUILDING) == index.segments(RETIRED) == []
    tiers = [tier for tier, *_ in index.segments()]
    assert max(tiers) >= 2
    assert all(tiers.count(tier) < FAN_OUT for tier in tiers)
    index.reading.close()
    index.writing.close()


def test_stopping_in_the_middle_of_a_merge(index: Index) -> None:
    fill(index, range(1, 9))
    index.merger.step(lambda: True)
    assert len(index.segments(BUILDING)) == 1
    assert [index.find(TRACES, block) for block in range(1, 9)] == [[block] for block in range(1, 9)]
    while index.merger.step():
        pass
    assert index.segments() == [(1, 1, 8)]
    assert index.count("index_segments") == 1


def test_every_row_of_the_tail_is_read_once(index: Index) -> None:
    index.add(1, [7], [])
    assert index.find(TRACES, 7) == [1]
    index.add(2, [7, 8], [])
    assert index.find(TRACES, 7) == [1, 2]
    assert index.find(TRACES, 8) == [2]
    index.run(lambda: index.writing.execute("DELETE FROM index_tail WHERE block_id = 1"))
    assert index.find(TRACES, 7) == [1, 2]
    assert index.reader._tail.find(TRACES, 7) == (1, 2)


def test_a_reader_in_an_old_transaction_finds_what_it_saw(index: Index) -> None:
    """While it reads, the tail is flushed, blocks go, segments are merged, and another thread reads behind all that."""
    fill(index, range(1, 8))
    with index.reading.snapshot() as old:
        assert index.reader.blocks(old, TRACES, 7) == [7]
        index.add(8, [7], [])
        index.remove(7)
        index.flush()
        while index.merger.step():
            pass
        index.add(9, [7], [])
        other = ReadConnections(Path(index.writing.execute("PRAGMA database_list").fetchone()[2]))
        with other.snapshot() as new:
            assert index.reader.blocks(new, TRACES, 7) == [8, 9]
        other.close()
        assert index.reader.blocks(old, TRACES, 7)[0] == 7
        assert [index.reader.blocks(old, TRACES, block) for block in range(1, 7)] == [[one] for one in range(1, 7)]
    assert index.find(TRACES, 7) == [8, 9]
