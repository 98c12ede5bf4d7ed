"""Traces: AI spans and user actions become rows; of the other spans their sessions, users, errors and names."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.genai import ACTION_MARKERS, AI_MARKERS
from otel_replay.genai.identity import SESSION_MARKERS, USER_MARKERS, record_identity
from otel_replay.otlp.requests import AcceptedRequest
from otel_replay.otlp.spans import SpanTable
from otel_replay.otlp.thin import ScopeSlice
from otel_replay.receiver.markers import MarkerScan
from otel_replay.receiver.prepare.findings import Findings, capped
from otel_replay.receiver.prepare.naming import Naming, UsualNames
from otel_replay.receiver.prepare.rows import tell_span
from otel_replay.receiver.prepare.surroundings import Surroundings, surroundings
from otel_replay.store.base import ErrorRow

_ERRORS = (b"\x18\x02", b"\x18\x82", b"\x98\x00", b"\x98\x80")
"""A span whose status is an error holds one of them: the beginning of ``Status.code`` (field 3) = 2, its tag and value
as short as can be or longer. One span in fifty holds one by chance."""

_SCAN = MarkerScan((*AI_MARKERS, *ACTION_MARKERS), SESSION_MARKERS, USER_MARKERS, _ERRORS)

_USUAL_NAMES = UsualNames.under(tag=0x4A)
"""The tag of ``Span.attributes`` (field 9)."""


def read_traces(accepted: AcceptedRequest, found: Findings) -> None:
    spans, scopes = accepted.spans, list(_scopes(accepted.scopes))
    if not spans or not scopes:
        return
    _summarise(spans, scopes, found)
    telling, session, user, failed = _SCAN.find(spans.text, spans.bounds)
    naming = Naming()
    unread = naming.read(spans.text, spans.bounds, session, user, _USUAL_NAMES)
    marked = set(telling.records)
    failing: list[tuple[int, Span]] = []
    for record, raw, around in _slices(spans, scopes, unread.union(telling.records, failed.records)):
        span, rows = Span.FromString(raw), len(found.interactions)
        told = tell_span(span, raw, record, around, found) if record in marked else None
        if span.status.code == Status.STATUS_CODE_ERROR:
            found.errors += 1
            if len(found.interactions) == rows:  # an AI span's row says so itself
                failing.append((record, span))
        if told is not None:
            naming.assign(record, told)
        elif record in unread:
            naming.assign(record, record_identity(span).or_else(around.identity))
    for scope in scopes:
        naming.assign_rest(range(scope.first, scope.last), scope.around.identity)
    found.error_rows += _error_rows(failing, naming)
    naming.note_alike(spans.starts, spans.ends, found)
    naming.note(spans.starts, spans.ends, found)


def _error_rows(failing: Iterable[tuple[int, Span]], naming: Naming) -> Iterator[ErrorRow]:
    """Those of failed spans that name a session."""
    for record, span in failing:
        if session := naming.session_of_one(record):
            place = span.trace_id + span.span_id
            yield ErrorRow(session, place, span.trace_id, capped(span.start_time_unix_nano))


def _slices(
    spans: SpanTable, scopes: Sequence[_Scope], records: Iterable[int]
) -> Iterator[tuple[int, bytes, Surroundings]]:
    """These spans in order: their numbers, their encodings, and what surrounds them."""
    last = [scope.last for scope in scopes]
    for record in sorted(records):
        raw = spans.text[spans.bounds[record] : spans.bounds[record + 1]]
        yield record, raw, scopes[bisect_right(last, record)].around


class _Scope(NamedTuple):
    """The spans ``first`` up to, not including, ``last`` and what surrounds them."""

    first: int
    last: int
    around: Surroundings


def _scopes(scopes: Iterable[ScopeSlice]) -> Iterator[_Scope]:
    """Each scope that has spans."""
    last = 0
    for scope in scopes:
        first, last = last, last + scope.size
        if scope.size:
            yield _Scope(first, last, surroundings(scope))


def _summarise(spans: SpanTable, scopes: Sequence[_Scope], found: Findings) -> None:
    found.items, found.trace_ids = len(spans.names), spans.trace_ids
    found.times = int(spans.starts.min()), int(spans.starts.max()), int(spans.ends.max())
    for scope in scopes:
        service = scope.around.service
        found.services.add(service)
        found.operations.update([(service, name) for name in set(spans.names[scope.first : scope.last])])
