"""Facts about a session that are told as plain JSON: each becomes the event that an instrumented program would send."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber

from otel_replay.errors import InvalidRequest, RequestTooLarge
from otel_replay.events import CODE_LANGUAGE, CODE_SNIPPET, CODE_WORKSPACE, EVALUATION, SESSION_SNAPSHOT, SNAPSHOT_STATE
from otel_replay.recording.events import check_id
from otel_replay.recording.untrusted import storable

MAX_BYTES = 1024 * 1024
MAX_METRICS = 100
SCOPE = "otel_replay.http"

_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,99}")
_KNOWN_METRICS = ("system.", "process.", "http.server.")
"""Names of the semantic conventions begin so; others stand under ``otel_replay.metric.``."""

_ENTRY = re.compile(r"span:([0-9a-f]{32}):([0-9a-f]{16})")
_Place = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a route takes."""


class CodeContext(_Body):
    file: str | None = None
    line: _Place | None = None
    column: _Place | None = None
    snippet: str | None = None
    language: str | None = None
    workspace: Any = None


class Snapshot(_Body):
    state: Any = None
    metrics: dict[str, float] = {}
    code_context: CodeContext | None = None


class Feedback(_Body):
    score: float | bool | None = None
    label: str | None = None
    comment: str | None = None
    name: str = "user_feedback"
    interaction: str | None = None
    """The id of its entry in a timeline."""
    response_id: str | None = None


B = TypeVar("B", bound=_Body)


def snapshot_request(session_id: str, body: bytes, now_unix_nano: int) -> ExportLogsServiceRequest:
    """``{"state", "metrics": {name: number}, "code_context": {"file", "line", ...}}``, none of which has to be there.

    Raises :class:`InvalidRequest` for what is not that.
    """
    told = _read(body, Snapshot)
    if len(told.metrics) > MAX_METRICS:
        raise InvalidRequest(f"metrics: {len(told.metrics)}, at most {MAX_METRICS} are taken")
    code = told.code_context or CodeContext()
    values = {
        SNAPSHOT_STATE: _json(told.state),
        "code.file.path": code.file,
        "code.line.number": code.line,
        "code.column.number": code.column,
        CODE_SNIPPET: code.snippet,
        CODE_LANGUAGE: code.language,
        CODE_WORKSPACE: _json(code.workspace),
        **{_metric(name): value for name, value in told.metrics.items()},
    }
    return _request(session_id, SESSION_SNAPSHOT, values, now_unix_nano)


def feedback_request(session_id: str, body: bytes, now_unix_nano: int) -> ExportLogsServiceRequest:
    """``{"score", "label", "comment", "name", "interaction", "response_id"}``, a score, a label or a comment at least.

    Raises :class:`InvalidRequest` for what is not that.
    """
    told = _read(body, Feedback)
    if told.score is None and not told.label and not told.comment:
        raise InvalidRequest("there is neither a score nor a label nor a comment")
    values = {
        "gen_ai.evaluation.name": told.name,
        "gen_ai.evaluation.score.value": None if told.score is None else float(told.score),
        "gen_ai.evaluation.score.label": told.label,
        "gen_ai.evaluation.explanation": told.comment,
        "gen_ai.response.id": told.response_id,
    }
    request = _request(session_id, EVALUATION, values, now_unix_nano)
    if told.interaction is not None:
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        record.trace_id, record.span_id = _ids(told.interaction)
    return request


def _read(body: bytes, kind: type[B]) -> B:
    if len(body) > MAX_BYTES:
        raise RequestTooLarge(f"the body is over {MAX_BYTES} bytes")
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not what this takes: {error}") from error
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply") from error


def _request(
    session_id: str, event: str, values: Mapping[str, str | int | float | None], now_unix_nano: int
) -> ExportLogsServiceRequest:
    check_id("session_id", session_id)
    told = {"session.id": storable(session_id), **values}
    record = LogRecord(
        time_unix_nano=now_unix_nano,
        observed_time_unix_nano=now_unix_nano,
        severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
        event_name=event,
        attributes=[KeyValue(key=key, value=_value(value)) for key, value in told.items() if value is not None],
    )
    group = ScopeLogs(scope=InstrumentationScope(name=SCOPE), log_records=[record])
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[group])])


def _value(value: str | int | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)


def _metric(name: str) -> str:
    if not _METRIC.fullmatch(name):
        raise InvalidRequest(f"metrics: {name[:40]!r} is no name", hint="a letter, then letters, digits, _ and .")
    return name if name.startswith(_KNOWN_METRICS) else f"otel_replay.metric.{name}"


def _ids(entry: str) -> tuple[bytes, bytes]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise InvalidRequest(f"interaction {entry[:80]!r} is no entry of a call", hint="span:TRACE_ID:SPAN_ID")
    return bytes.fromhex(found[1]), bytes.fromhex(found[2])


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
