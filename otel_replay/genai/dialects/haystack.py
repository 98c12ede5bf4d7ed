"""Haystack's own tracer: pipelines, their components by class, and the steps of agents, with inputs and outputs whole.

Keys: haystack.core.pipeline and haystack.components.agents, with opentelemetry-haystack. Without content tracing
(``HAYSTACK_CONTENT_TRACING_ENABLED``) a span says what ran, and neither tokens nor a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_replay.genai.dialect import (
    CHAT,
    EMBEDDINGS,
    EXECUTE_TOOL,
    INVOKE_AGENT,
    INVOKE_WORKFLOW,
    RERANK,
    RETRIEVAL,
    At,
    Dialect,
    Take,
)
from otel_replay.genai.facts import SpanFacts
from otel_replay.genai.listings import Listed, document
from otel_replay.genai.media import media
from otel_replay.genai.messages import Message, Warn, message, text_message
from otel_replay.genai.parts import tool_call, tool_response
from otel_replay.genai.sources import Payload, Places
from otel_replay.genai.usages import counted
from otel_replay.genai.values import at_path, from_json, is_empty, list_at, listed, of_each, peek, text, within
from otel_replay.model import AiKind

INPUT, OUTPUT = "haystack.component.input", "haystack.component.output"
AGENT_INPUT, AGENT_OUTPUT = "haystack.agent.input", "haystack.agent.output"
LLM_INPUT, LLM_OUTPUT = "haystack.agent.step.llm.input", "haystack.agent.step.llm.output"

_LAST_WORD = re.compile(r"[A-Z][a-z]+\Z", re.ASCII)


def _kind_of_class(value: Any) -> str | None:
    """``OpenAIChatGenerator`` is a generator: the last word of a class's name says what it does."""
    found = _LAST_WORD.search(text(value))
    return found[0].lower() if found else None


def _meta(*path: str) -> Take:
    """Takes something out of what a model's answer says of itself: each reply, or an embedding."""

    def take(value: Any) -> Any:
        told = peek(value)
        replies = listed(at_path(told, "replies"))
        return at_path(replies[0] if replies else told, "meta", *path)

    return take


def _usage(name: str) -> Take:
    take, of_usage = _meta("usage"), counted(name)
    return lambda value: of_usage(take(value))


_FINISH_REASONS = of_each("replies", "meta", "finish_reason")


@dataclass(frozen=True, slots=True)
class Said:
    """``KEY``: the JSON of an object of which one of ``members`` is a list of messages or texts, or one text.

    Anything else is one text, as what is no JSON: so Haystack writes what holds Python objects, such as tools.
    """

    name: str
    members: tuple[str, ...]
    role: str

    @property
    def places(self) -> Places:
        return Places(keys=(self.name,))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        told = from_json(facts.attributes.get(self.name))
        found = [at_path(told, member) for member in self.members]
        said = next((one for one in found if not is_empty(one)), None)
        if said is None:
            return Payload(self.name, self.role, is_json=True).read(facts, warn)
        return [self._message(one) for one in (said if isinstance(said, list) else [said])]

    def _message(self, item: Any) -> Message:
        if not isinstance(item, Mapping):
            return text_message(self.role, item)
        content = item.get("content")
        parts = [_part(one) for one in content] if isinstance(content, list) else content
        return message({"role": item.get("role"), "name": item.get("name"), "content": parts}, self.role)


def _part(item: Any) -> Any:
    """``{"tool_call": {...}}``, ``{"tool_call_result": {...}}``, ``{"image": {...}}``; others as in other APIs."""
    call, result, image = (at_path(item, key) for key in ("tool_call", "tool_call_result", "image"))
    if isinstance(call, Mapping):
        return tool_call(call.get("id"), call.get("tool_name"), call.get("arguments"))
    if isinstance(result, Mapping):
        return tool_response(at_path(result, "origin", "id"), result.get("result"))
    if isinstance(image, Mapping):
        return media(image.get("base64_image"), "image", image.get("mime_type")) or item
    return item


HAYSTACK = Dialect(
    name="haystack",
    namespaces=("haystack.",),
    kinds={
        "agent": INVOKE_AGENT,
        "pipeline": INVOKE_WORKFLOW,
        "generator": CHAT,
        "embedder": EMBEDDINGS,
        "retriever": RETRIEVAL,
        "ranker": RERANK,
        "tool": EXECUTE_TOOL,
    },
    marks={"haystack.tool.name": AiKind.TOOL},
    operation=(
        At("haystack.component.type", _kind_of_class),
        At(LLM_INPUT, lambda _: "generator"),
        At("haystack.tool.name", lambda _: "tool"),
        At("haystack.agent.max_steps", lambda _: "agent"),
        At("haystack.pipeline.max_runs_per_component", lambda _: "pipeline"),
    ),
    name_of_it=("haystack.component.name",),
    response_model=(At(OUTPUT, _meta("model")), At(LLM_OUTPUT, _meta("model"))),
    tool_name=("haystack.tool.name",),
    tool_arguments=(At("haystack.agent.step.tool.input", from_json),),
    tool_result=(At("haystack.agent.step.tool.output", from_json),),
    input_messages=(
        Said(INPUT, ("messages", "prompt", "text", "query"), "user"),
        Said(LLM_INPUT, ("messages",), "user"),
        Said(AGENT_INPUT, ("messages",), "user"),
    ),
    output_messages=(
        Said(OUTPUT, ("replies", "messages"), "assistant"),
        Said(LLM_OUTPUT, ("replies",), "assistant"),
        Said(AGENT_OUTPUT, ("messages",), "assistant"),
    ),
    documents=(Listed(OUTPUT, document, list_at("documents")),),
    input_tokens=(At(OUTPUT, _usage("input")), At(LLM_OUTPUT, _usage("input"))),
    output_tokens=(At(OUTPUT, _usage("output")), At(LLM_OUTPUT, _usage("output"))),
    cache_read_tokens=(At(OUTPUT, _usage("cache_read")), At(LLM_OUTPUT, _usage("cache_read"))),
    cache_write_tokens=(At(OUTPUT, _usage("cache_write")), At(LLM_OUTPUT, _usage("cache_write"))),
    reasoning_tokens=(At(OUTPUT, _usage("reasoning")), At(LLM_OUTPUT, _usage("reasoning"))),
    finish_reasons=(At(OUTPUT, _FINISH_REASONS), At(LLM_OUTPUT, _FINISH_REASONS)),
    parameter_objects=(At(INPUT, within("generation_kwargs")), At(LLM_INPUT, within("generation_kwargs"))),
)
