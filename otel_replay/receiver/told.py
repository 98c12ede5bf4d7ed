"""Facts about a session that are told as plain JSON: each becomes the event that an instrumented program would send."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otel_replay.errors import InvalidRequest
from otel_replay.events import CODE_LANGUAGE, CODE_SNIPPET, CODE_WORKSPACE, EVALUATION, SESSION_SNAPSHOT, SNAPSHOT_STATE
from otel_replay.receiver.telling import MAX_BYTES, Value, event_request, json_text, metric_name, read_told

__all__ = ["MAX_BYTES", "feedback_request", "snapshot_request"]

MAX_METRICS = 100

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


def snapshot_request(session_id: str, body: bytes, now_unix_nano: int) -> ExportLogsServiceRequest:
    """``{"state", "metrics": {name: number}, "code_context": {"file", "line", ...}}``, none of which has to be there.

    Raises :class:`InvalidRequest` for what is not that.
    """
    told = read_told(body, Snapshot)
    if len(told.metrics) > MAX_METRICS:
        raise InvalidRequest(f"metrics: {len(told.metrics)}, at most {MAX_METRICS} are taken")
    code = told.code_context or CodeContext()
    values: dict[str, Value] = {
        SNAPSHOT_STATE: json_text(told.state),
        "code.file.path": code.file,
        "code.line.number": code.line,
        "code.column.number": code.column,
        CODE_SNIPPET: code.snippet,
        CODE_LANGUAGE: code.language,
        CODE_WORKSPACE: json_text(code.workspace),
        **{metric_name(name): value for name, value in told.metrics.items()},
    }
    return event_request(session_id, SESSION_SNAPSHOT, values, now_unix_nano)


def feedback_request(session_id: str, body: bytes, now_unix_nano: int) -> ExportLogsServiceRequest:
    """``{"score", "label", "comment", "name", "interaction", "response_id"}``, a score, a label or a comment at least.

    Raises :class:`InvalidRequest` for what is not that.
    """
    told = read_told(body, Feedback)
    if told.score is None and not told.label and not told.comment:
        raise InvalidRequest("there is neither a score nor a label nor a comment")
    values: dict[str, Value] = {
        "gen_ai.evaluation.name": told.name,
        "gen_ai.evaluation.score.value": None if told.score is None else float(told.score),
        "gen_ai.evaluation.score.label": told.label,
        "gen_ai.evaluation.explanation": told.comment,
        "gen_ai.response.id": told.response_id,
    }
    request = event_request(session_id, EVALUATION, values, now_unix_nano)
    if told.interaction is not None:
        record = request.resource_logs[0].scope_logs[0].log_records[0]
        record.trace_id, record.span_id = _ids(told.interaction)
    return request


def _ids(entry: str) -> tuple[bytes, bytes]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise InvalidRequest(f"interaction {entry[:80]!r} is no entry of a call", hint="span:TRACE_ID:SPAN_ID")
    return bytes.fromhex(found[1]), bytes.fromhex(found[2])
