"""Whatever stands under whatever key of whatever dialect: no exception, a warning or nothing, and the rest as it is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_replay.genai import AI_MARKERS, interpret
from otel_replay.genai.dialects import DIALECTS
from otel_replay.genai.interpret import AI_KEYS
from otel_replay.genai.reader import KEY_INDEX, PARAMETER_KEYS, USAGE_DETAIL_KEYS
from otel_replay.genai.told import CONTENT_EVENT_KEYS, CONTENT_EVENTS, CONTENT_KEYS, CONTENT_PREFIXES, is_told
from otel_replay.model import Interaction, Usage
from otel_replay.timeline.plain import plain

from .spans import span

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.response.id": "r1"}
KINDS = ("chat", "execute_tool", "invoke_agent", "retrieval")
LEAVES = (
    "",
    "role",
    "content",
    "tool_calls.0.id",
    "message",
    "message.role",
    "message.content",
    "message.contents.0.message_content.type",
    "message.contents.0.message_content.image.image.url",
    "message.tool_calls.0.tool_call.function.arguments",
    "prompt.text",
    "embedding.text",
    "embedding.vector",
    "document.content",
    "tool.json_schema",
    "name",
)
KEYS = sorted(
    {
        *KEY_INDEX,
        *AI_KEYS,
        *CONTENT_KEYS,
        *PARAMETER_KEYS,
        *USAGE_DETAIL_KEYS,
        *(f"{prefix}0.{leaf}".removesuffix(".") for prefix in CONTENT_PREFIXES for leaf in LEAVES),
    }
)
DEEP = "[" * 200 + "]" * 200
BAD: tuple[Any, ...] = (
    7,
    -1,
    True,
    1.5,
    math.nan,
    math.inf,
    1e300,
    b"\xff",
    [7, None],
    [[{}], {"role": 7, "parts": [1, {"type": []}]}],
    {"a": {"b": [1]}, "role": "user"},
    "{",
    '[{"role": "user", "content": "cut',
    '{"input": NaN, "output": -1, "total": true, "prompt_tokens": "x"}',
    '{"usage": {"inputTokens": -1, "outputTokens": 1e400, "thoughtsTokens": [], "totalTokens": {}}}',
    '{"usage_metadata": {"candidates_token_count": "x"}, "choices": 7, "messages": {"0": []}, "tools": {}}',
    '{"choices": [{"message": {"role": [], "content": [{"type": "image_url", "image_url": 7}]}}], "id": 7}',
    '[{"type": "function_call", "arguments": "{"}, {"type": "tool-result", "output": 7}, null]',
    '{"generations": [[7, {"message": 7}]], "id": ["a"], "kwargs": {"content": 7}}',
    '"just text"',
    DEEP,
    "9" * 5_000,
)


def every_span() -> Iterator[tuple[str, dict[str, Any]]]:
    for key in KEYS:
        for at, value in enumerate(BAD):
            yield key, {"gen_ai.operation.name": KINDS[at % 4], "gen_ai.response.id": "r1", key: value}


def check(found: Interaction) -> None:
    """Every field is of its type, and JSON can hold it."""
    for name in (
        "operation",
        "provider",
        "request_model",
        "response_model",
        "response_id",
        "agent",
        "tool_name",
        "error",
    ):
        assert isinstance(getattr(found, name), str | None)
    counts = [getattr(found.usage, one.name) for one in fields(Usage)]
    assert all(number is None or (type(number) is int and 0 <= number < 2**63) for number in counts)
    for messages in (found.input_messages, found.output_messages):
        assert messages is None or all(isinstance(one["parts"], list) for one in messages)
        assert messages is None or all(isinstance(one["role"], str) for one in messages)
    assert found.finish_reasons is None or all(isinstance(one, str) for one in found.finish_reasons)
    for name in ("input_messages", "output_messages", "tool_definitions", "documents", "tool_arguments", "parameters"):
        json.dumps(plain(getattr(found, name)), allow_nan=False)


@pytest.mark.slow
def test_every_key_with_every_bad_value() -> None:
    for key, attributes in every_span():
        found = interpret(span(attributes))
        if found is None:  # the value was the operation itself
            assert key == "gen_ai.operation.name"
            continue
        check(found)
        if key != "gen_ai.response.id":
            assert found.response_id == "r1"


@pytest.mark.parametrize(
    "field", ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"]
)
@pytest.mark.parametrize("value", [-1, True, math.nan, "twelve", 1.5, [1]])
def test_no_dialect_counts_what_is_no_number_of_tokens(field: str, value: Any) -> None:
    keys = [key for key, places in KEY_INDEX.items() if any(one.field == field and one.take is None for one in places)]
    assert len(keys) >= 3
    for key in keys:
        found = interpret(span({**CHAT, key: value}))
        assert found is not None
        assert found.usage == Usage()
        assert [warning.split(":")[0] for warning in found.warnings] == [key]
        assert found.unreadable == (key,)


@pytest.mark.parametrize(
    "value", ['{"input": NaN}', '{"input": -1}', '{"input": true}', '{"input": "many"}', "{", "7", 7, [7]]
)
def test_broken_usage_objects(value: Any) -> None:
    for key, other in (("langfuse.observation.usage_details", "input"), ("mlflow.chat.tokenUsage", "input_tokens")):
        written = value.replace("input", other) if isinstance(value, str) else value
        found = interpret(span({**CHAT, key: written}))
        assert found is not None
        assert found.usage.input is None
        assert found.unreadable[0] == key


def test_what_cannot_be_read_stays_in_the_span() -> None:
    assert is_told("gen_ai.input.messages")
    found = interpret(span({**CHAT, "gen_ai.input.messages": "[", "llm.token_count.prompt": -1}))
    assert found is not None
    assert set(found.unreadable) == {"gen_ai.input.messages", "llm.token_count.prompt"}


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("is_json", [False, True])
def test_five_megabytes(dialect: Any, is_json: bool) -> None:
    places = [source.places for source in (*dialect.input_messages, *dialect.output_messages)]
    keys = {
        *(key for one in places for key in one.keys),
        *(f"{prefix}.0.content" for one in places for prefix in one.prefixes),
    }
    text = "x" * 5_000_000
    value = json.dumps({"messages": [{"role": "user", "content": text}]}) if is_json else text
    for key in keys:
        found = interpret(span({**CHAT, key: value}))
        assert found is not None
        assert found.input_messages or found.output_messages or found.warnings


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.binary(max_size=8)
    | st.text(max_size=12)
)
MEMBERS = st.sampled_from(
    [
        "role",
        "parts",
        "content",
        "messages",
        "choices",
        "message",
        "type",
        "text",
        "tool_calls",
        "input",
        "output",
        "id",
        "kwargs",
        "candidates",
        "generations",
        "usage",
        "tools",
        "system",
        "image_url",
        "source",
        "function",
        "name",
        "data",
    ]
)
STRUCTURES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["user", "text", "tool_use", "image", "file", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=8,
)
VALUES = SCALARS | STRUCTURES | STRUCTURES.map(json.dumps) | st.sampled_from(BAD)
ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), VALUES, max_size=8)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([*sorted(CONTENT_EVENTS), "exception", "gen_ai.evaluation.result"]),
        st.dictionaries(st.sampled_from(sorted(CONTENT_EVENT_KEYS)), VALUES, max_size=3),
    ),
    max_size=2,
)


@settings(deadline=None)
@given(st.sampled_from([{}, CHAT, *({"gen_ai.operation.name": kind} for kind in KINDS)]), ATTRIBUTES, EVENTS)
def test_never_raises_and_never_lacks_a_marker(
    known: dict[str, Any], attributes: dict[str, Any], events: list[tuple[str, Any]]
) -> None:
    written = span({**attributes, **known}, events=events)
    found = interpret(written)
    headline = interpret(written, with_content=False)
    assert (found is None) == (headline is None)
    if found is not None and headline is not None:
        assert any(marker in written.SerializeToString() for marker in AI_MARKERS)
        assert (found.kind, found.usage, found.cost_usd) == (headline.kind, headline.usage, headline.cost_usd)
        check(found)
