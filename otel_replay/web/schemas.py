"""JSON schemas of what the HTTP interface gives and takes, for :mod:`otel_replay.web.openapi`.

Within a version fields are only added, so no object here is closed but those that are sent to the server.
"""

from __future__ import annotations

from typing import Any, get_type_hints

from otel_replay.access.scopes import Scope
from otel_replay.query.filters import STATES
from otel_replay.query.sessions import MAX_LIMIT
from otel_replay.store.sqlite.audit import AuditEntry
from otel_replay.store.sqlite.erasure import SUBJECTS, Erased
from otel_replay.store.sqlite.retention import Pruned
from otel_replay.timeline.entry import KINDS

Schema = dict[str, Any]

ANY: Schema = {}
ANY_OBJECT: Schema = {"type": "object"}
SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
TEXT: Schema = {"type": "string"}
OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
OPTIONAL_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
OPTIONAL_WHOLE: Schema = {"type": ["integer", "null"]}
NANOS: Schema = {"type": "string", "pattern": "^-?[0-9]+$", "description": "Unix nanoseconds, or nanoseconds."}
OPTIONAL_NANOS: Schema = {**NANOS, "type": ["string", "null"]}
NEXT: dict[str, Schema] = {"next_cursor": OPTIONAL_TEXT}


def obj(**properties: Schema) -> Schema:
    """An object with at least these fields."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def record(kind: type, **otherwise: Schema) -> Schema:
    """An object with the fields of a dataclass or named tuple; ``otherwise`` are those that JSON tells otherwise."""
    told = {name: _PLAIN[hint] for name, hint in get_type_hints(kind).items() if name not in otherwise}
    return obj(**told, **otherwise)


_PLAIN = {int: COUNT, bool: BOOLEAN, str: TEXT}


def fields(**properties: Schema) -> Schema:
    """An object with none but these fields, each of which may be missing."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


NO_FIELDS = fields()
ERASED = record(Erased)
ERASING = {
    **fields(kind={"enum": [*SUBJECTS]}, id=TEXT, vacuum={"type": ["boolean", "null"]}, project=OPTIONAL_TEXT),
    "required": ["kind", "id"],
}
PRUNED = record(Pruned)
PRUNING = fields(project=OPTIONAL_TEXT, all_projects=BOOLEAN)
KEY_ID = {"type": "string", "pattern": "^[0-9a-f]{8,}$"}
AUDIT = obj(entries=array(record(AuditEntry, id=TEXT, time_unix_nano=NANOS, key_id=KEY_ID)), next_before=OPTIONAL_TEXT)
STATE = obj(status=TEXT)
PROBLEM = obj(type=TEXT, title=TEXT, status=COUNT)
RPC_STATUS = {"type": "object", "properties": {"code": COUNT, "message": TEXT, "details": array(ANY_OBJECT)}}
PARTIAL_SUCCESS = {"type": "object", "properties": {"partialSuccess": ANY_OBJECT}}

TIMELINE = obj(
    version=COUNT,
    sessions=array(TEXT),
    traces=array(TEXT),
    start_unix_nano=NANOS,
    end_unix_nano=NANOS,
    entries=array(
        obj(id=TEXT, kind=TEXT, start_unix_nano=NANOS, title=TEXT, detail=ANY_OBJECT, links=array(ANY_OBJECT))
    ),
    interactions=COUNT,
    tokens=ANY_OBJECT,
    gaps=array(ANY_OBJECT),
    warnings=array(TEXT),
    **NEXT,
)
SESSION = obj(
    session_id=TEXT,
    state={"enum": [*STATES]},
    start_unix_nano=NANOS,
    end_unix_nano=NANOS,
    user=SCALAR,
    feature=SCALAR,
    label=SCALAR,
    service=SCALAR,
    name=SCALAR,
    tags=array(TEXT),
    metadata=ANY_OBJECT,
    preferences=ANY_OBJECT,
    expires_unix_nano=OPTIONAL_NANOS,
    attributes={**ANY_OBJECT, "additionalProperties": SCALAR},
    interactions=COUNT,
    actions=COUNT,
    errors=COUNT,
    traces=COUNT,
    has_recording=BOOLEAN,
    models=array(TEXT),
    tokens=obj(input=COUNT, output=COUNT),
)
SESSION_OF_PROJECT: Schema = {
    **SESSION,
    "properties": {**SESSION["properties"], "id": TEXT, "project_id": COUNT},
    "required": [*SESSION["required"], "id", "project_id"],
}
TRACE = obj(
    trace_id=TEXT,
    root_service=OPTIONAL_TEXT,
    root_name=OPTIONAL_TEXT,
    start_unix_nano=NANOS,
    duration_ns=NANOS,
    spans=COUNT,
    errors=COUNT,
    session_id=OPTIONAL_TEXT,
    matched_span_ids=array(TEXT),
)
STREAM = obj(
    stream_id=TEXT,
    from_seq=OPTIONAL_COUNT,
    to_seq=OPTIONAL_COUNT,
    gaps=array(ANY_OBJECT),
    playable=BOOLEAN,
    events=array(ANY_OBJECT),
)
EVENTS = obj(
    id=TEXT,
    session_id=TEXT,
    events=array(ANY_OBJECT),
    streams=array(obj(stream_id=TEXT, from_seq=COUNT, to_seq=COUNT, events=COUNT, gaps=array(ANY_OBJECT))),
)
HIT = obj(
    trace_id=TEXT,
    span_id=TEXT,
    start_unix_nano=NANOS,
    session_id=TEXT,
    conversation_id=TEXT,
    service=TEXT,
    model=OPTIONAL_TEXT,
    user=TEXT,
    snippet=TEXT,
    highlights=array({**array(COUNT), "minItems": 2, "maxItems": 2}),
)
USD: Schema = {"type": ["string", "null"], "pattern": "^[0-9]+([.][0-9]+)?$", "description": "US dollars, exact."}
_COSTS = {**obj(reported=USD, override=USD, computed=USD), "type": ["object", "null"]}
_TIMES = {**obj(p50=NANOS, p95=NANOS, p99=NANOS, mean=NANOS), "type": ["object", "null"]}
_KINDS_OF_TOKENS = ("input", "output", "cache_read", "cache_write", "reasoning")
_LINE: dict[str, Schema] = {
    "interactions": COUNT,
    "errors": COUNT,
    "tokens": obj(**dict.fromkeys(_KINDS_OF_TOKENS, OPTIONAL_COUNT)),
    "cost_usd": USD,
    "costs_usd": _COSTS,
    "latency_ns": _TIMES,
    "time_to_first_token_ns": _TIMES,
    "duration_ns": OPTIONAL_NANOS,
}
STATISTICS = obj(
    by=TEXT,
    groups=array(obj(group=TEXT, **_LINE)),
    total=obj(**_LINE),
    since_unix_nano=OPTIONAL_NANOS,
    until_unix_nano=OPTIONAL_NANOS,
    waiting=COUNT,
)
RECEIPT = obj(session_id=TEXT, stream_id=TEXT, seq=COUNT, duplicate=BOOLEAN)
CHUNK = {"anyOf": [array(ANY_OBJECT), obj(events=array(ANY_OBJECT))]}
NEW_SESSION: Schema = {
    "type": "object",
    "properties": {"project_id": {"type": ["integer", "string"]}, "metadata": {"type": ["object", "null"]}},
    "required": ["project_id"],
}
WHOLE_RECORDING: Schema = {
    "type": "object",
    "properties": {
        "sessionId": {"type": ["string", "integer"]},
        "events": array(ANY_OBJECT),
        "metadata": {"type": ["object", "null"]},
    },
    "required": ["sessionId", "events"],
}
RECORDED = obj(sessionId=TEXT, stream_id=TEXT, seq=COUNT, duplicate=BOOLEAN)

TOLD = obj(session_id=TEXT, time_unix_nano=NANOS)
_PLACE: Schema = {"type": ["integer", "null"], "minimum": 0}
_CODE = fields(
    file=OPTIONAL_TEXT, line=_PLACE, column=_PLACE, snippet=OPTIONAL_TEXT, language=OPTIONAL_TEXT, workspace=ANY
)
SNAPSHOT = fields(
    state=ANY,
    metrics={"type": "object", "additionalProperties": {"type": "number"}},
    code_context={"anyOf": [_CODE, {"type": "null"}]},
)
FEEDBACK = fields(
    score={"type": ["number", "boolean", "null"]},
    label=OPTIONAL_TEXT,
    comment=OPTIONAL_TEXT,
    name=TEXT,
    interaction={"type": ["string", "null"], "description": "The id of a call's entry in a timeline."},
    response_id=OPTIONAL_TEXT,
)

SHARE = obj(id=TEXT, created_unix_nano=NANOS, expires_unix_nano=NANOS)
SHARING = fields(expires_in_ns=OPTIONAL_WHOLE)
KEY = obj(
    id=TEXT,
    project=TEXT,
    name=TEXT,
    scopes=array({"enum": [*Scope]}),
    origins=array(TEXT),
    requests_per_second=OPTIONAL_COUNT,
    bytes_per_second=OPTIONAL_COUNT,
    state=TEXT,
    created_unix_nano=NANOS,
    expires_unix_nano=OPTIONAL_NANOS,
    revoked_unix_nano=OPTIONAL_NANOS,
)
NEW_KEY = {
    **fields(
        name=TEXT,
        scopes={**array({"enum": [*Scope]}), "minItems": 1},
        origins=array(TEXT),
        project=OPTIONAL_TEXT,
        expires_in_ns=OPTIONAL_WHOLE,
        requests_per_second=OPTIONAL_WHOLE,
        bytes_per_second=OPTIONAL_WHOLE,
    ),
    "required": ["name", "scopes"],
}

_TIME: Schema = {"type": "string", "description": "RFC 3339, 19 digits of Unix nanoseconds, or 15m, 2d ago."}
_DURATION: Schema = {"type": "string", "description": "250ms, 1.5s, 90us, 2m, 1h."}
_WHOLE: Schema = {"type": "integer", "minimum": 1}

PARAMETERS: dict[str, Schema] = {
    "since": _TIME,
    "until": _TIME,
    "from": _TIME,
    "to": _TIME,
    "min_duration": _DURATION,
    "max_duration": _DURATION,
    "window": _DURATION,
    "wait": _DURATION,
    "limit": {**_WHOLE, "maximum": MAX_LIMIT},
    "page": _WHOLE,
    "max_bytes": _WHOLE,
    "has_error": BOOLEAN,
    "state": {"enum": [*STATES]},
    "kinds": {"type": "string", "description": f"Of {', '.join(KINDS)}; with commas between."},
    "attr": array({"type": "string", "description": "KEY=VALUE, or KEY alone."}),
}
"""Of queries, where they are not just texts."""
