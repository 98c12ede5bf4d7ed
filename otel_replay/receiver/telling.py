"""What routes of plain JSON have in common: a body read and checked, and requests of OTLP made of what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_replay.errors import InvalidRequest, RequestTooLarge
from otel_replay.recording.events import check_id, load
from otel_replay.texts import storable

MAX_BYTES = 1024 * 1024
SCOPE = "otel_replay.http"
"""Name of the instrumentation scope of everything that is told over HTTP."""

METRIC_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,99}")
_KNOWN_METRICS = ("system.", "process.", "http.server.")
"""Names of the semantic conventions begin so; others stand under :data:`METRIC_PREFIX`."""

METRIC_PREFIX = "otel_replay.metric."

B = TypeVar("B", bound=msgspec.Struct)
Value = str | int | float | None


def read_told(body: bytes, kind: type[B], limit: int = MAX_BYTES) -> B:
    """The body as this kind of document; an empty one is an empty object.

    Raises :class:`InvalidRequest` that names the field, and :class:`RequestTooLarge`.
    """
    if len(body) > limit:
        raise RequestTooLarge(f"the body is over {limit} bytes")
    try:
        return msgspec.convert(load_told(body), kind)
    except (msgspec.ValidationError, OverflowError, UnicodeEncodeError) as error:  # the last: half a character
        raise InvalidRequest(f"the body is not what this takes: {error}") from error
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply") from error


def load_told(body: bytes) -> Any:
    """Any JSON; strings may hold lone surrogates, as of an emoji that a page has cut in two."""
    try:
        return load(body or b"{}")
    except InvalidRequest as error:
        raise InvalidRequest(f"the body is {error.message.removeprefix('events: ')}") from error


def event_request(session_id: str, event: str, values: Mapping[str, Value], unix_nano: int) -> ExportLogsServiceRequest:
    """An event of a session. Raises :class:`InvalidRequest` for an id that cannot be one."""
    check_id("session_id", session_id)
    record = LogRecord(
        time_unix_nano=unix_nano,
        observed_time_unix_nano=unix_nano,
        severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
        event_name=event,
        attributes=_key_values({"session.id": session_id, **values}),
    )
    group = ScopeLogs(scope=InstrumentationScope(name=SCOPE), log_records=[record])
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[group])])


def span_request(session_id: str, span: Span, values: Mapping[str, Value]) -> ExportTraceServiceRequest:
    """A span of a session, with these attributes. Raises :class:`InvalidRequest` for an id that cannot be one."""
    check_id("session_id", session_id)
    span.attributes.extend(_key_values({"session.id": session_id, **values}))
    group = ScopeSpans(scope=InstrumentationScope(name=SCOPE), spans=[span])
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[group])])


def metric_name(name: str) -> str:
    """The attribute for a measure of this name."""
    if not METRIC_NAME.fullmatch(name):
        raise InvalidRequest(f"metrics: {name[:40]!r} is no name", hint="a letter, then letters, digits, _ and .")
    return name if name.startswith(_KNOWN_METRICS) else f"{METRIC_PREFIX}{name}"


def json_text(value: Any) -> str | None:
    """Raises :class:`InvalidRequest` for what is nested too deeply to be written."""
    try:
        return None if value is None else json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply") from error


def _key_values(told: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in told.items() if value is not None]


def _any_value(value: str | int | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=storable(value))
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)
