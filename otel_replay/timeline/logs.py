"""Log records to entries: session events, user actions, and everything else that was logged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_ERROR, LogRecord

from otel_replay.genai import Told, event_action, session_of, told_by_log
from otel_replay.model import StoredLog
from otel_replay.otlp.attributes import any_value, attribute_map
from otel_replay.timeline.entry import Entry, Status
from otel_replay.timeline.happenings import happening
from otel_replay.timeline.plain import plain
from otel_replay.timeline.spans import SpanKey
from otel_replay.timeline.titles import action_title, first, log_title

SESSION_EVENTS = ("session.start", "session.end", "session.pause", "session.resume")


def log_entries(logs: Iterable[StoredLog]) -> list[Entry]:
    """One entry per record, and one per session and session event; the same for any order and repetition."""
    found: dict[str, Entry] = {}
    for log in sorted(logs, key=_canonical):
        entry = _entry(log)
        known = found.get(entry.id)
        if known is None or _is_preferred(entry, known):
            found[entry.id] = entry
    return list(found.values())


def contents_by_span(logs: Iterable[StoredLog]) -> dict[SpanKey, Told]:
    """What log events say of the operation of a span: its messages, where a library keeps them off the span."""
    attributes_of: dict[SpanKey, dict[str, Any]] = defaultdict(dict)
    events_of: dict[SpanKey, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    distinct = {log.digest: log for log in sorted(logs, key=_canonical) if log.record.span_id}
    for log in sorted(distinct.values(), key=_by_time):
        attributes = attribute_map(log.record.attributes)
        told = told_by_log(_event_name(log.record, attributes), attributes, any_value(log.record.body))
        if told:
            key = (log.record.trace_id.hex(), log.record.span_id.hex())
            attributes_of[key].update(told.attributes)
            events_of[key].extend(told.events)
    return {key: Told(told, events_of[key]) for key, told in attributes_of.items()}


def _by_time(log: StoredLog) -> tuple[int, tuple[str, bytes, bytes, bytes]]:
    """Messages in the order in which they were said."""
    return log.record.time_unix_nano or log.record.observed_time_unix_nano, _canonical(log)


def _event_name(record: LogRecord, attributes: dict[str, Any]) -> str:
    """The field, else the attribute that stood for it before OTLP 1.5."""
    return record.event_name or first(attributes, "event.name")


def _canonical(log: StoredLog) -> tuple[str, bytes, bytes, bytes]:
    record, resource, scope = (
        message.SerializeToString(deterministic=True) for message in (log.record, log.resource, log.scope)
    )
    return log.digest, record, resource, scope


def _is_preferred(entry: Entry, known: Entry) -> bool:
    """A session starts with its first start and ends with its last end, however often it was said."""
    if entry.id.endswith(":end") and entry.kind == "system":
        return entry.start_unix_nano > known.start_unix_nano
    return entry.start_unix_nano < known.start_unix_nano


def _entry(log: StoredLog) -> Entry:
    record = log.record
    attributes = attribute_map(record.attributes)
    resource = attribute_map(log.resource.attributes)
    event_name = _event_name(record, attributes)
    session = plain(session_of(record, log.scope, log.resource))
    time = record.time_unix_nano or record.observed_time_unix_nano
    body = any_value(record.body)
    detail = {
        "event_name": event_name,
        "severity_number": record.severity_number,
        "severity_text": record.severity_text,
        "body": body,
        "attributes": attributes,
        "service": resource.get("service.name", ""),
        "scope": log.scope.name,
    }
    kind, entry_id, title = _identity(log, event_name, session, time, attributes)
    return Entry(
        id=entry_id,
        kind=kind,
        start_unix_nano=time,
        end_unix_nano=time,
        raw_start_unix_nano=time,
        title=title or log_title(event_name, body, attributes, record.severity_text),
        detail=plain(detail),
        status=_status(record, attributes),
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        session_id=session,
    )


def _identity(
    log: StoredLog, event_name: str, session: str, time: int, attributes: dict[str, Any]
) -> tuple[str, str, str]:
    """Kind, entry id, and the title where the record itself does not give it.

    A session starts and ends once; it pauses and resumes any number of times, which the time tells apart.
    """
    if event_name in SESSION_EVENTS and session:
        event = event_name.removeprefix("session.")
        once = event in ("start", "end")
        entry_id = f"session:{session}:{event}" if once else f"session:{session}:{event}:{time}"
        return "system", entry_id, f"session {event}"
    if action := event_action(event_name, attributes):
        return "action", f"log:{log.digest}", action_title(action)
    if told := happening(event_name, attributes):
        return told.kind, f"log:{log.digest}", told.title
    return "log", f"log:{log.digest}", ""


def _status(record: LogRecord, attributes: dict[str, Any]) -> Status:
    is_error = record.severity_number >= SEVERITY_NUMBER_ERROR or "exception.type" in attributes
    return "error" if is_error else "unset"
