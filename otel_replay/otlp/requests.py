"""Validation: a request is parsed once by the C parser before it is accepted; where that fails, record by record.

``repeated bytes`` takes what a full parse refuses (invalid UTF-8, nesting over 100 messages), and blocks hold
concatenated requests: without this check one bad span could hide a block from every reader.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal
from otel_replay.otlp import thin
from otel_replay.otlp.counting import check_count
from otel_replay.otlp.encoded import UnusualEncoding, field, varint
from otel_replay.otlp.spans import SpanTable, parse_columns, span_defect, spans_by_columns, spans_one_by_one

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
    """A request whose every record parses.

    ``body`` is what was received, unless records had to be taken out or its fields are in another order than protobuf
    writes them in (see :func:`in_usual_order`).

    ``scopes`` are its scope groups; ``spans`` is set for traces, ``message``, fully parsed, for logs and metrics.
    """

    signal: Signal
    body: bytes
    scopes: tuple[thin.ScopeSlice, ...]
    spans: SpanTable | None = None
    message: Any = None
    rejections: tuple[Rejection, ...] = ()
    further_rejections: int = 0
    """Of records that are not stored either, but only counted: see :data:`MAX_REJECTIONS`."""


def groups(signal: Signal, message: Any) -> Any:
    """The resource groups of a fully parsed request: ``resource_spans``, ``resource_logs`` or ``resource_metrics``."""
    return getattr(message, _GROUPS[signal][0])


def scopes(signal: Signal, resource_group: Any) -> Any:
    """The scope groups of a resource group."""
    return getattr(resource_group, _GROUPS[signal][1])


def records(signal: Signal, scope_group: Any) -> Any:
    """The spans, log records or metrics of a scope group."""
    return getattr(scope_group, _GROUPS[signal][2])


MAX_REJECTIONS = 1_000
"""So many records of one request are kept aside with their reasons; each takes 560 bytes of memory, however small."""

_FIRST_TAG = 0x0A
"""Of field 1: a resource group of a request, and the resource of a group."""

_READ_OFF = frozenset((Signal.TRACES, Signal.LOGS))
"""Signals whose records are told apart, or read, by their bytes."""

_FEW_BYTES = 16_384
"""Below, looking at spans one by one takes less than setting up their columns does (0.1 ms)."""


def accept(signal: Signal, body: bytes) -> AcceptedRequest:
    """Validates ``body``.

    Raises :class:`InvalidRequest` when not even its envelopes can be read, and :class:`RequestTooLarge` for more
    records than one request may have.
    """
    check_count(body)
    try:
        accepted = _accept(signal, body)
    except DecodeError:
        accepted = None
    return accepted or _salvage(signal, body)


def _accept(signal: Signal, body: bytes) -> AcceptedRequest | None:
    """None when a span is unusable; raises protobuf's ``DecodeError``."""
    body = in_usual_order(signal, body)
    if signal is Signal.TRACES and len(body) >= _FEW_BYTES and (accepted := _accept_columns(body)):
        return accepted
    message = REQUEST_TYPES[signal].FromString(body)
    request = thin.parse(body)
    if not thin.is_canonical(request):  # written twice, they are merged by protobuf: merged, a slice shows all of them
        body = message.SerializeToString()
        request = thin.parse(body)
    if signal is not Signal.TRACES:
        return AcceptedRequest(signal, body, thin.scopes_of(request), message=message)
    parsed = (span for group in message.resource_spans for scope in group.scope_spans for span in scope.spans)
    spans = spans_one_by_one(thin.records_of(request), parsed)
    return AcceptedRequest(signal, body, thin.scopes_of(request), spans=spans) if spans else None


def in_usual_order(signal: Signal, body: bytes) -> bytes:
    """``body``; what is written from its end with the fields in the order of their numbers, as protobuf itself writes.

    The Collector (pdata 1.65, ``MarshalProto`` of ``pdata/internal``) writes every message so: a resource after its
    spans, a value before its key. Written anew, for 1.2 us a span, such a request is read by columns, names and texts
    are read off its bytes, and a span is the same bytes whether it came straight or through a Collector: 3.2 us a span
    up to the store instead of 8.8. Unknown fields are kept, other encodings stay as they came. Raises protobuf's
    ``DecodeError``.
    """
    if signal not in _READ_OFF or _begins_with_resource(body):
        return body
    verdicts = map(_is_from_the_end, thin.records_of(thin.parse(body)))
    if not next((verdict for verdict in verdicts if verdict is not None), True):
        return body
    encoded: bytes = REQUEST_TYPES[signal].FromString(body).SerializeToString()
    return encoded


def _is_from_the_end(record: bytes) -> bool | None:
    """Whether its fields stand in falling order of their numbers; None for a record of one field, which does not tell.

    Which fields a record has is up to its sender: log records of the Python SDK have no field 1.
    """
    numbers = []
    at = 0
    try:
        while at < len(record):
            tag, _, at = field(record, at)
            numbers.append(tag >> 3)
    except (IndexError, UnusualEncoding):
        return False
    return numbers == sorted(numbers, reverse=True) if len(set(numbers)) > 1 else None


def _begins_with_resource(body: bytes) -> bool:
    """Whether the first group has its resource in front. True for what cannot be read as well: it is refused later."""
    try:
        size, at = varint(body, 1)
        return body[0] != _FIRST_TAG or not size or body[at] == _FIRST_TAG
    except IndexError:
        return True


def _accept_columns(body: bytes) -> AcceptedRequest | None:
    """Accepts many spans that are encoded as usual; None for others, good or bad."""
    try:
        columns, request = parse_columns(body), thin.parse(body)
    except DecodeError:
        return None
    spans = spans_by_columns(thin.records_of(request), columns) if thin.is_canonical(request) else None
    return AcceptedRequest(Signal.TRACES, body, thin.scopes_of(request), spans=spans) if spans else None


def _salvage(signal: Signal, body: bytes) -> AcceptedRequest:
    """Keeps the good records of a request that does not parse as a whole."""
    try:
        request = thin.parse(body)
    except DecodeError as error:
        name = REQUEST_TYPES[signal].DESCRIPTOR.name
        raise InvalidRequest(f"the body is not an {name}: {error}", hint="send OTLP protobuf") from error
    kept: list[thin.RecordSlice] = []
    rejections: list[Rejection] = []
    further = 0
    for where, piece in _walk(signal, request):
        reason = _defect(signal, piece)
        if not reason:
            kept.append(piece)
        elif len(rejections) < MAX_REJECTIONS:
            rejections.append(Rejection(where, reason, piece.raw))
        else:
            further += 1
    good = thin.rebuild(iter(kept))
    accepted = _accept(signal, good)
    assert accepted is not None, "spans without a defect are usable"
    return replace(accepted, rejections=tuple(rejections), further_rejections=further)


def _walk(signal: Signal, request: Any) -> Any:
    """Each slice with its place in words: ``resource_spans[0].scope_spans[1].spans[7]``."""
    outer, middle, inner = _GROUPS[signal]
    for i, resource_group in enumerate(request.resources):
        for j, scope_group in enumerate(resource_group.scopes):
            for k, raw in enumerate(scope_group.records):
                where = f"{outer}[{i}].{middle}[{j}].{inner}[{k}]"
                yield where, thin.RecordSlice(resource_group, scope_group, raw)


def _defect(signal: Signal, piece: thin.RecordSlice) -> str:
    """Why a record cannot be stored; empty when it can.

    It is parsed as a request of its own: what nests too deeply for a request may not for a record alone.
    """
    try:
        message = REQUEST_TYPES[signal].FromString(thin.alone(piece))
    except DecodeError as error:
        return f"not valid protobuf: {error}"
    if signal is not Signal.TRACES:
        return ""
    return span_defect(message.resource_spans[0].scope_spans[0].spans[0])
