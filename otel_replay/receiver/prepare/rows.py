"""Spans that become rows: AI spans and user actions, and what they say of their session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xxhash
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.genai import interpret, user_action
from otel_replay.genai.contents import ranges_at
from otel_replay.genai.identity import IDENTITY_KEYS, Identity, record_identity
from otel_replay.genai.interpret import HEADLINE_KEYS
from otel_replay.model import Interaction, UserAction
from otel_replay.otlp.attributes import attributes_under
from otel_replay.otlp.encoded import SpanPlaces, UnusualEncoding, span_places, values_at
from otel_replay.receiver.prepare.findings import SESSION_ATTRIBUTES, Findings, capped, said
from otel_replay.receiver.prepare.surroundings import Surroundings
from otel_replay.store.base import ActionRow, InteractionRow, SpanVersion

_KEYS = HEADLINE_KEYS.union(IDENTITY_KEYS, SESSION_ATTRIBUTES)
_NAMES = {key.encode(): key for key in _KEYS}
_STATUS = {Status.STATUS_CODE_OK: "ok", Status.STATUS_CODE_ERROR: "error"}


def tell_span(span: Span, raw: bytes, record: int, around: Surroundings, found: Findings) -> Identity | None:
    """Adds the row of an AI span or a user action and tells its session what it says; None for any other span.

    ``raw`` is its encoding, ``record`` its place in the request. Gives what is still to be noted of its identity: the
    session was mentioned.
    """
    places = _places(raw)
    attributes = values_at(raw, places.attributes, _NAMES) if places else attributes_under(span.attributes, _KEYS)
    interaction = interpret(span, around.scope_name, attributes=attributes, with_content=False)
    action = None if interaction else user_action(span, around.scope_name)
    if not interaction and not action:
        return None
    version = SpanVersion(capped(span.end_time_unix_nano), len(raw), xxhash.xxh3_128_digest(raw))
    named = record_identity(span, attributes).or_else(around.identity)
    if interaction:
        contents = ranges_at(raw, places) if places else ()
        row = _interaction_row(span, record, version, named, around, attributes, interaction, contents)
        found.interactions.append(row)
    if action:
        found.actions.append(_action_row(span, version, named, action))
    if named.session_id:
        told = {name: attributes[name] for name in SESSION_ATTRIBUTES if name in attributes}
        told |= {name: value for name, value in (("user.id", named.user_id), ("service.name", around.service)) if value}
        found.tell(named.session_id, said(told, span.end_time_unix_nano, version.digest.hex()))
        found.session_traces.add((named.session_id, span.trace_id.hex()))
    return Identity(named.session_id)


def _places(raw: bytes) -> SpanPlaces | None:
    try:
        return span_places(raw)
    except UnusualEncoding:
        return None


def _interaction_row(
    span: Span,
    record: int,
    version: SpanVersion,
    named: Identity,
    around: Surroundings,
    attributes: Mapping[str, Any],
    interaction: Interaction,
    contents: tuple[tuple[int, int], ...],
) -> InteractionRow:
    return InteractionRow(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        version=version,
        start_unix_nano=capped(span.start_time_unix_nano),
        kind=interaction.kind,
        status="error" if interaction.failed else _STATUS.get(span.status.code, "unset"),
        service=around.service,
        session_id=named.session_id,
        conversation_id=interaction.conversation_id or "",
        user=named.user_id,
        feature=_text(attributes, "feature"),
        variant=_text(attributes, "variant"),
        operation=interaction.operation,
        provider=interaction.provider,
        request_model=interaction.request_model,
        response_model=interaction.response_model,
        usage=interaction.usage,
        cost_usd=interaction.cost_usd,
        time_to_first_token_ns=interaction.time_to_first_token_ns,
        record=record,
        contents=contents,
        parent_span_id=span.parent_span_id.hex(),
        scope=around.scope_name,
        response_id=interaction.response_id,
    )


def _text(attributes: Mapping[str, Any], key: str) -> str:
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def _action_row(span: Span, version: SpanVersion, named: Identity, action: UserAction) -> ActionRow:
    return ActionRow(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        version=version,
        start_unix_nano=capped(span.start_time_unix_nano),
        name=action.name,
        target=action.target or "",
        session_id=named.session_id,
    )
