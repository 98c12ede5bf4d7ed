"""Costs of calls: reported, by the user's own prices, by price lists; the same wherever they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price

import otel_replay
from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal
from tests.outside.outside import Outside, answered, running
from tests.outside.telemetry import CHAT, span, traces
from tests.outside.test_counting import agent_run

pytestmark = [pytest.mark.feature("K12"), pytest.mark.feature("K2")]

TRACE = "c057" * 8
OWN = """
[[prices]]
model = "house-.*"
input = 1
output = 100
from = 2020-01-01
"""
LISTED = Decimal(calc_price(Usage(input_tokens=12, output_tokens=34), "gpt-4o-mini", provider_id="openai").total_price)
OWNED = Decimal("0.003412")
REPORTED = Decimal("0.25")


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A receiver with prices of its own, and three calls: one reports its cost, one is its own, one is on a list."""
    folder = tmp_path_factory.mktemp("priced")
    (folder / "rules.toml").write_text(OWN)
    with running(folder / "replay.db", config=folder / "rules.toml") as receiver:
        said: list[dict[str, Any]] = [
            {"gen_ai.usage.cost": 0.25},
            {"gen_ai.request.model": "house-7b"},
            {},
            {"gen_ai.request.model": "nobody-knows"},
        ]
        spans = [
            span(TRACE, number, attributes={**CHAT, "session.id": "costs", **more})
            for number, more in enumerate(said, 1)
        ]
        receiver.export(Signal.TRACES, traces(*spans).SerializeToString())
        receiver.document("/api/v1/stats", wait="10s")
        yield receiver


def timelines(receiver: Outside) -> dict[str, dict[str, Any]]:
    """The same timeline over HTTP, from the file, and by the command line."""
    replay = otel_replay.open(receiver.database)
    try:
        from_file = replay.timeline(session_id="costs").to_dict()
    finally:
        replay.close()
    return {
        "http": receiver.timeline("/api/v1/sessions/costs/timeline"),
        "file": from_file,
        "command": answered(receiver.command("timeline", "--session", "costs", "--format", "json")),
    }


def test_every_call_says_where_its_cost_is_from(priced: Outside) -> None:
    for way, timeline in timelines(priced).items():
        details = [entry["detail"] for entry in timeline["entries"]]
        found = [(one["cost_source"], one["cost_usd"] and Decimal(one["cost_usd"])) for one in details]
        assert found == [("reported", REPORTED), ("override", OWNED), ("computed", LISTED), (None, None)], way
        assert timeline["cost_source"] == "computed"
        assert Decimal(timeline["cost_usd"]) == REPORTED + OWNED + LISTED


def test_statistics_say_how_much_was_computed(priced: Outside) -> None:
    for filters in ({}, {"session": "costs"}):
        total = priced.document("/api/v1/stats", **filters)["total"]
        costs = {source: Decimal(usd) for source, usd in total["costs_usd"].items()}
        assert costs == {"reported": REPORTED, "override": OWNED, "computed": LISTED}
        assert Decimal(total["cost_usd"]) == sum(costs.values())
    shown = priced.command("stats")
    assert "0.003412 of " in shown.stderr
    assert "USD computed from your own prices" in shown.stderr
    assert "USD computed from price lists" in shown.stderr


def test_the_timeline_counts_what_statistics_count(priced: Outside) -> None:
    agent_run(priced, "both")
    timeline = priced.timeline("/api/v1/sessions/both/timeline")
    total = priced.document("/api/v1/stats", session="both", wait="10s")["total"]
    assert len(timeline["entries"]) == 7
    assert timeline["interactions"] == total["interactions"] == 3
    assert (timeline["tokens"], timeline["cost_usd"]) == (total["tokens"], total["cost_usd"])


def test_a_call_keeps_the_price_it_was_stored_with(tmp_path: Path) -> None:
    rules, database = tmp_path / "rules.toml", tmp_path / "replay.db"
    rules.write_text(OWN)
    one = span(TRACE, 1, attributes={**CHAT, "session.id": "costs", "gen_ai.request.model": "house-7b"})
    with running(database, config=rules) as receiver:
        receiver.export(Signal.TRACES, traces(one).SerializeToString())
    with running(database) as receiver:
        later = span(TRACE, 2, attributes={**CHAT, "session.id": "costs", "gen_ai.request.model": "house-7b"})
        receiver.export(Signal.TRACES, traces(later).SerializeToString())
        total = receiver.document("/api/v1/stats", wait="10s")["total"]
        assert (total["interactions"], Decimal(total["cost_usd"])) == (2, OWNED)


def test_a_wrong_price_stops_the_start_with_its_place(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[prices]]\nmodel = 'x'\ninput = 1\noutput = 'much'\n")
    with (
        pytest.raises(InvalidRequest, match=r"prices\[0\].output: expected US dollars"),
        running(tmp_path / "replay.db", config=rules),
    ):
        pass
