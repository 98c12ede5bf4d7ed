"""Facts recorded by hand: the span an instrumentation would have made, back-dated to the nanosecond."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from otel_replay.sdk import Session, session
from otel_replay.sdk.facts import duration_ns, unix_nano


class Visit:
    """A session without any session processor: what is recorded by hand says its session itself."""

    def __init__(self, **facts: Any) -> None:
        self.provider = TracerProvider()
        self.exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.session: Session = session("s1", tracer_provider=self.provider, **facts)

    def only(self) -> ReadableSpan:
        (span,) = self.exporter.get_finished_spans()
        return span


@pytest.fixture
def visit() -> Iterator[Visit]:
    made = Visit(user_id="u1", feature="chat")
    yield made
    made.provider.shutdown()


@pytest.mark.feature("K2")
@pytest.mark.feature("C1")
def test_an_interaction_becomes_a_gen_ai_span(visit: Visit) -> None:
    ids = visit.session.record_interaction(
        model="gpt-4o-mini",
        prompt="Grüße?",
        response="Hello",
        input_tokens=12,
        output_tokens=3,
        cost=Decimal("0.000123"),
        latency_ms=840,
        provider="openai",
        temperature=0.2,
        max_tokens=64,
        timestamp=1_763_640_000_123_456_789,
    )
    span = visit.only()
    assert (span.name, span.kind, span.context) == ("chat gpt-4o-mini", SpanKind.CLIENT, ids)
    assert (span.start_time, span.end_time) == (1_763_640_000_123_456_789, 1_763_640_000_963_456_789)
    said = dict(span.attributes or {})
    assert json.loads(str(said.pop("gen_ai.input.messages"))) == [
        {"role": "user", "parts": [{"type": "text", "content": "Grüße?"}]}
    ]
    assert json.loads(str(said.pop("gen_ai.output.messages"))) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hello"}]}
    ]
    assert said == {
        "session.id": "s1",
        "user.id": "u1",
        "feature": "chat",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cost": 0.000123,
    }


def test_facts_that_are_not_known_are_left_out(visit: Visit) -> None:
    visit.session.record_interaction(model="m", prompt="p", response="r")
    said = visit.only().attributes or {}
    assert not [key for key in said if key.startswith(("gen_ai.usage", "gen_ai.request.t", "gen_ai.provider"))]
    assert visit.only().start_time == visit.only().end_time


def test_without_a_timestamp_the_call_ends_now(visit: Visit) -> None:
    visit.session.record_interaction(model="m", prompt="p", response="r", latency_ms=1500)
    span = visit.only()
    assert (span.end_time or 0) - (span.start_time or 0) == 1_500_000_000


def test_messages_are_taken_in_either_form(visit: Visit) -> None:
    parts = [{"type": "tool_call", "id": "t1", "name": "weather", "arguments": {"city": "Graz"}}]
    visit.session.record_interaction(
        model="m",
        prompt=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        response=[{"role": "assistant", "parts": parts}],
    )
    said = visit.only().attributes or {}
    assert json.loads(str(said["gen_ai.input.messages"])) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
    ]
    assert json.loads(str(said["gen_ai.output.messages"])) == [{"role": "assistant", "parts": parts}]


@pytest.mark.feature("B4")
def test_a_chat_gives_its_id_and_system_prompt(visit: Visit) -> None:
    with visit.session.chat("Review", conversation_id="c1", system_prompt="Be brief."):
        visit.session.record_interaction(model="m", prompt="p", response="r")
    said = visit.only().attributes or {}
    assert (said["gen_ai.conversation.id"], said["session.id"]) == ("c1", "s1")
    assert json.loads(str(said["gen_ai.system_instructions"])) == [{"type": "text", "content": "Be brief."}]


def test_a_session_records_its_own_facts_inside_another_one(visit: Visit) -> None:
    with session("other", user_id="u2", label="x").chat(conversation_id="c2", system_prompt="Not yours."):
        visit.session.record_interaction(model="m", prompt="p", response="r")
    said = dict(visit.only().attributes or {})
    assert (said["session.id"], said["user.id"]) == ("s1", "u1")
    assert not {"label", "gen_ai.conversation.id", "gen_ai.system_instructions"} & set(said)


@pytest.mark.feature("K3")
def test_an_action_becomes_a_span(visit: Visit) -> None:
    visit.session.record_action(
        "click", target="#send", timestamp=1_763_640_000_000_000_001, position=[3, 4], note=None
    )
    span = visit.only()
    assert (span.name, span.start_time, span.end_time) == (
        "click",
        1_763_640_000_000_000_001,
        1_763_640_000_000_000_001,
    )
    assert dict(span.attributes or {}) == {
        "session.id": "s1",
        "user.id": "u1",
        "feature": "chat",
        "browser.action": "click",
        "app.widget.id": "send",
        "position": "[3, 4]",
    }


def test_a_target_without_a_hash_is_a_name(visit: Visit) -> None:
    visit.session.record_action("submit", target="Order form")
    said = dict(visit.only().attributes or {})
    assert said["app.widget.name"] == "Order form"
    assert "app.widget.id" not in said


@pytest.mark.parametrize(
    ("milliseconds", "nanoseconds"),
    [
        (0, 0),
        (840, 840_000_000),
        (0.1, 100_000),
        (2.01, 2_010_000),
        (1234.567891, 1_234_567_891),
        (Decimal("0.000001"), 1),
        (-5, 0),
    ],
)
def test_milliseconds_become_exact_nanoseconds(milliseconds: float | Decimal, nanoseconds: int) -> None:
    assert duration_ns(milliseconds) == nanoseconds


def test_a_moment_becomes_exact_nanoseconds() -> None:
    moment = datetime(2025, 11, 20, 12, 0, 0, 123_457, tzinfo=UTC)
    assert unix_nano(moment) == 1_763_640_000_123_457_000
    assert unix_nano(moment.astimezone().replace(tzinfo=None)) == 1_763_640_000_123_457_000
    assert unix_nano(7) == 7
