"""The scan for markers finds what `in` finds, and where."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import example, given
from hypothesis import strategies as st

from otel_replay.receiver.markers import Hit, MarkerScan

MARKERS = (b"ab", b"b.c", b"aab", b"\x00(")
SCAN = MarkerScan(MARKERS)
RECORDS = st.lists(st.lists(st.sampled_from(b"abc.x\x00("), max_size=12).map(bytes), max_size=6)


def expected(records: list[bytes]) -> set[Hit]:
    return {
        Hit(number, marker, start + len(marker))
        for number, record in enumerate(records)
        for marker in MARKERS
        for start in range(len(record))
        if record.startswith(marker, start)
    }


@given(RECORDS)
@example([b"xa", b"b", b"ab", b"", b"aab"])
def test_every_occurrence_and_none_across_records(records: list[bytes]) -> None:
    hits = list(SCAN.find(records))
    assert set(hits) == expected(records)
    assert len(hits) == len(set(hits))


def test_threads_share_a_scan() -> None:
    records = [b"x" * 1000 + b"aab"] * 200
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: list(SCAN.find(records)), range(64)))
    assert all(set(result) == expected(records) for result in results)
