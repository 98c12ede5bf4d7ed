"""What ``/api/session-replay`` answers: sessions and timelines in milliseconds, ISO dates and camel case. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from otel_replay.events import CODE_CONTEXT, CODE_LANGUAGE, CODE_SNIPPET, CODE_WORKSPACE, SESSION_SNAPSHOT
from otel_replay.genai.messages import text_of
from otel_replay.receiver.described import CALL_FACTS
from otel_replay.receiver.telling import METRIC_PREFIX
from otel_replay.receiver.visits import ACTION_METADATA
from otel_replay.sdk.definitions import METADATA
from otel_replay.timeline.entry import Entry, Timeline

Document = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ACTS_ON_PAGES = ("click", "dblclick", "input", "rage_click", "dead_click")
_CODE = {
    "file": "code.file.path",
    "line": "code.line.number",
    "column": "code.column.number",
    "snippet": CODE_SNIPPET,
    "language": CODE_LANGUAGE,
}
_MEASURES = (METRIC_PREFIX, "system.", "process.", "http.server.")


def metadata_of(session: Mapping[str, Any]) -> Document:
    """What a session was started with; empty where nothing was told, or it is no object."""
    return _object(session["attributes"].get(METADATA))


def summary_document(session: Mapping[str, Any]) -> Document:
    """One line of a list, from one of ``sessions``."""
    start, end = int(session["start_unix_nano"]), int(session["end_unix_nano"])
    return {
        "sessionId": session["session_id"],
        "userId": session["user"],
        "feature": session["feature"],
        "label": session["label"],
        "status": session["state"],
        "metadata": metadata_of(session),
        "startTime": iso(start),
        "endTime": iso(end),
        "duration": milliseconds(end - start),
        "interactionCount": session["interactions"],
        "actionCount": session["actions"],
        "errorCount": session["errors"],
        "hasRecording": session["has_recording"],
        "models": session["models"],
    }


def replay_document(session: Mapping[str, Any], timeline: Timeline) -> Document:
    """A session with everything that happened in it, in order."""
    entries = timeline.entries
    return {
        **summary_document(session),
        "summary": {
            "totalInteractions": timeline.calls,
            "totalCost": dollars(timeline.cost_usd),
            "totalTokens": {"input": timeline.tokens.input or 0, "output": timeline.tokens.output or 0},
        },
        "replayData": {
            "aiInteractions": [_interaction(entry) for entry in _leaves(timeline.interactions)],
            "userActions": [_action(entry) for entry in entries if _is_action(entry)],
            "codeContext": [told for entry in entries if (told := _code_context(entry))],
            "systemMetrics": [told for entry in entries if (told := _system_metrics(entry))],
        },
    }


def statistics_document(
    page: Mapping[str, Any], total: Mapping[str, Any], newest: Iterable[Mapping[str, Any]]
) -> Document:
    """Over all sessions: ``page`` counts them, ``total`` is of their calls, ``newest`` are those to average over.

    Averages by session are null where there are more sessions than are counted.
    """
    sessions, calls = page["total"], total["interactions"]
    counted = 0 if page["total_at_least"] else sessions
    tokens = {name: total["tokens"][name] or 0 for name in ("input", "output")}
    latency = total["latency_ns"] and total["latency_ns"]["mean"]
    lengths = [int(one["end_unix_nano"]) - int(one["start_unix_nano"]) for one in newest]
    return {
        "totalSessions": sessions,
        "totalInteractions": calls,
        "totalErrors": total["errors"],
        "totalCost": dollars(total["cost_usd"]),
        "totalTokens": tokens,
        "averageInteractions": _mean(calls, counted),
        "averageCost": _mean(dollars(total["cost_usd"]), counted),
        "averageTokens": {name: _mean(count, counted) for name, count in tokens.items()},
        "averageDuration": _mean(sum(lengths) / 1e6, len(lengths)),
        "averageLatency": None if latency is None else int(latency) / 1e6,
    }


def iso(unix_nano: int) -> str:
    """As JavaScript writes dates; the beginning of 1970 for what is beyond them."""
    try:
        moment = _EPOCH + timedelta(microseconds=unix_nano // 1000)
    except OverflowError:
        moment = _EPOCH
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def milliseconds(duration_ns: int) -> int | float:
    """Whole where they are."""
    return duration_ns // 10**6 if duration_ns % 10**6 == 0 else duration_ns / 10**6


def dollars(cost_usd: str | None) -> float:
    """A number, for clients that reckon with it; the exact one stands in statistics and timelines."""
    return float(Decimal(cost_usd or 0))


def _leaves(interactions: Iterable[Entry]) -> list[Entry]:
    """Without those that only stand around another one, as of a framework around its client."""
    found = list(interactions)
    around = {(entry.trace_id, entry.parent_span_id) for entry in found}
    return [entry for entry in found if (entry.trace_id, entry.span_id) not in around]


def _interaction(entry: Entry) -> Document:
    detail = entry.detail
    usage = detail["usage"]
    return {
        "id": entry.id,
        "timestamp": iso(entry.start_unix_nano),
        "model": detail["response_model"] or detail["request_model"],
        "provider": detail["provider"],
        "prompt": text_of(list(detail["input_messages"] or ())),
        "response": text_of(list(detail["output_messages"] or ())),
        "tokens": {"input": usage["input"] or 0, "output": usage["output"] or 0},
        "cost": dollars(detail["cost_usd"]),
        "latency": milliseconds(entry.end_unix_nano - entry.start_unix_nano),
        "requestMetadata": {**detail["parameters"], **_object(detail["attributes"].get(CALL_FACTS))},
        "error": (detail["error"] or detail["status_message"] or "error") if entry.status == "error" else None,
    }


def _is_action(entry: Entry) -> bool:
    on_page = entry.kind == "dom" and entry.detail.get("type") in _ACTS_ON_PAGES
    return on_page or entry.kind in ("action", "navigation")


def _action(entry: Entry) -> Document:
    """What a span, an event or a recording told of it."""
    detail = entry.detail
    told = detail.get("action") or {}
    return {
        "id": entry.id,
        "timestamp": iso(entry.start_unix_nano),
        "type": told.get("name") or detail.get("type") or entry.title.partition(" ")[0],
        "target": told.get("target") or detail.get("selector") or detail.get("href") or entry.title.partition(" ")[2],
        "title": entry.title,
        "metadata": _object(detail.get("attributes", {}).get(ACTION_METADATA)),
    }


def _code_context(entry: Entry) -> Document | None:
    attributes = _attributes_of(entry, CODE_CONTEXT, SESSION_SNAPSHOT)
    told = {name: attributes[key] for name, key in _CODE.items() if key in attributes}
    if CODE_WORKSPACE in attributes:
        told["workspace"] = _parsed(attributes[CODE_WORKSPACE])
    return {"id": entry.id, "timestamp": iso(entry.start_unix_nano), **told} if told else None


def _system_metrics(entry: Entry) -> Document | None:
    attributes = _attributes_of(entry)
    told = {
        key.removeprefix(METRIC_PREFIX): value
        for key, value in attributes.items()
        if key.startswith(_MEASURES) and isinstance(value, int | float)
    }
    return {"id": entry.id, "timestamp": iso(entry.start_unix_nano), "metrics": told} if told else None


def _attributes_of(entry: Entry, *events: str) -> Mapping[str, Any]:
    """Of an entry made from one of these events; without names of any that tells of the system."""
    name = entry.detail.get("event_name")
    wanted = name in events if events else entry.kind == "system"
    return entry.detail.get("attributes", {}) if wanted else {}


def _object(text: Any) -> Document:
    found = _parsed(text)
    return found if isinstance(found, dict) else {}


def _parsed(text: Any) -> Any:
    """The JSON in an attribute; the text itself where it is none."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None
