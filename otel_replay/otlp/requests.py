"""Validation: a request is parsed once by the C parser before it is accepted; where that fails, record by record.

``repeated bytes`` takes what a full parse refuses (invalid UTF-8, nesting over 100 messages), and blocks hold
concatenated requests: without this check one bad span could hide a block from every reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal
from otel_replay.otlp import thin

REQUEST_TYPES: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
}
RECORD_TYPES: dict[Signal, Any] = {Signal.TRACES: Span, Signal.LOGS: LogRecord, Signal.METRICS: Metric}
_GROUPS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that is not stored: where it stood, what is wrong with it, and its bytes."""

    where: str
    reason: str
    raw: bytes

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    """A request whose every record parses. ``body`` is what was received, unless records had to be taken out."""

    signal: Signal
    body: bytes
    message: Any
    rejections: tuple[Rejection, ...] = ()


def groups(signal: Signal, message: Any) -> Any:
    """The resource groups of a fully parsed request: ``resource_spans``, ``resource_logs`` or ``resource_metrics``."""
    return getattr(message, _GROUPS[signal][0])


def scopes(signal: Signal, resource_group: Any) -> Any:
    """The scope groups of a resource group."""
    return getattr(resource_group, _GROUPS[signal][1])


def records(signal: Signal, scope_group: Any) -> Any:
    """The spans, log records or metrics of a scope group."""
    return getattr(scope_group, _GROUPS[signal][2])


def accept(signal: Signal, body: bytes) -> AcceptedRequest:
    """Validates ``body``; raises :class:`InvalidRequest` when not even its envelopes can be read."""
    try:
        message = REQUEST_TYPES[signal].FromString(body)
    except DecodeError:
        return _salvage(signal, body)
    if signal is Signal.TRACES and not _ids_valid(message):
        return _salvage(signal, body)
    return AcceptedRequest(signal, _canonical(body, message), message)


_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)


def _ids_valid(message: ExportTraceServiceRequest) -> bool:
    for resource_group in message.resource_spans:
        for scope_group in resource_group.scope_spans:
            for span in scope_group.spans:
                trace_id, span_id = span.trace_id, span.span_id
                if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
                    return False
    return True


def _canonical(body: bytes, message: Any) -> bytes:
    """Written twice, a resource or scope is merged by protobuf: the merged form lets a slice show all there is."""
    return body if thin.is_canonical(thin.parse(body)) else message.SerializeToString()


def _salvage(signal: Signal, body: bytes) -> AcceptedRequest:
    """Keeps the good records of a request that does not parse as a whole."""
    try:
        request = thin.parse(body)
    except DecodeError as error:
        name = REQUEST_TYPES[signal].DESCRIPTOR.name
        raise InvalidRequest(f"the body is not an {name}: {error}", hint="send OTLP protobuf") from error
    kept, rejections = [], []
    for where, piece in _walk(signal, request):
        reason = _defect(signal, piece)
        if reason:
            rejections.append(Rejection(where, reason, piece.raw))
        else:
            kept.append(piece)
    good = thin.rebuild(iter(kept))
    message = REQUEST_TYPES[signal].FromString(good)
    return AcceptedRequest(signal, _canonical(good, message), message, tuple(rejections))


def _walk(signal: Signal, request: Any) -> Any:
    """Each slice with its place in words: ``resource_spans[0].scope_spans[1].spans[7]``."""
    outer, middle, inner = _GROUPS[signal]
    for i, resource_group in enumerate(request.resources):
        for j, scope_group in enumerate(resource_group.scopes):
            for k, raw in enumerate(scope_group.records):
                where = f"{outer}[{i}].{middle}[{j}].{inner}[{k}]"
                yield where, thin.RecordSlice(resource_group, scope_group, raw)


def _defect(signal: Signal, piece: thin.RecordSlice) -> str:
    """Why a record cannot be stored; empty when it can."""
    try:
        for resource in piece.resource_group.resource:
            Resource.FromString(resource)
        for scope in piece.scope_group.scope:
            InstrumentationScope.FromString(scope)
        for url in (piece.resource_group.schema_url, piece.scope_group.schema_url):
            url.decode()
        record = RECORD_TYPES[signal].FromString(piece.raw)
    except (DecodeError, UnicodeDecodeError) as error:
        return f"not valid protobuf: {error}"
    if signal is Signal.TRACES:
        return span_defect(record)
    return ""


def span_defect(span: Span) -> str:
    """What makes a span unusable as such (trace.proto: ids of the wrong length are invalid)."""
    if len(span.trace_id) != 16:
        return f"trace_id has {len(span.trace_id)} bytes, not 16"
    if len(span.span_id) != 8:
        return f"span_id has {len(span.span_id)} bytes, not 8"
    if span.trace_id == _NO_TRACE:
        return "trace_id is all zeros"
    return "span_id is all zeros" if span.span_id == _NO_SPAN else ""
