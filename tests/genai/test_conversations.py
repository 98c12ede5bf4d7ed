"""The same conversation is the same interaction in every dialect, but for what the dialect does not carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai import AI_MARKERS, interpret
from otel_replay.genai.contents import content_ranges, text_of
from otel_replay.genai.interpret import HEADLINE_KEYS
from otel_replay.model import Interaction, StoredLog
from otel_replay.otlp.attributes import attribute_map
from otel_replay.timeline.logs import contents_by_span

from .conversation import ANSWER, EXPECTED, QUESTION, RESULT, START
from .spans import any_value, key_values, span
from .written import WRITTEN, Written

TRACE_ID, SPAN_ID = bytes(15) + b"\1", bytes(7) + b"\1"


def span_of(written: Written) -> Span:
    built = span(written.attributes, events=written.events)
    built.start_time_unix_nano = START
    for event in built.events:
        event.time_unix_nano = START + 250_000_000
    return built


def logs_of(written: Written) -> list[StoredLog]:
    return [
        StoredLog(
            Resource(),
            InstrumentationScope(),
            LogRecord(
                observed_time_unix_nano=START + number,
                event_name=name,
                attributes=key_values(attributes),
                body=any_value(body),
                trace_id=TRACE_ID,
                span_id=SPAN_ID,
            ),
            f"{99 - number:032x}",
        )
        for number, (name, attributes, body) in enumerate(written.logs)
    ]


def without_place(messages: Sequence[Any] | None) -> list[Any] | None:
    """Without what some dialects say of a message beside who said what: its number, why the model stopped."""
    if messages is None:
        return None
    return [{key: value for key, value in one.items() if key not in ("index", "finish_reason")} for one in messages]


def read(written: Written) -> Interaction:
    told = contents_by_span(logs_of(written)).get((TRACE_ID.hex(), SPAN_ID.hex()))
    found = interpret(span_of(written), told_elsewhere=told)
    assert found is not None
    return found._replace(output_messages=without_place(found.output_messages))


@pytest.mark.parametrize("dialect", WRITTEN)
def test_same_interaction(dialect: str) -> None:
    written = WRITTEN[dialect]
    assert read(written) == EXPECTED._replace(**written.lacks)


@pytest.mark.parametrize("dialect", WRITTEN)
def test_what_arrives_first_does_not_matter(dialect: str) -> None:
    """The headline is read off the span as it arrives, before any log: it is that of the whole."""
    written = WRITTEN[dialect]
    whole = read(written)
    built = span_of(written)
    of_row = {key: value for key, value in attribute_map(built.attributes).items() if key in HEADLINE_KEYS}
    headline = interpret(built, attributes=of_row, with_content=False)
    assert headline is not None
    for name in ("operation", "provider", "request_model", "response_model", "response_id", "conversation_id", "usage"):
        assert getattr(headline, name) == getattr(whole, name)
    assert (headline.cost_usd, headline.time_to_first_token_ns) == (whole.cost_usd, whole.time_to_first_token_ns)


@pytest.mark.parametrize("dialect", WRITTEN)
def test_what_was_said_is_found(dialect: str) -> None:
    """Content is taken out of the span and searched, under whatever keys it stands; logs keep theirs."""
    written = WRITTEN[dialect]
    raw = span_of(written).SerializeToString()
    assert any(marker in raw for marker in AI_MARKERS)
    pieces = [text_of(raw[start:end]) for start, end in content_ranges(raw)]
    for said in () if written.logs else (QUESTION, RESULT, ANSWER):
        assert any(said in piece for piece in pieces)
    assert not any(key in "".join(pieces) for key in ("conv-1",))


def test_events_of_several_logs_are_in_the_order_of_time() -> None:
    written = WRITTEN["otel, message events as logs"]
    told = contents_by_span(logs_of(written)[::-1])
    assert [name for name, _ in told[TRACE_ID.hex(), SPAN_ID.hex()].events] == [name for name, *_ in written.logs]


def test_a_log_that_comes_twice_counts_once() -> None:
    logs = logs_of(WRITTEN["otel, message events as logs"])
    assert contents_by_span(logs * 2) == contents_by_span(logs)
