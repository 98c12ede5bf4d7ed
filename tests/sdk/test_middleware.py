"""Requests find their session: over ASGI and WSGI, streamed, failing, and whatever their headers hold."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

from otel_replay.sdk import SessionMiddleware, WsgiSessionMiddleware, current_session
from otel_replay.sdk.metrics import ACTIVE_REQUESTS
from tests.sdk.recorded import Recorded
from tests.sdk.recorded import recorded as providers

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
Message = MutableMapping[str, Any]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with providers() as made:
        yield made


class Seen(NamedTuple):
    """What a handler finds around it."""

    session: object
    trace_id: str
    user: object

    @classmethod
    def now(cls) -> Seen:
        trace_id = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
        found = current_session()
        return cls(found and found.session_id, trace_id.replace("0" * 32, ""), baggage.get_baggage("user.id"))


class Answer(NamedTuple):
    seen: list[Seen]
    headers: list[tuple[str, str]]
    body: bytes = b""

    @property
    def cookies(self) -> list[str]:
        return [value for name, value in self.headers if name.lower() == "set-cookie"]


Ask = Callable[..., Answer]


def over_asgi(recorded: Recorded, headers: dict[str, str], kind: str = "http", **options: Any) -> Answer:
    seen, sent = [], []

    async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[..., Any]) -> None:
        seen.append(Seen.now())
        await send({"type": "http.response.start" if kind == "http" else "websocket.accept", "status": 200})
        await asyncio.sleep(0)
        seen.append(Seen.now())
        await send({"type": "http.response.body", "body": b"one"})

    async def receive() -> Message:
        return {"type": f"{kind}.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    wrapped = SessionMiddleware(app, **recorded.providers, **options)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    asyncio.run(wrapped({"type": kind, "headers": raw, "scheme": "http"}, receive, send))
    told = [(name.decode(), value.decode()) for name, value in sent[0].get("headers", [])]
    return Answer(seen, told, b"".join(one.get("body", b"") for one in sent))


def over_wsgi(recorded: Recorded, headers: dict[str, str], **options: Any) -> Answer:
    seen: list[Seen] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.append(Seen.now())
        start_response("200 OK", [("Content-Type", "text/plain")])

        def body() -> Iterator[bytes]:
            yield b"o"
            seen.append(Seen.now())
            yield b"ne"

        return body()

    return wsgi_answer(WsgiSessionMiddleware(app, **recorded.providers, **options), headers, seen)


def wsgi_answer(app: Any, headers: dict[str, str], seen: list[Seen]) -> Answer:
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(), "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    told: list[tuple[str, str]] = []

    def start_response(status: str, given: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        told.extend(given)
        return lambda _data: None

    result = validator(app)(environ, start_response)
    try:
        body = b"".join(result)
    finally:
        result.close()  # type: ignore[attr-defined]
    return Answer(seen, told, body)


BOTH = pytest.mark.parametrize("ask", [over_asgi, over_wsgi])


@BOTH
def test_the_browser_s_baggage_and_trace_are_taken(recorded: Recorded, ask: Ask) -> None:
    headers = {"traceparent": PARENT, "baggage": "session.id=s%201,user.id=u1", "x-session-id": "other"}
    answer = ask(recorded, headers)
    assert answer.seen == [Seen("s 1", TRACE, "u1")] * 2
    assert answer.body == b"one"
    assert Seen.now() == Seen(None, "", None)


@BOTH
@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ({"x-session-id": "s1", "cookie": "otel-replay-session=s2"}, "s1"),
        ({"cookie": "theme=dark; otel-replay-session=s2; x=y"}, "s2"),
        ({"x-session-id": "", "cookie": "otel-replay-session=s2"}, "s2"),
        ({"x-session-id": "a b"}, None),
        ({"x-session-id": "x" * 257}, None),
        ({"x-session-id": "\xe4"}, None),
        ({"cookie": "otel-replay-session"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_then_header_then_cookie(recorded: Recorded, ask: Ask, headers: dict[str, str], session: str | None) -> None:
    answer = ask(recorded, headers)
    assert [one.session for one in answer.seen] == [session] * 2
    assert answer.cookies == []
    assert recorded.events == []


@BOTH
def test_a_user_without_a_session_in_baggage_stays_known(recorded: Recorded, ask: Ask) -> None:
    answer = ask(recorded, {"baggage": "user.id=u1", "x-session-id": "s1"})
    assert (answer.seen[0].session, answer.seen[0].user) == ("s1", "u1")


@BOTH
def test_names_are_options(recorded: Recorded, ask: Ask) -> None:
    assert ask(recorded, {"x-visit": "s1"}, header="X-Visit").seen[0].session == "s1"
    assert ask(recorded, {"cookie": "visit=s2"}, cookie="visit").seen[0].session == "s2"


@BOTH
@pytest.mark.feature("K14")
def test_a_new_visitor_gets_a_session_and_a_cookie_where_that_is_wanted(recorded: Recorded, ask: Ask) -> None:
    answer = ask(recorded, {}, set_cookie=True, feature="chat")
    made = answer.seen[0].session
    assert answer.cookies == [f"otel-replay-session={made}; Path=/; HttpOnly; SameSite=Lax"]
    assert recorded.events == [("session.start", {"session.id": made, "feature": "chat"})]
    again = ask(recorded, {"cookie": answer.cookies[0].split(";")[0]}, set_cookie=True)
    assert (again.seen[0].session, again.cookies) == (made, [])


def test_a_web_socket_is_in_its_session(recorded: Recorded) -> None:
    answer = over_asgi(recorded, {"x-session-id": "s1"}, kind="websocket")
    assert [one.session for one in answer.seen] == ["s1", "s1"]
    assert over_asgi(recorded, {}, kind="websocket", set_cookie=True).cookies


def test_other_kinds_pass_untouched(recorded: Recorded) -> None:
    seen = []

    async def app(scope: Message, _receive: Any, _send: Any) -> None:
        seen.append((scope["type"], Seen.now()))

    asyncio.run(SessionMiddleware(app, set_cookie=True)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == [("lifespan", Seen(None, "", None))]


def test_what_an_outer_instrumentation_has_taken_is_used(recorded: Recorded) -> None:
    with recorded.tracer.start_as_current_span("server") as span:
        token = context.attach(baggage.set_baggage("session.id", "outer"))
        answer = over_wsgi(recorded, {"traceparent": PARENT, "baggage": "session.id=inner"})
        context.detach(token)
    assert answer.seen[0].session == "outer"
    assert answer.seen[0].trace_id == trace.format_trace_id(span.get_span_context().trace_id)


@BOTH
def test_a_request_is_a_server_span(recorded: Recorded, ask: Ask) -> None:
    ask(recorded, {"traceparent": PARENT, "x-session-id": "s1"}, feature="chat")
    span, said = recorded.spans["GET"], recorded.said("GET")
    assert (span.kind, span.status.status_code) == (trace.SpanKind.SERVER, trace.StatusCode.UNSET)
    assert span.parent is not None
    assert trace.format_span_id(span.parent.span_id) == "00f067aa0ba902b7"
    assert (said["session.id"], said["feature"], said["http.request.method"]) == ("s1", "chat", "GET")
    assert (said["url.path"], said["http.response.status_code"]) == ("/", 200)


@BOTH
def test_an_outer_server_span_is_told_the_session_and_stays_the_only_one(recorded: Recorded, ask: Ask) -> None:
    with recorded.tracer.start_as_current_span("outer"):
        ask(recorded, {"x-session-id": "s1"})
    assert list(recorded.spans) == ["outer"]
    assert recorded.said("outer") == {"session.id": "s1"}


def test_an_inner_instrumentation_keeps_the_session(recorded: Recorded) -> None:
    """Without a span around it, it would take the context of the request's headers in place of ours."""

    async def app(_scope: Message, _receive: Any, send: Callable[..., Any]) -> None:
        recorded.span("handled")
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(_message: Message) -> None: ...

    inner = OpenTelemetryMiddleware(app, tracer_provider=recorded.tracer_provider, exclude_spans=["send", "receive"])
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"x-session-id", b"s1")], "query_string": b""}
    asyncio.run(SessionMiddleware(inner, feature="chat", **recorded.providers)(scope, None, send))  # type: ignore[arg-type]
    assert {said["session.id"] for said in map(recorded.said, recorded.spans)} == {"s1"}
    assert recorded.said("handled") == {"session.id": "s1", "feature": "chat"}
    assert recorded.spans["GET"].status.status_code is trace.StatusCode.ERROR
    kinds = sorted(span.kind.name for span in recorded.spans.values())
    assert kinds == ["INTERNAL", "INTERNAL", "SERVER"]


def test_an_error_is_recorded_in_its_session_and_goes_on(recorded: Recorded) -> None:
    async def asgi(_scope: Message, _receive: Any, _send: Any) -> None:
        raise KeyError("x")

    def wsgi(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one"
        raise KeyError("x")

    scope = {"type": "http", "headers": [(b"x-session-id", b"s1")]}
    with pytest.raises(KeyError):
        asyncio.run(SessionMiddleware(asgi, **recorded.providers)(scope, None, None))  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        wsgi_answer(WsgiSessionMiddleware(wsgi, **recorded.providers), {"x-session-id": "s2"}, [])
    told = [(name, said["session.id"], said["exception.type"]) for name, said in recorded.events]
    assert told == [("exception", "s1", "KeyError"), ("exception", "s2", "KeyError")]


def test_a_body_that_nobody_reads_to_its_end_is_closed_in_its_session(recorded: Recorded) -> None:
    seen = []

    def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            yield b"one"
            yield b"two"
        finally:
            seen.append(Seen.now().session)

    environ: dict[str, Any] = {"HTTP_X_SESSION_ID": "s1"}
    setup_testing_defaults(environ)
    body: Any = WsgiSessionMiddleware(app, **recorded.providers)(environ, lambda *_: None)
    assert next(body) == b"one"
    assert (ACTIVE_REQUESTS.count, Seen.now().session) == (1, None)
    body.close()
    assert (seen, ACTIVE_REQUESTS.count) == (["s1"], 0)


def test_requests_side_by_side_keep_their_own(recorded: Recorded) -> None:
    seen = []

    async def app(scope: Message, _receive: Any, _send: Any) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append((scope["path"], Seen.now().session, ACTIVE_REQUESTS.count))

    async def all_requests() -> None:
        wrapped = SessionMiddleware(app, **recorded.providers)
        scopes = [{"type": "http", "path": f"s{n}", "headers": [(b"x-session-id", b"s%d" % n)]} for n in range(10)]
        await asyncio.gather(*(wrapped(scope, None, None) for scope in scopes))  # type: ignore[arg-type]

    asyncio.run(all_requests())
    assert len(seen) == 30
    assert all(path == session for path, session, _ in seen)
    assert (max(count for *_, count in seen), ACTIVE_REQUESTS.count) == (10, 0)


@given(st.dictionaries(st.sampled_from(["traceparent", "baggage", "x-session-id", "cookie"]), st.text(max_size=300)))
def test_no_header_breaks_a_request(headers: dict[str, str]) -> None:
    plain = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in headers.items()}
    with providers() as made:
        (first, second) = over_asgi(made, plain).seen
    assert first == second
