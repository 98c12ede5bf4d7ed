"""From a span to an :class:`Interaction`, whatever dialect it was written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.dialect import Dialect, key_index
from otel_replay.genai.messages import Message, tool_calls
from otel_replay.genai.otel import OTEL
from otel_replay.genai.providers import provider_name
from otel_replay.genai.sources import MessageSource, SpanFacts
from otel_replay.genai.values import (
    UnreadableError,
    amount,
    count,
    is_empty,
    seconds_as_ns,
    structured_or_text,
    text,
    texts,
)
from otel_replay.model import AiKind, Interaction, Usage
from otel_replay.otlp.attributes import attribute_map

DIALECTS: tuple[Dialect, ...] = (OTEL,)
"""In order of precedence: for each field the first table that finds something readable wins."""

_KEY_INDEX = key_index(DIALECTS)

_CONTENT_FIELDS = {"finish_reasons", "system_instructions", "tool_arguments", "tool_result"}
HEADLINE_KEYS = frozenset(
    key for key, places in _KEY_INDEX.items() if not _CONTENT_FIELDS.issuperset(field for field, _ in places)
)
"""The attribute keys that :func:`interpret` looks at without content."""

AI_NAMESPACES = tuple(dict.fromkeys(namespace for dialect in DIALECTS for namespace in dialect.namespaces))
"""What the keys of AI telemetry begin with, in any dialect."""

_KIND_FIELDS = ("operation", "tool_name", "tool_call_id", "request_model", "response_model")
AI_MARKERS: tuple[bytes, ...] = tuple(
    dict.fromkeys(key.encode() for dialect in DIALECTS for field in _KIND_FIELDS for key in getattr(dialect, field))
)
"""A serialised span that holds none of these byte strings is certainly no AI span: the keys that decide its kind."""

_KINDS = {operation: kind for dialect in reversed(DIALECTS) for operation, kind in dialect.kinds.items()}
_PARAMETERS = tuple((key, name) for dialect in DIALECTS for key, name in dialect.parameters.items())
_INPUTS = tuple(source for dialect in DIALECTS for source in dialect.input_messages)
_OUTPUTS = tuple(source for dialect in DIALECTS for source in dialect.output_messages)

DETAILS_EVENT = "gen_ai.client.inference.operation.details"
"""The log event that carries the content of an inference whose span carries none; it names the span by its ids."""

FINISH_REASONS = {
    "end_turn": "stop",
    "function_call": "tool_call",
    "max_tokens": "length",
    "tool-calls": "tool_call",
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
}
"""Providers' spellings to those of the conventions; others stay as they are."""

T = TypeVar("T")


def interpret(
    span: Span,
    scope_name: str = "",
    *,
    attributes: Mapping[str, Any] | None = None,
    told_elsewhere: Mapping[str, Any] | None = None,
    with_content: bool = True,
) -> Interaction | None:
    """The AI operation a span stands for; None for a span that is none.

    Never raises for what a span holds: a value of the wrong type or shape is left out with a warning that names its
    key, and stays in the span. ``scope_name`` is the name of the instrumentation scope the span came under;
    ``attributes`` are the span's, for a caller that has decoded them already.
    ``told_elsewhere`` are attributes of a log event of the same operation (``DETAILS_EVENT``), into which libraries
    may put the content; the span's own win. Without ``with_content`` messages, instructions, arguments, results and
    parameters are left None or empty: lists need none of them, and reading them is most of the cost.
    """
    own = attribute_map(span.attributes) if attributes is None else attributes
    if told_elsewhere:
        own = {**told_elsewhere, **own}
    reader = _Reader(own)
    kind = _kind(reader)
    if kind is None:
        return None
    headline = _headline(kind, reader)
    if not with_content:
        return headline
    events = [(event.name, attribute_map(event.attributes)) for event in span.events]
    return _with_content(headline, reader, SpanFacts(own, events, scope_name))


@lru_cache(1024)
def _keys_of_fields(keys: tuple[str, ...]) -> Mapping[str, list[str]]:
    """For each field those of the keys that may hold it, by precedence. Spans of one library have the same keys."""
    places = sorted((field, rank, key) for key in keys for field, rank in _KEY_INDEX[key])
    return {field: [key for *_, key in group] for field, group in groupby(places, itemgetter(0))}


class _Reader:
    """Gives each field the first readable value by precedence, and collects why something could not be read."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self._attributes = attributes
        self._keys = _keys_of_fields(tuple([key for key in attributes if key in _KEY_INDEX]))
        self.warnings: list[str] = []

    def first(self, field: str, convert: Callable[[Any], T]) -> T | None:
        for key in self._keys.get(field, ()):
            value = self._attributes[key]
            if not value and is_empty(value):
                continue
            try:
                return convert(value)
            except UnreadableError as error:
                self._warn(key, str(error))
        return None

    def messages(self, sources: Sequence[MessageSource], facts: SpanFacts) -> list[Message] | None:
        for source in sources:
            try:
                found = source.read(facts, partial(self._warn, source.name))
            except UnreadableError as error:
                self._warn(source.name, str(error))
                continue
            if found:
                return found
        return None

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, name in _PARAMETERS:
            value = self._attributes.get(key)
            if not is_empty(value):
                found.setdefault(name, value)
        return found

    def _warn(self, where: str, reason: str) -> None:
        if (warning := f"{where}: {reason}") not in self.warnings:
            self.warnings.append(warning)


def _kind(reader: _Reader) -> AiKind | None:
    """From the operation; without a known one a tool's name or call id, then a model, decides."""
    operation = (reader.first("operation", text) or "").lower()
    if operation in _KINDS:
        return _KINDS[operation]
    if reader.first("tool_name", text) or reader.first("tool_call_id", text):
        return AiKind.TOOL
    if reader.first("request_model", text) or reader.first("response_model", text):
        return AiKind.INTERACTION
    return None


def _headline(kind: AiKind, reader: _Reader) -> Interaction:
    """What lists and statistics ask for."""
    provider = reader.first("provider", text)
    return Interaction(
        kind=kind,
        operation=reader.first("operation", text),
        provider=provider_name(provider) if provider else None,
        request_model=reader.first("request_model", text),
        response_model=reader.first("response_model", text),
        response_id=reader.first("response_id", text),
        conversation_id=reader.first("conversation_id", text),
        agent=reader.first("agent", text),
        tool_name=reader.first("tool_name", text),
        tool_call_id=reader.first("tool_call_id", text),
        usage=_usage(reader),
        cost_usd=reader.first("cost_usd", amount),
        time_to_first_token_ns=reader.first("seconds_to_first_token", seconds_as_ns),
    )


def _with_content(headline: Interaction, reader: _Reader, facts: SpanFacts) -> Interaction:
    inputs = reader.messages(_INPUTS, facts)
    outputs = reader.messages(_OUTPUTS, facts)
    instructions = reader.first("system_instructions", structured_or_text)
    return replace(
        headline,
        tool_arguments=reader.first("tool_arguments", structured_or_text),
        tool_result=reader.first("tool_result", structured_or_text),
        input_messages=inputs,
        output_messages=outputs,
        system_instructions=_system_parts(inputs) if instructions is None else instructions,
        tool_calls=None if outputs is None else tool_calls(outputs),
        finish_reasons=_finish_reasons(reader, outputs),
        parameters=reader.parameters(),
        warnings=tuple(reader.warnings),
    )


def _usage(reader: _Reader) -> Usage:
    return Usage(
        input=reader.first("input_tokens", count),
        output=reader.first("output_tokens", count),
        cache_read=reader.first("cache_read_tokens", count),
        cache_write=reader.first("cache_write_tokens", count),
        reasoning=reader.first("reasoning_tokens", count),
    )


def _system_parts(messages: Sequence[Mapping[str, Any]] | None) -> list[Any] | None:
    parts = [part for one in messages or () if one["role"] == "system" for part in one["parts"]]
    return parts or None


def _finish_reasons(reader: _Reader, outputs: Sequence[Mapping[str, Any]] | None) -> list[str] | None:
    """From the span, else from the messages, where older conventions put them."""
    reasons = reader.first("finish_reasons", texts)
    if not reasons:
        named = [one.get("finish_reason") for one in outputs or ()]
        reasons = [reason for reason in named if isinstance(reason, str) and reason]
    return [FINISH_REASONS.get(reason, reason) for reason in reasons] or None
