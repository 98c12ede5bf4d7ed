"""What recording costs the thread that records, in the soak, which has the machine to itself."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings as hypothesis_settings

from tests.bench.sdk import PAIRS, costs

RATIO = 1.3
"""Of the CPU times of a span, with our processors and exporter and with the stock ones, at most."""


@pytest.mark.slow
@pytest.mark.skipif(hypothesis_settings().max_examples <= 1_000, reason="measures: only in the soak")
def test_a_span_costs_little_more_than_with_the_stock_exporter(capsys: pytest.CaptureFixture[str]) -> None:
    found = costs(PAIRS)
    with capsys.disabled():
        sys.stdout.write(f"{found}\n")
    assert found.ratio <= RATIO
