"""The one table of who may call what: every HTTP route and every RPC, with the scope it takes.

A server does not start with a route that is missing here, and refuses an RPC that is. No scope holds another: a key
with ``admin`` alone reads nothing.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from otel_replay.errors import InvalidRequest


class Scope(enum.StrEnum):
    """What a key is for."""

    INGEST = "ingest"
    """Write telemetry and recordings, and nothing else: may stand in a page for all to see."""
    READ = "read"
    SHARE = "share"
    """Make and take back links to one session or one trace."""
    ADMIN = "admin"
    """Manage keys; of the default project: of all projects, and ask how the server does."""


class Kind(enum.StrEnum):
    """What can be shared."""

    SESSION = "session"
    TRACE = "trace"


class Rule(NamedTuple):
    """What one route or RPC takes.

    ``shared`` says what the id in the path names: who was shared one of these may ask for it, and only for it.
    ``everywhere``: served on the port of telemetry, too, where ``--ui-port`` keeps the rest off it. ``server``: speaks
    of all projects, so keys of the default project only. ``query_key``: a key may stand in the address as ``?auth=``.
    ``audited``: what the audit trail calls it; empty for what tells nobody anything, and for what notes itself.
    """

    scope: Scope | None
    """None: anybody."""
    shared: Kind | None = None
    everywhere: bool = False
    server: bool = False
    query_key: bool = False
    audited: str = ""


ANYBODY = Rule(None)
PROBE = Rule(None, everywhere=True)
INGEST = Rule(Scope.INGEST, everywhere=True, query_key=True)
READ = Rule(Scope.READ, audited="read")
SHARED_SESSION = Rule(Scope.READ, shared=Kind.SESSION, audited="read")
SHARED_EXPORT = Rule(Scope.READ, shared=Kind.SESSION, audited="export")
SHARED_TRACE = Rule(Scope.READ, shared=Kind.TRACE, audited="read")
ADMIN = Rule(Scope.ADMIN)
OPERATE = Rule(Scope.ADMIN, server=True)

_INGEST_PATHS = ("/v1/traces", "/v1/logs", "/v1/metrics", "/v1/rumotlp", "/v1/rumreplay")

ROUTES: dict[str, Rule] = {
    **{f"POST {path}{end}": INGEST for path in _INGEST_PATHS for end in ("", "/")},
    **{f"POST /api/v1/sessions/{{session_id:any}}/{what}": INGEST for what in ("events", "snapshot", "feedback")},
    "GET /healthz": PROBE,
    "GET /readyz": PROBE,
    "GET /metrics": OPERATE,
    "GET /openapi.json": ANYBODY,
    "GET /": ANYBODY,
    "GET /assets": ANYBODY,
    "GET /otel-replay.js": PROBE,
    "POST /api/v1/sessions/": INGEST,
    "POST /api/v1/session-record": INGEST,
    "POST /api/session-replay/recording/start": INGEST,
    "POST /api/session-replay/recording/interaction": INGEST,
    "POST /api/session-replay/recording/user-action": INGEST,
    "POST /api/session-replay/{session_id:any}/snapshot": INGEST,
    "POST /api/session-replay/{session_id:any}/end": INGEST,
    "GET /api/session-replay/list": READ,
    "GET /api/session-replay/stats": READ,
    "GET /api/session-replay/{id:any}": SHARED_SESSION,
    "GET /api/session-replay/{id:any}/export": SHARED_EXPORT,
    "POST /api/session-replay/{id:any}/export": SHARED_EXPORT,
    "POST /api/session-replay/{id:any}/share": Rule(Scope.SHARE, audited="share"),
    "POST /api/v1/login": Rule(None, audited="log in"),
    "POST /api/v1/logout": Rule(None, audited="log out"),
    "GET /api/v1/visitor": ANYBODY,
    "GET /s/{token}": Rule(None, audited="open link"),
    "GET /api/v1/sessions": READ,
    "GET /api/v1/projects/{id}/sessions": READ,
    "GET /api/v1/sessions/{id:any}": SHARED_SESSION,
    "GET /api/v1/sessions/{id:any}/events": SHARED_SESSION,
    "GET /api/v1/sessions/{id:any}/timeline": SHARED_SESSION,
    "GET /api/v1/sessions/{id:any}/recording": SHARED_SESSION,
    "GET /api/v1/conversations/{id:any}/timeline": READ,
    "GET /api/v1/traces": READ,
    "GET /api/v1/traces/{id}": SHARED_TRACE,
    "GET /api/v1/traces/{id}/timeline": SHARED_TRACE,
    "GET /api/v1/services": READ,
    "GET /api/v1/services/{id:any}/operations": READ,
    "GET /api/v1/search": READ,
    "GET /api/v1/stats": READ,
    "POST /api/v1/facts": READ,
    "POST /api/v1/sessions/{id:any}/share": Rule(Scope.SHARE, audited="share"),
    "POST /api/v1/traces/{id}/share": Rule(Scope.SHARE, audited="share"),
    "GET /api/v1/shares": Rule(Scope.SHARE, audited="read"),
    "DELETE /api/v1/shares/{id}": Rule(Scope.SHARE, audited="take back"),
    "GET /api/v1/keys": Rule(Scope.ADMIN, audited="read"),
    "POST /api/v1/keys": Rule(Scope.ADMIN, audited="create"),
    "POST /api/v1/keys/{id}/rotate": Rule(Scope.ADMIN, audited="rotate"),
    "DELETE /api/v1/keys/{id}": Rule(Scope.ADMIN, audited="revoke"),
    "POST /api/v1/links": Rule(Scope.ADMIN, audited="link"),
    "DELETE /api/v1/sessions/{id:any}": ADMIN,
    "DELETE /api/v1/traces/{id}": ADMIN,
    "POST /api/v1/erase": ADMIN,
    "POST /api/v1/prune": ADMIN,
    "GET /api/v1/audit": Rule(Scope.ADMIN, audited="read"),
}
"""By method and path, as the router names it. HEAD is GET without a body; OPTIONS answers browsers before they send."""

_OTLP = "/opentelemetry.proto.collector"
_REPLAY = "/otel_replay.v1.ReplayService"

RPCS: dict[str, Rule] = {
    f"{_OTLP}.trace.v1.TraceService/Export": INGEST,
    f"{_OTLP}.logs.v1.LogsService/Export": INGEST,
    f"{_OTLP}.metrics.v1.MetricsService/Export": INGEST,
    f"{_REPLAY}/UploadChunk": INGEST,
    f"{_REPLAY}/UploadChunks": INGEST,
    f"{_REPLAY}/GetTimeline": READ,
    f"{_REPLAY}/ListSessions": READ,
    f"{_REPLAY}/GetRecording": READ,
    "/grpc.health.v1.Health/Check": PROBE,
    "/grpc.health.v1.Health/List": PROBE,
    "/grpc.health.v1.Health/Watch": PROBE,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": READ,
}
"""By full name of the method."""


def scopes_of(names: object) -> frozenset[Scope]:
    """Scopes by their names. Raises :class:`InvalidRequest` for none, or an unknown one."""
    if not isinstance(names, list | tuple) or not names:
        raise InvalidRequest("scopes are missing", hint=f"name some of {', '.join(Scope)}")
    try:
        return frozenset(Scope(name) for name in names)
    except ValueError:
        unknown = next(name for name in names if name not in [*Scope])
        raise InvalidRequest(f"no such scope: {str(unknown)[:40]!r}", hint=f"there are {', '.join(Scope)}") from None
