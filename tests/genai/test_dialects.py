"""What dialects say in their own way beside the messages of a call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_replay.genai import interpret
from otel_replay.genai.providers import provider_name
from otel_replay.model import AiKind, Interaction, Usage

from .spans import span

INTERACTION, TOOL, AGENT, RETRIEVAL = AiKind.INTERACTION, AiKind.TOOL, AiKind.AGENT, AiKind.RETRIEVAL


def read(attributes: dict[str, Any], **rest: Any) -> Interaction:
    found = interpret(span(attributes, **rest))
    assert found is not None
    return found


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


@pytest.mark.parametrize(
    ("details", "usage"),
    [
        ({"input": 90, "input_cache_read": 10, "output": 50, "total": 150}, Usage(100, 50, 10)),
        ({"input": 5, "output": 7, "reasoning": 3, "cache_read": 2, "cache_write": 1}, Usage(8, 10, 2, 1, 3)),
        ({"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 20}, Usage(25, 7, 20)),
        (
            {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 64}},
            Usage(100, 20, 64),
        ),
        (
            {
                "input_tokens": 100,
                "output_tokens": 20,
                "input_tokens_details": {"cached_tokens": 64},
                "output_tokens_details": {"reasoning_tokens": 5},
            },
            Usage(100, 20, 64, None, 5),
        ),
        ({"completion_tokens": 28}, Usage(None, 28)),
        ({"total": 7}, Usage()),
        ({}, Usage()),
    ],
)
def test_usage_of_langfuse(details: dict[str, Any], usage: Usage) -> None:
    found = read({"langfuse.observation.type": "generation", "langfuse.observation.usage_details": json.dumps(details)})
    assert (found.usage, found.warnings) == (usage, ())


@pytest.mark.parametrize(
    ("details", "cost"),
    [
        ({"input": 0.1, "output": 0.2, "total": 0.4}, "0.4"),
        ({"input": 0.1, "output": 0.2}, "0.3"),
        ({"total": "0.00012"}, "0.00012"),
        ({}, None),
    ],
)
def test_cost_of_langfuse(details: dict[str, Any], cost: str | None) -> None:
    found = read({"langfuse.observation.type": "generation", "langfuse.observation.cost_details": json.dumps(details)})
    assert (found.cost_usd, found.warnings) == (cost, ())


def test_a_part_is_never_greater_than_the_whole() -> None:
    """Providers of the Vercel AI SDK before v6 handed on Anthropic's count of input, which is without the cache's."""
    call = {"ai.operationId": "ai.generateText.doGenerate", "ai.usage.outputTokens": 3, "ai.usage.reasoningTokens": 4}
    found = read({**call, "ai.usage.inputTokens": 10, "ai.usage.cachedInputTokens": 90})
    assert found.usage == Usage(100, 7, 90, None, 4)


def test_cache_writes_in_provider_metadata() -> None:
    metadata = {"anthropic": {"cacheCreationInputTokens": 8, "usage": {}}, "openai": {}}
    call = {"ai.operationId": "ai.generateText.doGenerate", "ai.usage.inputTokens": 100}
    assert read({**call, "ai.response.providerMetadata": json.dumps(metadata)}).usage == Usage(100, cache_write=8)


def test_modalities_are_parts_of_the_usage() -> None:
    found = read(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.audio.input_tokens": 60,
            "gen_ai.usage.text.cache_read.input_tokens": 5,
            "llm.token_count.completion_details.audio": 3,
        }
    )
    assert found.usage == Usage(input=100)
    assert found.usage_details == {"audio.input": 60, "text.cache_read": 5, "audio.output": 3}


def test_parents_of_the_vercel_sdk_lead_to_calls() -> None:
    """What they repeat of the usage is an agent's, which only counts where no call below says its own."""
    found = read(
        {
            "ai.operationId": "ai.streamText",
            "ai.model.provider": "anthropic.messages",
            "ai.prompt": json.dumps({"system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}),
            "ai.response.text": "Hello",
            "ai.response.reasoning": "A greeting.",
            "ai.response.toolCalls": json.dumps([{"toolCallId": "c1", "toolName": "f", "input": {"a": 1}}]),
            "ai.response.files": json.dumps([{"type": "file", "mediaType": "image/png", "data": "AAAA"}]),
            "ai.usage.inputTokens": 10,
        }
    )
    assert (found.kind, found.provider, found.usage) == (AGENT, "anthropic", Usage(input=10))
    assert found.system_instructions == [{"type": "text", "content": "Be brief."}]
    assert found.input_messages == [text("user", "Hi")]
    assert found.output_messages == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "A greeting."},
                {"type": "text", "content": "Hello"},
                {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}},
                {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
            ],
        }
    ]


def test_objects_and_the_keys_of_version_3() -> None:
    call = {"ai.operationId": "ai.generateObject.doGenerate", "ai.finishReason": "tool-calls"}
    found = read({**call, "ai.result.object": '{"a": 1}', "ai.usage.promptTokens": 3, "ai.usage.completionTokens": 4})
    assert found.output_messages == [text("assistant", '{"a": 1}')]
    assert (found.usage, found.finish_reasons) == (Usage(3, 4), ["tool_call"])


def test_agent_runs_of_pydantic_ai() -> None:
    found = read(
        {
            "gen_ai.operation.name": "invoke_agent",
            "pydantic_ai.all_messages": json.dumps([text("user", "Hi"), text("assistant", "Hello")]),
            "final_result": "Hello",
            "gen_ai.aggregated_usage.input_tokens": 100,
        }
    )
    assert found.input_messages == [text("user", "Hi"), text("assistant", "Hello")]
    assert (found.output_messages, found.usage) == ([text("assistant", "Hello")], Usage())


@pytest.mark.parametrize(
    ("attributes", "events", "status", "error"),
    [
        ({"error.type": "RateLimitError"}, [], ("", True), "RateLimitError"),
        ({"error.type": "RateLimitError"}, [], ("slow down", True), "RateLimitError: slow down"),
        ({"error.type": "openai.RateLimitError"}, [], ("RateLimitError: slow", True), "RateLimitError: slow"),
        ({"error.type": "429"}, [], ("", False), "429"),
        ({}, [("exception", {"exception.type": "E", "exception.message": "oh"})], ("", True), "E: oh"),
        ({}, [("exception", {"exception.type": "E", "exception.message": "oh"})], ("", False), None),
        ({}, [], ("", True), "failed"),
        ({"langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "oh"}, [], ("", False), "oh"),
        ({"langfuse.observation.level": "WARNING", "langfuse.observation.status_message": "h"}, [], ("", False), None),
        ({}, [], ("", False), None),
    ],
)
def test_errors(attributes: dict[str, Any], events: list[Any], status: tuple[str, bool], error: str | None) -> None:
    built = span({"gen_ai.operation.name": "chat", **attributes}, events=events)
    code = Status.STATUS_CODE_ERROR if status[1] else Status.STATUS_CODE_UNSET
    built.status.CopyFrom(Status(code=code, message=status[0]))
    found, headline = interpret(built), interpret(built, with_content=False)
    assert found is not None
    assert headline is not None
    assert (found.error, found.failed, headline.failed) == (error, error is not None, error is not None)


ESCAPED = {"exception.type": "E", "exception.message": "oh", "exception.escaped": "True"}
ADK_ERROR = {"error_code": "SAFETY", "error_message": "blocked"}


@pytest.mark.parametrize(
    ("attributes", "events", "error"),
    [
        ({"langfuse.observation.type": "generation", "langfuse.observation.level": "ERROR"}, [], "failed"),
        ({"langfuse.observation.type": "tool", "langfuse.observation.level": "DEFAULT"}, [], None),
        ({"ai.operationId": "ai.streamText.doStream", "ai.response.finishReason": "error"}, [], "failed"),
        ({"ai.operationId": "ai.streamText.doStream", "ai.finishReason": "error"}, [], "failed"),
        ({"ai.operationId": "ai.streamText.doStream", "ai.response.finishReason": "stop"}, [], None),
        ({"genkit:metadata:subtype": "tool", "genkit:state": "error"}, [], "failed"),
        ({"genkit:metadata:subtype": "tool", "genkit:state": "success"}, [], None),
        ({"gcp.vertex.agent.llm_response": json.dumps(ADK_ERROR)}, [], "blocked"),
        ({"gcp.vertex.agent.llm_response": json.dumps({"error_code": None})}, [], None),
        ({"gen_ai.response.status": "failed"}, [], "failed"),
        ({"gen_ai.response.status": "incomplete"}, [], None),
        ({"logfire.level_num": 17}, [], "failed"),
        ({"logfire.level_num": 13}, [], None),
        ({"logfire.level_num": "17"}, [], None),
        ({"openinference.span.kind": "LLM"}, [("exception", ESCAPED)], "E: oh"),
        ({"openinference.span.kind": "LLM"}, [("exception", {**ESCAPED, "exception.escaped": False})], None),
        ({"gen_ai.response.finish_reasons": ["error"]}, [], None),
    ],
)
def test_marks_of_an_error_that_is_no_status(attributes: dict[str, Any], events: list[Any], error: str | None) -> None:
    """OpenTelemetry's own library of OpenAI calls it an error that a stream was closed early: that is none."""
    built = span({"gen_ai.request.model": "m", **attributes}, events=events)
    found, headline = interpret(built), interpret(built, with_content=False)
    assert found is not None
    assert headline is not None
    assert (found.error, found.failed, headline.failed) == (error, error is not None, error is not None)


def test_evaluations() -> None:
    event = {
        "gen_ai.evaluation.name": "Relevance",
        "gen_ai.evaluation.score.value": 0.5,
        "gen_ai.evaluation.score.label": "meh",
    }
    found = read({"gen_ai.operation.name": "chat"}, events=[("gen_ai.evaluation.result", event), ("other", event)])
    assert found.evaluations == [{"name": "Relevance", "score": 0.5, "label": "meh"}]


def test_turns_are_linked() -> None:
    found = read({"gen_ai.operation.name": "chat", "gen_ai.request.previous_response.id": "resp_0"})
    assert found.previous_response_id == "resp_0"


@pytest.mark.parametrize(
    ("name", "product", "provider"),
    [
        ("OpenAI", "", "openai"),
        ("openai.responses", "", "openai"),
        ("google.generative-ai", "", "gcp.gemini"),
        ("google.vertex.chat", "", "gcp.vertex_ai"),
        ("vertex.anthropic.messages", "", "gcp.vertex_ai"),
        ("bedrock.anthropic.messages", "", "aws.bedrock"),
        ("amazon-bedrock", "", "aws.bedrock"),
        ("AWS", "", "aws.bedrock"),
        ("azure", "openai", "azure.ai.openai"),
        ("azure", "", "azure.ai.inference"),
        ("google", "vertexai", "gcp.vertex_ai"),
        ("google", "", "gcp.gen_ai"),
        ("gcp.gemini", "", "gcp.gemini"),
        ("ibm.watsonx.ai", "", "ibm.watsonx.ai"),
        ("xai.chat", "", "x_ai"),
        ("my.own.chat", "", "my.own"),
        ("someone.new", "", "someone.new"),
        (".chat", "", ".chat"),
        ("x" * 200, "y" * 200, "x" * 200),
    ],
)
def test_providers(name: str, product: str, provider: str) -> None:
    assert provider_name(name, product) == provider
    assert provider_name(provider) == provider or provider == ".chat"


def test_host_and_product_of_openinference() -> None:
    call = {"openinference.span.kind": "LLM", "llm.system": "openai"}
    assert read(call).provider == "openai"
    assert read({**call, "llm.provider": "azure"}).provider == "azure.ai.openai"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "tool", "data": {"content": '{"degrees": 18}', "tool_call_id": "call_1", "type": "tool"}},
        {
            "lc": 1,
            "id": ["langchain", "ToolMessage"],
            "kwargs": {"content": '{"degrees": 18}', "tool_call_id": "call_1"},
        },
    ],
)
def test_what_a_tool_of_langchain_said(message: dict[str, Any]) -> None:
    call = {"openinference.span.kind": "TOOL", "tool.name": "get_weather", "input.value": "Paris"}
    found = read({**call, "output.value": json.dumps(message), "output.mime_type": "application/json"})
    assert (found.tool_call_id, found.tool_arguments, found.tool_result) == ("call_1", "Paris", {"degrees": 18})


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (
            {
                "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            Usage(100, 20, 64, 8, 5),
        ),
        (
            {
                "cache_read_input_tokens": 64,
                "cache_creation_input_tokens": 8,
                "output_tokens_details": {"thinking_tokens": 5},
            },
            Usage(100, 20, 64, 8, 5),
        ),
        ({"input_tokens_details": {"cached_tokens": 64}}, Usage(100, 20, 64)),
        ({}, Usage(100, 20)),
    ],
)
def test_usage_objects_of_providers(usage: dict[str, Any], told: Usage) -> None:
    """Logfire hands them on beside its own counts, MLflow in the answer, Anthropic's without the cache."""
    call = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
    assert read({**call, "gen_ai.usage.raw": json.dumps(usage)}).usage == told
    names = (
        ("prompt_tokens", "completion_tokens")
        if "prompt_tokens_details" in usage
        else ("input_tokens", "output_tokens")
    )
    excluded = 72 if "cache_read_input_tokens" in usage else 0
    answer = {"id": "r1", "choices": [], "usage": {**usage, names[0]: 100 - excluded, names[1]: 20}}
    assert read({"mlflow.spanType": '"LLM"', "mlflow.spanOutputs": json.dumps(answer)}).usage == told


def test_the_first_token_of_what_is_no_stream() -> None:
    """OpenLIT writes the whole duration."""
    call = {"gen_ai.operation.name": "chat", "gen_ai.server.time_to_first_token": 0.25}
    assert read(call).time_to_first_token_ns == 250_000_000
    assert read({**call, "gen_ai.request.stream": True}).time_to_first_token_ns == 250_000_000
    assert read({**call, "gen_ai.request.stream": False}).time_to_first_token_ns is None
    assert read({**call, "gen_ai.request.is_stream": False}).time_to_first_token_ns is None


def test_calls_that_stand_beside_an_empty_message() -> None:
    """LiteLLM leaves the parts of a message without text empty."""
    found = read(
        {
            "gen_ai.operation.name": "chat",
            "llm.is_streaming": "False",
            "gen_ai.output.messages": '[{"role": "assistant", "parts": [], "finish_reason": "tool_calls"}]',
            "gen_ai.completion.0.function_call.name": "f",
            "gen_ai.completion.0.function_call.arguments": '{"a": 1}',
        }
    )
    assert found.tool_calls == [{"type": "tool_call", "id": None, "name": "f", "arguments": {"a": 1}}]
    assert found.parameters == {"stream": False}
    empty = [{"role": "assistant", "parts": []}]
    assert read({"gen_ai.operation.name": "chat", "gen_ai.output.messages": empty}).output_messages == empty


def test_what_sdks_and_gateways_add_to_the_conventions() -> None:
    found = read(
        {"gen_ai.operation.name": "chat", "anthropic.message.stop_reason": "tool_use", "gen_ai.cost.total_cost": 0.1}
    )
    assert (found.finish_reasons, found.cost_usd) == (["tool_call"], "0.1")


def test_requests_without_messages_say_nothing() -> None:
    """Logfire keeps the parameters of some requests only."""
    found = read({"gen_ai.operation.name": "embeddings", "request_data": '{"model": "ada"}'})
    assert (found.input_messages, found.warnings) == (None, ())
