"""OTLP over HTTP, and uploads of recordings: protobuf and JSON in, answers in the request's own encoding."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from google.protobuf.message import Message
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.errors import Forbidden
from otel_replay.model import DEFAULT_PROJECT, Signal, Source
from otel_replay.otlp import json as otlp_json
from otel_replay.receiver.bodies import media_type, read_body, unsupported_media_type
from otel_replay.receiver.handler import Handler, Sender
from otel_replay.receiver.recordings import upload_facts
from otel_replay.receiver.status import RETRY_SECONDS, answer, explain, rpc_status

logger = logging.getLogger(__name__)

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PATHS = {
    "/v1/traces": Signal.TRACES,
    "/v1/logs": Signal.LOGS,
    "/v1/metrics": Signal.METRICS,
    "/v1/rumotlp": Signal.TRACES,
    "/v1/rumreplay": Signal.LOGS,
}
INGEST_THREADS = 32


class _AnyConvertor(StringConvertor):
    """``{id:any}``: ids come from anywhere and may hold slashes, even line ends, which Starlette's own stop at."""

    regex = r"[\s\S]+"


register_url_convertor("any", _AnyConvertor())


class HttpReceiver:
    """The ingest routes. ``origins`` is a regular expression of the web origins that may send from a browser."""

    def __init__(self, handler: Handler, origins: str) -> None:
        self._handler = handler
        self._origins = re.compile(origins)
        self._threads = anyio.CapacityLimiter(INGEST_THREADS)
        self._cors = Middleware(
            CORSMiddleware,
            allow_origin_regex=origins,
            allow_methods=["POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After"],
            max_age=7200,  # Chromium's own default is 5 s, and at unload only the preflight would arrive
        )

    def routes(self) -> list[Route]:
        # With a slash at the end too: OTLP clients do not follow redirects with their data.
        otlp = [self._route(path + end, self._export(signal)) for path, signal in PATHS.items() for end in ("", "/")]
        return [*otlp, self._route("/api/v1/sessions/{session_id:any}/events", self._upload)]

    def _route(self, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        # OPTIONS belongs to the route so that the CORS layer inside it sees the preflight.
        return Route(path, endpoint, methods=["POST", "OPTIONS"], middleware=[self._cors])

    def _export(self, signal: Signal) -> Callable[[Request], Awaitable[Response]]:
        async def export(request: Request) -> Response:
            kind = JSON if media_type(request) in (JSON, "text/plain") else PROTOBUF
            try:
                result = await self._export_body(signal, request, kind)
            except Exception as error:  # noqa: BLE001 - the one table answers for every error
                return _otlp_error(error, kind)
            return _encoded(result, kind)

        return export

    async def _export_body(self, signal: Signal, request: Request, kind: str) -> Message:
        self._check_origin(request)
        # Beacons of browsers can only send text/plain.
        if media_type(request) not in (PROTOBUF, JSON, "text/plain"):
            raise unsupported_media_type(media_type(request), f"{PROTOBUF} or {JSON}")
        body = await read_body(request)
        export = self._handler.export_json if kind == JSON else self._handler.export
        result: Message = await self._in_thread(export, signal, body, sender(request))
        return result

    async def _upload(self, request: Request) -> Response:
        try:
            self._check_origin(request)
            body = await read_body(request)
            facts = upload_facts(request, body)
            receipt = await self._in_thread(self._handler.upload, *facts, sender(request))
        except Exception as error:  # noqa: BLE001 - the one table answers for every error
            return problem(error)
        return _json({"session_id": facts.session_id, "stream_id": facts.stream_id, **receipt._asdict()}, 200)

    def _check_origin(self, request: Request) -> None:
        """CORS alone keeps a page of another origin from reading the answer, not from sending text/plain."""
        origin = request.headers.get("origin")
        same = f"{request.url.scheme}://{request.headers.get('host', '')}"
        if origin is not None and origin != same and not self._origins.fullmatch(origin):
            raise Forbidden(f"origin {origin[:200]!r} may not send here", hint="allow it with --browser-origins")

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(call, *arguments, limiter=self._threads)


def sender(request: Request) -> Sender:
    """A request with an Origin comes from a browser."""
    return Sender(DEFAULT_PROJECT, Source.BROWSER if "origin" in request.headers else Source.SERVER)


def _encoded(message: Message, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps(otlp_json.encode(message)).encode() if kind == JSON else message.SerializeToString()
    # The bare type: the Collector compares it as a string.
    return Response(body, status, {"content-type": kind, **(headers or {})})


def _otlp_error(error: Exception, kind: str) -> Response:
    """``google.rpc.Status`` in the request's encoding (OTLP/HTTP, "Failures")."""
    return _encoded(rpc_status(error), kind, answer(error).http_status, _retry_headers(error))


def problem(error: Exception) -> Response:
    """``application/problem+json`` (RFC 9457)."""
    told = answer(error)
    document = {"type": "about:blank", "title": _TITLES[told.http_status], "status": told.http_status}
    return Response(
        json.dumps(document | {"detail": explain(error)}),
        told.http_status,
        {"content-type": "application/problem+json", **_retry_headers(error)},
    )


async def refused(_request: Request, error: Exception) -> Response:
    """The router's own answers, unknown addresses and methods, as ``application/problem+json``."""
    assert isinstance(error, HTTPException)
    document = {"type": "about:blank", "title": error.detail, "status": error.status_code}
    headers = {"content-type": "application/problem+json", **(error.headers or {})}
    return Response(json.dumps(document), error.status_code, headers)


_TITLES = {
    400: "Bad request",
    403: "Forbidden",
    404: "Not found",
    413: "Too large",
    415: "Unsupported media type",
    503: "Unavailable, try again",
}


def _retry_headers(error: Exception) -> dict[str, str]:
    if not answer(error).retryable:
        return {}
    logger.error("answered 503: %s", error, exc_info=error)
    return {"retry-after": str(RETRY_SECONDS)}


def _json(document: Any, status: int) -> Response:
    return Response(json.dumps(document), status, {"content-type": JSON})
