"""Receivers on real sockets that answer as they are told, and what was sent to them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

PATIENCE_S = 10.0
IDLE_S = 0.2
"""How long a connection is kept that nobody uses."""

SERVICES = {"traces": "opentelemetry.proto.collector.trace.v1.TraceService"}
SERVICES["logs"] = "opentelemetry.proto.collector.logs.v1.LogsService"


class Request(NamedTuple):
    """What came in; ``path`` is the method's name over gRPC."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass
class Answer:
    """``code`` is an HTTP status or a gRPC code; ``headers`` are trailers over gRPC."""

    code: Any
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""
    after_s: float = 0.0


@dataclass
class Receiver:
    """Gives the answers in their order, then says yes to everything."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    received: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        with self._lock:
            self.received.append(Request(path, headers, body, time.monotonic()))
            answer = self.answers.pop(0) if self.answers else None
        time.sleep(answer.after_s if answer else 0)
        return answer

    def names(self) -> list[str]:
        """Of spans, in the order in which they came, those that were refused included."""
        return [name for request in list(self.received) if "race" in request.path for name in names_of(request.body)]

    def wait_for(self, requests: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while len(self.received) < requests:
            assert time.monotonic() < deadline, f"{len(self.received)} requests, not {requests}"
            time.sleep(0.01)


def names_of(body: bytes) -> list[str]:
    message = ExportTraceServiceRequest.FromString(body)
    scopes = [scope for resource in message.resource_spans for scope in resource.scope_spans]
    return [span.name for scope in scopes for span in scope.spans]


def attributes_of(body: bytes) -> dict[str, dict[str, str]]:
    """Attributes with a text for a value, by the name of the span."""
    message = ExportTraceServiceRequest.FromString(body)
    scopes = [scope for resource in message.resource_spans for scope in resource.scope_spans]
    return {
        span.name: {one.key: one.value.string_value for one in span.attributes}
        for scope in scopes
        for span in scope.spans
    }


def log_bodies(body: bytes) -> list[str]:
    message = ExportLogsServiceRequest.FromString(body)
    scopes = [scope for resource in message.resource_logs for scope in resource.scope_logs]
    return [record.body.string_value for scope in scopes for record in scope.log_records]


@contextmanager
def http_receiver(*answers: Answer, port: int = 0) -> Iterator[Receiver]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}", list(answers))
    vars(server)["receiver"] = receiver
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        receiver: Receiver = vars(self.server)["receiver"]
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = receiver.take(self.path, headers, body) or Answer(200)
        self.send_response(answer.code)
        for name, value in {"content-length": len(answer.body), **answer.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *args: object) -> None: ...


@contextmanager
def grpc_receiver(*answers: Answer, port: int = 0) -> Iterator[Receiver]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    receiver = Receiver(f"http://127.0.0.1:{bound}", list(answers))

    def handler(service: str) -> grpc.GenericRpcHandler:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            headers = {key: str(value) for key, value in context.invocation_metadata()}
            answer = receiver.take(f"/{service}/Export", headers, body)
            if answer is not None:
                context.set_trailing_metadata(tuple(answer.headers.items()))
                context.abort(answer.code, "as it was asked to")
            return b""

        methods: dict[str, Any] = {"Export": grpc.unary_unary_rpc_method_handler(export)}
        return grpc.method_handlers_generic_handler(service, methods)

    server.add_generic_rpc_handlers(tuple(map(handler, SERVICES.values())))
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait(PATIENCE_S)


def span(name: str, size: int = 0, trace_id: int = 1, span_id: int = 1) -> ReadableSpan:
    """A span that has ended, with a text of ``size`` characters."""
    return ReadableSpan(
        name,
        SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1)),
        resource=Resource({"service.name": "test"}),
        attributes={"text": "x" * size} if size else {},
        start_time=10**18,
        end_time=10**18 + 1,
    )
