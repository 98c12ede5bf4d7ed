"""Every route and every RPC behind the guard, by the one table, and noted in the audit trail as the table says.

Ingest over HTTP asks the guard itself, after CORS.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otel_replay.access.facts import HttpFacts, RpcFacts
from otel_replay.access.guard import KEYLESS, NOBODY, RPC_CALLER, Caller, Guard
from otel_replay.access.scopes import ROUTES, RPCS, Rule
from otel_replay.errors import Forbidden
from otel_replay.model import DEFAULT_PROJECT
from otel_replay.receiver.answers import problem, refused
from otel_replay.receiver.complaints import Complaints
from otel_replay.receiver.grpc import abort
from otel_replay.receiver.http import CALLER
from otel_replay.receiver.measures import GRPC, HTTP
from otel_replay.receiver.status import answer

Note = Callable[[int, int, str, str, str, str], None]
"""Of the audit trail: project, key id, what was done, to what kind of thing, its id, outcome."""

CountRefusal = Callable[[str, str | None, int], None]
"""Counts an answer that lets nobody in: transport, scope, HTTP status."""

_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_DATA_HEADERS = (
    *_HEADERS,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Of what takes a scope. A page elsewhere must not take it for a script or a picture, and no cache may keep it."""


def rules_of(route: BaseRoute) -> dict[str, Rule]:
    """A route's rules by method. Raises :class:`KeyError` for a route that is not in the table."""
    assert isinstance(route, Route | Mount)
    methods = (route.methods or {"GET"}) if isinstance(route, Route) else {"GET"}
    return {method: ROUTES[f"{method} {route.path}"] for method in methods - {"HEAD", "OPTIONS"}}


def guarded(routes: Iterable[BaseRoute], guard: Guard, note: Note, count_refusal: CountRefusal) -> list[BaseRoute]:
    """The routes, each behind the guard, what is done there noted, and who is not let in counted."""

    def behind(route: Any) -> BaseRoute:
        route.app = _Guarded(route, guard, note, count_refusal)
        return route  # type: ignore[no-any-return]

    return [behind(route) for route in routes]


def everywhere(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """What the port of telemetry serves, too, where page and API have one of their own."""
    return [route for route in routes if all(rule.everywhere for rule in rules_of(route).values())]


class _Guarded:
    """One route's application; it finds its caller in the scope."""

    def __init__(self, route: Any, guard: Guard, note: Note, count_refusal: CountRefusal) -> None:
        self._app: ASGIApp = route.app
        self._guard = guard
        self._note = note
        self._count_refusal = count_refusal
        self._rules = rules_of(route)
        self._kind = _kind_of(route.path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        rule = self._rules.get(method)
        if rule is None:
            await (await refused(Request(scope), HTTPException(405)))(scope, receive, send)
            return
        sent = _Answer(send, _HEADERS if rule.scope is None else _DATA_HEADERS)
        named = str(scope["path_params"].get("id", ""))
        try:
            scope[CALLER] = self._guard.http(HttpFacts(scope), rule, named)
        except Exception as error:  # noqa: BLE001 - the one table answers for every error
            await problem(error)(scope, receive, sent)
        else:
            await self._app(scope, receive, sent)
        self._count_refusal(HTTP, rule.scope, sent.status)
        if rule.audited:
            # A login is noted as what it led to: the route puts that in place of nobody.
            kind = self._kind.removesuffix("s") if named else self._kind
            _note(self._note, scope.get(CALLER, NOBODY), rule, kind, named, _outcome(sent.status))


class _Answer:
    """Adds headers to an answer, where the route has not set them itself, and knows its status."""

    def __init__(self, send: Send, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send = send
        self._headers = headers
        self.status = 0
        """0: none yet."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(one for one in self._headers if one[0] not in given)]
            self.status = message["status"]
        await self._send(message)


def _outcome(status: int) -> str:
    if not status:
        return "no answer"
    return "ok" if status < 400 else "refused" if status in (401, 403) else f"failed with {status}"


def _kind_of(path: str) -> str:
    """What a path is about: sessions for ``/api/v1/sessions/{id}``, and ``/api/session-replay/{id}``."""
    parts = path.replace("/api/session-replay/", "/api/v1/sessions/").split("/")
    return parts[3] if len(parts) > 3 else ""


def _note(note: Note, caller: Caller, rule: Rule, kind: str, named: str, outcome: str) -> None:
    """Whoever was not let in is noted in the default project, whose admins look after the server."""
    note(caller.project or DEFAULT_PROJECT, caller.key_id, rule.audited, kind, named, outcome)


class GuardingInterceptor(grpc.ServerInterceptor):
    """Lets RPCs in by the table; one that is not in the table is let in by nobody."""

    def __init__(self, guard: Guard, note: Note, count_refusal: CountRefusal, complaints: Complaints) -> None:
        self._guard = guard
        self._note = note
        self._count_refusal = count_refusal
        self._complaints = complaints

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        handler = continuation(details)
        if handler is None:
            return None  # no such method
        rule = RPCS.get(details.method)
        try:
            if rule is None:
                raise Forbidden(f"{details.method[:200]} is served to nobody")
            caller = self._guard.rpc(RpcFacts(details.invocation_metadata), rule)
        except Exception as error:  # noqa: BLE001 - the one table answers for every error
            if rule is not None and rule.audited:
                _note(self._note, NOBODY, rule, "", "", "refused")
            self._count_refusal(GRPC, rule and rule.scope, answer(error).http_status)
            self._complaints.of(GRPC, error)
            return _refusing(error)
        if rule.audited:
            return _on_behalf(handler, caller, functools.partial(self._note_request, caller, rule))
        return handler if caller is KEYLESS or caller is NOBODY else _on_behalf(handler, caller)

    def _note_request(self, caller: Caller, rule: Rule, request: Any, outcome: str) -> None:
        """What was asked for, by the field that names it."""
        for kind in ("trace", "session", "conversation"):
            if named := getattr(request, f"{kind}_id", ""):
                return _note(self._note, caller, rule, kind, named, outcome)
        return _note(self._note, caller, rule, "", "", outcome)


def _refusing(error: Exception) -> Any:
    """A handler that ends the RPC before its first message is read."""

    def refuse(_requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        abort(error, context)

    return grpc.stream_stream_rpc_method_handler(refuse)


_BEHAVIOURS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


NoteRequest = Callable[[Any, str], None]
"""What was asked for, None where nothing came, and the outcome."""


def _on_behalf(handler: Any, caller: Caller, note: NoteRequest | None = None) -> Any:
    """The handler with :data:`RPC_CALLER` set while it runs, and what came of it noted; its own thread pool stays."""
    name = next(name for name in _BEHAVIOURS if getattr(handler, name))
    wrap = _streaming if name.endswith("stream") else _answering
    return handler._replace(**{name: wrap(getattr(handler, name), caller, note)})


@contextmanager
def _acting(caller: Caller, request: Any, note: NoteRequest | None) -> Iterator[Any]:
    """Gives the request to hand on. What is noted comes as a stream: receiver/calls.py makes all requests streams."""
    asked: list[Any] = []

    def remembered() -> Iterator[Any]:
        for message in request:
            asked[:] = [message]
            yield message

    before = RPC_CALLER.set(caller)
    outcome = "failed"
    try:
        yield remembered() if note else request
        outcome = "ok"
    finally:
        RPC_CALLER.reset(before)
        if note:
            note(asked[0] if asked else None, outcome)


def _answering(behaviour: Callable[..., Any], caller: Caller, note: NoteRequest | None) -> Callable[..., Any]:
    @functools.wraps(behaviour)
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        with _acting(caller, request, note) as handed_on:
            return behaviour(handed_on, context)

    return answer


def _streaming(behaviour: Callable[..., Any], caller: Caller, note: NoteRequest | None) -> Callable[..., Any]:
    """The whole answer runs on one thread of grpcio, and so inside one setting."""

    @functools.wraps(behaviour)
    def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        with _acting(caller, request, note) as handed_on:
            yield from behaviour(handed_on, context)

    return answer
