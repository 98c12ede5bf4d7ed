"""Calls that several instrumentations see at once, and agents that repeat what their calls used: counted once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price

from tests.dialects.conftest import Stage
from tests.dialects.conversation import ANTHROPIC, FOLLOW_UP, Tokens
from tests.dialects.dialect import Dialect
from tests.dialects.expected import TOKENS
from tests.dialects.playing import play

pytestmark = [pytest.mark.slow, pytest.mark.feature("X10"), pytest.mark.feature("K12")]

SEEN_TWICE = (
    Dialect("openai_chat", ("openinference", "openllmetry", "otel")),
    Dialect("openai_agents_nested", ("otel", "openinference")),
    Dialect("pydantic_agent_nested", ("own", "otel")),
    Dialect("pydantic_agent_nested", ("logfire", "openinference")),
    Dialect("anthropic_messages", ("own", "otel"), ANTHROPIC),
)


@pytest.mark.parametrize("dialect", SEEN_TWICE, ids=str)
def test_calls_tokens_and_cost_are_what_the_model_itself_has_counted(stage: Stage, dialect: Dialect) -> None:
    session = play("python", dialect.client, dialect.recorders, stage.stub_url, stage.receiver.url)
    calls, counted = stage.stub.calls[session], stage.stub.sum_of(session)
    costs = asdict(counted), stage.stub.cost_of(session, price)
    total = stage.receiver.document("/api/v1/stats", session=session, wait="10s")["total"]
    assert (total["tokens"], Decimal(total["cost_usd"] or 0)) == costs
    assert total["interactions"] == calls
    timeline = stage.receiver.timeline(f"/api/v1/sessions/{session}/timeline")
    assert (timeline["tokens"], Decimal(timeline["cost_usd"] or 0)) == costs
    seen = [entry for entry in timeline["entries"] if entry["kind"] == "interaction"]
    assert len(seen) == calls * len(dialect.recorders)


def test_a_stream_that_is_told_of_in_a_trace_of_its_own_counts_once(stage: Stage) -> None:
    """LiteLLM's callback, which a thread runs that knows no parent, beside the instrumentation of OpenAI's client."""
    session = play("python", "litellm_chat", ("own", "otel"), stage.stub_url, stage.receiver.url)
    counted, cost = asdict(stage.stub.sum_of(session)), stage.stub.cost_of(session, price)
    total = stage.receiver.document("/api/v1/stats", session=session, wait="10s")["total"]
    timeline = stage.receiver.timeline(f"/api/v1/sessions/{session}/timeline")
    assert total["interactions"] == timeline["interactions"] == stage.stub.calls[session]
    for told in (total, timeline):
        assert told["tokens"] == counted
        assert round(Decimal(told["cost_usd"]), 12) == cost  # it reports its own, computed with doubles
    of_trace = {entry["trace_id"]: entry["detail"]["response_id"] for entry in streams(timeline)}
    assert (len(of_trace), len(set(of_trace.values()))) == (2, 1)


def streams(timeline: Mapping[str, Any]) -> list[Any]:
    """The tellings of the call with the stream's tokens."""
    calls = [entry for entry in timeline["entries"] if entry["kind"] == "interaction"]
    return [one for one in calls if one["detail"]["usage"]["input"] == TOKENS[FOLLOW_UP, False].input]


def price(model: str, tokens: Tokens) -> Decimal:
    """What one call costs, by the list that the receiver computes with."""
    used = Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
    )
    found: Any = calc_price(used, model_ref=model, provider_id="anthropic" if "claude" in model else "openai")
    return Decimal(found.total_price)
