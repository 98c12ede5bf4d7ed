"""Logging in, sharing, and managing keys, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.access.administration import Administration
from otel_replay.access.facts import LOGIN_COOKIE, SHARE_COOKIE, HttpFacts
from otel_replay.access.guard import KEYLESS, NOBODY, Caller, Guard
from otel_replay.access.keys import Shared, Token
from otel_replay.access.scopes import Kind
from otel_replay.errors import InvalidRequest, NotFound, ReplayError, RequestTooLarge
from otel_replay.query import LocalReplay
from otel_replay.query.local import check_trace_id
from otel_replay.receiver.answers import problem
from otel_replay.receiver.http import CALLER, caller_of
from otel_replay.web.page import PAGE_HEADERS

MAX_BODY_BYTES = 64 * 1024
_VIEWS = {Kind.SESSION: "sessions", Kind.TRACE: "traces"}


class AccessRoutes:
    """``clock`` gives Unix nanoseconds."""

    def __init__(self, guard: Guard, clock: Callable[[], int], replay: LocalReplay) -> None:
        self._guard = guard
        self._registry = guard.registry
        self._clock = clock
        self._replay = replay
        self._desk = Administration(guard.registry, clock)

    def routes(self) -> list[Route]:
        desk = self._desk
        served: list[tuple[str, str, Callable[[Request, dict[str, Any]], Any]]] = [
            ("GET", "/api/v1/visitor", self._visitor),
            ("POST", "/api/v1/login", self._log_in),
            ("POST", "/api/v1/logout", self._log_out),
            ("POST", "/api/v1/sessions/{id:any}/share", self._share_session),
            ("POST", "/api/v1/traces/{id}/share", self._share_trace),
            ("GET", "/api/v1/shares", lambda request, _: desk.shares(_caller(request))),
            ("DELETE", "/api/v1/shares/{id}", lambda request, _: desk.remove_share(_caller(request), _id(request))),
            ("GET", "/api/v1/keys", lambda request, _: desk.keys(_caller(request))),
            ("POST", "/api/v1/keys", lambda request, given: desk.create_key(_caller(request), given)),
            (
                "POST",
                "/api/v1/keys/{id}/rotate",
                lambda request, given: desk.rotate_key(_caller(request), _id(request), given),
            ),
            ("DELETE", "/api/v1/keys/{id}", lambda request, _: desk.revoke_key(_caller(request), _id(request))),
            ("POST", "/api/v1/links", lambda request, given: desk.link(_caller(request), given)),
        ]
        routes = [Route(path, answering(call), methods=[method]) for method, path, call in served]
        return [*routes, Route("/s/{token}", self._open_link)]

    def _visitor(self, request: Request, _given: dict[str, Any]) -> dict[str, Any]:
        """What the page may offer to who looks at it."""
        caller = self._guard.visitor(HttpFacts(request.scope))
        shared = caller.shared and {f"{caller.shared.kind}_id": caller.shared.id}
        return {
            "logged_in": caller is not KEYLESS and caller is not NOBODY,
            "scopes": sorted(caller.scopes),
            "shared": shared,
        }

    def _log_in(self, request: Request, given: dict[str, Any]) -> Response:
        text = given.get("key")
        if not isinstance(text, str):
            raise InvalidRequest("the key is missing", hint='send {"key": "orpl_..."}')
        token, secret = self._registry.log_in(self._registry.key(text.strip()))
        request.scope[CALLER] = _holder(token)
        answer = _json({"expires_unix_nano": str(token.expires_unix_nano)})
        self._set_cookie(answer, request, token, secret)
        return answer

    def _log_out(self, request: Request, _given: dict[str, Any]) -> Response:
        answer = _json({})
        facts = HttpFacts(request.scope)
        for name in (LOGIN_COOKIE, SHARE_COOKIE):
            secret = facts.cookie(name)
            if secret:
                self._registry.log_out(secret)
                answer.delete_cookie(name, httponly=True, samesite="strict")
        return answer

    def _share_session(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        caller = _caller(request)
        if not self._replay.of_project(caller.project).has_session(_id(request)):
            raise NotFound(f"no session {_id(request)[:200]}")
        return self._desk.share(caller, Shared(Kind.SESSION, _id(request)), given)

    def _share_trace(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        caller = _caller(request)
        trace_id = check_trace_id(_id(request))
        self._replay.of_project(caller.project).trace(trace_id)
        return self._desk.share(caller, Shared(Kind.TRACE, trace_id), given)

    async def _open_link(self, request: Request) -> Response:
        """A cookie for the token, which leaves the address; a program that only looks at links uses none up."""
        if request.method == "HEAD" or not HttpFacts(request.scope).is_navigation:
            return Response(status_code=204)
        try:
            token, secret = await anyio.to_thread.run_sync(self._registry.exchange, request.path_params["token"])
        except NotFound as error:
            return _page(404, str(error))
        except ReplayError as error:
            return problem(error)
        request.scope[CALLER] = _holder(token)
        view = f"#/{_VIEWS[token.shared.kind]}/{quote(token.shared.id, safe='')}" if token.shared else "#/"
        # Relative, so that any path prefix of a proxy stays.
        answer = Response(status_code=303, headers={"location": f"../{view}", "cache-control": "no-store"})
        self._set_cookie(answer, request, token, secret)
        return answer

    def _set_cookie(self, answer: Response, request: Request, token: Token, secret: str) -> None:
        answer.set_cookie(
            SHARE_COOKIE if token.shared else LOGIN_COOKIE,
            secret,
            max_age=max(1, (token.expires_unix_nano - self._clock()) // 10**9),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )


def answering(call: Callable[[Request, dict[str, Any]], Any]) -> Callable[[Request], Any]:
    """A route of small JSON; the call runs on a thread, for it waits for the disk."""

    async def answer(request: Request) -> Response:
        try:
            given = await _body(request)
            found = await anyio.to_thread.run_sync(call, request, given)
        except Exception as error:  # noqa: BLE001 - the one table answers for every error
            return problem(error)
        return found if isinstance(found, Response) else _json(found)

    return answer


async def _body(request: Request) -> dict[str, Any]:
    if request.method != "POST":
        return {}
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise RequestTooLarge(f"the body is over {MAX_BODY_BYTES} bytes")
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidRequest("the body is not JSON") from error
    if not isinstance(given, dict):
        raise InvalidRequest("the body is not a JSON object")
    return given


def _holder(token: Token) -> Caller:
    return Caller(token.project, token.key_id, token.scopes, shared=token.shared)


def _caller(request: Request) -> Any:
    return caller_of(request.scope)


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _json(document: dict[str, Any]) -> Response:
    # Keys and links are in it, this once.
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return Response(json.dumps(document), headers=headers)


def _page(status: int, words: str) -> Response:
    text = f"<!doctype html><title>otel-replay</title><p>{escape(words)}</p>"
    return Response(text, status, {**PAGE_HEADERS, "content-type": "text/html; charset=utf-8"})
