"""What spans of each dialect are: calls, tools, agents, retrievals, embeddings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_replay.genai import interpret
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
    ("key", "value", "kind", "operation"),
    [
        ("openinference.span.kind", "LLM", INTERACTION, "chat"),
        ("openinference.span.kind", "EMBEDDING", INTERACTION, "embeddings"),
        ("openinference.span.kind", "TOOL", TOOL, "execute_tool"),
        ("openinference.span.kind", "AGENT", AGENT, "invoke_agent"),
        ("openinference.span.kind", "CHAIN", AGENT, "CHAIN"),
        ("openinference.span.kind", "RETRIEVER", RETRIEVAL, "retrieval"),
        ("openinference.span.kind", "RERANKER", RETRIEVAL, "rerank"),
        ("traceloop.span.kind", "workflow", AGENT, "invoke_workflow"),
        ("traceloop.span.kind", "tool", TOOL, "execute_tool"),
        ("llm.request.type", "completion", INTERACTION, "text_completion"),
        ("llm.request.type", "embedding", INTERACTION, "embeddings"),
        ("llm.request.type", "rerank", RETRIEVAL, "rerank"),
        ("ai.operationId", "ai.generateText", AGENT, "invoke_agent"),
        ("ai.operationId", "ai.generateText.doGenerate", INTERACTION, "chat"),
        ("ai.operationId", "ai.streamObject.doStream", INTERACTION, "chat"),
        ("ai.operationId", "ai.embed", AGENT, "ai.embed"),
        ("ai.operationId", "ai.embedMany.doEmbed", INTERACTION, "embeddings"),
        ("ai.operationId", "ai.toolCall", TOOL, "execute_tool"),
        ("langfuse.observation.type", "generation", INTERACTION, "chat"),
        ("langfuse.observation.type", "GENERATION", INTERACTION, "chat"),
        ("langfuse.observation.type", "agent", AGENT, "invoke_agent"),
        ("langfuse.observation.type", "evaluator", AGENT, "evaluator"),
        ("mlflow.spanType", '"CHAT_MODEL"', INTERACTION, "chat"),
        ("mlflow.spanType", '"LLM"', INTERACTION, "LLM"),
        ("mlflow.spanType", '"RETRIEVER"', RETRIEVAL, "retrieval"),
        ("genkit:metadata:subtype", "flow", AGENT, "invoke_workflow"),
        ("genkit:metadata:subtype", "embedder", INTERACTION, "embeddings"),
        ("langsmith.span.kind", "chain", AGENT, "chain"),
        ("lmnr.span.type", "TOOL", TOOL, "execute_tool"),
        ("gen_ai.operation.name", "vectordb", RETRIEVAL, "vectordb"),
        ("gen_ai.operation.name", "image", INTERACTION, "image"),
        ("llm.model_name", "gpt-4o", INTERACTION, None),
        ("lk.function_tool.name", "get_weather", TOOL, None),
        ("all_messages_events", "[]", AGENT, None),
    ],
)
def test_kind_and_operation(key: str, value: str, kind: AiKind, operation: str | None) -> None:
    found = read({key: value})
    assert (found.kind, found.operation) == (kind, operation)


@pytest.mark.parametrize(
    "attributes",
    [
        {"input.value": "hi", "output.value": "there", "input.mime_type": "text/plain"},
        {"tool.name": "hammer", "tool.id": "7", "agent.name": "Smith"},
        {"events": "[]", "model_name": "T", "agent_name": "Smith", "final_result": "ok", "thread_id": "7"},
        {"langfuse.observation.type": "span", "langfuse.observation.input": "{}", "langfuse.session.id": "s1"},
        {"mlflow.spanType": '"UNKNOWN"', "mlflow.spanInputs": "{}"},
        {"openinference.span.kind": "UNKNOWN"},
        {"traceloop.span.kind": "unknown", "traceloop.workflow.name": "w", "traceloop.entity.path": "p"},
        {"genkit:type": "action", "genkit:metadata:subtype": "util"},
        {"lmnr.span.type": "DEFAULT"},
        {"ai.telemetry.functionId": "f", "ai.telemetry.metadata.sessionId": "s1"},
        {"error.type": "500", "http.request.method": "POST", "server.address": "api.openai.com"},
        {"operation.name": "ai.generateText", "operation.cost": 3},
    ],
)
def test_other_spans_are_none(attributes: dict[str, Any]) -> None:
    assert interpret(span(attributes)) is None


def test_the_type_of_an_observation_goes_before_any_operation() -> None:
    assert read({"gen_ai.operation.name": "chat", "langfuse.observation.type": "agent"}).kind is AGENT
    assert read({"gen_ai.operation.name": "chat", "openinference.span.kind": "TOOL"}).kind is TOOL
    assert read({"gen_ai.operation.name": "chat", "langfuse.observation.type": "span"}).kind is INTERACTION
    assert read({"gen_ai.operation.name": "plan", "traceloop.span.kind": "tool"}).kind is AGENT


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.id": "call_1",
            "gen_ai.tool.call.arguments": '{"city": "Paris"}',
            "gen_ai.tool.call.result": "sunny",
        },
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "get_weather",
            "tool.id": "call_1",
            "tool.parameters": '{"type": "object"}',
            "input.value": '{"city": "Paris"}',
            "output.value": "sunny",
        },
        {
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": "get_weather",
            "gen_ai.tool.call.id": "call_1",
            "traceloop.entity.input": '{"city": "Paris"}',
            "traceloop.entity.output": "sunny",
        },
        {
            "ai.operationId": "ai.toolCall",
            "ai.toolCall.name": "get_weather",
            "ai.toolCall.id": "call_1",
            "ai.toolCall.args": '{"city": "Paris"}',
            "ai.toolCall.result": "sunny",
        },
        {
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.id": "call_1",
            "tool_arguments": '{"city": "Paris"}',
            "tool_response": "sunny",
        },
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.id": "call_1",
            "gcp.vertex.agent.llm_request": "{}",
            "gcp.vertex.agent.tool_call_args": '{"city": "Paris"}',
            "gcp.vertex.agent.tool_response": "sunny",
        },
        {
            "lk.function_tool.name": "get_weather",
            "lk.function_tool.id": "call_1",
            "lk.pii.function_tool.arguments": '{"city": "Paris"}',
            "lk.pii.function_tool.output": "sunny",
        },
    ],
    ids=["otel", "openinference", "traceloop", "vercel", "pydantic-ai", "google-adk", "livekit"],
)
def test_tools(attributes: dict[str, Any]) -> None:
    found = read(attributes)
    assert (found.kind, found.tool_name, found.tool_call_id) == (TOOL, "get_weather", "call_1")
    assert (found.tool_arguments, found.tool_result) == ({"city": "Paris"}, "sunny")
    assert (found.input_messages, found.output_messages, found.warnings) == (None, None, ())


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ({"langfuse.observation.type": "tool", "langfuse.observation.input": '{"a": 1}'}, None),
        (
            {
                "mlflow.spanType": '"TOOL"',
                "mlflow.spanFunctionName": '"get_weather"',
                "mlflow.spanInputs": '{"a": 1}',
                "mlflow.spanOutputs": '"sunny"',
            },
            "get_weather",
        ),
        (
            {
                "genkit:metadata:subtype": "tool",
                "genkit:name": "get_weather",
                "genkit:input": '{"a": 1}',
                "genkit:output": '"sunny"',
            },
            "get_weather",
        ),
        (
            {"langsmith.span.kind": "tool", "gen_ai.tool.name": "get_weather", "gen_ai.prompt": '{"a": 1}'},
            "get_weather",
        ),
        ({"lmnr.span.type": "TOOL", "lmnr.span.input": '{"a": 1}'}, None),
    ],
    ids=["langfuse", "mlflow", "genkit", "langsmith", "laminar"],
)
def test_tools_without_an_id(attributes: dict[str, Any], name: str | None) -> None:
    found = read(attributes)
    assert (found.kind, found.tool_name, found.tool_arguments, found.tool_call_id) == (TOOL, name, {"a": 1}, None)
    assert found.tool_result == ("sunny" if "sunny" in str(attributes) else None)
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("attributes", "agent"),
    [
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Planner", "gen_ai.agent.id": "a1"}, "Planner"),
        ({"openinference.span.kind": "AGENT", "agent.name": "Planner"}, "Planner"),
        ({"traceloop.span.kind": "agent", "traceloop.entity.name": "Planner"}, "Planner"),
        ({"all_messages_events": "[]", "agent_name": "Planner", "model_name": "gpt-4o"}, "Planner"),
        ({"genkit:metadata:subtype": "flow", "genkit:name": "Planner"}, "Planner"),
        ({"gen_ai.operation.name": "invoke_agent", "lk.agent_name": "Planner"}, "Planner"),
    ],
)
def test_agents(attributes: dict[str, Any], agent: str) -> None:
    found = read(attributes)
    assert (found.kind, found.agent) == (AGENT, agent)


def test_documents_that_were_found() -> None:
    found = {"id": "d1", "content": "Paris is sunny.", "score": 0.5, "metadata": {"page": 3}}
    asked = [text("user", "Weather in Paris?")]
    for attributes in (
        {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.query.text": "Weather in Paris?",
            "gen_ai.retrieval.documents": json.dumps([found]),
        },
        {
            "openinference.span.kind": "RETRIEVER",
            "input.value": "Weather in Paris?",
            "output.value": "[...]",
            "retrieval.documents.0.document.id": "d1",
            "retrieval.documents.0.document.content": "Paris is sunny.",
            "retrieval.documents.0.document.score": 0.5,
            "retrieval.documents.0.document.metadata": '{"page": 3}',
        },
        {
            "openinference.span.kind": "RERANKER",
            "reranker.query": "Weather in Paris?",
            "reranker.input_documents.0.document.content": "other",
            "reranker.output_documents.0.document.id": "d1",
            "reranker.output_documents.0.document.content": "Paris is sunny.",
            "reranker.output_documents.0.document.score": 0.5,
            "reranker.output_documents.0.document.metadata": '{"page": 3}',
        },
        {
            "mlflow.spanType": '"RETRIEVER"',
            "mlflow.spanInputs": '"Weather in Paris?"',
            "mlflow.spanOutputs": json.dumps([{**found, "page_content": found["content"], "content": None}]),
        },
        {
            "langfuse.observation.type": "retriever",
            "langfuse.observation.input": "Weather in Paris?",
            "langfuse.observation.output": json.dumps([found]),
        },
    ):
        retrieved = read(attributes)
        assert (retrieved.input_messages, retrieved.documents) == (asked, [found])
        assert (retrieved.output_messages, retrieved.warnings) == (None, ())


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.model_name": "ada",
            "embedding.embeddings.0.embedding.text": "one",
            "embedding.embeddings.0.embedding.vector": [0.1] * 1536,
            "embedding.embeddings.1.embedding.text": "two",
            "llm.token_count.prompt": 4,
        },
        {
            "ai.operationId": "ai.embedMany.doEmbed",
            "ai.response.model": "ada",
            "ai.values": ['"one"', '"two"'],
            "ai.embeddings": ["[0.1]", "[0.2]"],
            "ai.usage.tokens": 4,
        },
        {
            "mlflow.spanType": '"EMBEDDING"',
            "mlflow.spanInputs": '{"input": ["one", "two"], "model": "ada"}',
            "mlflow.spanOutputs": '{"model": "ada", "data": [{"embedding": [0.1]}]}',
            "mlflow.chat.tokenUsage": '{"input_tokens": 4}',
        },
    ],
    ids=["openinference", "vercel", "mlflow"],
)
def test_embeddings(attributes: dict[str, Any]) -> None:
    found = read(attributes)
    assert (found.operation, found.response_model, found.usage) == ("embeddings", "ada", Usage(input=4))
    assert found.input_messages == [text("user", "one"), text("user", "two")]
    assert found.warnings == ()
