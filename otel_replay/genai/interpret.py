"""From a span to an :class:`Interaction`, whatever dialect it was written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.dialect import Operation, plain_keys
from otel_replay.genai.dialects import DIALECTS
from otel_replay.genai.facts import DETAILS_EVENT, SpanFacts, Told
from otel_replay.genai.markers import shortest
from otel_replay.genai.messages import INSTRUCTING, parts_of, tool_calls
from otel_replay.genai.outcomes import error_of, evaluations_of, has_failed
from otel_replay.genai.providers import provider_name
from otel_replay.genai.reader import DOCUMENTS, INPUTS, KEY_INDEX, OUTPUTS, TOOL_DEFINITIONS, Reader
from otel_replay.genai.values import (
    MAX_INT,
    amount,
    count,
    is_empty,
    seconds_as_ns,
    structured_or_text,
    text,
    texts,
    truth,
    unix_nano,
)
from otel_replay.model import AiKind, Interaction, Usage
from otel_replay.otlp.attributes import attribute_map

_MARKS: Mapping[str, AiKind] = {key: kind for one in reversed(DIALECTS) for key, kind in one.marks.items()}
_MOST_TELLING = (AiKind.TOOL, AiKind.AGENT, AiKind.RETRIEVAL, AiKind.INTERACTION)


def _operations() -> Mapping[str, Mapping[str, Operation]]:
    """Operation key to what it may hold (lower case)."""
    found: dict[str, dict[str, Operation]] = {}
    for dialect in reversed(DIALECTS):
        for key in plain_keys(dialect.operation):
            found.setdefault(key, {}).update(dialect.kinds)
    return found


_OPERATIONS = _operations()

_CONTENT_FIELDS = frozenset(
    (
        "error_message",
        "finish_reasons",
        "parameter_objects",
        "previous_response_id",
        "system_instructions",
        "tool_arguments",
        "tool_result",
    )
)
_APART = [dialect.apart for dialect in DIALECTS if dialect.apart]

HEADLINE_KEYS = frozenset(
    key for key, places in KEY_INDEX.items() if not _CONTENT_FIELDS.issuperset(place.field for place in places)
).union(_MARKS, *(one.keys for one in _APART))
"""The attribute keys that :func:`interpret` looks at without content."""

AI_KEYS = (*_OPERATIONS, *_MARKS)
"""The keys that decide what a span is."""

AI_MARKERS = shortest(AI_KEYS)
"""A serialised span that holds none of these byte strings is certainly no AI span."""

_FIRST_TOKEN_EVENTS = frozenset(name for dialect in DIALECTS for name in dialect.first_token_events)

FINISH_REASONS = {
    "content-filter": "content_filter",
    "end_turn": "stop",
    "function_call": "tool_call",
    "max_tokens": "length",
    "stop_sequence": "stop",
    "tool-calls": "tool_call",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
}
"""Providers' spellings (lower case) to those of the conventions; others stay as they are."""


def interpret(
    span: Span,
    scope_name: str = "",
    *,
    attributes: Mapping[str, Any] | None = None,
    told_elsewhere: Told | None = None,
    with_content: bool = True,
) -> Interaction | None:
    """The AI operation a span stands for; None for a span that is none.

    Never raises for what a span holds: a value of the wrong type or shape is left out with a warning that names its
    key, and stays in the span. ``scope_name`` is the name of the instrumentation scope the span came under;
    ``attributes`` are the span's, for a caller that has decoded them already.
    ``told_elsewhere`` is what log events of the same operation say, into which libraries may put the content: it makes
    no AI span of any other; the span's own attributes win, its own events come first. Without ``with_content``
    messages, instructions, arguments, results, parameters and errors are left None or empty: lists need none of them,
    and reading them is most of the cost.
    """
    own = attribute_map(span.attributes) if attributes is None else attributes
    reader = Reader(own)
    kind, operation = _operation(reader)
    if kind is None:
        return None
    details = [attribute_map(event.attributes) for event in span.events if event.name == DETAILS_EVENT]
    if told_elsewhere or details:
        elsewhere = [told_elsewhere.attributes, *details] if told_elsewhere else details
        own = {**{key: value for one in elsewhere for key, value in one.items()}, **own}
        reader = Reader(own)
    headline = _headline(span, kind, operation, reader)
    if not with_content:
        return headline
    own_events = [(event.name, attribute_map(event.attributes)) for event in span.events]
    events = [*own_events, *(told_elsewhere.events if told_elsewhere else ())]
    return _with_content(headline, span, reader, SpanFacts(own, events, kind, operation))


def _operation(reader: Reader) -> tuple[AiKind | None, str | None]:
    """The first operation that is known decides what a span is; where there is none, its most telling mark."""
    named = None
    for key, value in reader.all("operation", text):
        if known := _OPERATIONS[key].get(value.lower()):
            return known.kind, known.name or value
        named = named or value
    marks = {kind for key, kind in _MARKS.items() if not is_empty(reader.attributes.get(key))}
    return next((kind for kind in _MOST_TELLING if kind in marks), None), named


_HEADLINE: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        (
            "agent",
            "conversation_id",
            "error_type",
            "name_of_it",
            "product",
            "provider",
            "request_model",
            "response_id",
            "response_model",
            "tool_call_id",
            "tool_name",
        ),
        text,
    ),
    **dict.fromkeys(
        ("cache_read_tokens", "cache_write_tokens", "input_tokens", "output_tokens", "reasoning_tokens"), count
    ),
    **dict.fromkeys(("cost_usd", "input_cost_usd", "output_cost_usd"), amount),
    "seconds_to_first_token": seconds_as_ns,
    "first_token_at": unix_nano,
    "is_stream": truth,
    "failure": bool,
}
"""The fields that :func:`interpret` reads without content, and how."""


def _headline(span: Span, kind: AiKind, operation: str | None, reader: Reader) -> Interaction:
    """What lists and statistics ask for."""
    told = reader.read(_HEADLINE)
    get = told.get
    is_tool, name, provider = kind is AiKind.TOOL, get("name_of_it"), get("provider")
    return Interaction(
        kind=kind,
        operation=operation,
        provider=provider_name(provider, get("product", "")) if provider else None,
        request_model=get("request_model"),
        response_model=get("response_model"),
        response_id=get("response_id"),
        conversation_id=get("conversation_id"),
        agent=get("agent") or (name if kind is AiKind.AGENT else None),
        tool_name=get("tool_name", name) if is_tool else None,
        tool_call_id=get("tool_call_id") if is_tool else None,
        usage=_usage(told, reader.attributes),
        cost_usd=_cost(told),
        time_to_first_token_ns=_time_to_first_token(span, kind, told),
        failed=has_failed(span, told),
    )


def _usage(told: Mapping[str, Any], attributes: Mapping[str, Any]) -> Usage:
    """Some libraries hand on what their provider calls input, without what came from a cache. Their tables say so; and
    no part is greater than the whole, so a whole that is smaller than its parts is without them."""
    cache_read, cache_write = told.get("cache_read_tokens"), told.get("cache_write_tokens")
    reasoning = told.get("reasoning_tokens")
    cached, thought = (cache_read or 0) + (cache_write or 0), reasoning or 0
    apart = {total for one in _APART for total in one.totals(attributes)} if cached or thought else set[str]()
    return Usage(
        input=_whole(told.get("input_tokens"), cached, "input" in apart),
        output=_whole(told.get("output_tokens"), thought, "output" in apart),
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=reasoning,
    )


def _whole(total: int | None, parts: int, is_apart: bool) -> int | None:
    return total if total is None or (parts <= total and not is_apart) else min(total + parts, MAX_INT)


def _cost(told: Mapping[str, Any]) -> str | None:
    """Zero is what libraries write that know no price, and of calls that failed: it tells nothing."""
    cost: str | None = told.get("cost_usd")
    if cost is None and "input_cost_usd" in told and "output_cost_usd" in told:
        cost = amount(Decimal(told["input_cost_usd"]) + Decimal(told["output_cost_usd"]))
    return None if cost == "0" else cost


def _time_to_first_token(span: Span, kind: AiKind, told: Mapping[str, Any]) -> int | None:
    """As it is told, or from a time that is, or from the event of the first chunk."""
    if told.get("is_stream") is False:
        return None
    if "seconds_to_first_token" in told or kind is not AiKind.INTERACTION:
        return told.get("seconds_to_first_token")
    first = told.get("first_token_at")
    if first is None and (events := span.events):
        first = next((event.time_unix_nano for event in events if event.name in _FIRST_TOKEN_EVENTS), None)
    return None if first is None or first < span.start_time_unix_nano else first - span.start_time_unix_nano


def _with_content(headline: Interaction, span: Span, reader: Reader, facts: SpanFacts) -> Interaction:
    kind = headline.kind
    is_prompted = kind in (AiKind.INTERACTION, AiKind.AGENT)
    inputs, outputs = reader.messages(INPUTS, facts), reader.messages(OUTPUTS, facts)
    instructions = reader.first("system_instructions", _instructions) if is_prompted else None
    return headline._replace(
        tool_arguments=reader.first("tool_arguments", structured_or_text) if kind is AiKind.TOOL else None,
        tool_result=reader.first("tool_result", structured_or_text) if kind is AiKind.TOOL else None,
        input_messages=inputs,
        output_messages=outputs,
        system_instructions=instructions or _system_parts(inputs),
        tool_calls=None if outputs is None else tool_calls(outputs),
        tool_definitions=reader.objects(TOOL_DEFINITIONS, facts) if is_prompted else None,
        documents=reader.objects(DOCUMENTS, facts) if kind is AiKind.RETRIEVAL else None,
        evaluations=evaluations_of(facts.events) or None,
        usage_details=reader.usage_details() or None,
        previous_response_id=reader.first("previous_response_id", text),
        finish_reasons=_finish_reasons(reader, outputs),
        parameters={} if kind is AiKind.TOOL else reader.parameters(),
        error=_error(headline, span, reader, facts),
        warnings=reader.warnings,
        unreadable=reader.unreadable,
    )


def _instructions(value: Any) -> list[Any]:
    """Parts, of a text as well."""
    return parts_of(structured_or_text(value))


def _system_parts(messages: Sequence[Mapping[str, Any]] | None) -> list[Any] | None:
    parts = [part for one in messages or () if one["role"] in INSTRUCTING for part in one["parts"]]
    return parts or None


def _finish_reasons(reader: Reader, outputs: Sequence[Mapping[str, Any]] | None) -> list[str] | None:
    """From the span, else from the messages, where older conventions put them."""
    reasons = reader.first("finish_reasons", texts)
    if not reasons:
        named = [one.get("finish_reason") for one in outputs or ()]
        reasons = [reason for reason in named if isinstance(reason, str) and reason]
    return [_finish_reason(reason) for reason in reasons] or None


def _finish_reason(reason: str) -> str:
    """In lower case, as some libraries write the names of enumerations, others in the member of a class."""
    name = reason.lower().removeprefix("finishreason.")
    return FINISH_REASONS.get(name, name)


def _error(headline: Interaction, span: Span, reader: Reader, facts: SpanFacts) -> str | None:
    if not headline.failed:
        return None
    return error_of(span, facts.events, reader.first("error_type", text), reader.first("error_message", text))
