"""The Vercel AI SDK's own keys, ``ai.*`` (v3.3 to v6, and LegacyOpenTelemetry of v7; v7 itself writes OpenTelemetry's).

A call makes two spans: ``ai.generateText`` repeats the usage of the ``ai.generateText.doGenerate`` below it, so it is
no inference, but what leads to some. ``ai.embed`` has its model call below it as well. Keys of v3 have ``ai.result.``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from otel_replay.genai.dialect import (
    CHAT,
    EMBEDDINGS,
    EXECUTE_TOOL,
    INVOKE_AGENT,
    RERANK,
    STEP,
    Apart,
    At,
    Dialect,
    Take,
)
from otel_replay.genai.facts import SpanFacts
from otel_replay.genai.listings import Listed, document, items, tool_definition
from otel_replay.genai.messages import Message, Warn, message
from otel_replay.genai.parts import part
from otel_replay.genai.payloads import instructions_of
from otel_replay.genai.sources import InAttribute, Payload, Places, Texts
from otel_replay.genai.usages import first_of
from otel_replay.genai.values import UnreadableError, at_path, first_said, is_empty, mapping, milliseconds, peek, word
from otel_replay.model import AiKind


@dataclass(frozen=True, slots=True)
class Response:
    """``PREFIX.reasoning``, ``.text`` or ``.object``, ``.toolCalls``, ``.files``: together one message."""

    name: str

    @property
    def places(self) -> Places:
        return Places(keys=tuple(f"{self.name}.{member}" for member in ("text", "object", *_LISTS)))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        said = {member: facts.attributes.get(f"{self.name}.{member}") for member in ("text", "object", *_LISTS)}
        thoughts = said["reasoning"]
        if not isinstance(thoughts, str) or thoughts.startswith("["):
            thoughts = self._items(thoughts, warn)
        texts = [{"type": "text", "content": said[key]} for key in ("text", "object") if said[key]][:1]
        parts = [_thought(one) for one in ([thoughts] if isinstance(thoughts, str) else thoughts)] + texts
        parts += [part({**one, "type": "tool-call"}) for one in self._items(said["toolCalls"], warn)]
        parts += [part(one) for one in self._items(said["files"], warn)]
        return [message({"parts": parts}, "assistant")] if parts else []

    def _items(self, value: Any, warn: Warn) -> list[Mapping[str, Any]]:
        """The objects of a list, structured or as JSON."""
        if is_empty(value):
            return []
        try:
            return [one for one in items(value) if isinstance(one, Mapping)]
        except UnreadableError as error:
            warn(str(error))
            return []


_LISTS = ("reasoning", "toolCalls", "files")


def _thought(value: Any) -> Any:
    return part({**value, "type": "reasoning"} if isinstance(value, Mapping) else {"type": "reasoning", "text": value})


def _beside(*paths: tuple[str, ...]) -> Take:
    """Takes a count that providers tell beside the usage: v4 and v5 hand it on under the provider's name."""

    def take(value: Any) -> Any:
        found = (at_path(told, *path) for told in mapping(value).values() for path in paths)
        return next((one for one in found if one is not None), None)

    return take


METADATA = "ai.response.providerMetadata"
INPUT = ("ai.usage.inputTokens", "ai.usage.promptTokens")
OUTPUT = ("ai.usage.outputTokens", "ai.usage.completionTokens")


def _apart(attributes: Mapping[str, Any]) -> Iterator[str]:
    """Up to version 5 it hands on what Anthropic's API calls input, without the cache, and Gemini's output, without
    thoughts. What the provider said itself stands beside; in version 4, without a count of input, what was read."""
    beside = peek(attributes.get(METADATA))
    for told in beside.values() if isinstance(beside, Mapping) else ():
        fresh, answered = at_path(told, "usage", "input_tokens"), at_path(told, "usageMetadata", "candidatesTokenCount")
        if fresh is None:
            is_apart = first_of(told, _READ_IN_4) is not None
        else:
            is_apart = fresh == first_said(attributes, *INPUT)
        if is_apart:
            yield "input"
        if answered is not None and answered == first_said(attributes, *OUTPUT):
            yield "output"


_READ_IN_4 = (("cacheReadInputTokens",), ("usage", "cacheReadInputTokens"))
"""Of Anthropic, also at Bedrock. Later versions have another place for it."""


VERCEL = Dialect(
    name="vercel",
    namespaces=("ai.",),
    kinds={
        **dict.fromkeys(("ai.generatetext", "ai.streamtext", "ai.generateobject", "ai.streamobject"), INVOKE_AGENT),
        **dict.fromkeys(
            (
                "ai.generatetext.dogenerate",
                "ai.streamtext.dostream",
                "ai.generateobject.dogenerate",
                "ai.streamobject.dostream",
            ),
            CHAT,
        ),
        **dict.fromkeys(("ai.embed", "ai.embedmany", "ai.rerank"), STEP),
        **dict.fromkeys(("ai.embed.doembed", "ai.embedmany.doembed"), EMBEDDINGS),
        "ai.rerank.dorerank": RERANK,
        "ai.toolcall": EXECUTE_TOOL,
    },
    marks={"ai.toolCall.name": AiKind.TOOL},
    operation=("ai.operationId",),
    provider=("ai.model.provider",),
    request_model=("ai.model.id",),
    response_model=("ai.response.model",),
    response_id=("ai.response.id",),
    tool_name=("ai.toolCall.name",),
    tool_call_id=("ai.toolCall.id",),
    tool_arguments=("ai.toolCall.args",),
    tool_result=("ai.toolCall.result",),
    system_instructions=(At("ai.prompt", instructions_of),),
    input_messages=(
        InAttribute("ai.prompt.messages", "user"),
        Texts("ai.value", "user", is_json=True),
        Texts("ai.values", "user", is_json=True),
        Payload("ai.prompt", "user"),
    ),
    output_messages=(Response("ai.response"), Response("ai.result")),
    tool_definitions=(Listed("ai.prompt.tools", tool_definition),),
    documents=(Listed("ai.documents", document),),
    input_tokens=(*INPUT, "ai.usage.tokens"),
    output_tokens=OUTPUT,
    cache_read_tokens=(
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        At(
            METADATA,
            _beside(
                ("cachedPromptTokens",),
                ("cacheReadInputTokens",),
                ("usage", "cacheReadInputTokens"),
                ("usage", "cache_read_input_tokens"),
                ("usageMetadata", "cachedContentTokenCount"),
            ),
        ),
    ),
    cache_write_tokens=(
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        At(
            METADATA,
            _beside(
                ("cacheCreationInputTokens",),
                ("usage", "cacheWriteInputTokens"),
                ("usage", "cache_creation_input_tokens"),
            ),
        ),
    ),
    reasoning_tokens=(
        "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
        At(
            METADATA,
            _beside(
                ("reasoningTokens",),
                ("usageMetadata", "thoughtsTokenCount"),
                ("usage", "output_tokens_details", "thinking_tokens"),
            ),
        ),
    ),
    apart=Apart((METADATA, *INPUT, *OUTPUT), _apart),
    finish_reasons=("ai.response.finishReason", "ai.finishReason"),
    failure=(At("ai.response.finishReason", word("error")), At("ai.finishReason", word("error"))),
    seconds_to_first_token=(
        At("ai.response.msToFirstChunk", milliseconds),
        At("ai.stream.msToFirstChunk", milliseconds),
    ),
    first_token_events=("ai.stream.firstChunk",),
    parameters={
        "ai.settings.temperature": "temperature",
        "ai.settings.topP": "top_p",
        "ai.settings.topK": "top_k",
        "ai.settings.maxOutputTokens": "max_tokens",
        "ai.settings.maxTokens": "max_tokens",
        "ai.settings.seed": "seed",
        "ai.settings.stopSequences": "stop_sequences",
        "ai.settings.frequencyPenalty": "frequency_penalty",
        "ai.settings.presencePenalty": "presence_penalty",
    },
)
