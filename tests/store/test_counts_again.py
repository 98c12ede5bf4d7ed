"""Recordings whose page counts again: what it counted before is told apart, in every store alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otel_replay.store.base import Write
from tests.recording.pages import event
from tests.store.conftest import Backend
from tests.store.requests import START_MS, click_event, payload, upload

pytestmark = pytest.mark.feature("X4")

BEFORE = "tab (before)"


def counted(seq: int, second: int) -> Write:
    """A click; the first of a count where its number is 0."""
    write = upload(seq, payload(click_event(second)))
    [chunk] = write.chunks
    return replace(write, chunks=[replace(chunk, begins_count=seq == 0)])


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


def test_a_page_may_count_again_and_again(backend: Backend) -> None:
    backend.commit(counted(4, 1), counted(0, 10))
    again = [counted(5, 5), counted(0, 10)]
    receipts = backend.commit(*again)
    assert [receipt.chunks[0].duplicate for receipt in receipts] == [False, True]
    assert streams(backend)["tab"] == [(0, 10), (5, 5)], "the first was there: nothing begins"
