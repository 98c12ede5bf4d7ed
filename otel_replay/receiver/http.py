"""OTLP over HTTP, and uploads of recordings: the routes, protobuf and JSON in.

Each route is a small ASGI application under uvicorn. Measured with nothing behind it, on one core: 60 us a request of
10 spans and 0.20 ms one of 512, against 166 us and 0.42 ms through Starlette's router and layers, and 135 us and
0.33 ms of grpcio's synchronous server. So :class:`Shortcut` leads past router and layers what these would only hand on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from otel_replay.access.facts import HttpFacts
from otel_replay.access.guard import Caller, Guard
from otel_replay.access.scopes import INGEST
from otel_replay.errors import Stopping
from otel_replay.model import Signal
from otel_replay.receiver.answers import AS_JSON, JSON, PATHS, PROTOBUF, encoded, kind_of, otlp_failure, problem
from otel_replay.receiver.batching import BatchingHandler
from otel_replay.receiver.bodies import check_json, decompress, media_type, read_body, unsupported_media_type
from otel_replay.receiver.complaints import Complaints
from otel_replay.receiver.handler import Sender
from otel_replay.receiver.in_flight import Hold, InFlight
from otel_replay.receiver.measures import HTTP, Measures
from otel_replay.receiver.recordings import upload_facts
from otel_replay.receiver.told import feedback_request, snapshot_request

UPLOADS = ("/api/v1/sessions/", "/events")
"""What stands before and after the session id."""

TOLD = {"/snapshot": snapshot_request, "/feedback": feedback_request}
"""What stands after the session id, and what makes a request of OTLP of the body."""


class _AnyConvertor(StringConvertor):
    """``{id:any}``: ids come from anywhere and may hold slashes, even line ends, which Starlette's own stop at."""

    regex = r"[\s\S]+"


register_url_convertor("any", _AnyConvertor())


class IngestRoute:
    """One route as an ASGI application: reads the body within bounds, works on a thread, answers."""

    name: str

    def __init__(self, receiver: HttpReceiver) -> None:
        self.receiver = receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        size = 0
        try:
            with self.receiver.in_flight.request() as hold:
                scope[CALLER] = caller = self.receiver.guard.http(HttpFacts(scope), INGEST)
                self.check(request)
                body = await read_body(request, hold, self.receiver.max_body_bytes)
                size = len(body)
                caller.charge(size)
                response = await self.respond(request, body, hold)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except asyncio.CancelledError:  # uvicorn, when it stops, would answer 500, and the client throw its data away
            response = self.failed(request, Stopping("the receiver is stopping", hint="send again in a second"))
        except Exception as error:  # noqa: BLE001 - the one table answers for every error
            response = self.failed(request, error)
            self.receiver.complaints.of(f"{HTTP} {self.name}", error)
        self.receiver.measures.answered(HTTP, self.name, str(response.status_code), size)
        self.receiver.measures.refused(HTTP, INGEST.scope, response.status_code)
        await response(scope, receive, send)

    def check(self, request: Request) -> None:
        """Raises for what can be refused before its body is read."""

    async def respond(self, request: Request, body: bytes, hold: Hold) -> Response:
        """The answer once all is on disk; raises what :meth:`failed` tells the client."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.receiver.threads, self._work, request, body, hold)

    def work(self, request: Request, body: bytes) -> Response:
        """The answer once all is on disk. Runs on a thread, and raises what :meth:`failed` tells the client."""
        raise NotImplementedError

    def failed(self, request: Request, error: Exception) -> Response:
        """The answer to an error, as this route words them."""
        raise NotImplementedError

    def _work(self, request: Request, body: bytes, hold: Hold) -> Response:
        encoding = request.headers.get("content-encoding")
        if encoding is not None:
            body = decompress(body, encoding, self.receiver.max_body_bytes)
            hold.add(len(body))
        return self.work(request, body)


class _Export(IngestRoute):
    """OTLP of one signal."""

    def __init__(self, receiver: HttpReceiver, signal: Signal) -> None:
        super().__init__(receiver)
        self.name = signal.name.lower()
        self._signal = signal

    def check(self, request: Request) -> None:
        if media_type(request) not in (PROTOBUF, *AS_JSON):
            raise unsupported_media_type(media_type(request), f"{PROTOBUF} or {JSON}")

    async def respond(self, request: Request, body: bytes, hold: Hold) -> Response:
        """A request that is taken together with others needs no thread of its own, which costs 40 us."""
        soon = None
        if "content-encoding" not in request.headers and kind_of(request) == PROTOBUF:
            soon = self.receiver.handler.export_soon(self._signal, body, sender(request))
        if soon is None:
            return await super().respond(request, body, hold)
        stored = await asyncio.wrap_future(soon)
        return encoded(stored, PROTOBUF)

    def work(self, request: Request, body: bytes) -> Response:
        if kind_of(request) == PROTOBUF:
            return encoded(self.receiver.handler.export(self._signal, body, sender(request)), PROTOBUF)
        check_json(body)
        return encoded(self.receiver.handler.export_json(self._signal, body, sender(request)), JSON)

    def failed(self, request: Request, error: Exception) -> Response:
        return otlp_failure(request, error)


class _Upload(IngestRoute):
    """Chunks of recordings."""

    name = "chunks"

    def work(self, request: Request, body: bytes) -> Response:
        before, after = UPLOADS
        session_id = request.scope["path"][len(before) : -len(after)]
        check_json(body)
        facts = upload_facts(session_id, request.headers, body)
        receipt = self.receiver.handler.upload(*facts, sender(request))
        told = {"session_id": session_id, "stream_id": facts.stream_id, **receipt._asdict()}
        return Response(json.dumps(told), headers={"content-type": JSON})

    def failed(self, request: Request, error: Exception) -> Response:
        return problem(error)


class _Tell(IngestRoute):
    """Facts about a session, which become an event of it."""

    name = "told"

    def __init__(self, receiver: HttpReceiver, after: str) -> None:
        super().__init__(receiver)
        self._after = after

    def work(self, request: Request, body: bytes) -> Response:
        session_id = request.scope["path"][len(UPLOADS[0]) : -len(self._after)]
        check_json(body)
        now = self.receiver.clock()
        told = TOLD[self._after](session_id, body, now)
        self.receiver.handler.export(Signal.LOGS, told.SerializeToString(), sender(request))
        answer = {"session_id": session_id, "time_unix_nano": str(now)}
        return Response(json.dumps(answer), headers={"content-type": JSON})

    def failed(self, request: Request, error: Exception) -> Response:
        return problem(error)


class _Cors(CORSMiddleware):
    """CORS for origins that are looked up when they come: keys bring origins of their own."""

    def __init__(self, app: ASGIApp, /, may_send_from: Callable[[str], bool], **options: Any) -> None:
        super().__init__(app, **options)
        self._may_send_from = may_send_from

    def is_allowed_origin(self, origin: str) -> bool:
        return self._may_send_from(origin)


class HttpReceiver:
    """The ingest routes, each of which asks ``guard`` who sends. ``clock`` gives Unix nanoseconds."""

    def __init__(
        self,
        handler: BatchingHandler,
        guard: Guard,
        threads: Executor,
        in_flight: InFlight,
        measures: Measures,
        max_body_bytes: int,
        clock: Callable[[], int],
        complaints: Complaints,
    ) -> None:
        self.handler = handler
        self.guard = guard
        self.threads = threads
        self.in_flight = in_flight
        self.measures = measures
        self.max_body_bytes = max_body_bytes
        self.clock = clock
        self.complaints = complaints
        # With a slash at the end too: OTLP clients do not follow redirects with their data.
        self._exports = {path + end: _Export(self, signal) for path, signal in PATHS.items() for end in ("", "/")}
        self._upload = _Upload(self)
        self._told = {after: _Tell(self, after) for after in TOLD}

    def routes(self) -> list[Route]:
        before, after = UPLOADS
        about = {after: self._upload, **self._told}
        named = {f"{before}{{session_id:any}}{end}": app for end, app in about.items()}
        apps: dict[str, IngestRoute] = {**self._exports, **named}
        return [self.route(path, app) for path, app in apps.items()]

    def route(self, path: str, app: IngestRoute) -> Route:
        """A route of ingest, which pages may send to. OPTIONS belongs to it: CORS, inside, sees the preflight."""
        cors = Middleware(
            _Cors,
            may_send_from=self._may_send_from,
            allow_methods=["POST"],
            allow_headers=["*"],
            allow_credentials=True,  # beacons come with cookies, which no route of ingest reads, or not at all
            expose_headers=["Retry-After"],
            max_age=7200,  # Chromium's own default is 5 s, and at unload only the preflight would arrive
        )
        return Route(path, app, methods=["POST", "OPTIONS"], middleware=[cors])

    def _may_send_from(self, origin: str) -> bool:
        """Where a page may not, its browser tells nobody but the page's console."""
        if self.guard.may_send_from(origin):
            return True
        told = f"pages of {origin} may not send here (allow them with --browser-origins, or a key with --origin)"
        self.complaints.tell(f"{HTTP} CORS", told)
        return False

    def app_for(self, path: str) -> IngestRoute | None:
        """The route that serves a path, as the router would find it."""
        before, after = UPLOADS
        if path.startswith(before) and path.endswith(after) and len(path) > len(before) + len(after):
            return self._upload
        return self._exports.get(path)


class Shortcut:
    """Takes ingest past the router and its layers where these would do nothing; the rest goes to ``app``.

    That is a POST to an ingest route by no browser (no ``Origin``: CORS has nothing to say).
    """

    def __init__(self, app: ASGIApp, receiver: HttpReceiver) -> None:
        self._app = app
        self._receiver = receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = scope["type"] == "http" and scope["method"] == "POST"
        plain = plain and not any(name == b"origin" for name, _ in scope["headers"])
        app = self._receiver.app_for(scope["path"]) if plain else None
        await (app or self._app)(scope, receive, send)


CALLER = "otel_replay.caller"
"""Where the guard leaves the caller in an ASGI scope."""


def caller_of(scope: Scope) -> Caller:
    """Who sends the request that the guard has let in."""
    caller: Caller = scope[CALLER]
    return caller


def sender(request: Request) -> Sender:
    caller = caller_of(request.scope)
    return Sender(caller.project, caller.source, caller.key_id)
