"""What comes in goes out: every field of OTLP, whichever way it came, and the very bytes where it came as protobuf."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import zstandard
from google.protobuf.message import Message
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData, ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData, ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, TraceState
from sqlite_utils import Database

from otel_replay.model import DEFAULT_PROJECT, Signal
from otel_replay.store.sqlite import SqliteReader
from tests.outside.maximal import Maximal, from_otlp_json, known_fields, otlp_json, set_fields
from tests.outside.outside import JSON, PATHS, PROTOBUF, Outside, running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FIXED = {
    "opentelemetry.proto.trace.v1.Span.trace_id": bytes.fromhex(TRACE),
    "opentelemetry.proto.logs.v1.LogRecord.trace_id": bytes.fromhex(TRACE),
}
REQUESTS: dict[Signal, Callable[[], Any]] = {
    Signal.TRACES: lambda: ExportTraceServiceRequest(resource_spans=Maximal(FIXED).variants(ResourceSpans)),
    Signal.LOGS: lambda: ExportLogsServiceRequest(resource_logs=Maximal(FIXED).variants(ResourceLogs)),
    Signal.METRICS: lambda: ExportMetricsServiceRequest(resource_metrics=Maximal(FIXED).variants(ResourceMetrics)),
}
WAYS = ("grpc", "http-protobuf", "http-json")

pytestmark = [pytest.mark.feature("X1"), pytest.mark.feature("C2")]


@dataclass(frozen=True, slots=True)
class ThreeWays:
    """One receiver, with a file of its own, for each way in; each has got the same three requests."""

    sent: dict[Signal, Any]
    by_way: dict[str, Outside]


@pytest.fixture(scope="module")
def three_ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeWays]:
    sent = {signal: make() for signal, make in REQUESTS.items()}
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("ways")
        by_way = {way: stack.enter_context(running(folder / f"{way}.db")) for way in WAYS}
        for signal, request in sent.items():
            for way, outside in by_way.items():
                _send(outside, way, signal, request)
        yield ThreeWays(sent, by_way)


def _send(outside: Outside, way: str, signal: Signal, request: Message) -> None:
    body = request.SerializeToString()
    if way == "grpc":
        assert outside.export(signal, body) == b""  # a full success leaves partial_success unset
        return
    kind = JSON if way == "http-json" else PROTOBUF
    answer = outside.post(PATHS[signal], json.dumps(otlp_json(request)).encode() if kind == JSON else body, kind)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content == (b"{}" if kind == JSON else b"")


def _trace_as_protobuf(outside: Outside, trace_id: str = TRACE) -> bytes:
    return outside.get(f"/api/v1/traces/{trace_id}", accept=PROTOBUF).content


def _block(outside: Outside, signal: Signal) -> bytes:
    """The one block of a signal, straight from the file."""
    with Database(outside.database).conn as connection:
        rows = connection.execute("SELECT data FROM blocks WHERE signal = ?", (int(signal),)).fetchall()
    connection.close()
    assert len(rows) == 1
    return zstandard.ZstdDecompressor().decompress(rows[0][0])


@pytest.mark.parametrize("signal", REQUESTS, ids=lambda signal: signal.name.lower())
def test_the_walk_reaches_every_field_that_the_descriptors_know(signal: Signal) -> None:
    request = REQUESTS[signal]()
    assert set_fields(request) == known_fields(request.DESCRIPTOR)
    assert len(set_fields(request)) > 40


@pytest.mark.parametrize("way", WAYS)
def test_every_field_of_a_trace_survives_every_way(three_ways: ThreeWays, way: str) -> None:
    sent = TracesData(resource_spans=three_ways.sent[Signal.TRACES].resource_spans)
    outside = three_ways.by_way[way]
    assert TracesData.FromString(_trace_as_protobuf(outside)) == sent
    assert from_otlp_json(outside.document(f"/api/v1/traces/{TRACE}"), TracesData) == sent
    assert TracesData.FromString(outside.server.replay.trace(TRACE)) == sent


@pytest.mark.parametrize("way", WAYS)
def test_every_field_of_logs_survives_every_way(three_ways: ThreeWays, way: str) -> None:
    outside, sent = three_ways.by_way[way], three_ways.sent[Signal.LOGS]
    assert LogsData.FromString(_block(outside, Signal.LOGS)) == LogsData(resource_logs=sent.resource_logs)
    reader = SqliteReader(outside.database)
    found = [(one.resource, one.scope, one.record) for one in reader.logs_of_trace(DEFAULT_PROJECT, TRACE)]
    reader.close()
    assert found == [
        (group.resource, scope.scope, record)
        for group in sent.resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]


@pytest.mark.parametrize("way", WAYS)
def test_every_field_of_metrics_survives_every_way(three_ways: ThreeWays, way: str) -> None:
    reader = SqliteReader(three_ways.by_way[way].database)
    found = list(reader.metrics(DEFAULT_PROJECT))
    reader.close()
    sent = MetricsData(resource_metrics=three_ways.sent[Signal.METRICS].resource_metrics)
    assert [MetricsData.FromString(data) for data in found] == [sent]


@pytest.mark.parametrize("way", ["grpc", "http-protobuf"])
def test_protobuf_goes_out_as_the_bytes_that_came_in(three_ways: ThreeWays, way: str) -> None:
    outside = three_ways.by_way[way]
    bodies = {signal: request.SerializeToString() for signal, request in three_ways.sent.items()}
    assert _trace_as_protobuf(outside) == bodies[Signal.TRACES]
    assert _block(outside, Signal.LOGS) == bodies[Signal.LOGS]
    assert _block(outside, Signal.METRICS) == bodies[Signal.METRICS]


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _request_from_the_future(trace_id: bytes) -> bytes:
    """Fields of a later OTLP at every level, and field orders and paddings that no serialiser of today writes."""
    later = _field(1_999, b"of a later version")
    span = _field(5, b"name first") + later + _field(2, b"\x01" * 8) + _field(1, trace_id) + b"\xf8\x7c\x81\x00"
    resource = later + _field(1, _field(1, b"k") + later + _field(2, later + _field(1, b"v")))
    scope = _field(2, b"1.0") + later + _field(1, b"scope")
    scope_spans = _field(3, b"https://scope") + _field(2, span) + _field(1, scope) + later
    resource_spans = _field(3, b"https://resource") + later + _field(2, scope_spans) + _field(1, resource)
    return _field(1, resource_spans)


@pytest.mark.parametrize("way", ["grpc", "http-protobuf"])
def test_unknown_fields_and_odd_encodings_go_out_as_they_came(receiver: Outside, way: str) -> None:
    trace_id = b"\xf0" + bytes([WAYS.index(way)]) * 15
    body = _request_from_the_future(trace_id)
    if way == "grpc":
        receiver.export(Signal.TRACES, body)
    else:
        assert receiver.post("/v1/traces", body).status_code == 200
    sent, found = _slices(body), _slices(_trace_as_protobuf(receiver, trace_id.hex()))
    assert len(sent) == 1
    assert found == sent


def _slices(data: bytes) -> list[tuple[bytes, ...]]:
    """Every span with its groups' schema addresses and unknown fields, its resource and its scope, as raw bytes."""
    slices: list[tuple[bytes, ...]] = []
    for group in _values(data, 1):
        for scope_group in _values(group, 2):
            envelope = [
                value for one in (group, scope_group) for number in (3, 1_999) for value in _values(one, number)
            ]
            envelope += [*_values(group, 1), *_values(scope_group, 1)]
            slices += [(span, *envelope) for span in _values(scope_group, 2)]
    return slices


def _values(data: bytes, wanted: int) -> list[bytes]:
    """The payloads of a length-delimited field, read without any protobuf library."""
    found, at = [], 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        length, at = _read_varint(data, at)
        assert tag & 7 == 2
        found += [data[at : at + length]] if tag >> 3 == wanted else []
        at += length
    return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


@pytest.mark.parametrize("way", WAYS)
def test_doubles_that_json_has_no_number_for(receiver: Outside, way: str) -> None:
    trace_id = b"\xd0" + bytes([WAYS.index(way)]) * 15
    doubles = [math.inf, -math.inf, math.nan, -0.0, 5e-324, 1.7976931348623157e308, 0.1]
    span = Span(trace_id=trace_id, span_id=b"\1" * 8)
    span.attributes.extend(KeyValue(key=str(one), value=AnyValue(double_value=one)) for one in doubles)
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])])
    _send(receiver, way, Signal.TRACES, request)
    by_json = from_otlp_json(receiver.document(f"/api/v1/traces/{trace_id.hex()}"), TracesData)
    found = TracesData.FromString(_trace_as_protobuf(receiver, trace_id.hex()))
    for answer in (found, by_json):
        [got] = answer.resource_spans[0].scope_spans[0].spans  # type: ignore[attr-defined]
        assert [str(one.value.double_value) for one in got.attributes] == [str(one) for one in doubles]


@pytest.mark.parametrize("way", WAYS)
def test_times_up_to_the_end_of_64_bits(receiver: Outside, way: str) -> None:
    """SQLite's integers end at 2**63 - 1."""
    trace_id = b"\xe0" + bytes([WAYS.index(way)]) * 15
    span = Span(trace_id=trace_id, span_id=b"\1" * 8, start_time_unix_nano=2**63, end_time_unix_nano=2**64 - 1)
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])])
    _send(receiver, way, Signal.TRACES, request)
    assert TracesData.FromString(_trace_as_protobuf(receiver, trace_id.hex())).resource_spans == request.resource_spans


# The official exporters


def _sdk_spans() -> tuple[ReadableSpan, ...]:
    """Two spans of the SDK with links, events, status, trace state and dropped counts."""
    kept = InMemorySpanExporter()
    resource, limits = Resource({"service.name": "shop", "list": ["a", "b"]}), SpanLimits(max_span_attributes=2)
    provider = TracerProvider(resource=resource, span_limits=limits)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("shop.checkout", "1.2", "https://opentelemetry.io/schemas/1.38.0", {"part": 7})
    state = TraceState([("vendor", "value")])
    remote = SpanContext(0x0A0B, 0x0C0D, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    under = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    attributes = {"n": 2**62 + 1, "dropped": 1, "kept": 2}
    parent = tracer.start_span("parent", under, trace.SpanKind.SERVER, attributes, start_time=11)
    parent.add_event("one", {"x": 0.1}, timestamp=1_763_600_000_123_456_789)
    parent.set_status(Status(StatusCode.ERROR, "it broke"))
    context = trace.set_span_in_context(parent)
    tracer.start_span("child", context, links=[trace.Link(remote, {"why": "retry"})], start_time=12).end(13)
    parent.end(14)
    provider.shutdown()
    return kept.get_finished_spans()


def _grpc_exporter(outside: Outside, compression: grpc.Compression) -> SpanExporter:
    return GrpcSpanExporter(f"http://{outside.server.grpc_address}", compression=compression)


def _http_exporter(outside: Outside, compression: Compression) -> SpanExporter:
    return HttpSpanExporter(f"{outside.url}/v1/traces", compression=compression)


EXPORTERS: dict[str, Callable[[Outside], SpanExporter]] = {
    "grpc": lambda outside: _grpc_exporter(outside, grpc.Compression.NoCompression),
    "grpc-gzip": lambda outside: _grpc_exporter(outside, grpc.Compression.Gzip),
    "http": lambda outside: _http_exporter(outside, Compression.NoCompression),
    "http-gzip": lambda outside: _http_exporter(outside, Compression.Gzip),
}


@pytest.mark.feature("C6")
@pytest.mark.parametrize("name", EXPORTERS)
def test_the_official_exporters_deliver_every_field(tmp_path: Path, name: str) -> None:
    spans = _sdk_spans()
    assert [span.name for span in spans] == ["child", "parent"]
    assert spans[1].dropped_attributes == 1
    with running(tmp_path / "replay.db") as outside:
        exporter = EXPORTERS[name](outside)
        assert exporter.export(spans) is SpanExportResult.SUCCESS
        exporter.shutdown()
        found = _trace_as_protobuf(outside, f"{0x0A0B:032x}")
    assert found == encode_spans(spans).SerializeToString()
