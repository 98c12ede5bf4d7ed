"""Spans to entries: one per span, under its most telling kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import xxhash
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus

from otel_replay.genai import Told, interpret, is_told, session_of, user_action
from otel_replay.model import Interaction, StoredSpan, UserAction
from otel_replay.otlp.attributes import attribute_map
from otel_replay.timeline.entry import Entry, Status, usage_dict
from otel_replay.timeline.happenings import gap
from otel_replay.timeline.plain import plain
from otel_replay.timeline.titles import action_title, interaction_title, span_title

SpanKey = tuple[str, str]
"""(trace id, span id): the identity of a span within a project."""

_STATUS: dict[int, Status] = {SpanStatus.STATUS_CODE_OK: "ok", SpanStatus.STATUS_CODE_ERROR: "error"}
_KIND_NAMES = {number: name.removeprefix("SPAN_KIND_") for name, number in Span.SpanKind.items()}


@dataclass(frozen=True, slots=True)
class SpanNode:
    """A span's entry, and what it is an entry for."""

    entry: Entry
    interaction: Interaction | None
    warnings: tuple[str, ...] = ()


def span_nodes(spans: Iterable[StoredSpan], told_in_logs: Mapping[SpanKey, Told]) -> dict[SpanKey, SpanNode]:
    """One node per span identity, the same for any order and repetition of the spans.

    ``told_in_logs`` is what log events add to what an AI span says.
    """
    winners: dict[SpanKey, StoredSpan] = {}
    for stored in spans:
        key = (stored.trace_id, stored.span_id)
        known = winners.get(key)
        if known is None or _version(known) < _version(stored):
            winners[key] = stored
    return {key: _node(stored, told_in_logs.get(key)) for key, stored in winners.items()}


def entry_id(key: SpanKey) -> str:
    """``span:TRACE:SPAN``."""
    return f"span:{key[0]}:{key[1]}"


def _version(stored: StoredSpan) -> tuple[int, int, bytes, bytes, bytes]:
    """Of equal spans the greatest wins: end time, length, digest; the envelope only decides between equal bytes."""
    raw = _encoded(stored.span)
    digest = xxhash.xxh3_128_digest(raw)
    return stored.span.end_time_unix_nano, len(raw), digest, _encoded(stored.resource), _encoded(stored.scope)


def _encoded(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def _node(stored: StoredSpan, told_in_logs: Told | None) -> SpanNode:
    span = stored.span
    attributes = attribute_map(span.attributes)
    resource = attribute_map(stored.resource.attributes)
    interaction = interpret(span, stored.scope.name, told_elsewhere=told_in_logs)
    action = None if interaction else user_action(span, stored.scope.name)
    left_out = gap(attributes)
    start = span.start_time_unix_nano or span.end_time_unix_nano
    entry = Entry(
        id=entry_id((stored.trace_id, stored.span_id)),
        kind=left_out.kind if left_out else _kind(interaction, action),
        start_unix_nano=start,
        end_unix_nano=max(start, span.end_time_unix_nano),
        raw_start_unix_nano=start,
        title=left_out.title if left_out else _title(span, attributes, interaction, action),
        detail=_detail(stored, attributes, resource, interaction, action),
        status="error" if interaction and interaction.failed else _STATUS.get(span.status.code, "unset"),
        trace_id=stored.trace_id,
        span_id=stored.span_id,
        parent_span_id=stored.parent_span_id,
        session_id=plain(session_of(span, stored.scope, stored.resource)),
    )
    return SpanNode(entry, interaction, _warnings(span, entry.id, interaction))


def _kind(interaction: Interaction | None, action: UserAction | None) -> str:
    if interaction is not None:
        return str(interaction.kind)
    return "span" if action is None else "action"


def _title(span: Span, attributes: dict[str, Any], interaction: Interaction | None, action: UserAction | None) -> str:
    if interaction is not None:
        return interaction_title(interaction, span.name)
    if action is not None:
        return action_title(action)
    return span_title(span.name, span.kind == Span.SPAN_KIND_CLIENT, attributes)


def _warnings(span: Span, where: str, interaction: Interaction | None) -> tuple[str, ...]:
    found = [f"{where}: {warning}" for warning in interaction.warnings] if interaction else []
    if 0 < span.end_time_unix_nano < span.start_time_unix_nano:
        found.append(f"{where}: ends before it starts")
    return tuple(found)


def _detail(
    stored: StoredSpan,
    attributes: dict[str, Any],
    resource: dict[str, Any],
    interaction: Interaction | None,
    action: UserAction | None,
) -> dict[str, Any]:
    """The span's own facts; of an AI span, what its dialect said instead of the attributes that said it."""
    span = stored.span
    detail: dict[str, Any] = {
        "name": span.name,
        "span_kind": _KIND_NAMES.get(span.kind, "UNSPECIFIED"),
        "service": resource.get("service.name", ""),
        "scope": stored.scope.name,
        "attributes": attributes,
        "events": [_event(event) for event in span.events],
        "links": [_link(link) for link in span.links],
        "status_message": span.status.message,
    }
    if interaction is not None:
        unread = tuple(interaction.unreadable)
        detail["attributes"] = {
            key: value for key, value in attributes.items() if key.startswith(unread) or not is_told(key)
        }
        detail |= _interaction_detail(interaction)
    if action is not None:
        detail["action"] = {"name": action.name, "target": action.target}
    if "asgi.event.type" in attributes:  # one INTERNAL span per streamed chunk: for the page to fold
        detail["noise"] = True
    plain_detail: dict[str, Any] = plain(detail)
    return plain_detail


def _interaction_detail(interaction: Interaction) -> dict[str, Any]:
    first_token = interaction.time_to_first_token_ns
    detail = {
        "provider": interaction.provider,
        "request_model": interaction.request_model,
        "response_model": interaction.response_model,
        "operation": interaction.operation,
        "input_messages": interaction.input_messages,
        "output_messages": interaction.output_messages,
        "system_instructions": interaction.system_instructions,
        "tool_calls": interaction.tool_calls,
        "usage": usage_dict(interaction.usage),
        "cost_usd": interaction.cost_usd,
        "finish_reasons": interaction.finish_reasons,
        "time_to_first_token_ns": None if first_token is None else str(first_token),
        "conversation_id": interaction.conversation_id,
        "agent": interaction.agent,
        "parameters": interaction.parameters,
        "tool_definitions": interaction.tool_definitions,
        "evaluations": interaction.evaluations,
        "usage_details": interaction.usage_details,
        "response_id": interaction.response_id,
        "previous_response_id": interaction.previous_response_id,
        "error": interaction.error,
    }
    if interaction.kind == "retrieval":
        detail["documents"] = interaction.documents
    if interaction.kind == "tool":
        detail["tool"] = {
            "name": interaction.tool_name,
            "call_id": interaction.tool_call_id,
            "arguments": interaction.tool_arguments,
            "result": interaction.tool_result,
        }
    return detail


def _event(event: Span.Event) -> dict[str, Any]:
    return {
        "name": event.name,
        "time_unix_nano": str(event.time_unix_nano),
        "attributes": attribute_map(event.attributes),
    }


def _link(link: Span.Link) -> dict[str, Any]:
    return {
        "trace_id": link.trace_id.hex(),
        "span_id": link.span_id.hex(),
        "attributes": attribute_map(link.attributes),
    }
