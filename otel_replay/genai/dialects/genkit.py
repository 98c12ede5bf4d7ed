"""Genkit: actions with a subtype; request and answer of a model whole, its name after that of the plugin.

Keys: genkit's core/tracing, ``genkit:``. Thoughts are counted apart from the output where the total says so.
Its plugin of Anthropic hands on a count of input without the cache; the provider's answer, beside, tells all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_replay.genai.dialect import (
    CHAT,
    EMBEDDINGS,
    EXECUTE_TOOL,
    INVOKE_AGENT,
    INVOKE_WORKFLOW,
    RERANK,
    RETRIEVAL,
    STEP,
    At,
    Dialect,
)
from otel_replay.genai.listings import Listed, document, tool_definition
from otel_replay.genai.payloads import response_id_of, response_model_of, tools_of
from otel_replay.genai.sources import Payload
from otel_replay.genai.usages import counted
from otel_replay.genai.values import at_path, count, from_json, list_at, of_each, peek, text, within, word

INPUT, OUTPUT = "genkit:input", "genkit:output"


def _plugin(value: Any) -> str | None:
    plugin, slash, _ = text(value).partition("/")
    return plugin if slash else None


def _model(value: Any) -> str | None:
    return text(value).partition("/")[2] or None


def _output_tokens(value: Any) -> Any:
    usage = at_path(from_json(value), "usage")
    told = [at_path(usage, key) for key in ("inputTokens", "outputTokens", "thoughtsTokens", "totalTokens")]
    if None in told:
        return told[1]
    asked, answered, thought, total = map(count, told)
    return answered + thought if asked + answered + thought == total else answered


def _of_provider(take: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    """Takes something out of the provider's own answer, which stands beside."""
    return lambda value: take(at_path(peek(value), "custom"))


GENKIT = Dialect(
    name="genkit",
    namespaces=("genkit:",),
    kinds={
        "model": CHAT,
        "embedder": EMBEDDINGS,
        "tool": EXECUTE_TOOL,
        "agent": INVOKE_AGENT,
        "flow": INVOKE_WORKFLOW,
        "retriever": RETRIEVAL,
        "reranker": RERANK,
        **dict.fromkeys(("prompt", "evaluator"), STEP),
    },
    operation=("genkit:metadata:subtype",),
    name_of_it=("genkit:name",),
    request_model=(At("genkit:name", _model),),
    provider=(At("genkit:name", _plugin),),
    response_model=(At(OUTPUT, _of_provider(response_model_of)),),
    response_id=(At(OUTPUT, _of_provider(response_id_of)),),
    tool_arguments=(At(INPUT, from_json),),
    tool_result=(At(OUTPUT, from_json),),
    input_messages=(Payload(INPUT, "user", is_json=True),),
    output_messages=(Payload(OUTPUT, "assistant", is_json=True),),
    tool_definitions=(Listed(INPUT, tool_definition, tools_of),),
    documents=(Listed(OUTPUT, document, list_at("documents")),),
    input_tokens=(At(OUTPUT, counted("input", "custom", "usage")), At(OUTPUT, within("usage", "inputTokens"))),
    output_tokens=(At(OUTPUT, _output_tokens),),
    cache_read_tokens=(
        At(OUTPUT, within("usage", "cachedContentTokens")),
        At(OUTPUT, counted("cache_read", "custom", "usage")),
    ),
    cache_write_tokens=(At(OUTPUT, counted("cache_write", "custom", "usage")),),
    reasoning_tokens=(At(OUTPUT, within("usage", "thoughtsTokens")),),
    finish_reasons=(At(OUTPUT, within("finishReason")), At(OUTPUT, of_each("candidates", "finishReason"))),
    failure=(At("genkit:state", word("error")),),
    parameter_objects=(At(INPUT, within("config")),),
)
