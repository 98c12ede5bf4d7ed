"""``/openapi.json``: what the HTTP interface takes and gives, for programs that read OpenAPI 3.1.

Which routes there are, and which scope each takes, comes from the one table (:mod:`otel_replay.access.scopes`), so that
a route cannot be forgotten; what each takes and gives is told here.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay import __version__
from otel_replay.access.scopes import ROUTES, Rule, Scope
from otel_replay.query.parameters import SEARCH, SESSIONS, STATS, TRACES
from otel_replay.receiver.bodies import ENCODINGS
from otel_replay.web import schemas
from otel_replay.web import session_replay_schemas as session_replay
from otel_replay.web.schemas import PARAMETERS, Schema, array, obj
from otel_replay.web.session_replay import FILTERS

JSON, PROTOBUF, PROBLEM, HTML = "application/json", "application/x-protobuf", "application/problem+json", "text/html"


class _Operation(NamedTuple):
    """What one route takes and gives: ``schema`` of its answer as JSON, else the types it comes in."""

    summary: str
    schema: Schema | None = None
    query: str = ""
    """Names of parameters; one with ``!`` must be there."""
    body: Schema | None = None
    body_required: bool = True
    kinds: tuple[str, ...] = (JSON,)
    status: int = 200


OPERATIONS: dict[str, _Operation] = {
    "GET /healthz": _Operation("Whether the process is alive.", schemas.STATE),
    "GET /readyz": _Operation("Whether it takes requests; 503 when not, or not any more.", schemas.STATE),
    "GET /metrics": _Operation("Counters and gauges for Prometheus.", kinds=("text/plain",)),
    "GET /openapi.json": _Operation("This document.", obj(openapi=schemas.TEXT)),
    "GET /": _Operation("The page.", kinds=(HTML,)),
    "GET /otel-replay.js": _Operation("The recorder for web pages.", kinds=("text/javascript",)),
    "POST /api/v1/login": _Operation(
        "A cookie for a key.", obj(expires_unix_nano=schemas.NANOS), body=obj(key=schemas.TEXT)
    ),
    "POST /api/v1/logout": _Operation("Ends what the cookies stand for.", obj(), body=schemas.NO_FIELDS),
    "GET /api/v1/visitor": _Operation("Who asks, and what that key may do.", schemas.ANY_OBJECT),
    "GET /api/v1/sessions": _Operation(
        "Sessions, newest first.",
        obj(sessions=array(schemas.SESSION), total=schemas.COUNT, total_at_least=schemas.BOOLEAN, **schemas.NEXT),
        SESSIONS,
    ),
    "GET /api/v1/sessions/{id:any}/timeline": _Operation(
        "A session in order.", schemas.TIMELINE, "kinds around window limit cursor"
    ),
    "GET /api/v1/conversations/{id:any}/timeline": _Operation(
        "A conversation in order.", schemas.TIMELINE, "kinds around window limit cursor"
    ),
    "GET /api/v1/traces/{id}/timeline": _Operation(
        "A trace in order.", schemas.TIMELINE, "kinds around window limit cursor"
    ),
    "GET /api/v1/sessions/{id:any}/recording": _Operation(
        "rrweb events as they came.",
        obj(streams=array(schemas.STREAM), **schemas.NEXT),
        "stream from to max_bytes cursor",
    ),
    "GET /api/v1/traces": _Operation(
        "Traces, newest first, over every span.",
        obj(traces=array(schemas.TRACE), **schemas.NEXT),
        TRACES,
    ),
    "GET /api/v1/traces/{id}": _Operation("OTLP's TracesData, every field as received.", schemas.ANY_OBJECT),
    "GET /api/v1/services": _Operation("Services by name.", obj(services=array(schemas.TEXT))),
    "GET /api/v1/services/{id:any}/operations": _Operation(
        "Names of a service's spans.", obj(operations=array(schemas.TEXT))
    ),
    "GET /api/v1/search": _Operation(
        "Words in what was said.",
        obj(hits=array(schemas.HIT), waiting=schemas.COUNT, **schemas.NEXT),
        SEARCH.replace("q ", "q! "),
    ),
    "GET /api/v1/stats": _Operation("Calls, tokens, cost, latency.", schemas.STATISTICS, STATS),
    "POST /api/v1/facts": _Operation(
        "What receivers tell each other; internal, with a version.",
        obj(version=schemas.COUNT, answers=array(schemas.ANY_OBJECT)),
        body=obj(version=schemas.COUNT, questions=array(schemas.ANY_OBJECT)),
    ),
    "POST /api/v1/sessions/{id:any}/share": _Operation("A link to a session.", schemas.SHARE, body=schemas.SHARING),
    "POST /api/v1/traces/{id}/share": _Operation("A link to a trace.", schemas.SHARE, body=schemas.SHARING),
    "GET /api/v1/shares": _Operation("Links that hold.", obj(shares=array(schemas.SHARE))),
    "DELETE /api/v1/shares/{id}": _Operation("Takes a link back.", obj(id=schemas.TEXT, removed=schemas.BOOLEAN)),
    "GET /api/v1/keys": _Operation("Keys, without their secrets.", obj(keys=array(schemas.KEY))),
    "POST /api/v1/keys": _Operation("A new key; told once.", schemas.KEY, body=schemas.NEW_KEY),
    "POST /api/v1/keys/{id}/rotate": _Operation(
        "Another key like it.", schemas.KEY, body=schemas.fields(overlap_ns=schemas.OPTIONAL_WHOLE)
    ),
    "DELETE /api/v1/keys/{id}": _Operation("Revokes a key.", schemas.KEY),
    "DELETE /api/v1/sessions/{id:any}": _Operation("Erases a session for good.", schemas.ERASED),
    "DELETE /api/v1/traces/{id}": _Operation("Erases a trace for good.", schemas.ERASED),
    "POST /api/v1/erase": _Operation(
        "Erases a session, a trace, a user, or what a key wrote.", schemas.ERASED, body=schemas.ERASING
    ),
    "POST /api/v1/prune": _Operation("Forgets what is too old or too much.", schemas.PRUNED, body=schemas.PRUNING),
    "GET /api/v1/audit": _Operation("Who did what, newest first.", schemas.AUDIT, "kind id limit before project"),
    "GET /api/v1/sessions/{id:any}": _Operation("One session.", schemas.SESSION_OF_PROJECT),
    "GET /api/v1/sessions/{id:any}/events": _Operation(
        "The full recording: the events of all streams, one after the other, or of one.", schemas.EVENTS, "stream"
    ),
    "GET /api/v1/projects/{id}/sessions": _Operation(
        "Sessions of a project, newest first; a key's project wins over the one in the path.",
        obj(
            sessions=array(schemas.SESSION_OF_PROJECT),
            total=schemas.COUNT,
            total_at_least=schemas.BOOLEAN,
            **schemas.NEXT,
        ),
        SESSIONS,
    ),
    "GET /api/session-replay/list": _Operation("Sessions, newest first.", session_replay.LIST, f"{FILTERS} page limit"),
    "GET /api/session-replay/stats": _Operation("Totals and averages.", session_replay.STATISTICS, FILTERS),
    "GET /api/session-replay/{id:any}": _Operation("A session, all of it in order.", session_replay.REPLAY),
    "GET /api/session-replay/{id:any}/export": _Operation("A session as a file of JSON.", session_replay.EXPORT),
    "POST /api/session-replay/{id:any}/export": _Operation("A session as a file of JSON.", session_replay.EXPORT),
    "POST /api/session-replay/{id:any}/share": _Operation(
        "A link to a session.", session_replay.SHARE, body=session_replay.SHARING, body_required=False
    ),
    "POST /api/v1/links": _Operation(
        "An address that logs in once.",
        obj(path=schemas.TEXT, expires_unix_nano=schemas.NANOS),
        body=schemas.fields(project=schemas.OPTIONAL_TEXT),
    ),
}
_UNTOLD = _Operation("", schemas.ANY_OBJECT)
_EXPORT = _Operation("OTLP; also with a slash at the end.", schemas.PARTIAL_SUCCESS, kinds=(JSON, PROTOBUF))
_UPLOAD = _Operation("A piece of a recording.", schemas.RECEIPT, body=schemas.CHUNK)
_TOLD = {
    "/api/v1/sessions/{session_id:any}/snapshot": _Operation(
        "How a running session stands.", schemas.TOLD, body=schemas.SNAPSHOT
    ),
    "/api/v1/sessions/{session_id:any}/feedback": _Operation(
        "What somebody thought of an answer or a session.", schemas.TOLD, body=schemas.FEEDBACK
    ),
    "/api/v1/sessions/": _Operation("Starts a session.", obj(id=schemas.TEXT), body=schemas.NEW_SESSION),
    "/api/v1/session-record": _Operation(
        "A recording, or more of one.", schemas.RECORDED, body=schemas.WHOLE_RECORDING
    ),
    "/api/session-replay/recording/start": _Operation(
        "Starts a session.", obj(sessionId=schemas.TEXT), body=session_replay.START
    ),
    "/api/session-replay/recording/interaction": _Operation(
        "A call to a model that is over.", obj(id=schemas.TEXT), body=session_replay.INTERACTION
    ),
    "/api/session-replay/recording/user-action": _Operation(
        "What the user did.", obj(id=schemas.TEXT), body=session_replay.USER_ACTION
    ),
    "/api/session-replay/{session_id:any}/snapshot": _Operation(
        "How a running session stands.", obj(id=schemas.TEXT), body=session_replay.SNAPSHOT, body_required=False
    ),
    "/api/session-replay/{session_id:any}/end": _Operation(
        "Ends a session.", session_replay.ENDED, body=session_replay.END, body_required=False
    ),
}
_LEFT_OUT = ("GET /assets", "GET /s/{token}")
"""Of the page: files whose names nobody has to know, and links that only a browser can follow."""


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for name, rule in ROUTES.items():
        method, path = name.split(" ")
        if name not in _LEFT_OUT and not (path.startswith("/v1/") and path.endswith("/")):
            paths.setdefault(_plain(path), {})[method.lower()] = _operation(name, path, rule)
    keys = {"bearer": {"type": "http", "scheme": "bearer"}}
    keys["header"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "otel-replay", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": keys, "schemas": {"Problem": schemas.PROBLEM, "Status": schemas.RPC_STATUS}},
    }


def openapi_route() -> Route:
    """``GET /openapi.json``."""
    text = json.dumps(document())

    async def answer(_request: Request) -> Response:
        return Response(text, headers={"content-type": JSON})

    return Route("/openapi.json", answer)


def _operation(name: str, path: str, rule: Rule) -> dict[str, Any]:
    is_export = path.startswith("/v1/")
    told = _ingest(path) if rule.scope is Scope.INGEST else OPERATIONS.get(name, _UNTOLD)
    described: dict[str, Any] = {
        "summary": told.summary,
        "parameters": [*_path_parameters(path), *map(_query_parameter, told.query.split())],
        "responses": {str(told.status): _answer(told), "default": _refusal(is_export)},
    }
    if name == "GET /readyz":
        described["responses"]["503"] = _answer(told)
    if rule.scope is not None:
        described["description"] = f"Takes the scope `{rule.scope}`, where keys are needed."
        described["security"] = [{"bearer": []}, {"header": []}, {}]
    if rule.scope is Scope.INGEST:
        described["requestBody"] = _telemetry(told)
        described["parameters"].append(_encoding())
    elif told.body is not None:
        described["requestBody"] = {"required": told.body_required, "content": {JSON: {"schema": told.body}}}
    return described


def _answer(told: _Operation) -> dict[str, Any]:
    content = {kind: {"schema": told.schema} if told.schema and kind == JSON else {} for kind in told.kinds}
    return {"description": "Done.", "content": content}


def _refusal(is_export: bool) -> dict[str, Any]:
    """OTLP's errors come in the request's encoding, all others as problems."""
    if is_export:
        status = {"schema": {"$ref": "#/components/schemas/Status"}}
        return {"description": "google.rpc.Status", "content": {JSON: status, PROTOBUF: {}}}
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"description": "What is wrong.", "content": {PROBLEM: problem}}


def _ingest(path: str) -> _Operation:
    return _EXPORT if path.startswith("/v1/") else _TOLD.get(path, _UPLOAD)


def _telemetry(told: _Operation) -> dict[str, Any]:
    content = {kind: {"schema": told.body or schemas.ANY_OBJECT} if kind == JSON else {} for kind in told.kinds}
    return {"required": told.body_required, "content": content}


def _encoding() -> dict[str, Any]:
    schema = {"enum": [*ENCODINGS, "identity"]}
    return {"name": "content-encoding", "in": "header", "required": False, "schema": schema}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameter(name: str) -> dict[str, Any]:
    plain = name.rstrip("!")
    schema = PARAMETERS.get(plain, schemas.TEXT)
    return {"name": plain, "in": "query", "required": plain != name, "schema": schema}


def _plain(path: str) -> str:
    """Without the router's convertors."""
    return re.sub(r"{(\w+):\w+}", r"{\1}", path)
