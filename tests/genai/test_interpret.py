"""AI spans of OpenTelemetry's conventions, old and new, well and badly written."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from otel_replay.genai import interpret
from otel_replay.model import AiKind, Interaction, Usage

from .spans import span

QUESTION = {"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]}
CALL = {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}}
ANSWER = {
    "role": "assistant",
    "parts": [{"type": "text", "content": "Let me look."}, CALL],
    "finish_reason": "tool_call",
}

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}


def read(attributes: dict[str, Any], **rest: Any) -> Interaction:
    found = interpret(span(attributes, **rest))
    assert found is not None
    return found


def test_current_conventions() -> None:
    found = read(
        {
            **CHAT,
            "gen_ai.provider.name": "openai",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.conversation.id": "conv-1",
            "gen_ai.agent.name": "Planner",
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
            "gen_ai.input.messages": json.dumps([QUESTION]),
            "gen_ai.output.messages": json.dumps([ANSWER]),
            "gen_ai.usage.input_tokens": 120,
            "gen_ai.usage.output_tokens": 17,
            "gen_ai.usage.cache_read.input_tokens": 64,
            "gen_ai.usage.cache_write.input_tokens": 8,
            "gen_ai.usage.reasoning.output_tokens": 5,
            "gen_ai.usage.cost": 1e-05,
            "gen_ai.response.finish_reasons": ["tool_calls"],
            "gen_ai.response.time_to_first_chunk": 0.1629,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.stop_sequences": ["END"],
            "gen_ai.request.choice.count": 2,
        }
    )
    assert found == Interaction(
        kind=AiKind.INTERACTION,
        operation="chat",
        provider="openai",
        request_model="gpt-4o-mini",
        response_model="gpt-4o-mini-2024-07-18",
        response_id="chatcmpl-1",
        conversation_id="conv-1",
        agent="Planner",
        input_messages=[QUESTION],
        output_messages=[ANSWER],
        system_instructions=[{"type": "text", "content": "Be brief."}],
        tool_calls=[CALL],
        usage=Usage(input=120, output=17, cache_read=64, cache_write=8, reasoning=5),
        cost_usd="0.00001",
        finish_reasons=["tool_call"],
        time_to_first_token_ns=162_900_000,
        parameters={"temperature": 0.2, "stop_sequences": ["END"], "choice_count": 2},
    )


def test_deprecated_names() -> None:
    found = read(
        {
            "gen_ai.system": "az.ai.openai",
            "gen_ai.request.model": "gpt-35",
            "gen_ai.usage.prompt_tokens": 3,
            "gen_ai.usage.completion_tokens": 4,
            "gen_ai.usage.cache_creation.input_tokens": 2,
            "gen_ai.usage.cache_read_input_tokens": 1,
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be brief.",
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": "Hi",
            "gen_ai.completion.0.content": "Hello",
            "gen_ai.completion.0.finish_reason": "end_turn",
        }
    )
    assert found.kind is AiKind.INTERACTION
    assert found.provider == "azure.ai.openai"
    assert found.usage == Usage(input=3, output=4, cache_read=1, cache_write=2)
    assert found.input_messages == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
    ]
    assert found.output_messages == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hello"}], "finish_reason": "end_turn"}
    ]
    assert found.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert found.finish_reasons == ["stop"]


def test_current_name_wins_over_deprecated() -> None:
    found = read({**CHAT, "gen_ai.usage.prompt_tokens": 1, "gen_ai.usage.input_tokens": 2, "gen_ai.system": "xai"})
    assert found.usage.input == 2
    assert found.provider == "x_ai"


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "chat"}, AiKind.INTERACTION),
        ({"gen_ai.operation.name": "Embeddings"}, AiKind.INTERACTION),
        ({"gen_ai.operation.name": "execute_tool"}, AiKind.TOOL),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m"}, AiKind.AGENT),
        ({"gen_ai.operation.name": "invoke_workflow"}, AiKind.AGENT),
        ({"gen_ai.operation.name": "retrieval"}, AiKind.RETRIEVAL),
        ({"gen_ai.operation.name": "something_new", "gen_ai.request.model": "m"}, AiKind.INTERACTION),
        ({"gen_ai.response.model": "m"}, AiKind.INTERACTION),
        ({"gen_ai.tool.call.id": "call_1"}, AiKind.TOOL),
    ],
)
def test_kind(attributes: dict[str, Any], kind: AiKind) -> None:
    assert read(attributes).kind is kind


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"http.request.method": "GET"},
        {"gen_ai.conversation.id": "conv-1", "gen_ai.agent.name": "Planner"},  # as baggage puts them on every span
        {"gen_ai.operation.name": "something_new"},
        {"gen_ai.operation.name": 7},
    ],
)
def test_other_spans_are_none(attributes: dict[str, Any]) -> None:
    assert interpret(span(attributes)) is None


def test_tool() -> None:
    found = read(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.id": "call_1",
            "gen_ai.tool.call.arguments": '{"city": "Paris"}',
            "gen_ai.tool.call.result": "{sunny",
        }
    )
    assert (found.tool_name, found.tool_call_id) == ("get_weather", "call_1")
    assert found.tool_arguments == {"city": "Paris"}
    assert found.tool_result == "{sunny"
    assert found.warnings == ()


class TestMessages:
    def test_structured_and_json_are_alike(self) -> None:
        messages = [QUESTION, {"role": "user", "parts": [{"type": "hologram", "depth": 3}]}]
        structured = read({**CHAT, "gen_ai.input.messages": messages})
        written = read({**CHAT, "gen_ai.input.messages": json.dumps(messages)})
        assert structured == written
        assert structured.input_messages == messages

    def test_malformed_json_is_none_with_a_warning_without_content(self) -> None:
        found = read({**CHAT, "gen_ai.input.messages": '[{"role": "user", "secret'})
        assert found.input_messages is None
        assert found.warnings == ("gen_ai.input.messages: not JSON: Unterminated string starting at at 18",)

    def test_an_older_place_is_read_when_the_current_one_is_malformed(self) -> None:
        found = read({**CHAT, "gen_ai.input.messages": "[", "gen_ai.prompt.0.content": "Hi"})
        assert found.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
        assert len(found.warnings) == 1

    def test_one_bad_item_is_left_out_alone(self) -> None:
        found = read({**CHAT, "gen_ai.input.messages": [QUESTION, 7, json.dumps(QUESTION), "Hi"]})
        assert found.input_messages == [
            QUESTION,
            QUESTION,
            {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
        ]
        assert found.warnings == ("gen_ai.input.messages: message 1 left out: expected an object, got int",)

    def test_wrong_type(self) -> None:
        found = read({**CHAT, "gen_ai.output.messages": 3.5})
        assert (found.output_messages, found.tool_calls) == (None, None)
        assert found.warnings == ("gen_ai.output.messages: expected a list of messages, got float",)

    def test_content_and_tool_calls_of_the_chat_api(self) -> None:
        found = read(
            {
                **CHAT,
                "gen_ai.input.messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "url": "x"}]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                ],
                "gen_ai.output.messages": [
                    {
                        "content": None,
                        "tool_calls": [
                            {"id": "call_1", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
                        ],
                    }
                ],
            }
        )
        assert found.input_messages == [
            {"role": "user", "parts": [{"type": "text", "content": "Look"}, {"type": "image_url", "url": "x"}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "sunny"}]},
        ]
        assert found.output_messages == [
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}}],
            }
        ]
        assert found.tool_calls == found.output_messages[0]["parts"]

    def test_numbered_messages_are_in_numeric_order(self) -> None:
        attributes = {f"gen_ai.prompt.{number}.content": f"message {number}" for number in (10, 9, 0)}
        found = read({**CHAT, **attributes, "gen_ai.prompt.name": "a template, no message"})
        assert found.input_messages is not None
        assert [one["parts"][0]["content"] for one in found.input_messages] == ["message 0", "message 9", "message 10"]

    def test_numbered_tool_calls(self) -> None:
        found = read(
            {
                **CHAT,
                "gen_ai.completion.0.tool_calls.1.name": "second",
                "gen_ai.completion.0.tool_calls.0.name": "first",
                "gen_ai.completion.0.tool_calls.0.id": "call_1",
                "gen_ai.completion.0.tool_calls.0.arguments": "{}",
            }
        )
        assert found.tool_calls == [
            {"type": "tool_call", "id": "call_1", "name": "first", "arguments": {}},
            {"type": "tool_call", "id": None, "name": "second", "arguments": None},
        ]

    def test_message_events(self) -> None:
        events = [
            ("gen_ai.user.message", {"content": "Hi"}),
            ("gen_ai.assistant.message", {"gen_ai.event.content": '{"role": "assistant", "content": "Yes?"}'}),
            ("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"content": "Hello"}}),
            ("exception", {"exception.type": "E"}),
        ]
        found = read(CHAT, events=events)
        assert found.input_messages == [
            {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
            {"role": "assistant", "parts": [{"type": "text", "content": "Yes?"}]},
        ]
        assert found.output_messages == [
            {"role": "assistant", "parts": [{"type": "text", "content": "Hello"}], "index": 0, "finish_reason": "stop"}
        ]
        assert found.finish_reasons == ["stop"]

    def test_content_events(self) -> None:
        events = [
            ("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps([{"role": "user", "content": "Hi"}])}),
            ("gen_ai.content.completion", {"gen_ai.completion": "Hello"}),
        ]
        found = read(CHAT, events=events)
        assert found.input_messages == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
        assert found.output_messages == [{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}]}]

    def test_json_that_is_no_list_of_parts_stays_text(self) -> None:
        found = read({**CHAT, "gen_ai.prompt.0.content": '[{"a": 1}]'})
        assert found.input_messages == [{"role": "user", "parts": [{"type": "text", "content": '[{"a": 1}]'}]}]

    def test_half_a_surrogate_pair_can_be_written_again(self) -> None:
        found = read({**CHAT, "gen_ai.output.messages": r'[{"role": "assistant", "content": "cut \ud83d"}]'})
        assert found.output_messages == [{"role": "assistant", "parts": [{"type": "text", "content": "cut ?"}]}]

    @pytest.mark.parametrize("depth", [101, 100_000])
    def test_too_deep_is_none_with_a_warning(self, depth: int) -> None:
        found = read({**CHAT, "gen_ai.input.messages": "[" * depth + "]" * depth})
        assert found.input_messages is None
        assert found.warnings == ("gen_ai.input.messages: JSON nested more than 100 deep",)

    def test_number_too_long(self) -> None:
        found = read({**CHAT, "gen_ai.input.messages": "[" + "9" * 5_000 + "]"})
        assert found.warnings == ("gen_ai.input.messages: JSON with a number too long",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        (0, 0),
        (7.0, 7),
        (2**63 - 1, 2**63 - 1),
        (7.5, None),
        (-1, None),
        (-1.0, None),
        (math.nan, None),
        (math.inf, None),
        (1e300, None),
        (True, None),
        ("7", 7),
        ("7.0", None),
        ("-7", None),
        ("\u0667", None),
        ("9" * 19, None),
        ("9" * 20, None),
        ([7], None),
    ],
)
def test_token_counts(value: Any, expected: int | None) -> None:
    found = read({**CHAT, "gen_ai.usage.input_tokens": value, "gen_ai.usage.output_tokens": 2})
    assert found.usage == Usage(input=expected, output=2)
    assert [warning.split(":")[0] for warning in found.warnings] == ["gen_ai.usage.input_tokens"] * (expected is None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e-05, "0.00001"),
        ("0.01230", "0.0123"),
        (2, "2"),
        (100.0, "100"),
        (-0.1, None),
        (math.nan, None),
        (math.inf, None),
        (1e-300, None),
        (1e300, None),
        ("1e-999999", None),
        ("1e999999", None),
        ("free", None),
        (True, None),
        ({"usd": 1}, None),
    ],
)
def test_cost(value: Any, expected: str | None) -> None:
    found = read({**CHAT, "gen_ai.usage.cost": value})
    assert found.cost_usd == expected
    assert len(found.warnings) == (expected is None)


@pytest.mark.parametrize("value", [0, 0.0, "-0"])
def test_zero_is_no_reported_cost(value: Any) -> None:
    """Libraries write it where they know no price, and of calls that failed."""
    found = read({**CHAT, "gen_ai.usage.cost": value})
    assert (found.cost_usd, found.warnings) == (None, ())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1629, 162_900_000),
        (0.000000001, 1),
        (2, 2_000_000_000),
        (1234567.123456789, 1_234_567_123_456_789),
        (-0.5, None),
        (math.nan, None),
        (1e300, None),
        ("soon", None),
        (b"\x01", None),
    ],
)
def test_time_to_first_token(value: Any, expected: int | None) -> None:
    found = read({**CHAT, "gen_ai.response.time_to_first_chunk": value})
    assert found.time_to_first_token_ns == expected
    assert len(found.warnings) == (expected is None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["stop", "length"], ["stop", "length"]),
        ('["tool_use"]', ["tool_call"]),
        ("max_tokens", ["length"]),
        (["stop", 7, None], ["stop"]),
        ([7], None),
        ([], None),
    ],
)
def test_finish_reasons(value: Any, expected: list[str] | None) -> None:
    assert read({**CHAT, "gen_ai.response.finish_reasons": value}).finish_reasons == expected
