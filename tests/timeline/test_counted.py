"""Which AI spans of a trace count: every call once, whoever tells of it and in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.model import AiKind
from otel_replay.timeline import counted as module
from otel_replay.timeline.counted import CALL, COST, TOKENS, counted
from otel_replay.timeline.relations import AiSpan, times

INTERACTION, TOOL, AGENT, RETRIEVAL = AiKind.INTERACTION, AiKind.TOOL, AiKind.AGENT, AiKind.RETRIEVAL
WHOLE = CALL | TOKENS | COST
PLAIN = 900
"""Numbers from here on are those of plain spans: only what names them as its parent is an AI span."""


def span(number: int, parent: int = 0, tokens: tuple[int | None, ...] = (), **told: Any) -> AiSpan:
    """AI span ``number``; ``tokens`` are said, from the input on. Times are from 0 to 100 unless given."""
    usage = (*tokens, *(None,) * (5 - len(tokens)))
    defaults: dict[str, Any] = {
        "start_unix_nano": 0,
        "end_unix_nano": 100,
        "kind": INTERACTION,
        "teller": "a",
        "provider": "openai",
        "response_id": None,
        "reports_cost": False,
        "is_priced": bool(tokens),
        "has_session": False,
    }
    return AiSpan(f"{number:03}", f"{parent:03}" if parent else "", usage=usage, **(defaults | told))


def between(start: int, end: int) -> dict[str, int]:
    return {"start_unix_nano": start, "end_unix_nano": end}


def bits(*spans: AiSpan) -> dict[int, int]:
    """By number what counts, without those of which nothing does."""
    return {int(str(number)): found for number, found in counted(spans).items() if found}


# What is below what


def test_one_span_counts_for_what_it_says() -> None:
    assert bits(span(1, tokens=(10, 5))) == {1: WHOLE}
    assert bits(span(1)) == {1: CALL}
    assert bits(span(1, reports_cost=True)) == {1: CALL | COST}
    assert bits(span(1, tokens=(10, 5), kind=AGENT)) == {1: TOKENS | COST}
    assert bits(span(1, tokens=(10, 5), kind=TOOL, reports_cost=True)) == {}


def test_an_agent_repeats_the_sum_of_its_calls() -> None:
    agent = span(1, tokens=(30, 3), kind=AGENT)
    calls = [span(2, 1, (10, 1), **between(0, 9)), span(3, 1, (20, 2), **between(10, 20))]
    assert bits(agent, *calls) == {2: WHOLE, 3: WHOLE}
    assert bits(agent, span(2, 1), span(3, 1)) == {1: TOKENS | COST, 2: CALL, 3: CALL}


def test_a_parent_call_counts_like_an_agent() -> None:
    parent = span(1, tokens=(30, 3), response_id="r3")
    calls = [span(2, 1, (10, 1), response_id="r2"), span(3, 1, (20, 2), response_id="r3")]
    assert bits(parent, *calls) == {2: WHOLE, 3: WHOLE}


def test_a_tool_stands_between_but_says_nothing() -> None:
    agent, tool = span(1, tokens=(30, 3), kind=AGENT), span(2, 1, (7, 7), kind=TOOL)
    assert bits(agent, tool) == {1: TOKENS | COST}
    assert bits(agent, tool, span(3, 2, (10, 1))) == {3: WHOLE}


def test_agents_below_agents_below_plain_spans() -> None:
    outer = span(1, PLAIN, (99, 9), kind=AGENT, **between(0, 100))
    inner = span(2, PLAIN + 1, (50, 5), kind=AGENT, **between(10, 90))
    call = span(3, PLAIN + 2, (20, 2), **between(20, 30))
    assert bits(outer, inner, call) == {3: WHOLE}
    assert bits(outer, inner) == {2: TOKENS | COST}


def loop(*told: Any, sums_up: bool = True) -> dict[int, int]:
    """Calls and tools one after the other below one span; pairs are the tokens of calls, None is a tool."""
    found = [span(1, kind=AGENT, sums_up=sums_up)]
    for number, tokens in enumerate(told, 2):
        at: dict[str, Any] = between(10 * number, 10 * number + 5)
        found.append(span(number, 1, kind=TOOL, **at) if tokens is None else span(number, 1, tokens=tokens, **at))
    return bits(*found)


def test_a_loop_of_tools_that_sums_up_counts_its_last_call() -> None:
    assert loop((10, 5), None, (25, 9), None, None, (70, 12)) == {2: CALL, 4: CALL, 7: WHOLE}
    assert loop((10, 5), None, (25, 9), sums_up=False) == {2: WHOLE, 4: WHOLE}
    assert loop((10, 5), (25, 9)) == {2: WHOLE, 3: WHOLE}, "no tool ran between them"
    assert loop((10, 5), None, (25, 4)) == {2: WHOLE, 4: WHOLE}, "no sum is smaller than its parts"
    assert loop((10, 5), None, ()) == {2: WHOLE, 4: CALL}


def test_neighbours_of_an_agent_are_not_below_it() -> None:
    agent = span(1, PLAIN, (30, 3), kind=AGENT, **between(0, 100))
    assert bits(agent, span(2, PLAIN, (9, 1), **between(10, 20))) == {1: TOKENS | COST, 2: WHOLE}
    assert bits(agent, span(2, PLAIN + 1, (9, 1), **between(101, 120))) == {1: TOKENS | COST, 2: WHOLE}
    assert bits(agent, span(2, PLAIN + 1, (9, 1), **between(90, 120))) == {2: WHOLE}, "a stream may outlive its agent"
    assert bits(agent, span(2, tokens=(9, 1), **between(10, 20))) == {1: TOKENS | COST, 2: WHOLE}


def test_two_agents_at_once_with_plain_spans_between() -> None:
    agents = [span(n, PLAIN, (40, 4), kind=AGENT, **between(n, 100 + n)) for n in (1, 2)]
    calls = [span(2 + n, PLAIN + n, (40, 4), **between(10 * n, 10 * n + 5)) for n in (1, 2)]
    assert bits(*agents, *calls) == {3: WHOLE, 4: WHOLE}


# Two that tell of one call


def test_two_instrumentations_of_one_client_nested() -> None:
    outer = span(1, tokens=(10, 5), teller="a", response_id="r")
    assert bits(outer, span(2, 1, (10, 5), teller="b", response_id="r")) == {2: WHOLE}
    assert bits(outer, span(2, 1, teller="b", response_id="r")) == {1: WHOLE}


def test_the_outer_one_speaks_where_it_only_says_more() -> None:
    outer = span(1, tokens=(10, 5, 4), teller="a")
    assert bits(outer, span(2, 1, (10, 5), teller="b")) == {1: WHOLE}
    assert bits(outer, span(2, 1, (10, None), teller="b")) == {1: WHOLE}, "of a stream that was left"
    assert bits(outer, span(2, 1, (11, 5), teller="b")) == {2: WHOLE}, "other numbers"
    thoughtful = span(1, tokens=(61, 17, 11, None, 6))
    assert bits(thoughtful, span(2, 1, (61, 11))) == {1: WHOLE}, "as Google ADK 1 leaves thoughts out"
    assert bits(thoughtful, span(2, 1, (50, 17))) == {1: WHOLE}, "and others what a cache served"
    assert bits(thoughtful, span(2, 1, (61, 12))) == {2: WHOLE}, "other numbers"
    two = [span(2, 1, (10, 5), **between(0, 9)), span(3, 1, (10, 5), **between(10, 20))]
    assert bits(outer, *two) == {2: WHOLE, 3: WHOLE}


def test_the_one_that_names_a_session_speaks() -> None:
    outer, inner = span(1, tokens=(10, 5), has_session=True), span(2, 1, (10, 5, 4), teller="b")
    assert bits(outer, inner) == {1: WHOLE}
    assert bits(outer._replace(has_session=False), inner._replace(has_session=True)) == {2: WHOLE}
    assert bits(span(1, has_session=True), span(2, 1)) == {1: CALL}
    assert bits(span(1, has_session=True), span(2, 1), span(3, 1)) == {2: CALL, 3: CALL}
    beside = [span(n, tokens=(10, 5), response_id="r", has_session=n == 2) for n in (1, 2, 3)]
    assert bits(*beside) == {2: WHOLE}
    assert bits(span(1, tokens=(10,)), span(2, 1, (10, None, 0))) == {2: WHOLE}, "zero says nothing more"
    assert bits(span(1, tokens=(10, None, 0)), span(2, 1, (10,))) == {2: WHOLE}, "zero says nothing more"


def test_one_response_told_beside_one_another() -> None:
    one, other = span(1, tokens=(10, 5), response_id="r"), span(2, tokens=(10, 5, 1), response_id="r")
    assert bits(one, other) == {2: WHOLE}
    assert bits(one, span(2, tokens=(10, 5), response_id="r")) == {1: WHOLE}
    later = span(2, tokens=(10, 5), response_id="r", **between(101, 200))
    assert bits(one, later) == {1: WHOLE, 2: WHOLE}


def test_a_call_that_failed_told_twice_side_by_side() -> None:
    """By LiteLLM's callback and the instrumentation of the client below it: neither says tokens."""
    outer = span(1, PLAIN, teller="litellm", response_id="made up")
    within: dict[str, Any] = between(1, 99)
    assert bits(outer, span(2, PLAIN, **within)) == {1: CALL}
    assert bits(outer, span(2, PLAIN, start_unix_nano=1)) == {1: CALL}
    assert bits(outer, span(2, PLAIN, (10,), **within)) == {2: WHOLE}, "of an embedding only one says them"
    assert bits(outer._replace(provider=None), span(2, PLAIN, **within)) == {1: CALL}
    second: dict[str, Any] = {"start_unix_nano": 10, "end_unix_nano": 120}
    two = [outer, span(3, PLAIN, teller="litellm", response_id="made up too", **second)]
    assert len(bits(*two, span(2, PLAIN, **within), span(4, PLAIN, **(second | between(11, 119))))) == 2
    for other in ({"parent": PLAIN + 1}, {"teller": "litellm"}, {"provider": "anthropic"}, between(50, 150)):
        told: dict[str, Any] = {"parent": PLAIN, **within, **other}
        assert bits(outer, span(2, **told)) == {1: CALL, 2: CALL}


def test_what_is_below_one_that_tells_is_below_the_other() -> None:
    """langchain and openai side by side, and a gateway below the second."""
    one, other = span(1, PLAIN, (10, 5), response_id="r"), span(2, PLAIN, (10, 5), response_id="r")
    assert bits(one, other, span(3, 2, (10, 5), provider="anthropic", response_id="s")) == {3: WHOLE}


def test_a_gateway_behind_plain_spans() -> None:
    client = span(1, tokens=(10, 5), teller="client", response_id="chatcmpl-1", **between(0, 100))
    gateway = span(2, PLAIN, (10, 5), teller="gateway", response_id="msg_1", provider="anthropic", **between(5, 105))
    assert bits(client, gateway) == {1: WHOLE}
    assert bits(client, gateway._replace(provider="openai")) == {1: WHOLE, 2: WHOLE}, "two ids of one provider"
    assert bits(client, gateway._replace(teller="client")) == {1: WHOLE, 2: WHOLE}, "one instrumentation"
    assert bits(client, gateway._replace(usage=(10, 6, None, None, None))) == {1: WHOLE, 2: WHOLE}, "other numbers"
    assert bits(client, gateway._replace(start_unix_nano=101)) == {1: WHOLE, 2: WHOLE}, "one after the other"


def test_calls_at_once_stay_several() -> None:
    same = [span(n, PLAIN + n, (10, 1), **between(n, 100 - n)) for n in (1, 2, 3)]
    assert bits(*same) == {1: WHOLE, 2: WHOLE, 3: WHOLE}
    seen_twice = [span(10 + n, PLAIN + n, (10, 1), teller="b", **between(n, 100 - n)) for n in (1, 2, 3)]
    assert sorted(bits(*same, *seen_twice).values()) == [WHOLE] * 3
    embeddings = [span(n, PLAIN + n, (512,), teller=n) for n in (1, 2)]
    assert bits(*embeddings) == {1: WHOLE, 2: WHOLE}, "without an answer equal numbers mean nothing"
    assert bits(*(span(n, tokens=(0, 0), teller=n) for n in (1, 2))) == {1: WHOLE, 2: WHOLE}


# Costs


def test_a_report_counts_before_what_was_computed() -> None:
    agent = span(1, tokens=(30, 3), kind=AGENT, reports_cost=True)
    assert bits(agent, span(2, 1, (10, 1)), span(3, 1, (20, 2))) == {1: COST, 2: CALL | TOKENS, 3: CALL | TOKENS}
    reporting = span(2, 1, (10, 1), reports_cost=True)
    assert bits(agent, reporting, span(3, 1, (20, 2))) == {2: WHOLE, 3: WHOLE}
    assert bits(span(1, tokens=(30, 3), kind=AGENT), span(2, 1, reports_cost=True)) == {1: TOKENS, 2: CALL | COST}


def test_of_one_call_the_reported_cost_counts() -> None:
    one, other = span(1, tokens=(10, 5, 1), response_id="r"), span(2, response_id="r", reports_cost=True)
    assert bits(one, other) == {1: CALL | TOKENS, 2: COST}


# Whatever is sent


def test_circles_lose_nothing() -> None:
    assert bits(span(1, 1, (10, 5))) == {1: WHOLE}
    circle = [span(1, 3, (10, 5)), span(2, 1, (10, 5)), span(3, 2, (10, 5))]
    assert sorted(bits(*circle).values()) == [WHOLE]
    crossed = [
        *(span(1, tokens=(1, 1), response_id="x"), span(2, 1, (2, 2), response_id="y")),
        *(span(3, tokens=(3, 3), response_id="y"), span(4, 3, (4, 4), response_id="x")),
    ]
    assert sorted(bits(*crossed).values()) == [WHOLE]


def test_in_very_large_traces_each_counts_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SPANS", 2)
    agent, call = span(1, tokens=(10, 5), kind=AGENT), span(2, 1, (10, 5))
    assert bits(agent, call) == {2: WHOLE}
    assert bits(agent, call, span(3)) == {1: TOKENS | COST, 2: WHOLE, 3: CALL}


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["chain", "star", "loose", "alike"])
def test_large_traces_take_time_in_proportion(shape: str) -> None:
    """Ten thousand spans in seconds even where each might matter for each."""
    numbers = range(1, 10_001)
    spans = {
        "chain": [span(n, n - 1, (n, 1), kind=(AGENT, INTERACTION)[n % 2]) for n in numbers],
        "star": [span(n, min(n - 1, 1), (n, 1), response_id="r") for n in numbers],
        "loose": [span(n, 20_000 + n, (n, 1), kind=AGENT, **between(n, 10**6 - n)) for n in numbers],
        "alike": [span(n, 20_000 + n, (1, 1), teller=n, response_id=f"r{n % 3}") for n in numbers],
    }[shape]
    assert len(counted(spans)) == len(spans)


class Looked(tuple[int | None, ...]):
    """A usage that knows how often any was looked at."""

    looks = 0

    def count(self, value: Any, /) -> int:
        Looked.looks += 1
        return super().count(value)


def test_what_one_instrumentation_tells_is_not_looked_at_pair_by_pair() -> None:
    """Each span that came into a trace of 10,000 held up everybody for a second."""
    spans = [span(number, PLAIN, (12, 34)) for number in range(1, 501)]
    found = counted([one._replace(usage=Looked(one.usage)) for one in spans])
    assert set(found.values()) == {WHOLE}
    assert len(spans) <= Looked.looks < 20 * len(spans)


def test_times() -> None:
    assert times(5, 9) == (5, 9)
    assert times(0, 9) == (9, 9)
    assert times(9, 5) == (9, 9)
    assert times(2**64 - 1, 2**64 - 1) == (2**63 - 1, 2**63 - 1)


SPANS = st.builds(
    lambda number, parent, start, took, told: span(number, parent, **{**between(start, start + took), **told}),
    st.integers(1, 8),
    st.sampled_from([0, 1, 2, 3, 4, 5, PLAIN, PLAIN + 1]),
    st.integers(0, 20),
    st.integers(0, 20),
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from([INTERACTION, INTERACTION, AGENT, TOOL, RETRIEVAL]),
            "tokens": st.sampled_from([(), (10,), (10, 5), (10, 5, 1)]),
            "teller": st.sampled_from("ab"),
            "provider": st.sampled_from(["openai", None]),
            "response_id": st.sampled_from([None, None, "r", "s"]),
            "reports_cost": st.booleans(),
            "has_session": st.booleans(),
        }
    ),
)
TRACES = st.lists(SPANS, unique_by=lambda one: one.span_id, min_size=1, max_size=8)


@given(TRACES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(spans: list[AiSpan], random: Any) -> None:
    shuffled = list(spans)
    random.shuffle(shuffled)
    assert counted(shuffled) == counted(spans)


@given(TRACES)
def test_nothing_counts_that_was_not_said_and_something_that_was(spans: Sequence[AiSpan]) -> None:
    found = counted(spans)
    for one in spans:
        alone = counted([one])[one.span_id]
        assert found[one.span_id] & ~alone == 0
    told = [one for one in spans if one.kind is not TOOL]
    assert any(bit & CALL for bit in found.values()) == any(one.kind is INTERACTION for one in told)
    assert any(bit & TOKENS for bit in found.values()) == any(one.says for one in told)
    assert any(bit & COST for bit in found.values()) == any(one.reports_cost or one.is_priced for one in told)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[AiSpan], int]:
    """A trace of agents and tools with calls, each seen by some instrumentations; and how many calls there were."""
    spans: list[AiSpan] = []
    calls, clock = 0, 0
    parents = [0]
    for _ in range(draw(st.integers(1, 6))):
        parent = draw(st.sampled_from(parents))
        if draw(st.booleans()):
            number = len(spans) + 1
            spans.append(span(number, parent, (99, 9), kind=draw(st.sampled_from([AGENT, TOOL])), **between(0, 10**6)))
            parents.append(number)
            continue
        calls, clock = calls + 1, clock + 100
        for teller in draw(st.sampled_from(["a", "ab", "abc"])):
            number = len(spans) + 1
            spans.append(
                span(number, parent, (calls, 5), teller=teller, response_id=f"r{calls}", **between(clock, clock + 50))
            )
            parent = draw(st.sampled_from([parent, number]))  # beside the one before, or below it
    return spans, calls


@given(stories())
def test_every_call_counts_once(story: tuple[list[AiSpan], int]) -> None:
    spans, calls = story
    found = counted(spans)
    inferences = [one for one in spans if one.kind is INTERACTION]
    counting = [one.usage[0] for one in inferences if found[one.span_id] & TOKENS]
    assert sorted(map(int, filter(None, counting))) == list(range(1, calls + 1))
    assert sum(found[one.span_id] & CALL for one in inferences) == calls
