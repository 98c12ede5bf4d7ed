"""What the benchmark sends: two deterministic streams of OTLP trace requests of 512 spans.

``w1``
    Infrastructure: HTTP server and database client spans with about ten attributes each, in traces of eight spans.
``w2``
    The same, but one span in ten is a ``chat`` span that carries about 6.6 KB of messages.

Every request has fresh ids. The text is made of invented words with the frequencies of real ones (the n-th word is
1/n as common as the first), so it is the same on every machine; it compresses somewhat better than real text.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

SPANS_PER_REQUEST = 512
SPANS_PER_TRACE = 8
TRACES_AT_ONCE = 16
CHAT_SHARE = 0.10
FIRST_START_UNIX_NANO = 1_763_600_000_000_000_000

SERVICES = ("frontend", "checkout", "payment", "catalog", "gateway", "worker")
SCOPES = tuple(f"opentelemetry.instrumentation.{name}" for name in ("fastapi", "sqlalchemy", "openai_v2"))
HTTP, DATABASE, CHAT = range(3)
ROUTES = tuple(
    f"/api/v1/{noun}/{verb}"
    for noun in ("users", "orders", "items", "carts", "reviews")
    for verb in ("{id}", "list", "search", "create")
)
TABLES = ("users", "orders", "order_items", "inventory", "sessions", "audit_log")
MODELS = ("gpt-4o", "gpt-4.1-mini", "claude-sonnet-4-5", "gemini-2.5-pro")

Value = str | int | float


class Workload(StrEnum):
    """The two streams; the values are their names in reports and file names."""

    W1 = "w1"
    W2 = "w2"


@dataclass
class Trace:
    """A trace under construction: spans of 16 of them alternate, as they do behind a load balancer."""

    trace_id: bytes
    session_id: str
    user_id: str
    parent_span_id: bytes = b""
    spans_left: int = SPANS_PER_TRACE


def write_workload(directory: Path, workload: Workload, count: int) -> Path:
    """The file of `count` requests, each after its length (32 bits, little-endian); written on first use.

    The name holds a digest of this module, so a change here never measures an old file.
    """
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    path = directory / f"{workload}-{count}-{version}.bin"
    if not path.exists():
        partial = path.with_suffix(f".{os.getpid()}")
        with partial.open("wb") as file:
            for request in Generator(workload).requests(count):
                file.write(struct.pack("<I", len(request)) + request)
        partial.rename(path)
    return path


@dataclass
class Generator:
    """Makes the requests of one workload, always the same ones."""

    workload: Workload
    rng: random.Random = field(init=False)
    clock_unix_nano: int = FIRST_START_UNIX_NANO

    def __post_init__(self) -> None:
        self.rng = random.Random(str(self.workload))
        self.words = ["".join(self.rng.choices(SYLLABLES, k=self.rng.randint(1, 4))) for _ in range(4_000)]
        self.word_weights = list(itertools.accumulate(1 / rank for rank in range(1, len(self.words) + 1)))
        self.system_prompt = self.text(600)
        self.traces = [self.new_trace() for _ in range(TRACES_AT_ONCE)]

    def requests(self, count: int) -> Iterator[bytes]:
        """`count` serialized ``ExportTraceServiceRequest``."""
        for _ in range(count):
            yield self.request().SerializeToString()

    def request(self) -> ExportTraceServiceRequest:
        spans: dict[int, list[Span]] = {HTTP: [], DATABASE: [], CHAT: []}
        for _ in range(SPANS_PER_REQUEST):
            kind = self.span_kind()
            spans[kind].append(self.span(kind))
        scope_spans = [
            ScopeSpans(scope=InstrumentationScope(name=SCOPES[kind], version="0.58b0"), spans=members)
            for kind, members in spans.items()
            if members
        ]
        resource_spans = ResourceSpans(resource=self.resource(), scope_spans=scope_spans)
        return ExportTraceServiceRequest(resource_spans=[resource_spans])

    def resource(self) -> Resource:
        rng = self.rng
        values: dict[str, Value] = {
            "service.name": rng.choice(SERVICES),
            "service.version": "1.4.2",
            "service.instance.id": rng.randbytes(16).hex(),
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": "1.45.0",
            "deployment.environment.name": "production",
            "host.name": f"ip-10-0-{rng.randrange(4)}-{rng.randrange(8)}.ec2.internal",
            "process.pid": rng.randrange(60_000),
        }
        return Resource(attributes=attributes(values))

    def span_kind(self) -> int:
        if self.workload is Workload.W2 and self.rng.random() < CHAT_SHARE:
            return CHAT
        return HTTP if self.rng.random() < 0.5 else DATABASE

    def span(self, kind: int) -> Span:
        rng, trace = self.rng, self.next_trace()
        name, values = (self.http, self.database, self.chat)[kind](trace)
        self.clock_unix_nano += rng.randrange(200_000)
        failed = kind == HTTP and rng.random() < 0.05
        span = Span(
            trace_id=trace.trace_id,
            span_id=rng.randbytes(8),
            parent_span_id=trace.parent_span_id,
            name=name,
            kind=Span.SPAN_KIND_SERVER if kind == HTTP else Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=self.clock_unix_nano,
            end_time_unix_nano=self.clock_unix_nano + int(rng.lognormvariate(15, 1.5)),
            flags=257,
            attributes=attributes(values),
            status=Status(code=Status.STATUS_CODE_ERROR, message="Internal error") if failed else None,
        )
        if not trace.parent_span_id or rng.random() < 0.4:
            trace.parent_span_id = span.span_id
        return span

    def next_trace(self) -> Trace:
        slot = self.rng.randrange(TRACES_AT_ONCE)
        if self.traces[slot].spans_left == 0:
            self.traces[slot] = self.new_trace()
        self.traces[slot].spans_left -= 1
        return self.traces[slot]

    def new_trace(self) -> Trace:
        rng = self.rng
        return Trace(rng.randbytes(16), rng.randbytes(16).hex(), f"user-{rng.randrange(5_000)}")

    def http(self, trace: Trace) -> tuple[str, dict[str, Value]]:
        rng = self.rng
        route = rng.choice(ROUTES)
        return f"GET {route}", {
            "http.request.method": "GET",
            "http.route": route,
            "url.path": route.replace("{id}", str(rng.randrange(10**6))),
            "url.scheme": "https",
            "server.address": "shop.example.com",
            "server.port": 443,
            "http.response.status_code": rng.choice((200, 200, 200, 201, 404, 500)),
            "client.address": f"192.168.{rng.randrange(256)}.{rng.randrange(256)}",
            "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0",
            "session.id": trace.session_id,
        }

    def database(self, trace: Trace) -> tuple[str, dict[str, Value]]:
        rng = self.rng
        table = rng.choice(TABLES)
        return f"SELECT {table}", {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.operation.name": "SELECT",
            "db.collection.name": table,
            "db.query.text": f"SELECT id, name, created_at FROM {table} WHERE tenant_id = $1 AND id = $2 LIMIT 50",
            "server.address": "db-primary.internal",
            "server.port": 5432,
            "db.response.returned_rows": rng.randrange(50),
            "network.peer.address": f"10.0.3.{rng.randrange(256)}",
            "thread.id": rng.randrange(1 << 40),
        }

    def chat(self, trace: Trace) -> tuple[str, dict[str, Value]]:
        rng = self.rng
        model = rng.choice(MODELS)
        question = [message("system", self.system_prompt), message("user", self.text(rng.randint(2_000, 4_000)))]
        answer = message("assistant", self.text(rng.randint(2_000, 4_000))) | {"finish_reason": "stop"}
        return f"chat {model}", {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model,
            "gen_ai.response.model": f"{model}-2026-01-01",
            "gen_ai.response.id": f"chatcmpl-{rng.randbytes(12).hex()}",
            "gen_ai.usage.input_tokens": rng.randrange(200, 4_000),
            "gen_ai.usage.output_tokens": rng.randrange(50, 1_500),
            "gen_ai.request.temperature": 0.7,
            "session.id": trace.session_id,
            "user.id": trace.user_id,
            "gen_ai.input.messages": json.dumps(question),
            "gen_ai.output.messages": json.dumps([answer]),
        }

    def text(self, length: int) -> str:
        """`length` characters of prose; the shortest words have two letters and a space."""
        words = self.rng.choices(self.words, cum_weights=self.word_weights, k=length // 3)
        return " ".join(words)[:length]


SYLLABLES = tuple(
    consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in ("a", "e", "i", "o", "u", "en", "ar")
)


def message(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def attributes(values: dict[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def any_value(value: Value) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value)
