"""Cost and tokens are counted once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_replay.model import StoredSpan, Usage

from .inputs import CHAT, build, span

AGENT = {"gen_ai.operation.name": "invoke_agent"}


def call(
    number: int, parent: int = 0, tokens: int | None = 10, cost: Any = None, more: Mapping[str, Any] = CHAT
) -> StoredSpan:
    attributes = {**CHAT, **more}
    if tokens is not None:
        attributes["gen_ai.usage.input_tokens"] = tokens
    if cost is not None:
        attributes["gen_ai.usage.cost"] = cost
    return span(number, parent, attributes=attributes)


def test_sums_are_decimal() -> None:
    timeline = build([call(1, cost=0.1), call(2, cost=0.2)])
    assert (timeline.cost_usd, timeline.cost_source) == ("0.3", "reported")
    assert timeline.tokens == Usage(input=20)


def test_an_agent_repeats_its_calls() -> None:
    spans = [
        call(1, tokens=30, cost=3, more=AGENT),
        span(2, 1),
        call(3, 2, tokens=10, cost=1),
        call(4, 2, tokens=20, cost=2),
    ]
    timeline = build(spans)
    assert (timeline.cost_usd, timeline.tokens) == ("3", Usage(input=30))


def test_an_agent_counts_where_nothing_below_reports() -> None:
    timeline = build([call(1, tokens=30, cost=3, more=AGENT), call(2, 1, tokens=10), call(3, 1, tokens=None)])
    assert (timeline.cost_usd, timeline.tokens) == ("3", Usage(input=10))


def test_nested_agents() -> None:
    spans = [
        call(1, tokens=99, more=AGENT),
        call(2, 1, tokens=50, more=AGENT),
        call(3, 2, tokens=20),
        call(4, 1, tokens=5),
    ]
    assert build(spans).tokens == Usage(input=25)


def test_two_instrumentations_of_one_client() -> None:
    response = {"gen_ai.response.id": "r1"}
    spans = [call(1, cost=1, more=response), call(2, more=response), call(3, cost=1)]
    timeline = build(spans)
    assert (timeline.cost_usd, timeline.tokens) == ("2", Usage(input=20))


def test_reasoning_and_cache_stay_parts() -> None:
    parts = {
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.reasoning.output_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 3,
    }
    assert build([call(1, more=parts)]).tokens == Usage(input=10, output=9, reasoning=4, cache_read=3)


def test_a_cycle_does_not_lose_figures() -> None:
    assert build([call(1, 1, cost=1)]).cost_usd == "1"


def test_nothing_reported() -> None:
    timeline = build([call(1, tokens=None)])
    assert (timeline.cost_usd, timeline.cost_source, timeline.tokens) == (None, None, Usage())
