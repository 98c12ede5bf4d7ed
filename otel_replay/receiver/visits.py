"""``/api/session-replay``: what bodies tell of a visit, as the spans and events of an instrumented program.

A call is the span that ``record_interaction`` of the SDK makes, an action that of ``record_action``, and so on: the
same facts have the same names. Times are Unix milliseconds or RFC 3339, durations milliseconds, costs US dollars. What
tells its time is stored once, however often it is sent: its ids come from what it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.errors import InvalidRequest
from otel_replay.events import SESSION_END, SESSION_SNAPSHOT, SESSION_START, SESSION_UPDATE
from otel_replay.model import MAX_UNIX_NANO, Signal
from otel_replay.receiver.described import CALL_FACTS, described, parameters, snapshot_values
from otel_replay.receiver.telling import Value, event_request, json_text, read_told, span_request
from otel_replay.recording.events import MAX_TIMESTAMP_MS, ms_to_unix_nano
from otel_replay.sdk import facts
from otel_replay.texts import storable

ACTION_METADATA = "otel_replay.action.metadata"
"""JSON."""

RECORD_UID = "log.record.uid"
"""What an event was called in the answer to who told of it (semantic conventions, general logs)."""

_Milliseconds = msgspec.Meta(ge=0, le=MAX_TIMESTAMP_MS)
Moment = Annotated[datetime, msgspec.Meta(tz=True)] | Annotated[int, _Milliseconds] | Annotated[float, _Milliseconds]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Text = str | list[dict[str, Any]]
"""Of one message, or messages with ``role`` and ``content``."""


class Start(msgspec.Struct, rename="camel"):
    user_id: _Word
    feature: _Word
    label: str | None = None
    metadata: dict[str, Any] | None = None
    session_id: _Word | None = None
    """To go on with a session, or to send this again without starting another one."""
    timestamp: Moment | None = None


class Tokens(msgspec.Struct):
    input: _Count | None = None
    output: _Count | None = None


class Call(msgspec.Struct, rename="camel"):
    model: _Word
    prompt: _Text
    response: _Text | None = None
    timestamp: Moment | None = None
    """When it began."""
    tokens: Tokens | None = None
    cost: Annotated[float, msgspec.Meta(ge=0)] | None = None
    latency: Annotated[float, _Milliseconds] | None = None
    provider: str | None = None
    request_metadata: dict[str, Any] | None = None
    error: str | None = None


class CallBody(msgspec.Struct, rename="camel"):
    session_id: _Word
    interaction: Call


class Action(msgspec.Struct):
    type: _Word
    target: str | None = None
    timestamp: Moment | None = None
    metadata: dict[str, Any] | None = None


class ActionBody(msgspec.Struct, rename="camel"):
    session_id: _Word
    action: Action


class SnapshotBody(msgspec.Struct, rename="camel"):
    code_context: dict[str, Any] | None = None
    system_metrics: dict[str, Any] | None = None
    workspace: Any = None
    timestamp: Moment | None = None


class End(msgspec.Struct):
    timestamp: Moment | None = None


class Told(NamedTuple):
    """A request of OTLP, and the id of what it tells of: of a call or an action that of its timeline entry."""

    id: str
    signal: Signal
    body: bytes


def start_told(session_id: str, told: Start, now_unix_nano: int) -> Told:
    """The session begins, or goes on."""
    values = described(told.metadata) | {"user.id": told.user_id, "feature": told.feature, "label": told.label}
    return _event(session_id, SESSION_START, values, _time_of(told.timestamp, now_unix_nano))


def metadata_told(session_id: str, event: str, metadata: Mapping[str, Any], unix_nano: int) -> Told:
    """What metadata says of a session, with its start or later."""
    assert event in (SESSION_START, SESSION_UPDATE)
    return _event(session_id, event, described(metadata), unix_nano)


def end_told(session_id: str, told: End, now_unix_nano: int) -> Told:
    return _event(session_id, SESSION_END, {}, _time_of(told.timestamp, now_unix_nano))


def snapshot_told(session_id: str, body: bytes, now_unix_nano: int) -> Told:
    """``{"codeContext"?, "systemMetrics"?, "workspace"?, "timestamp"?}``."""
    told = read_told(body, SnapshotBody)
    at = _time_of(told.timestamp, now_unix_nano)
    uid = _digest(session_id, body, told.timestamp, now_unix_nano)[:16].hex()
    values = snapshot_values(told.code_context, told.system_metrics, told.workspace)
    return _event(session_id, SESSION_SNAPSHOT, {**values, RECORD_UID: uid}, at)._replace(id=uid)


def call_told(told: CallBody, body: bytes, of_session: Mapping[str, Value], now_unix_nano: int) -> Told:
    """A call to a model that is over. ``of_session`` is what its session is described by."""
    call, tokens = told.interaction, told.interaction.tokens or Tokens()
    known, rest = parameters(call.request_metadata or {})
    values = {
        **of_session,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": call.provider,
        "gen_ai.request.model": call.model,
        **known,
        "gen_ai.input.messages": facts.messages_json(call.prompt, "user"),
        "gen_ai.output.messages": None if call.response is None else facts.messages_json(call.response, "assistant"),
        "gen_ai.usage.input_tokens": tokens.input,
        "gen_ai.usage.output_tokens": tokens.output,
        "gen_ai.usage.cost": call.cost,
        "error.type": "_OTHER" if call.error else None,
        CALL_FACTS: json_text(rest or None),
    }
    at = None if call.timestamp is None else _time_of(call.timestamp, now_unix_nano)
    start, end = facts.span_times(at, call.latency, now_unix_nano)
    span = Span(name=storable(f"chat {call.model}"), kind=Span.SPAN_KIND_CLIENT)
    if call.error:
        span.status.code, span.status.message = Status.STATUS_CODE_ERROR, storable(call.error)
    ids = _digest(told.session_id, body, call.timestamp, now_unix_nano)
    return _span(told.session_id, span, values, (start, end), ids)


def action_told(told: ActionBody, body: bytes, of_session: Mapping[str, Value], now_unix_nano: int) -> Told:
    """What the user did. A target that begins with ``#`` is the id of a widget, another one its name."""
    action = told.action
    at = _time_of(action.timestamp, now_unix_nano)
    target = action.target or ""
    values = {
        **of_session,
        "browser.action": action.type,
        "app.widget.id": target[1:] if target.startswith("#") else None,
        "app.widget.name": target if target and not target.startswith("#") else None,
        ACTION_METADATA: json_text(action.metadata),
    }
    span = Span(name=storable(action.type), kind=Span.SPAN_KIND_INTERNAL)
    ids = _digest(told.session_id, body, action.timestamp, now_unix_nano)
    return _span(told.session_id, span, values, (at, at), ids)


def _event(session_id: str, event: str, values: Mapping[str, Value], unix_nano: int) -> Told:
    request = event_request(session_id, event, values, unix_nano)
    return Told(session_id, Signal.LOGS, request.SerializeToString())


def _span(session_id: str, span: Span, values: Mapping[str, Value], times: tuple[int, int], ids: bytes) -> Told:
    span.trace_id, span.span_id = ids[:16], ids[16:]
    span.start_time_unix_nano, span.end_time_unix_nano = times
    request = span_request(session_id, span, values)
    return Told(f"span:{ids[:16].hex()}:{ids[16:].hex()}", Signal.TRACES, request.SerializeToString())


def _time_of(moment: Moment | None, now_unix_nano: int) -> int:
    """Unix nanoseconds. Raises :class:`InvalidRequest` beyond 1970 to 2262."""
    if moment is None:
        return now_unix_nano
    if not isinstance(moment, datetime):
        return ms_to_unix_nano(moment)
    unix_nano = facts.unix_nano(moment)
    if not 0 <= unix_nano <= MAX_UNIX_NANO:
        raise InvalidRequest(f"timestamp: {moment.isoformat()} is not between 1970 and 2262")
    return unix_nano


def _digest(session_id: str, body: bytes, timestamp: Moment | None, now_unix_nano: int) -> bytes:
    """The 16 bytes of a trace id and the 8 of a span id: the same for the same body, where that tells its time."""
    told = hashlib.blake2b(session_id.encode(), digest_size=24, person=b"replay-told")
    told.update(b"\0" + (b"" if timestamp is not None else str(now_unix_nano).encode()) + b"\0")
    told.update(body)
    return told.digest()
