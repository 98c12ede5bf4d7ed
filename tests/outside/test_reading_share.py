"""Seeking reads what a player needs to show the moment, from the last full snapshot on, and hardly anything beside."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

import pytest

from tests.bench.heavy import RULES, Reading, readings, record, stored
from tests.bench.promises import BY_RECORDER
from tests.outside.outside import running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.feature("X9"),
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc how many bytes were read"),
]

PAGE = 8192


def sought(folder: Path, rule: str) -> tuple[int, list[Reading]]:
    """The size of 100,000 events in ten minutes, and what the 20 seconds around each of 40 traces read of them."""
    database = folder / "replay.db"
    with running(database) as receiver:
        recorded = record(receiver.url, RULES[rule])
    return sum(stored(database, recorded.session).values()), readings(database, recorded)


@pytest.mark.parametrize("rule", RULES)
def test_no_more_is_read_than_the_answer_takes(tmp_path: Path, rule: str) -> None:
    """Beside the chunks four pages that find them, and half a page a chunk, whose end shares a page with others' ends.

    The four are the root of the chunks and three of the index that lists them; without that index it is 1.2 MB. By the
    recorder's rule the chunks are 3.1 % of the recording at the median and 3.7 % at most, with the pages 4.3 and 5.1.
    With the full snapshots that repeat what is told they were 4.5 and 6.4, with the pages 5.6 and 7.6.
    """
    recording, found = sought(tmp_path, rule)
    for reading in found:
        assert reading.read < reading.answered + 4 * PAGE + (reading.chunks + 1) * PAGE // 2, reading
    if rule == BY_RECORDER:
        assert recording < 4_600_000  # shares could be bought with more snapshots
        assert median(reading.read for reading in found) < 0.05 * recording
        assert max(reading.read for reading in found) < 0.055 * recording
