"""OTLP requests and chunks from plain Python, made into writes the way the receiver makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count, pairwise
from typing import Any

import orjson
import xxhash
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from otel_replay.model import Signal, Source
from otel_replay.otlp.requests import accept
from otel_replay.receiver.prepare import Origin, prepare, prepare_chunk
from otel_replay.recording.uploads import chunk_from_upload
from otel_replay.store.base import Write
from tests.genai.spans import any_value, key_values

START = 1_763_600_000_123_456_789
"""Not a multiple of 256 ns: a double cannot hold it."""
START_MS = START // 1_000_000
TRACE, OTHER_TRACE = "0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd0000000000000001"
"""With the same first 8 bytes."""
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m1"}
CLICK = {"browser.action": "click", "app.widget.id": "send"}
ERROR = Status(code=Status.STATUS_CODE_ERROR)

Attributes = Mapping[str, Any]
_arrivals = count(START)


def span(
    number: int = 1,
    attributes: Attributes | None = None,
    *,
    trace: str = TRACE,
    start: int = START,
    end: int = START + 10,
    **fields: Any,
) -> Span:
    return Span(
        trace_id=bytes.fromhex(trace),
        span_id=number.to_bytes(8, "big"),
        name=fields.pop("name", "work"),
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=key_values(attributes or {}),
        **fields,
    )


def log(attributes: Attributes | None = None, *, trace: str = "", time: int = START, **fields: Any) -> LogRecord:
    return LogRecord(
        time_unix_nano=time, trace_id=bytes.fromhex(trace), attributes=key_values(attributes or {}), **fields
    )


def traces(*spans: Span, resource: Attributes | None = None, scope: str = "test") -> ExportTraceServiceRequest:
    group = ScopeSpans(scope=InstrumentationScope(name=scope), spans=spans)
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=_resource(resource), scope_spans=[group])])


def logs(*records: LogRecord, resource: Attributes | None = None, scope: str = "test") -> ExportLogsServiceRequest:
    group = ScopeLogs(scope=InstrumentationScope(name=scope), log_records=records)
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=_resource(resource), scope_logs=[group])])


def metrics(*values: int, resource: Attributes | None = None) -> ExportMetricsServiceRequest:
    points = [NumberDataPoint(time_unix_nano=START, as_int=value) for value in values]
    group = ScopeMetrics(metrics=[Metric(name="queue", gauge=Gauge(data_points=points))])
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=_resource(resource), scope_metrics=[group])]
    )


def _resource(attributes: Attributes | None) -> Resource:
    return Resource(attributes=key_values({"service.name": "api"} if attributes is None else attributes))


def signal_of(request: Message) -> Signal:
    if isinstance(request, ExportTraceServiceRequest):
        return Signal.TRACES
    return Signal.LOGS if isinstance(request, ExportLogsServiceRequest) else Signal.METRICS


def write(request: Message, *, project: int = 1, source: Source = Source.SERVER, received: int | None = None) -> Write:
    """The write of an export request; each is received a nanosecond after the one before."""
    signal, body = signal_of(request), request.SerializeToString()
    origin = Origin(project, source, next(_arrivals) if received is None else received)
    return prepare(accept(signal, body), origin, xxhash.xxh3_128_digest(body, seed=signal))


def upload(seq: int | None, payload: bytes, *, session: str = "s1", stream: str = "tab", project: int = 1) -> Write:
    """The write of an uploaded chunk."""
    received = next(_arrivals)
    chunk = chunk_from_upload(
        project=project,
        session_id=session,
        stream_id=stream,
        seq=seq,
        payload=payload,
        received_unix_nano=received,
        sent_at_unix_nano=received - 1,
    )
    return prepare_chunk(chunk, Origin(project, Source.BROWSER, received))


def slices(first_seq: int, event: Any, lengths: Sequence[int], *, session: str = "s1") -> list[Write]:
    """One rrweb event as ``rr-web`` log records with a part of its JSON each: pieces of ``lengths``, and the rest."""
    text = json.dumps(event)
    cuts = [0, *(sum(lengths[: place + 1]) for place in range(len(lengths))), len(text)]
    pieces = [text[start:end] for start, end in pairwise(cuts)]
    records = [
        log(
            {
                "session.id": session,
                "rr-web.stream": "tab",
                "rr-web.offset": first_seq + place + 1,
                "rr-web.chunk": place + 1,
                "rr-web.total-chunks": len(pieces),
                "rr-web.event": "",
            },
            body=any_value(piece),
        )
        for place, piece in enumerate(pieces)
    ]
    return [write(logs(record, resource={}, scope="rum.rr-web")) for record in records]


def payload(*events: Mapping[str, Any]) -> bytes:
    return orjson.dumps(list(events))


def click_event(second: int, node: int = 5) -> dict[str, Any]:
    """A click, ``second`` s after START."""
    return {"type": 3, "timestamp": START_MS + second * 1000, "data": {"source": 2, "type": 2, "id": node}}
