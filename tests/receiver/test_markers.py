"""The scan for markers finds what `in` finds, and where."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_replay.otlp.spans import join_records
from otel_replay.receiver.markers import Hits, MarkerScan

KINDS = ((b"ab", b"b.c"), (b"aab",), (b"\x00(",))
SCAN = MarkerScan(*KINDS)
RECORDS = st.lists(st.lists(st.sampled_from(b"abc.x\x00("), max_size=12).map(bytes), max_size=6)


def find(records: list[bytes]) -> list[Hits]:
    return SCAN.find(*join_records(records))


def expected(records: list[bytes]) -> list[list[tuple[int, int]]]:
    """By kind the records and ends of its markers."""
    bounds = join_records(records)[1].tolist()
    return [
        sorted(
            (number, bounds[number] + start + len(marker))
            for number, record in enumerate(records)
            for marker in kind
            for start in range(len(record))
            if record.startswith(marker, start)
        )
        for kind in KINDS
    ]


@pytest.mark.parametrize("copies", [1, 100], ids=["few", "many"])
@given(RECORDS)
@example([b"xa", b"b", b"ab", b"", b"aab"])
def test_every_occurrence_and_none_across_records(copies: int, records: list[bytes]) -> None:
    found = find(records * copies)
    assert [sorted(zip(*hits, strict=True)) for hits in found] == expected(records * copies)


@pytest.mark.slow
def test_threads_share_a_scan() -> None:
    records = [b"x" * 1000 + b"aab"] * 200
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: find(records), range(64)))
    assert all([sorted(zip(*hits, strict=True)) for hits in one] == expected(records) for one in results)
