"""What HTTP answers look like: OTLP's in the request's own encoding, all others as problems."""

from __future__ import annotations

import json

from google.protobuf.message import Message
from google.rpc.code_pb2 import UNIMPLEMENTED
from google.rpc.status_pb2 import Status
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from otel_replay.model import Signal
from otel_replay.otlp import json as otlp_json
from otel_replay.receiver.bodies import media_type
from otel_replay.receiver.status import answer, explain, note, retry_seconds, rpc_status

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PATHS = {
    "/v1/traces": Signal.TRACES,
    "/v1/logs": Signal.LOGS,
    "/v1/metrics": Signal.METRICS,
    "/v1/rumotlp": Signal.TRACES,
    "/v1/rumreplay": Signal.LOGS,
}
OTLP_PATHS = ("/v1/", "/v1development/")
"""Before every path of OTLP, served or not: of profiles, ``/v1development/profiles``, 404 is all there is."""

AS_JSON = (JSON, "text/plain")
"""Beacons of browsers can only send text/plain."""


def kind_of(request: Request) -> str:
    """The encoding of a request of OTLP, and of its answer."""
    return JSON if media_type(request) in AS_JSON else PROTOBUF


def encoded(message: Message, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A message of OTLP in one of the two encodings."""
    body = json.dumps(otlp_json.encode(message)).encode() if kind == JSON else message.SerializeToString()
    # The bare type: the Collector compares it as a string.
    return Response(body, status, {"content-type": kind, **(headers or {})})


def otlp_failure(request: Request, error: Exception) -> Response:
    """``google.rpc.Status`` in the request's encoding (OTLP/HTTP, "Failures")."""
    note(error)
    return encoded(rpc_status(error), kind_of(request), answer(error).http_status, _headers(error))


def problem(error: Exception) -> Response:
    """``application/problem+json`` (RFC 9457)."""
    note(error)
    told = answer(error)
    document = {"type": "about:blank", "title": _TITLES[told.http_status], "status": told.http_status}
    return Response(
        json.dumps(document | {"detail": explain(error)}),
        told.http_status,
        {"content-type": "application/problem+json", **_headers(error)},
    )


async def refused(request: Request, error: Exception) -> Response:
    """The router's own answers, unknown addresses and methods: in OTLP's words where OTLP asks, else as a problem."""
    assert isinstance(error, HTTPException)
    if is_otlp(request):
        status = Status(code=UNIMPLEMENTED, message=f"{error.detail}: {', '.join(PATHS)} take POST, and nothing else")
        kind = kind_of(request) if media_type(request) else JSON  # what a person opens in a browser
        return encoded(status, kind, error.status_code, dict(error.headers or {}))
    document = {"type": "about:blank", "title": error.detail, "status": error.status_code}
    headers = {"content-type": "application/problem+json", **(error.headers or {})}
    return Response(json.dumps(document), error.status_code, headers)


def is_otlp(request: Request) -> bool:
    """Whether a request to nowhere was meant as OTLP: exporters that are given half an address post to ``/``."""
    return bool(request.scope["path"].startswith(OTLP_PATHS) or media_type(request) == PROTOBUF)


_TITLES = {
    400: "Bad request",
    401: "A key is needed",
    403: "Forbidden",
    404: "Not found",
    413: "Too large",
    415: "Unsupported media type",
    429: "Too many requests",
    503: "Unavailable, try again",
}


def _headers(error: Exception) -> dict[str, str]:
    """What an answer says to programs: when to come back, or how to say who they are."""
    told = answer(error)
    if told.http_status == 401:
        return {"www-authenticate": "Bearer"}
    return {"retry-after": str(retry_seconds(error))} if told.retryable else {}
