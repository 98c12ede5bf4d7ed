"""What sends to a Collector, each telling what it has sent: SDKs of three languages, as OTLP by span id."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from filelock import FileLock
from google.protobuf.message import Message
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from tests.collector.processes import ROOT
from tests.e2e.processes import Receiver
from tests.outside.maximal import from_otlp_json
from tests.outside.outside import PROTOBUF, eventually
from tests.outside.telemetry import CHAT

MESSAGES = json.dumps([{"role": "user", "parts": [{"type": "text", "content": 'May I\n"return" it? 😀'}]}])


class Sent(NamedTuple):
    """A span with all that OTLP writes around it."""

    resource: Resource
    resource_schema: str
    scope: InstrumentationScope
    scope_schema: str
    span: Span


BySpan = dict[bytes, Sent]
"""By span id."""

Client = Callable[[Receiver, str], BySpan]


def by_span(data: Any) -> BySpan:
    """The spans of a ``TracesData``, or of a request."""
    _write_out(data)
    return {
        span.span_id: Sent(group.resource, group.schema_url, scope.scope, scope.schema_url, span)
        for group in data.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    }


def _write_out(message: Message) -> None:
    """Empty statuses and values, which say the same when they are not written. The Collector writes them."""
    for name, kind in (("value", "KeyValue"), ("status", "Span")):
        if message.DESCRIPTOR.name == kind:
            getattr(message, name).SetInParent()
    for field, value in message.ListFields():
        if field.message_type:
            for one in value if field.is_repeated else [value]:
                _write_out(one)


def stored(receiver: Receiver, expected: BySpan) -> BySpan:
    """What a receiver has of the traces of these spans, once it has as many."""
    traces = sorted({one.span.trace_id.hex() for one in expected.values()})
    return eventually(lambda: _of_traces(receiver, traces), lambda found: len(found) >= len(expected))


def _of_traces(receiver: Receiver, traces: list[str]) -> BySpan:
    answers = (
        requests.get(f"{receiver.url}/api/v1/traces/{one}", headers={"accept": PROTOBUF}, timeout=20) for one in traces
    )
    parts = (by_span(TracesData.FromString(answer.content)) for answer in answers if answer.status_code == 200)
    return {span_id: sent for part in parts for span_id, sent in part.items()}


def python_over_grpc(to: Receiver, session: str) -> BySpan:
    return _python(GrpcSpanExporter(endpoint=to.grpc, insecure=True), session)


def python_over_http(to: Receiver, session: str) -> BySpan:
    return _python(HttpSpanExporter(endpoint=f"{to.url}/v1/traces"), session)


def _python(exporter: Any, session: str) -> BySpan:
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=SdkResource.create({"service.name": "shop", "sizes": [1, 2]}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("shop", "1.2.3", "https://opentelemetry.io/schemas/1.37.0", {"of": "the scope"})
    with tracer.start_as_current_span("POST /chat", kind=SpanKind.SERVER, attributes={"session.id": session}) as root:
        links = [Link(root.get_span_context(), {"why": "asked"})]
        chat: dict[str, Any] = {
            **CHAT,
            "session.id": session,
            "gen_ai.input.messages": MESSAGES,
            "share": 0.1,
            "on": True,
        }
        with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=chat, links=links) as span:
            span.add_event("first token", {"at": 7}, timestamp=1_763_600_000_123_456_789)
        root.record_exception(RuntimeError("out of stock"))
        root.set_status(Status(StatusCode.ERROR, "out of stock"))
    spans = kept.get_finished_spans()
    assert exporter.export(spans).name == "SUCCESS"
    exporter.shutdown()
    return by_span(encode_spans(spans))


def javascript(to: Receiver, session: str) -> BySpan:
    """OpenTelemetry's SDK for Node.js, over HTTP and protobuf."""
    done = npm(packages(), "run", "--silent", "send", "--", to.url, session)
    assert done.returncode == 0, done.stdout + done.stderr
    return by_span(from_otlp_json(json.loads(done.stdout), TracesData))


CLIENTS: tuple[Client, ...] = (python_over_grpc, python_over_http, javascript)


@cache
def packages() -> Path:
    """Where the packages of npm are installed and the page's script is built, once for all runs."""
    source, folder = Path(__file__).parent / "js", ROOT / ".build" / "collector-js"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):  # the soak runs two at once
        for path in _files(source):
            shutil.copy(path, folder / path.name)
        _install(folder, (source / "package-lock.json").read_bytes())
        done = npm(folder, "run", "build")
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _install(folder: Path, wanted: bytes) -> None:
    installed = folder / "node_modules" / "installed.json"
    if installed.exists() and installed.read_bytes() == wanted:
        return
    done = npm(folder, "ci")
    if done.returncode and not os.environ.get("CI"):
        pytest.skip("npm cannot install OpenTelemetry's JavaScript SDKs here")
    assert done.returncode == 0, done.stderr
    installed.write_bytes(wanted)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.suffix in (".json", ".mjs"))


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / ".ci" / "npm"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
