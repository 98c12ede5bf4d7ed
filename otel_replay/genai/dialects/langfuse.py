"""Langfuse: observations with a type, their input and output in whatever shape the application gave them.

Keys: langfuse._client.attributes. In ``usage_details`` every bucket stands for itself: ``input`` is without what was
read from or written to a cache, ``output`` without reasoning. The usage objects of providers' APIs are taken as well;
those of OpenAI hold totals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from otel_replay.genai.dialect import CHAT, EMBEDDINGS, EXECUTE_TOOL, INVOKE_AGENT, RETRIEVAL, STEP, At, Dialect
from otel_replay.genai.listings import Listed, document, tool_definition
from otel_replay.genai.payloads import instructions_of, tools_of
from otel_replay.genai.sources import Payload
from otel_replay.genai.usages import counted, first_of
from otel_replay.genai.values import amount, count, from_json, list_at, mapping, word
from otel_replay.model import AiKind


def _total(names: tuple[str, ...], totals: tuple[tuple[str, str], ...]) -> Callable[[Any], int | None]:
    """Adds up the buckets whose name holds one of ``names``; ``totals`` are pairs of a total and the member beside it
    that tells that it is one."""

    def take(value: Any) -> int | None:
        told = mapping(value)
        for name, beside in totals:
            if name in told and (beside == name or isinstance(told.get(beside), Mapping)):
                return count(told[name])
        found = [count(number) for key, number in told.items() if _is_bucket(key, number, names)]
        return sum(found) if found else None

    return take


def _is_bucket(key: str, number: Any, names: tuple[str, ...]) -> bool:
    return number is not None and not isinstance(number, Mapping) and "cost" not in key and any(n in key for n in names)


def _one_of(name: str, *keys: str) -> Callable[[Any], Any]:
    """A bucket by one of its names, or as a provider's usage object has it."""
    of_provider = counted(name)

    def take(value: Any) -> Any:
        told = mapping(value)
        return first_of(told, tuple((key,) for key in keys)) if any(key in told for key in keys) else of_provider(value)

    return take


def _cost(value: Any) -> Any:
    """The total, or the sum of what there is."""
    told = mapping(value)
    if (total := told.get("total", told.get("total_cost"))) is not None:
        return total
    return sum((Decimal(amount(one)) for one in told.values() if one is not None), Decimal())


USAGE, INPUT, OUTPUT = "langfuse.observation.usage_details", "langfuse.observation.input", "langfuse.observation.output"

LANGFUSE = Dialect(
    name="langfuse",
    namespaces=("langfuse.",),
    kinds={
        "generation": CHAT,
        "embedding": EMBEDDINGS,
        "tool": EXECUTE_TOOL,
        "agent": INVOKE_AGENT,
        "retriever": RETRIEVAL,
        **dict.fromkeys(("chain", "guardrail", "evaluator"), STEP),
    },
    marks={
        "langfuse.observation.model.name": AiKind.INTERACTION,
        "langfuse.observation.usage_details": AiKind.INTERACTION,
    },
    operation=("langfuse.observation.type",),
    response_model=("langfuse.observation.model.name", "langfuse.observation.model"),
    tool_arguments=(INPUT,),
    tool_result=(OUTPUT,),
    system_instructions=(At(INPUT, instructions_of),),
    input_messages=(Payload(INPUT, "user"),),
    output_messages=(Payload(OUTPUT, "assistant"),),
    tool_definitions=(Listed(INPUT, tool_definition, tools_of),),
    documents=(Listed(OUTPUT, document, list_at()),),
    input_tokens=(
        At(
            USAGE,
            _total(
                ("input", "prompt", "cache"),
                (("prompt_tokens", "prompt_tokens"), ("input_tokens", "input_tokens_details")),
            ),
        ),
    ),
    output_tokens=(
        At(
            USAGE,
            _total(
                ("output", "completion", "reasoning"),
                (("completion_tokens", "completion_tokens"), ("output_tokens", "output_tokens_details")),
            ),
        ),
    ),
    cache_read_tokens=(
        At(
            USAGE,
            _one_of("cache_read", "input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "cache_read"),
        ),
    ),
    cache_write_tokens=(At(USAGE, _one_of("cache_write", "input_cache_creation", "input_cache_write", "cache_write")),),
    reasoning_tokens=(At(USAGE, _one_of("reasoning", "output_reasoning_tokens", "output_reasoning", "reasoning")),),
    cost_usd=(At("langfuse.observation.cost_details", _cost),),
    finish_reasons=(At("langfuse.observation.metadata.finish_reason", from_json),),
    first_token_at=("langfuse.observation.completion_start_time",),
    parameter_objects=("langfuse.observation.model.parameters",),
    error_message=("langfuse.observation.status_message",),
    failure=(At("langfuse.observation.level", word("error")),),
)
