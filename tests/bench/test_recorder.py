"""What recording costs the page, in the soak, which has the machine to itself; and that a report claims no more."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings as hypothesis_settings

from tests.bench.promises import HYPERDX, OWN, PLAIN_RRWEB, VISIT, promises
from tests.bench.recorder import measured
from tests.bench.rows import Row, Rows

TIME, AGAINST_RRWEB, AGAINST_HYPERDX = (
    "recorder: time added to the page, times rrweb's",
    f"recorder: bytes sent, times {PLAIN_RRWEB}'s",
    f"recorder: bytes sent, times {HYPERDX}'s",
)
RATIO = 2.5
"""Against rrweb, whose events are all that it sends: three short visits are noisier than five of a minute."""


def verdicts(seconds: int, added_ms: float, sent_kb: float) -> list[str]:
    """Of visits where rrweb adds 100 ms and both others send 100 KB."""
    values = {OWN: (added_ms, sent_kb), PLAIN_RRWEB: (100.0, 100.0), HYPERDX: (300.0, 100.0)}
    rows = [
        Row("recorder", name, VISIT.format(seconds), {"added ms": added, "sent KB": sent})
        for name, (added, sent) in values.items()
    ]
    found = {one.figure: one.verdict for one in promises(Rows(rows))}
    return [found[figure] for figure in (TIME, AGAINST_RRWEB, AGAINST_HYPERDX)]


def test_ours_is_held_against_the_others() -> None:
    assert verdicts(60, added_ms=110, sent_kb=100) == ["must", "must", "must"]
    assert verdicts(60, added_ms=111, sent_kb=101) == ["MISSED", "MISSED", "MISSED"]
    assert verdicts(60, added_ms=100, sent_kb=50) == ["goal", "goal", "goal"]


def test_a_trial_claims_nothing() -> None:
    assert verdicts(10, added_ms=1, sent_kb=1) == ["not measured"] * 3


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(hypothesis_settings().max_examples <= 1_000, reason="measures: only in the soak")
def test_recording_costs_the_page_little(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row.subject: row.values for row in measured(rounds=3, seconds=20)}
    with capsys.disabled():
        sys.stdout.write("".join(f"{name}: {values}\n" for name, values in rows.items()))
    assert rows[OWN]["added ms"] <= RATIO * rows[PLAIN_RRWEB]["added ms"]
    assert rows[OWN]["added ms"] <= rows[HYPERDX]["added ms"]
    assert rows[OWN]["sent KB"] <= rows[HYPERDX]["sent KB"]
