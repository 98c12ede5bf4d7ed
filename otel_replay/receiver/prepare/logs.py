"""Logs: pieces of recordings become chunks; of plain records their times, severities, sessions and session events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import NamedTuple

import xxhash
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_replay.errors import InvalidRequest
from otel_replay.genai.identity import SESSION_MARKERS, USER_MARKERS, record_identity
from otel_replay.model import Signal
from otel_replay.otlp import thin
from otel_replay.otlp.attributes import any_value, attribute_map, attributes_under
from otel_replay.otlp.requests import AcceptedRequest, groups, records, scopes
from otel_replay.otlp.spans import join_records
from otel_replay.receiver.markers import MarkerScan
from otel_replay.receiver.prepare.chunks import note_chunk
from otel_replay.receiver.prepare.findings import SESSION_ATTRIBUTES, Findings, Origin, said
from otel_replay.receiver.prepare.naming import Naming, UsualNames
from otel_replay.receiver.prepare.surroundings import Surroundings, surroundings
from otel_replay.recording.logs import SCOPES, chunk_from_log, is_recording
from otel_replay.store.base import Quarantined

_SCAN = MarkerScan(SESSION_MARKERS, USER_MARKERS, [b"rr-web.event"])

_USUAL_NAMES = UsualNames.under(tag=0x32)
"""The tag of ``LogRecord.attributes`` (field 6)."""

_SESSION_STATES = {
    "session.start": "active",
    "session.resume": "active",
    "session.pause": "paused",
    "session.end": "ended",
}


class _Log(NamedTuple):
    """A log record, its encoding and what surrounds it."""

    record: LogRecord
    raw: bytes
    around: Surroundings


def read_logs(accepted: AcceptedRequest, origin: Origin, found: Findings) -> bytes:
    """Collects; returns the request without the records that are pieces of a recording."""
    logs = list(_logs(accepted))
    text, bounds = join_records([log.raw for log in logs])
    session, user, recording = _SCAN.find(text, bounds)
    naming, marked = Naming(), set(recording.records)
    for record in naming.read(text, bounds, session, user, _USUAL_NAMES):
        log = logs[record]
        naming.assign(record, record_identity(log.record).or_else(log.around.identity))
    is_plain = [not _is_recording(log, record in marked) for record, log in enumerate(logs)]
    recordings = [record for record, plain in enumerate(is_plain) if not plain]
    for record in recordings:
        naming.forget(record)
        _note_recording(logs[record], origin, found)
    _note_plain(list(compress(enumerate(logs), is_plain)), naming, found)
    if not recordings:
        return accepted.body
    kept = iter(is_plain)
    return thin.select(accepted.body, lambda _piece: next(kept))


def _logs(accepted: AcceptedRequest) -> Iterator[_Log]:
    parsed = (scope for group in groups(Signal.LOGS, accepted.message) for scope in scopes(Signal.LOGS, group))
    raws = iter(thin.records_of(thin.parse(accepted.body)))
    for scope, sliced in zip(parsed, accepted.scopes, strict=True):
        around = surroundings(sliced)
        for record in records(Signal.LOGS, scope):
            yield _Log(record, next(raws), around)


def _is_recording(log: _Log, is_marked: bool) -> bool:
    """Asks only records that hold the marker, or whose scope makes them recordings."""
    scope_name = log.around.scope_name
    return (is_marked or scope_name in SCOPES) and is_recording(log.record, scope_name)


def _note_plain(logs: Sequence[tuple[int, _Log]], naming: Naming, found: Findings) -> None:
    """Counts and dates plain records, and sees their sessions."""
    times = {record: log.record.time_unix_nano or log.record.observed_time_unix_nano for record, log in logs}
    found.items = len(logs)
    if logs:
        found.times = min(times.values()), max(times.values()), max(times.values())
    found.errors = sum(log.record.severity_number >= SeverityNumber.SEVERITY_NUMBER_ERROR for _, log in logs)
    found.services.update({log.around.service for _, log in logs})
    found.trace_ids = frozenset(trace_id for _, log in logs if len(trace_id := log.record.trace_id) == 16)
    for record, log in logs:
        naming.assign_rest((record,), log.around.identity)
    naming.note(times, times, found)
    for record, log in logs:
        if session := naming.session_of(record):
            _note_session(log, session, times[record], found)


def _note_session(log: _Log, session: str, time: int, found: Findings) -> None:
    """A record of a session links its trace to it; a session event (semantic conventions, session.md) describes it."""
    record = log.record
    if len(record.trace_id) == 16:
        found.session_traces.add((session, record.trace_id.hex()))
    if record.event_name.startswith("session."):
        told = attributes_under(record.attributes, SESSION_ATTRIBUTES)
        if state := _SESSION_STATES.get(record.event_name):
            told["state"] = state
        found.tell(session, said(told, time, xxhash.xxh3_128_hexdigest(log.raw)))


def _note_recording(log: _Log, origin: Origin, found: Findings) -> None:
    try:
        chunk = chunk_from_log(
            project=origin.project,
            resource_attributes=attribute_map(Resource.FromString(log.around.resource).attributes),
            record_attributes=attribute_map(log.record.attributes),
            body=any_value(log.record.body),
            time_unix_nano=log.record.time_unix_nano,
            received_unix_nano=origin.received_unix_nano,
        )
    except InvalidRequest as error:
        found.quarantined.append(Quarantined(Signal.LOGS, error.message, log.raw))
    else:
        note_chunk(chunk, found)
