from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.model import Chunk
from otel_replay.recording.events import Event
from otel_replay.recording.streams import ChunkInfo, find_gaps, join_pieces, repeated, snapshot_before
from tests.recording.pages import START_MS, chunk, mutation, snapshot


def slices(first_seq: int, event: Event, cuts: list[int]) -> list[Chunk]:
    """An event cut at byte positions, one chunk each."""
    payload = orjson.dumps(event)
    edges = [0, *cuts, len(payload)]
    whole = chunk(0, event)
    return [
        replace(
            whole,
            seq=first_seq + i,
            payload=payload[edges[i] : edges[i + 1]],
            slice_index=i + 1,
            slice_count=len(cuts) + 1,
        )
        for i in range(len(cuts) + 1)
    ]


def joined(chunks: Iterable[Chunk]) -> list[tuple[int, list[Event]]]:
    return [(piece.first_seq, list(piece.events)) for piece in join_pieces(chunks)]


def infos(*rows: tuple[int, bool]) -> list[ChunkInfo]:
    """(seq, has_full_snapshot), each lasting from seq * 10 to seq * 10 + 5."""
    return [ChunkInfo(seq, seq * 10, seq * 10 + 5, full) for seq, full in rows]


def test_slices_are_joined_in_their_place() -> None:
    long = mutation(START_MS + 1, texts=[{"id": 9, "value": "ü" * 50}])
    chunks = [chunk(0, snapshot()), *slices(1, long, [20, 90]), chunk(4, mutation(START_MS + 2))]
    assert joined(chunks) == [(0, [snapshot()]), (1, [long]), (4, [mutation(START_MS + 2)])]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_an_event_with_a_missing_slice_is_left_out(missing: int) -> None:
    first, second = slices(0, mutation(), [10, 30]), slices(3, snapshot(), [10, 30])
    del first[missing]
    assert joined([*first, *second, chunk(6, mutation())]) == [(3, [snapshot()]), (6, [mutation()])]


def test_slices_of_different_events_are_never_joined() -> None:
    first, second = slices(0, mutation(), [10]), slices(1, mutation(), [10, 30])
    assert joined([first[0], *second[1:]]) == []


def test_slices_must_follow_each_other() -> None:
    first, second = slices(0, mutation(), [10])
    again = slices(1, mutation(), [10])
    assert joined([first, replace(second, seq=2)]) == []
    assert joined([replace(first, slice_count=3), second]) == []
    assert joined([first, replace(second, slice_count=2, slice_index=2), *again[1:]]) == [(0, [mutation()])]
    assert joined([first, *again]) == [(1, [mutation()])]


def test_slices_that_make_no_event_are_left_out() -> None:
    broken = [replace(part, payload=b"?") for part in slices(0, mutation(), [10])]
    assert joined([*broken, chunk(2, mutation())]) == [(2, [mutation()])]


def test_gaps() -> None:
    gaps = find_gaps("tab", infos((2, False), (3, False), (6, False), (7, True), (9, False)))
    assert [(gap.after_seq, gap.missing, gap.from_unix_nano, gap.to_unix_nano, gap.resumes_at) for gap in gaps] == [
        (-1, 2, 20, 20, 7),
        (3, 2, 35, 60, 7),
        (7, 1, 75, 90, None),
    ]
    assert {(gap.stream_id, gap.reason) for gap in gaps} == {("tab", "missing")}


def test_playing_resumes_at_once_where_the_next_chunk_has_a_snapshot() -> None:
    (gap,) = find_gaps("tab", infos((0, True), (2, True)))
    assert gap.resumes_at == 2


@pytest.mark.parametrize("rows", [[], [(0, True)], [(0, False), (1, False)]])
def test_no_gaps(rows: Iterable[tuple[int, bool]]) -> None:
    assert find_gaps("tab", infos(*rows)) == []


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_gaps_and_chunks_are_all_numbers(present: set[int], full: set[int]) -> None:
    gaps = find_gaps("tab", infos(*((seq, seq in full) for seq in sorted(present))))
    missing = {seq for gap in gaps for seq in range(gap.after_seq + 1, gap.after_seq + 1 + gap.missing)}
    assert missing == set(range(max(present, default=-1) + 1)) - present
    for gap in gaps:
        assert gap.resumes_at == min((seq for seq in present & full if seq > gap.after_seq), default=None)


@pytest.mark.parametrize(("time", "seq"), [(0, None), (19, None), (20, 2), (59, 2), (60, 6), (999, 6)])
def test_seeking(time: int, seq: int | None) -> None:
    assert snapshot_before(infos((0, False), (2, True), (3, False), (6, True), (7, False)), time) == seq


def marked(kinds: str, present: set[int]) -> list[ChunkInfo]:
    """By number: f a full snapshot, r one that repeats, . changes."""
    return [ChunkInfo(seq, seq, seq, kind != ".", kind == "r") for seq, kind in enumerate(kinds) if seq in present]


@pytest.mark.parametrize(
    ("kinds", "first", "last", "found"),
    [
        ("f.r.r", 0, 4, {2, 4}),
        ("f.r.r", 2, 4, {4}),
        ("f.r.r", 0, 3, {2}),
        ("..r.r", 0, 4, {4}),
        ("r.r.f", 0, 4, {2}),
        ("....", 0, 3, set()),
    ],
)
def test_what_a_player_does_not_need(kinds: str, first: int, last: int, found: set[int]) -> None:
    assert repeated(marked(kinds, {*range(9)}), first, last) == found


@given(st.text("fr.", max_size=20), st.sets(st.integers(0, 20)), st.integers(0, 20), st.integers(0, 20))
def test_what_is_left_out_follows_a_snapshot_without_a_hole(
    kinds: str, present: set[int], first: int, last: int
) -> None:
    told = marked(kinds, present)
    for seq in repeated(told, first, last):
        before = [info for info in told if first <= info.seq < seq]
        start = max(info.seq for info in before if info.has_full_snapshot)
        assert {info.seq for info in before if info.seq >= start} == {*range(start, seq)}
        assert kinds[seq] == "r"
