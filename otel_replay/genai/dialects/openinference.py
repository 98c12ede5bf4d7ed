"""OpenInference (Arize Phoenix): ``openinference.span.kind``, flattened messages, requests and answers whole.

Keys: openinference.semconv.trace; operations and providers: the same package's own conversion to OpenTelemetry's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_replay.genai.dialect import (
    CHAT,
    EMBEDDINGS,
    EXECUTE_TOOL,
    INVOKE_AGENT,
    RERANK,
    RETRIEVAL,
    STEP,
    At,
    Dialect,
)
from otel_replay.genai.facts import in_order
from otel_replay.genai.listings import Listed, NumberedListed, document, tool_definition
from otel_replay.genai.media import media
from otel_replay.genai.payloads import instructions_of, response_id_of
from otel_replay.genai.sources import Numbered, Payload, Texts
from otel_replay.genai.values import at_path, compact, member, peek
from otel_replay.model import AiKind


def _message(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """``message.role``, ``.content``, ``.contents.M.message_content.*``, ``.tool_calls.M.tool_call.*``."""
    said = item.get("message")
    if not isinstance(said, Mapping):
        return item
    contents = [_content(one) for one in in_order(said.get("contents"))]
    text = said.get("content")
    if isinstance(text, str) and text and text not in [one.get("content") for one in contents]:
        contents = [{"type": "text", "content": text}, *contents]
    calls = [at_path(one, "tool_call") for one in in_order(said.get("tool_calls"))]
    known = ("content", "contents", "tool_calls", "function_call_name", "function_call_arguments_json")
    rest = {key: value for key, value in said.items() if key not in known}
    called = {"name": said.get("function_call_name"), "arguments": said.get("function_call_arguments_json")}
    return {
        **rest,
        "content": text if len(contents) == 1 and text == contents[0].get("content") else contents,
        "tool_calls": [one for one in calls if isinstance(one, Mapping)],
        "function_call": called if called["name"] and said.get("role") != "function" else None,
    }


def _content(item: Any) -> dict[str, Any]:
    said = at_path(item, "message_content")
    if not isinstance(said, Mapping):
        return {"type": "unknown", "content": item}
    kind, text = said.get("type"), said.get("text")
    rest = {key: value for key, value in said.items() if key not in ("type", "text", "image", "audio")}
    if kind in ("text", "reasoning") and text is not None:
        return {"type": kind, "content": text, **rest}
    sound = at_path(said, "audio", "audio")
    found = media(at_path(said, "image", "image", "url"), "image") or media(
        at_path(sound, "url"), "audio", at_path(sound, "mime_type")
    )
    return found or {"type": "unknown", **compact(said)}


def _prompt(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """``llm.prompts.N.prompt.text``, ``llm.choices.N.completion.text``, ``embedding.embeddings.N.embedding.text``."""
    texts = (at_path(item, name, "text") for name in ("prompt", "completion", "embedding"))
    return {"content": next((text for text in texts if text is not None), None)}


def _id_of_result(value: Any) -> str | None:
    """The id of the provider's answer in LangChain's result, which has none of a stream."""
    found = at_path(peek(value), "llm_output", "id")
    return found if isinstance(found, str) else None


def _tool_message(value: Any) -> Any:
    """LangChain's message of a tool, serialised in one of its two ways."""
    told = peek(value)
    return next((one for one in (at_path(told, "data"), at_path(told, "kwargs")) if at_path(one, "tool_call_id")), None)


def _tool_call_id(value: Any) -> Any:
    return at_path(_tool_message(value), "tool_call_id")


def _tool_result(value: Any) -> Any:
    told = _tool_message(value)
    return value if told is None else told.get("content")


def _tool(item: Any) -> Any:
    schema = at_path(item, "tool", "json_schema")
    return tool_definition(item if schema is None else schema)


OPENINFERENCE = Dialect(
    name="openinference",
    namespaces=(
        "openinference.",
        "llm.",
        "embedding.",
        "retrieval.documents.",
        "reranker.",
        "input.value",
        "input.mime_type",
        "output.value",
        "output.mime_type",
        "tool.",
        "agent.name",
    ),
    kinds={
        "llm": CHAT,
        "embedding": EMBEDDINGS,
        "tool": EXECUTE_TOOL,
        "agent": INVOKE_AGENT,
        "retriever": RETRIEVAL,
        "reranker": RERANK,
        **dict.fromkeys(("chain", "guardrail", "evaluator", "prompt", "decision"), STEP),
    },
    marks={
        "llm.model_name": AiKind.INTERACTION,
        "llm.token_count.completion": AiKind.INTERACTION,
        "llm.token_count.prompt": AiKind.INTERACTION,
        "llm.request.model_name": AiKind.INTERACTION,
        "llm.response.model_name": AiKind.INTERACTION,
        "embedding.model_name": AiKind.INTERACTION,
        "reranker.model_name": AiKind.RETRIEVAL,
    },
    operation=("openinference.span.kind",),
    provider=("llm.provider", "llm.system"),
    product=("llm.system",),
    request_model=(
        "llm.request.model_name",
        At("llm.invocation_parameters", member("model")),
        At("embedding.invocation_parameters", member("model")),
    ),
    response_model=("llm.response.model_name", "llm.model_name", "embedding.model_name", "reranker.model_name"),
    response_id=(At("output.value", response_id_of), At("output.value", _id_of_result)),
    agent=("agent.name",),
    tool_name=("tool.name",),
    tool_call_id=("tool.id", "tool_call.id", At("output.value", _tool_call_id)),
    tool_arguments=("input.value", "tool.parameters"),
    tool_result=(At("output.value", _tool_result),),
    system_instructions=(
        At("llm.invocation_parameters", instructions_of),
        At("input.value", instructions_of),
    ),
    input_messages=(
        Numbered("llm.input_messages", "user", _message),
        Numbered("llm.prompts", "user", _prompt),
        Texts("llm.prompts", "user"),
        Numbered("embedding.embeddings", "user", _prompt),
        Texts("reranker.query", "user"),
        Payload("input.value", "user", "input.mime_type"),
    ),
    output_messages=(
        Numbered("llm.output_messages", "assistant", _message),
        Numbered("llm.choices", "assistant", _prompt),
        Payload("output.value", "assistant", "output.mime_type"),
    ),
    tool_definitions=(Listed("llm.tools", _tool), NumberedListed("llm.tools", _tool)),
    documents=(
        NumberedListed("retrieval.documents", document),
        NumberedListed("reranker.output_documents", document),
    ),
    input_tokens=("llm.token_count.prompt",),
    output_tokens=("llm.token_count.completion",),
    cache_read_tokens=("llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"),
    cache_write_tokens=("llm.token_count.prompt_details.cache_write",),
    reasoning_tokens=("llm.token_count.completion_details.reasoning",),
    usage_details={
        "llm.token_count.prompt_details.audio": "audio.input",
        "llm.token_count.completion_details.audio": "audio.output",
    },
    cost_usd=("llm.cost.total",),
    input_cost_usd=("llm.cost.prompt",),
    output_cost_usd=("llm.cost.completion",),
    finish_reasons=("llm.finish_reason",),
    first_token_events=("First Token Stream Event",),
    parameter_objects=("llm.invocation_parameters", "embedding.invocation_parameters"),
)
