"""Calls that two traces tell of: counted once, if it is sure."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given

from otel_replay.model import AiKind
from otel_replay.timeline import twins as module
from otel_replay.timeline.counted import COST, TOKENS
from otel_replay.timeline.relations import MOMENT_NS, NEAR, AiSpan
from otel_replay.timeline.twins import MOST_TRACES, counted_in, together
from tests.timeline.test_counted import PLAIN, TRACES, WHOLE, between, span

pytestmark = pytest.mark.feature("X10")

HERE = span(1, PLAIN, (10, 5), response_id="r", teller="openai")
THERE = span(1, tokens=(10, 5), response_id="r", teller="litellm", **between(3, 90))


def bits(*traces: AiSpan | list[AiSpan]) -> dict[str, int]:
    """Of traces a, b, ... what counts, without what does not: ``a1`` is span 1 of trace a."""
    named = {chr(97 + number): one if isinstance(one, list) else [one] for number, one in enumerate(traces)}
    found = counted_in(named)
    told = {f"{trace}{int(str(one.span_id))}": found[trace, one.span_id] for trace in named for one in named[trace]}
    return {name: bits for name, bits in told.items() if bits}


def test_a_trace_of_its_own_tells_of_a_call_that_another_tells() -> None:
    assert bits(HERE, THERE) == {"a1": WHOLE}
    assert bits(THERE, HERE) == {"b1": WHOLE}
    assert bits(HERE._replace(usage=(None,) * 5), THERE) == {"b1": WHOLE}, "the one that says most speaks"
    assert bits(HERE, THERE._replace(has_session=True)) == {"b1": WHOLE}
    assert bits(HERE, THERE._replace(reports_cost=True, usage=(10, None, None, None, None))) == {
        "a1": WHOLE & ~COST,
        "b1": COST,
    }


def test_what_is_above_and_below_stays_so() -> None:
    agent = span(2, tokens=(99, 9), kind=AiKind.AGENT)
    assert bits([agent, HERE._replace(parent_span_id="002")], THERE) == {"a1": WHOLE}
    nested = [HERE, span(3, 1, (10, 5), response_id="r", teller="httpx")]
    assert list(bits(nested, THERE).values()) == [WHOLE]
    assert bits([agent], THERE) == {"a2": TOKENS | COST, "b1": WHOLE}, "agents of other traces are not above"


@pytest.mark.parametrize(
    "other",
    [
        {"response_id": "s"},
        {"response_id": None},
        {"teller": "openai"},
        {"kind": AiKind.TOOL},
        {"usage": (10, 6, None, None, None)},
        between(101, 200),
        between(50, 50),
        between(MOMENT_NS + 1, MOMENT_NS + 100),
    ],
)
def test_what_does_not_show_it(other: dict[str, Any]) -> None:
    here = HERE._replace(end_unix_nano=3 * MOMENT_NS) if other.get("start_unix_nano", 0) > MOMENT_NS else HERE
    assert len(together({"a": [here], "b": [THERE]})) == 1
    assert len(together({"a": [here], "b": [THERE._replace(**other)]})) == 2


def test_a_call_over_the_turn_of_a_second() -> None:
    early: dict[str, Any] = between(MOMENT_NS - 5, MOMENT_NS + 50)
    late: dict[str, Any] = between(MOMENT_NS + 1, MOMENT_NS + 60)
    assert bits(HERE._replace(**early), THERE._replace(**late)) == {"a1": WHOLE}


def test_totals_without_their_parts_are_the_same() -> None:
    """As inner spans of Google ADK 1 leave out thoughts, and some instrumentations what Anthropic's cache served."""
    whole = HERE._replace(usage=(100, 50, 60, 10, 20))
    assert bits(whole, THERE._replace(usage=(30, 30, None, None, None))) == {"a1": WHOLE}
    assert bits(THERE._replace(usage=(30, 50, None, None, None)), whole) == {"b1": WHOLE}
    assert len(bits(whole, THERE._replace(usage=(40, 30, None, None, None)))) == 2
    assert len(bits(whole, THERE._replace(usage=(100, 50, 61, None, None)))) == 2


def test_what_very_many_tell_is_no_call_of_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = [HERE._replace(teller=number) for number in range(NEAR + 1)]
    assert len(bits(*spans[:MOST_TRACES])) == 1
    assert len(bits(*spans[: MOST_TRACES + 1])) == MOST_TRACES + 1
    crowd = [THERE._replace(span_id=f"{number:03}", usage=(number, 1, 0, 0, 0)) for number in range(2, NEAR + 1)]
    assert len(together({"a": [HERE], "b": [THERE, *crowd[:-1]]})) == 1
    assert len(together({"a": [HERE], "b": [THERE, *crowd]})) == 2
    monkeypatch.setattr(module, "MOST_SPANS", 1)
    assert len(together({"a": [HERE], "b": [THERE, crowd[0]]})) == 2


@given(TRACES, TRACES)
def test_neither_the_order_of_traces_nor_that_of_spans_matters(one: list[AiSpan], other: list[AiSpan]) -> None:
    traces = {"a": one, "b": other}
    shuffled = {name: random.Random(1).sample(traces[name], len(traces[name])) for name in ("b", "a")}
    assert counted_in(shuffled) == counted_in(traces)
