"""Answers and spans of calls as single libraries write them: choices, candidates, pieces of streams, attempts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_replay.genai import interpret
from otel_replay.genai.payloads import messages_of
from otel_replay.model import AiKind, Interaction, Usage

from .spans import span

CALL = {"id": "call_1", "function": {"name": "f", "arguments": '{"a": 1}'}, "type": "function"}
CALLED = {"type": "tool_call", "id": "call_1", "name": "f", "arguments": {"a": 1}}


def read(attributes: dict[str, Any]) -> Interaction:
    found = interpret(span(attributes))
    assert found is not None
    return found


def chat(**attributes: Any) -> dict[str, Any]:
    return {"gen_ai.operation.name": "chat", **attributes}


def text(role: str, *contents: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content} for content in contents]}


def test_choices_where_messages_belong() -> None:
    """Laminar's."""
    choices = [
        {
            "finish_reason": "tool_calls",
            "index": 0,
            "logprobs": None,
            "message": {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None},
        },
        {"index": 1, "message": {"role": "assistant", "content": "or else"}},
    ]
    found = read(chat(**{"gen_ai.output.messages": json.dumps(choices)}))
    assert found.output_messages == [
        {"role": "assistant", "parts": [CALLED], "finish_reason": "tool_calls"},
        text("assistant", "or else"),
    ]
    assert (found.finish_reasons, found.warnings) == (["tool_call"], ())
    assert found.tool_calls == [CALLED]


PIECES = [{**text("assistant", piece), "finish_reason": ""} for piece in ("To", "morrow", " it rains.")]
LAST = {**text("assistant", ""), "finish_reason": "stop"}


def test_the_pieces_of_a_stream_are_one_message() -> None:
    """Google's Agent Development Kit leaves them as they came."""
    found = read(chat(**{"gen_ai.output.messages": json.dumps([*PIECES, LAST])}))
    assert found.output_messages == [{**text("assistant", "Tomorrow it rains."), "finish_reason": "stop"}]


@pytest.mark.parametrize(
    "apart",
    [
        PIECES,
        [{**one, "finish_reason": "stop"} for one in PIECES],
        [text("assistant", "a"), text("assistant", "b")],
        [PIECES[0], {**PIECES[1], "role": "user"}, LAST],
    ],
)
def test_messages_that_are_no_pieces_stay_apart(apart: list[Any]) -> None:
    found = read(chat(**{"gen_ai.output.messages": json.dumps(apart)}))
    assert found.output_messages is not None
    assert [one["parts"] for one in found.output_messages] == [one["parts"] for one in apart]


def test_candidates_of_genkit() -> None:
    content = [{"toolRequest": {"name": "f", "input": {"a": 1}, "ref": "call_1"}}, *({"text": one} for one in "ab")]
    answer = {
        "candidates": [{"index": 0, "message": {"role": "model", "content": content}, "finishReason": "stop"}],
        "custom": {"candidates": [], "modelVersion": "gemini-2.5-flash-001", "responseId": "r1"},
        "usage": {"inputTokens": 9, "outputTokens": 5},
    }
    found = read({"genkit:metadata:subtype": "model", "genkit:output": json.dumps(answer)})
    assert found.output_messages == [
        {"role": "assistant", "parts": [CALLED, {"type": "text", "content": "ab"}], "finish_reason": "stop"}
    ]
    assert (found.finish_reasons, found.response_model, found.response_id) == (["stop"], "gemini-2.5-flash-001", "r1")
    assert found.usage == Usage(9, 5)


def test_texts_of_gemini_are_the_text_of_an_answer() -> None:
    answer = {"content": {"parts": [{"text": "a"}, {"text": "b"}, {"text": ""}], "role": "model"}}
    assert messages_of({**answer, "finish_reason": "STOP"}, "assistant") == [
        {**text("assistant", "ab"), "finish_reason": "STOP"}
    ]
    assert messages_of({"contents": [{"parts": [{"text": "a"}, {"text": "b"}], "role": "user"}]}, "user") == [
        text("user", "a", "b")
    ]


def test_a_call_of_livekit_is_one_interaction() -> None:
    """Of ``llm_node`` > ``llm_request`` > ``llm_request_run``, which all name the model, the middle one."""
    model = {"gen_ai.request.model": "gpt-4o-mini"}
    calls = json.dumps([{"id": "x/fnc_0", "call_id": "call_1", "arguments": '{"a": 1}', "name": "f", "group_id": None}])
    items = [
        {"id": "i", "type": "message", "role": "system", "content": ["Be brief.", {"type": "cache_breakpoint"}]},
        {"id": "ii", "type": "agent_handoff", "new_agent_id": "weather"},
        {"id": "iii", "type": "message", "role": "user", "content": ["Hi"], "interrupted": False},
    ]
    node = read({**model, "lk.pii.chat_ctx": json.dumps({"items": items}), "lk.pii.response.function_calls": calls})
    assert (node.kind, node.operation) == (AiKind.AGENT, "llm_node")
    assert node.input_messages == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}, {"type": "cache_breakpoint"}]},
        {"role": "assistant", "parts": [items[1]]},
        text("user", "Hi"),
    ]
    assert node.output_messages is not None
    assert [{key: one[key] for key in CALLED} for one in node.output_messages[0]["parts"]] == [CALLED]
    assert read(chat(**model)).kind is AiKind.INTERACTION
    assert interpret(span({**model, "lk.retry_count": 0})) is None


def test_calls_of_the_first_agent_development_kit() -> None:
    """A call names no operation; a tool has an empty request beside its own."""
    answer = {
        "model_version": "gemini-2.5-flash-001",
        "content": {"parts": [{"text": "Hi"}], "role": "model"},
        "usage_metadata": {"candidates_token_count": 11, "thoughts_token_count": 6, "cached_content_token_count": 3},
    }
    call = read(
        {
            "gen_ai.system": "gcp.vertex.agent",
            "gen_ai.request.model": "gemini-2.5-flash",
            "gcp.vertex.agent.llm_request": '{"contents": [{"parts": [{"text": "Hello"}], "role": "user"}]}',
            "gcp.vertex.agent.llm_response": json.dumps(answer),
            "gen_ai.usage.input_tokens": 61,
            "gen_ai.usage.output_tokens": 11,
        }
    )
    assert (call.kind, call.operation, call.provider) == (AiKind.INTERACTION, "generate_content", "gcp.gen_ai")
    assert (call.response_model, call.usage) == ("gemini-2.5-flash-001", Usage(61, 17, 3, None, 6))
    assert (call.input_messages, call.output_messages) == ([text("user", "Hello")], [text("assistant", "Hi")])
    tool = read({"gen_ai.tool.name": "f", "gcp.vertex.agent.llm_request": "{}"})
    assert tool.kind is AiKind.TOOL


def test_what_langsmith_keeps_in_metadata() -> None:
    usage = {
        "input_tokens": 61,
        "output_tokens": 17,
        "input_token_details": {"cache_read": 11, "cache_creation": 3},
        "output_token_details": {"reasoning": 6},
        "total_cost": 0.002,
    }
    found = read(
        {
            "langsmith.span.kind": "llm",
            "langsmith.metadata.usage_metadata": json.dumps(usage),
            "langsmith.metadata.ls_temperature": 0.5,
            "langsmith.metadata.ls_max_tokens": 200,
            "gen_ai.completion": '{"output":null}',
        }
    )
    assert (found.usage, found.cost_usd) == (Usage(61, 17, 11, 3, 6), "0.002")
    assert found.parameters == {"temperature": 0.5, "max_tokens": 200}
    assert found.output_messages is None


@pytest.mark.parametrize(
    ("metadata", "usage"),
    [
        ({"openai": {"reasoningTokens": 6, "cachedPromptTokens": 11}}, Usage(61, 17, 11, None, 6)),
        ({"anthropic": {"cacheReadInputTokens": 11, "cacheCreationInputTokens": 3}}, Usage(75, 17, 11, 3)),
        ({"bedrock": {"usage": {"cacheReadInputTokens": 11, "cacheWriteInputTokens": 3}}}, Usage(75, 17, 11, 3)),
        ({"anthropic": {"usage": {"input_tokens": 61, "cache_read_input_tokens": 11}}}, Usage(72, 17, 11)),
        ({"anthropic": {"usage": {"input_tokens": 50, "cache_read_input_tokens": 11}}}, Usage(61, 17, 11)),
        (
            {"google": {"usageMetadata": {"candidatesTokenCount": 17, "thoughtsTokenCount": 6}}},
            Usage(61, 23, None, None, 6),
        ),
        (
            {"google": {"usageMetadata": {"candidatesTokenCount": 11, "thoughtsTokenCount": 6}}},
            Usage(61, 17, None, None, 6),
        ),
        (
            {"anthropic": {"usage": {"cache_read_input_tokens": 11, "cache_creation_input_tokens": 3}}},
            Usage(61, 17, 11, 3),
        ),
        ({"openai": {}}, Usage(61, 17)),
        ({"openai": None}, Usage(61, 17)),
    ],
)
def test_counts_that_providers_of_the_vercel_sdk_tell_beside(metadata: dict[str, Any], usage: Usage) -> None:
    found = read(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.usage.promptTokens": 61,
            "ai.usage.completionTokens": 17,
            "ai.response.providerMetadata": json.dumps(metadata),
        }
    )
    assert (found.usage, found.warnings) == (usage, ())


@pytest.mark.parametrize(
    ("attributes", "usage"),
    [
        ({"gen_ai.provider.name": "anthropic", "gen_ai.request.top_k": 1.0}, Usage(72, 17, 11, None, 6)),
        ({"gen_ai.provider.name": "anthropic"}, Usage(61, 17, 11, None, 6)),
        ({"gen_ai.provider.name": "gemini"}, Usage(61, 23, 11, None, 6)),
        ({"gen_ai.provider.name": "openai", "gen_ai.request.top_k": 1.0}, Usage(61, 17, 11, None, 6)),
        (
            {"gen_ai.provider.name": "anthropic", "gen_ai.request.top_k": 1.0, "telemetry.sdk.name": "other"},
            Usage(61, 17, 11, None, 6),
        ),
    ],
)
def test_counts_that_openlit_hands_on_as_providers_have_them(attributes: dict[str, Any], usage: Usage) -> None:
    """Of Anthropic's own client the cache is beside the input, of LangChain's in it; of Gemini's thoughts as well."""
    counts = {"input_tokens": 61, "output_tokens": 17, "cache_read.input_tokens": 11, "reasoning_tokens": 6}
    said = {f"gen_ai.usage.{name}": number for name, number in counts.items()}
    found = read({"gen_ai.operation.name": "chat", "telemetry.sdk.name": "openlit", **said, **attributes})
    assert (found.usage, found.warnings) == (usage, ())
