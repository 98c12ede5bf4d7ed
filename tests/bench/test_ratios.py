"""No change makes storing a span much dearer without anybody noticing."""

from __future__ import annotations

import json

import pytest

from tests.bench.load.workload import Workload
from tests.bench.ratios import BASELINE, REQUESTS, TOLERANCE, ratio


@pytest.mark.slow
@pytest.mark.feature("X7")
@pytest.mark.parametrize("workload", list(REQUESTS))
def test_storing_costs_no_more_than_it_did(workload: Workload) -> None:
    allowed = json.loads(BASELINE.read_text())[workload.value] * (1 + TOLERANCE)
    found = ratio(workload)
    if found > allowed:
        found = min(found, ratio(workload))  # a second look, where something else took the caches
    assert found <= allowed, "slower than tests/bench/baseline.json; python -m tests.bench.ratios renews it"
