"""Recordings whose page counts again: what it counted before is told apart, in every store alike."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.store.base import SessionFilter, Write
from tests.recording.pages import event
from tests.store.conftest import Backend, Opening, memory, sqlite
from tests.store.requests import START_MS, click_event, payload, upload

pytestmark = pytest.mark.feature("X4")

BEFORE = "tab (before)"


def counted(seq: int, second: int) -> Write:
    """A click of a page that counts from 0 with each session."""
    write = upload(seq, payload(click_event(second)))
    [chunk] = write.chunks
    return replace(write, chunks=[replace(chunk, counted_anew=True)])


def streams(backend: Backend) -> dict[str, list[tuple[int | None, int]]]:
    """Number and second of each chunk, by stream."""
    reader = backend.reader
    return {
        stream: [
            (chunk.seq, (chunk.start_unix_nano // 10**6 - START_MS) // 1000) for chunk in reader.chunks(1, "s1", stream)
        ]
        for stream in reader.streams(1, "s1")
    }


def test_numbers_that_come_again_are_free(backend: Backend) -> None:
    for seq, second in ((2, 1), (3, 2), (0, 10), (1, 11), (2, 12), (3, 13)):
        assert not backend.commit(counted(seq, second))[0].chunks[0].duplicate
        backend.store.distill()
    assert streams(backend) == {BEFORE: [(0, 1), (1, 2)], "tab": [(0, 10), (1, 11), (2, 12), (3, 13)]}
    told = {stream: len(backend.reader.dom_events(1, "s1", stream)) for stream in (BEFORE, "tab")}
    assert told == {BEFORE: 2, "tab": 4}
    assert backend.reader.undistilled(1, "s1") == 0


def test_what_is_not_older_stays(backend: Backend) -> None:
    """Batches may overtake each other."""
    backend.commit(counted(2, 12), counted(1, 10), counted(0, 10))
    assert streams(backend) == {"tab": [(0, 10), (1, 10), (2, 12)]}


def test_without_a_count_nothing_is_moved(backend: Backend) -> None:
    """Uploads are numbered by their senders, whatever the clock says."""
    backend.commit(upload(1, payload(click_event(1))), upload(0, payload(event(0, {}, START_MS + 5_000))))
    assert streams(backend) == {"tab": [(0, 5), (1, 1)]}


def test_what_comes_after_its_count_has_ended_is_told_apart_once(backend: Backend) -> None:
    backend.commit(counted(4, 1), counted(0, 10))
    receipts = backend.commit(counted(5, 5), counted(0, 10), counted(5, 5))
    assert [receipt.chunks[0].duplicate for receipt in receipts] == [False, True, True]
    assert streams(backend) == {BEFORE: [(0, 1), (1, 5)], "tab": [(0, 10)]}


def test_an_error_that_is_moved_counts_once(backend: Backend) -> None:
    """Its number does not come again, so nothing takes its place."""
    data = {"plugin": "rrweb/console@1", "payload": {"level": "error", "payload": ['"failed"']}}
    [failed] = upload(4, payload({"type": 6, "timestamp": START_MS + 1_000, "data": data})).chunks
    backend.commit(replace(upload(4, failed.payload), chunks=[replace(failed, counted_anew=True)]))
    backend.store.distill()
    backend.commit(counted(0, 10))
    backend.store.distill()
    assert set(streams(backend)) == {BEFORE, "tab"}
    [session] = backend.reader.sessions(1, SessionFilter(has_error=True), limit=9).sessions
    assert session.errors == 1


def test_of_two_with_one_number_the_older_was_counted_before(backend: Backend) -> None:
    backend.commit(counted(5, 1), counted(5, 12), counted(4, 11), counted(4, 2))
    assert streams(backend) == {BEFORE: [(0, 1), (1, 2)], "tab": [(4, 11), (5, 12)]}


@pytest.mark.parametrize("open_backend", [memory, sqlite], ids=lambda one: one.__name__)
@given(waited=st.integers(0, 9), begun=st.integers(1, 9), data=st.data())
def test_the_order_of_arrival_does_not_matter(
    open_backend: Opening, waited: int, begun: int, data: st.DataObject
) -> None:
    before = [(seq, seq) for seq in range(3, 3 + waited)]
    after = [(seq, 20 + seq) for seq in range(begun)]
    with tempfile.TemporaryDirectory() as directory, open_backend(Path(directory)) as backend:
        backend.commit(*(counted(seq, second) for seq, second in data.draw(st.permutations([*before, *after]))))
        backend.store.distill()
        found = streams(backend)
        told = [one.seq for one in backend.reader.dom_events(1, "s1", "tab")]
    assert sorted(second for _, second in found.pop(BEFORE, [])) == [second for _, second in before]
    assert (found, told) == ({"tab": after}, [seq for seq, _ in after])
