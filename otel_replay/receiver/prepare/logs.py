"""Logs: pieces of recordings become chunks; of plain records their times, sessions and errors are read.

Session events describe their session, message events the operation of a span.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from itertools import compress
from typing import NamedTuple

import xxhash
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_replay.errors import InvalidRequest
from otel_replay.genai import DETAILS_EVENT
from otel_replay.genai.identity import SESSION_MARKERS, USER_MARKERS, record_identity
from otel_replay.genai.markers import shortest
from otel_replay.genai.told import CONTENT_EVENTS
from otel_replay.model import Signal
from otel_replay.otlp import thin
from otel_replay.otlp.attributes import any_value, attribute_map, attributes_under
from otel_replay.otlp.requests import AcceptedRequest, groups, records, scopes
from otel_replay.otlp.spans import join_records
from otel_replay.receiver.markers import MarkerScan
from otel_replay.receiver.prepare.chunks import note_chunk
from otel_replay.receiver.prepare.findings import SESSION_ATTRIBUTES, Findings, Origin, capped, said
from otel_replay.receiver.prepare.log_contents import log_contents
from otel_replay.receiver.prepare.naming import Naming, UsualNames
from otel_replay.receiver.prepare.surroundings import Surroundings, surroundings
from otel_replay.recording.logs import SCOPES, chunk_from_log, is_recording
from otel_replay.store.base import ErrorRow, LogContents, Quarantined
from otel_replay.store.blocks import log_digest
from otel_replay.store.managed import MANAGED_ATTRIBUTES

_EXCEPTION = "exception.type"
_SCAN = MarkerScan(
    SESSION_MARKERS,
    USER_MARKERS,
    [b"rr-web.event"],
    shortest((*CONTENT_EVENTS, DETAILS_EVENT)),
    [_EXCEPTION.encode()],
)

_DESCRIBING = (*SESSION_ATTRIBUTES, *MANAGED_ATTRIBUTES)

_USUAL_NAMES = UsualNames.under(tag=0x32)
"""The tag of ``LogRecord.attributes`` (field 6)."""

_SESSION_STATES = {
    "session.start": "active",
    "session.resume": "active",
    "session.pause": "paused",
    "session.end": "ended",
}


class _Log(NamedTuple):
    """A log record, its encoding and what surrounds it; ``scope`` is encoded."""

    record: LogRecord
    raw: bytes
    around: Surroundings
    scope: bytes

    @property
    def unix_nano(self) -> int:
        return self.record.time_unix_nano or self.record.observed_time_unix_nano


def read_logs(accepted: AcceptedRequest, origin: Origin, found: Findings) -> bytes:
    """Collects; returns the request without the records that are pieces of a recording."""
    logs = list(_logs(accepted))
    text, bounds = join_records([log.raw for log in logs])
    session, user, recording, messages, exceptions = _SCAN.find(text, bounds)
    naming, marked = Naming(), set(recording.records)
    for record in naming.read(text, bounds, session, user, _USUAL_NAMES):
        log = logs[record]
        naming.assign(record, record_identity(log.record).or_else(log.around.identity))
    is_plain = [not _is_recording(log, record in marked) for record, log in enumerate(logs)]
    recordings = [record for record, plain in enumerate(is_plain) if not plain]
    for record in recordings:
        naming.forget(record)
        _note_recording(logs[record], origin, found)
    plain = list(compress(enumerate(logs), is_plain))
    _note_plain(plain, naming, found)
    _note_contents(plain, set(messages.records), found)
    _note_errors(plain, set(exceptions.records), naming, origin.project, found)
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
            yield _Log(record, next(raws), around, sliced.scope)


def _is_recording(log: _Log, is_marked: bool) -> bool:
    """Asks only records that hold the marker, or whose scope makes them recordings."""
    scope_name = log.around.scope_name
    return (is_marked or scope_name in SCOPES) and is_recording(log.record, scope_name)


def _note_plain(logs: Sequence[tuple[int, _Log]], naming: Naming, found: Findings) -> None:
    """Counts and dates plain records, and sees their sessions."""
    times = {record: log.unix_nano for record, log in logs}
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
        told = attributes_under(record.attributes, _DESCRIBING)
        if state := _SESSION_STATES.get(record.event_name):
            told["state"] = state
        found.tell(session, said(told, time, xxhash.xxh3_128_hexdigest(log.raw)))


def _note_contents(logs: Sequence[tuple[int, _Log]], marked: Set[int], found: Findings) -> None:
    """What message events say of the operation of the span in whose context they were made."""
    for place, (number, log) in enumerate(logs):
        record = log.record
        if number in marked and len(record.trace_id) == 16 and len(record.span_id) == 8:
            name = record.event_name or attributes_under(record.attributes, ("event.name",)).get("event.name", "")
            if isinstance(name, str) and (name == DETAILS_EVENT or name in CONTENT_EVENTS):
                ids = (record.trace_id.hex(), record.span_id.hex())
                contents = log_contents(log.raw, name)
                found.log_contents.append(LogContents(*ids, capped(log.unix_nano), place, contents))


def _note_errors(
    logs: Sequence[tuple[int, _Log]], marked: Set[int], naming: Naming, project: int, found: Findings
) -> None:
    """Errors and exceptions of a session, as the timeline tells them."""
    for number, log in logs:
        is_error = log.record.severity_number >= SeverityNumber.SEVERITY_NUMBER_ERROR
        is_error = is_error or (number in marked and bool(attributes_under(log.record.attributes, (_EXCEPTION,))))
        if is_error and (session := naming.session_of(number)):
            digest = log_digest(project, log.around.resource, log.scope, log.raw)
            trace_id = log.record.trace_id if len(log.record.trace_id) == 16 else b""
            span_id = log.record.span_id if trace_id and len(log.record.span_id) == 8 else b""
            found.error_rows.append(ErrorRow(session, digest, trace_id, capped(log.unix_nano), span_id))


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
