"""OTLP requests and recordings with ids and times that tests can count on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from tests.genai.spans import any_value, key_values
from tests.recording.pages import START_MS, element, event, snapshot, text

MS = 10**6
START = START_MS * MS
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 34,
}


def span_id(number: int) -> str:
    return f"{number:016x}"


def span(
    trace_id: str, number: int, parent: int = 0, *, attributes: Mapping[str, Any] | None = None, **fields: Any
) -> Span:
    """Span ``number`` starts that many ms after ``START`` and takes 10 ms; ``fields`` are Span's."""
    defaults: dict[str, Any] = {
        "name": f"span {number}",
        "start_time_unix_nano": START + number * MS,
        "end_time_unix_nano": START + (number + 10) * MS,
    }
    return Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(span_id(number)),
        parent_span_id=bytes.fromhex(span_id(parent)) if parent else b"",
        attributes=key_values(attributes or {}),
        **(defaults | fields),
    )


def traces(*spans: Span, service: str = "api", resource: Mapping[str, Any] | None = None) -> ExportTraceServiceRequest:
    attributes = key_values({"service.name": service, **(resource or {})})
    scope_spans = ScopeSpans(scope=InstrumentationScope(name="test"), spans=spans)
    group = ResourceSpans(resource=Resource(attributes=attributes), scope_spans=[scope_spans])
    return ExportTraceServiceRequest(resource_spans=[group])


def log(
    body: Any, *, attributes: Mapping[str, Any] | None = None, trace_id: str = "", ms: int = 0, **fields: Any
) -> LogRecord:
    """A record ``ms`` milliseconds after ``START``."""
    return LogRecord(
        body=any_value(body),
        attributes=key_values(attributes or {}),
        trace_id=bytes.fromhex(trace_id),
        time_unix_nano=START + ms * MS,
        **fields,
    )


def logs(
    *records: LogRecord, resource: Mapping[str, Any] | None = None, scope: str = "test"
) -> ExportLogsServiceRequest:
    scope_logs = ScopeLogs(scope=InstrumentationScope(name=scope), log_records=records)
    group = ResourceLogs(resource=Resource(attributes=key_values(resource or {})), scope_logs=[scope_logs])
    return ExportLogsServiceRequest(resource_logs=[group])


def page(ms: int = 0) -> list[dict[str, Any]]:
    """The first events of a recording: the page's address, and a page with one button."""
    meta = event(4, {"href": "https://shop.example/chat", "width": 800, "height": 600}, START_MS + ms)
    return [meta, snapshot(element(4, "button", text(5, "Send"), id="send"), ms=START_MS + ms)]


def click(ms: int) -> dict[str, Any]:
    """On the button of ``page``."""
    return event(3, {"source": 2, "type": 2, "id": 4, "x": 1, "y": 1}, START_MS + ms)


def custom(ms: int, tag: str, **payload: Any) -> dict[str, Any]:
    return event(5, {"tag": tag, "payload": payload}, START_MS + ms)
