"""JSON schemas of ``/api/session-replay``: milliseconds, ISO dates, camel case."""

from __future__ import annotations

from otel_replay.query.filters import STATES
from otel_replay.web.schemas import (
    ANY,
    ANY_OBJECT,
    BOOLEAN,
    COUNT,
    OPTIONAL_TEXT,
    TEXT,
    TIMELINE,
    Schema,
    array,
    obj,
)

_NUMBER: Schema = {"type": "number"}
_AMOUNT: Schema = {"type": ["number", "null"], "minimum": 0}
_MEAN: Schema = {"type": ["number", "null"]}
_DATE: Schema = {"type": "string", "format": "date-time"}
_OPTIONAL_OBJECT: Schema = {"type": ["object", "null"]}
_OPTIONAL_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_WORD: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
_MOMENT: Schema = {"type": ["string", "number", "null"], "description": "An ISO date, or Unix milliseconds."}
_SAID: Schema = {"type": ["string", "array", "null"], "items": ANY_OBJECT}
_TOKENS = obj(input=COUNT, output=COUNT)


def _body(required: str, **properties: Schema) -> Schema:
    """Of a request: unknown fields are passed over, as other clients send some."""
    return {"type": "object", "properties": properties, "required": required.split()}


START = _body(
    "userId feature",
    userId=_WORD,
    feature=_WORD,
    label=OPTIONAL_TEXT,
    metadata=_OPTIONAL_OBJECT,
    sessionId={"anyOf": [_WORD, {"type": "null"}]},
    timestamp=_MOMENT,
)
_CALL = _body(
    "model prompt",
    model=_WORD,
    prompt={**_SAID, "type": ["string", "array"]},
    response=_SAID,
    timestamp=_MOMENT,
    tokens={"anyOf": [_body("", input=_OPTIONAL_COUNT, output=_OPTIONAL_COUNT), {"type": "null"}]},
    cost=_AMOUNT,
    latency=_AMOUNT,
    provider=OPTIONAL_TEXT,
    requestMetadata=_OPTIONAL_OBJECT,
    error=OPTIONAL_TEXT,
)
INTERACTION = _body("sessionId interaction", sessionId=_WORD, interaction=_CALL)
_ACTION = _body("type", type=_WORD, target=OPTIONAL_TEXT, timestamp=_MOMENT, metadata=_OPTIONAL_OBJECT)
USER_ACTION = _body("sessionId action", sessionId=_WORD, action=_ACTION)
SNAPSHOT = _body("", codeContext=_OPTIONAL_OBJECT, systemMetrics=_OPTIONAL_OBJECT, workspace=ANY, timestamp=_MOMENT)
END = _body("", timestamp=_MOMENT)
ENDED = obj(sessionId=TEXT, duration=COUNT)

_SUMMARY: dict[str, Schema] = {
    "sessionId": TEXT,
    "userId": ANY,
    "feature": ANY,
    "label": ANY,
    "status": {"enum": [*STATES]},
    "metadata": ANY_OBJECT,
    "startTime": _DATE,
    "endTime": _DATE,
    "duration": _NUMBER,
    "interactionCount": COUNT,
    "actionCount": COUNT,
    "errorCount": COUNT,
    "hasRecording": BOOLEAN,
    "models": array(TEXT),
}
LIST = obj(replays=array(obj(**_SUMMARY)), total=COUNT, page=COUNT, limit=COUNT)
_INTERACTION = obj(
    id=TEXT,
    timestamp=_DATE,
    model=OPTIONAL_TEXT,
    provider=OPTIONAL_TEXT,
    prompt=TEXT,
    response=TEXT,
    tokens=_TOKENS,
    cost=_NUMBER,
    latency=_NUMBER,
    requestMetadata=ANY_OBJECT,
    error=OPTIONAL_TEXT,
)
_REPLAY: dict[str, Schema] = {
    **_SUMMARY,
    "summary": obj(totalInteractions=COUNT, totalCost=_NUMBER, totalTokens=_TOKENS),
    "replayData": obj(
        aiInteractions=array(_INTERACTION),
        userActions=array(obj(id=TEXT, timestamp=_DATE, type=TEXT, target=TEXT, title=TEXT, metadata=ANY_OBJECT)),
        codeContext=array(obj(id=TEXT, timestamp=_DATE)),
        systemMetrics=array(obj(id=TEXT, timestamp=_DATE, metrics=ANY_OBJECT)),
    ),
}
REPLAY = obj(**_REPLAY)
EXPORT = obj(version=COUNT, **_REPLAY, timeline=TIMELINE, recording=obj(session_id=TEXT, events=array(ANY_OBJECT)))
STATISTICS = obj(
    totalSessions=COUNT,
    totalInteractions=COUNT,
    totalErrors=COUNT,
    totalCost=_NUMBER,
    totalTokens=_TOKENS,
    averageInteractions=_MEAN,
    averageCost=_MEAN,
    averageTokens=obj(input=_MEAN, output=_MEAN),
    averageDuration=_MEAN,
    averageLatency=_MEAN,
)
SHARING = _body("", expiresIn={"type": ["integer", "string", "null"], "description": 'Milliseconds, or "24h".'})
SHARE = obj(id=TEXT, url=TEXT, expiresAt=_DATE)
