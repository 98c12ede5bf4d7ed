"""One exporter, three ways out, through the stock exporters and a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import EntryPoint, EntryPoints

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

from otel_replay.errors import StoreUnavailable, UnsupportedRequest
from otel_replay.sdk import OTelReplaySpanExporter, SessionSpanProcessor, exporter, session


class CaptureServer(ThreadingHTTPServer):
    """Keeps the path and the body of every POST and answers 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Capture)
        self.received: list[tuple[str, bytes]] = []


class _Capture(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, CaptureServer)
        self.server.received.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def http_server() -> Iterator[CaptureServer]:
    server = CaptureServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


class MemorySink:
    """A sink as a store would provide it."""

    made: list[MemorySink] = []  # noqa: RUF012 - what the factory opened, for the test to read

    def __init__(self, path: str) -> None:
        self.path, self.bodies, self.closed = path, list[bytes](), False
        self.made.append(self)

    def export_traces(self, body: bytes) -> None:
        if len(self.bodies) == 1:
            raise StoreUnavailable("full")
        self.bodies.append(body)

    def close(self) -> None:
        self.closed = True


def export_one(made: OTelReplaySpanExporter) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(made))
    with session("s1"):
        provider.get_tracer("test").start_span("one").end()
    provider.shutdown()


def only_span(body: bytes) -> tuple[str, dict[str, str]]:
    request = ExportTraceServiceRequest.FromString(body)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    return span.name, {item.key: item.value.string_value for item in span.attributes}


@pytest.mark.feature("C6")
@pytest.mark.parametrize(
    ("suffix", "path"),
    [("", "/v1/traces"), ("/", "/v1/traces"), ("/v1/traces", "/v1/traces"), ("/in", "/in/v1/traces")],
)
def test_http_goes_to_the_traces_route(http_server: CaptureServer, suffix: str, path: str) -> None:
    export_one(OTelReplaySpanExporter(f"http://127.0.0.1:{http_server.server_port}{suffix}"))
    ((received_path, body),) = http_server.received
    assert received_path == path
    assert only_span(body) == ("one", {"session.id": "s1"})


def test_grpc_goes_to_the_trace_service() -> None:
    received: list[bytes] = []

    def export(body: bytes, _: grpc.ServicerContext) -> bytes:
        received.append(body)
        return b""

    handler = grpc.method_handlers_generic_handler(
        "opentelemetry.proto.collector.trace.v1.TraceService", {"Export": grpc.unary_unary_rpc_method_handler(export)}
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    export_one(OTelReplaySpanExporter(f"http://127.0.0.1:{port}", protocol="grpc"))
    server.stop(None).wait(10)
    assert [only_span(body) for body in received] == [("one", {"session.id": "s1"})]


@pytest.mark.parametrize(
    ("endpoint", "protocol", "module"),
    [
        ("http://127.0.0.1:4317", None, "grpc"),
        ("http://127.0.0.1:4317", "http/protobuf", "http"),
        ("http://127.0.0.1:4318", None, "http"),
        ("https://replay.example", None, "http"),
        ("https://replay.example", "grpc", "grpc"),
    ],
)
def test_the_port_chooses_the_protocol_unless_it_is_named(endpoint: str, protocol: str | None, module: str) -> None:
    made = OTelReplaySpanExporter(endpoint, protocol)
    assert type(made._exporter).__module__ == f"opentelemetry.exporter.otlp.proto.{module}.trace_exporter"
    made.shutdown()


@pytest.mark.parametrize(
    ("endpoint", "protocol"),
    [
        ("localhost:4318", None),
        ("replay.db", None),
        ("sqlite://replay.db", None),
        ("sqlite:///", None),
        ("ftp:///x", None),
        ("http://127.0.0.1:port", None),
        ("http://127.0.0.1:4318", "json"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_hint(endpoint: str, protocol: str | None) -> None:
    with pytest.raises(UnsupportedRequest) as caught:
        OTelReplaySpanExporter(endpoint, protocol)
    assert caught.value.hint


def test_sqlite_without_a_sink_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "entry_points", lambda **_: EntryPoints())
    with pytest.raises(UnsupportedRequest, match=r"entry point 'sqlite' in the group 'otel_replay\.sinks'"):
        OTelReplaySpanExporter("sqlite:///replay.db")


@pytest.mark.parametrize(
    ("endpoint", "path"), [("sqlite:///replay.db", "replay.db"), ("sqlite:////data/r.db", "/data/r.db")]
)
def test_sqlite_goes_to_the_sink(monkeypatch: pytest.MonkeyPatch, endpoint: str, path: str) -> None:
    found = EntryPoints([EntryPoint("sqlite", f"{__name__}:MemorySink", exporter.SINKS)])
    monkeypatch.setattr(exporter, "entry_points", lambda **wanted: found.select(**wanted))
    made = OTelReplaySpanExporter(endpoint)
    export_one(made)
    sink = MemorySink.made[-1]
    assert (sink.path, sink.closed) == (path, True)
    assert [only_span(body) for body in sink.bodies] == [("one", {"session.id": "s1"})]


def test_a_sink_that_cannot_keep_a_batch_is_a_failure_not_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EntryPoints([EntryPoint("sqlite", f"{__name__}:MemorySink", exporter.SINKS)])
    monkeypatch.setattr(exporter, "entry_points", lambda **wanted: found.select(**wanted))
    made = OTelReplaySpanExporter("sqlite:///replay.db")
    assert [made.export([]), made.export([])] == [SpanExportResult.SUCCESS, SpanExportResult.FAILURE]
    made.shutdown()
