"""The spans of W1, W2 and W2c, as serialized requests that are the same every time; :mod:`fresh` makes them new."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from .words import text

SPANS_PER_TRACE = 8
TRACES_AT_ONCE = 16
CONVERSATIONS_AT_ONCE = 64
TURNS = 20
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


@dataclass
class Trace:
    """A trace under construction: spans of 16 of them alternate, as they do behind a load balancer."""

    trace_id: bytes
    session_id: str
    user_id: str
    parent_span_id: bytes = b""
    spans_left: int = SPANS_PER_TRACE


@dataclass
class Conversation:
    """Everything said so far; all turns belong to one session."""

    conversation_id: str
    session_id: str
    history: list[dict[str, object]]
    turns_left: int = TURNS


@dataclass
class Spans:
    """Makes requests of `spans_per_request` spans, a share of them chats; `conversing`: these repeat their history."""

    seed: str
    chat_share: float
    conversing: bool
    spans_per_request: int
    clock_unix_nano: int = FIRST_START_UNIX_NANO
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.system_prompt = message("system", text(self.rng, 600))
        self.traces = [self.new_trace() for _ in range(TRACES_AT_ONCE)]
        self.conversations: list[Conversation] = []
        self.turn_of = 0

    def requests(self, count: int) -> Iterator[bytes]:
        """`count` serialized ``ExportTraceServiceRequest``."""
        for _ in range(count):
            yield self.request().SerializeToString()

    def request(self) -> ExportTraceServiceRequest:
        spans: dict[int, list[Span]] = {HTTP: [], DATABASE: [], CHAT: []}
        for _ in range(self.spans_per_request):
            kind = self.span_kind()
            spans[kind].append(self.span(kind))
        scope_spans = [
            ScopeSpans(scope=InstrumentationScope(name=SCOPES[kind], version="0.58b0"), spans=members)
            for kind, members in spans.items()
            if members
        ]
        return ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=self.resource(), scope_spans=scope_spans)]
        )

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
        if self.chat_share and self.rng.random() < self.chat_share:
            return CHAT
        return HTTP if self.rng.random() < 0.5 else DATABASE

    def span(self, kind: int) -> Span:
        rng, trace = self.rng, self.next_trace()
        make: tuple[Callable[[Trace], tuple[str, dict[str, Value]]], ...] = (self.http, self.database, self.chat)
        name, values = make[kind](trace)
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
        answer = message("assistant", self.said())
        session_id, asked, of_conversation = self.turn(trace, answer)
        return f"chat {model}", {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": model,
            "gen_ai.response.model": f"{model}-2026-01-01",
            "gen_ai.response.id": f"chatcmpl-{rng.randbytes(12).hex()}",
            "gen_ai.usage.input_tokens": rng.randrange(200, 4_000),
            "gen_ai.usage.output_tokens": rng.randrange(50, 1_500),
            "gen_ai.request.temperature": 0.7,
            "session.id": session_id,
            "user.id": trace.user_id,
            **of_conversation,
            "gen_ai.input.messages": json.dumps(asked),
            "gen_ai.output.messages": json.dumps([answer | {"finish_reason": "stop"}]),
        }

    def turn(self, trace: Trace, answer: dict[str, object]) -> tuple[str, list[dict[str, object]], dict[str, Value]]:
        """The session, the input messages and the attributes of the conversation that gets `answer`."""
        question = message("user", self.said())
        if not self.conversing:
            return trace.session_id, [self.system_prompt, question], {}
        one = self.next_conversation()
        asked = [*one.history, question]
        one.history = [*asked, answer]
        return one.session_id, asked, {"gen_ai.conversation.id": one.conversation_id}

    def next_conversation(self) -> Conversation:
        """Each of those going on at once in turn; after its last turn another begins."""
        self.turn_of = (self.turn_of + 1) % CONVERSATIONS_AT_ONCE
        if self.turn_of >= len(self.conversations):
            self.conversations.append(self.new_conversation())
            self.turn_of = len(self.conversations) - 1
        if not self.conversations[self.turn_of].turns_left:
            self.conversations[self.turn_of] = self.new_conversation()
        self.conversations[self.turn_of].turns_left -= 1
        return self.conversations[self.turn_of]

    def new_conversation(self) -> Conversation:
        return Conversation(self.rng.randbytes(16).hex(), self.rng.randbytes(16).hex(), [self.system_prompt])

    def said(self) -> str:
        return text(self.rng, self.rng.randint(2_000, 4_000))


def message(role: str, content: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def attributes(values: dict[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def any_value(value: Value) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value)
