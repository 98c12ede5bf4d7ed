"""Reading blocks: a block is a valid OTLP request, so its spans and logs are found by slicing it. Pure.

Readers decode record by record and only those that can match: substring tests come before any parsing. Records may be
cut (:mod:`otel_replay.store.bodies`); ``whole`` gives such a record back as it was received.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import xxhash
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.contents import LARGE_BYTES
from otel_replay.genai.identity import record_identity, scope_identity
from otel_replay.model import StoredLog, StoredSpan
from otel_replay.otlp import thin
from otel_replay.store.base import SpanVersion
from otel_replay.store.bodies import is_cut

Matched = tuple[thin.RecordSlice, Any]
"""A slice with its decoded record."""

Whole = Callable[[bytes], bytes]

TRACE_ID_TAG = b"\x0a\x10"
"""``Span.trace_id`` (field 1, 16 bytes): what a span starts with as every encoder writes it."""


def uncut(record: bytes) -> bytes:
    """The ``whole`` of records of which nothing was taken out."""
    return record


def spans_of_trace(bodies: Iterable[bytes], trace_id: bytes, whole: Whole = uncut) -> list[Matched]:
    """The winning version of every span of a trace, in stored order."""
    pieces = (piece for body in bodies for piece in _slices_with(body, trace_id))
    return _latest_versions(_decoded(pieces, Span, whole, lambda span, _: span.trace_id == trace_id))


def spans_of_session(
    bodies: Iterable[bytes],
    wanted: str,
    bodies_of_traces: Callable[[frozenset[bytes]], Iterable[bytes]],
    whole: Whole = uncut,
) -> list[Matched]:
    """Of every span the winning version, if that one names the session itself or by its resource.

    ``bodies`` are those that may name the session; ``bodies_of_traces`` gives those that may hold spans of traces:
    a version that wins may name another session, or none, and stand anywhere.
    """
    names = _names_session(wanted)
    pieces = (piece for body in bodies for piece in _slices_naming(body, wanted))
    spans = {(span.trace_id, span.span_id) for _, span in _decoded(pieces, Span, whole, names)}
    traces = frozenset(trace_id for trace_id, _ in spans)
    pieces = (
        piece for body in bodies_of_traces(traces) for piece in thin.slices(body) if _may_be_of(piece.raw, traces)
    )
    versions = _decoded(pieces, Span, whole, lambda span, _: (span.trace_id, span.span_id) in spans)
    return [(piece, span) for piece, span in _latest_versions(versions) if names(span, piece)]


def logs_of_trace(bodies: Iterable[bytes], trace_id: bytes, whole: Whole = uncut) -> list[Matched]:
    """Log records of a trace, in stored order."""
    pieces = (piece for body in bodies for piece in _slices_with(body, trace_id))
    return list(_decoded(pieces, LogRecord, whole, lambda record, _: record.trace_id == trace_id))


def logs_of_session(bodies: Iterable[bytes], wanted: str, whole: Whole = uncut) -> list[Matched]:
    """Log records that name the session themselves or by their resource, in stored order."""
    pieces = (piece for body in bodies for piece in _slices_naming(body, wanted))
    return list(_decoded(pieces, LogRecord, whole, _names_session(wanted)))


def _slices_with(body: bytes, needle: bytes) -> Iterator[thin.RecordSlice]:
    """Records that contain the needle."""
    if needle in body:
        for resource_group in thin.parse(body).resources:
            for scope_group in resource_group.scopes:
                for raw in [raw for raw in scope_group.records if needle in raw]:
                    yield thin.RecordSlice(resource_group, scope_group, raw)


def _slices_naming(body: bytes, session: str) -> Iterator[thin.RecordSlice]:
    """Records that may name the session themselves or by their resource."""
    needle = session.encode()
    # An integer attribute does not hold its digits as bytes; a large one may have been taken out, key and all.
    if session.removeprefix("-").isdecimal() or 2 * len(needle) >= LARGE_BYTES:
        yield from thin.slices(body)
    elif needle in body:
        for piece in thin.slices(body):
            if needle in piece.raw or needle in piece.scope or needle in piece.resource:
                yield piece


def _may_be_of(raw: bytes, traces: frozenset[bytes]) -> bool:
    """Whether a span can be of one of the traces: any that does not start with its trace id has to be decoded."""
    start = 1 if is_cut(raw) else 0
    return raw[start + 2 : start + 18] in traces or raw[start : start + 2] != TRACE_ID_TAG


def _names_session(wanted: str) -> Callable[[Any, thin.RecordSlice], bool]:
    surroundings: dict[tuple[bytes, bytes], str] = {}

    def test(record: Any, piece: thin.RecordSlice) -> bool:
        around = (piece.scope, piece.resource)
        if around not in surroundings:
            scope, resource = InstrumentationScope.FromString(piece.scope), Resource.FromString(piece.resource)
            surroundings[around] = scope_identity(scope, resource).session_id
        return (record_identity(record).session_id or surroundings[around]) == wanted

    return test


def _decoded(
    pieces: Iterable[thin.RecordSlice], kind: Any, whole: Whole, test: Callable[[Any, thin.RecordSlice], bool]
) -> Iterator[Matched]:
    """The records that pass ``test(record, slice)``."""
    for piece in pieces:
        raw = whole(piece.raw)
        record = kind.FromString(raw)
        if test(record, piece):
            yield thin.RecordSlice(piece.resource_group, piece.scope_group, raw), record


def _latest_versions(matches: Iterable[Matched]) -> list[Matched]:
    """Of spans with equal identity the one with the greatest end time, then length, then digest."""
    best: dict[tuple[bytes, bytes], tuple[SpanVersion, Matched]] = {}
    for piece, span in matches:
        version = SpanVersion(span.end_time_unix_nano, len(piece.raw), xxhash.xxh3_128_digest(piece.raw))
        key = (span.trace_id, span.span_id)
        if key not in best or best[key][0] < version:
            best[key] = (version, (piece, span))
    return [matched for _, matched in best.values()]


def stored_spans(matches: Iterable[Matched]) -> list[StoredSpan]:
    """With resource and scope decoded."""
    envelopes = _Envelopes()
    return [StoredSpan(*envelopes.of(piece), span) for piece, span in matches]


def stored_logs(project: int, matches: Iterable[Matched]) -> list[StoredLog]:
    """With resource, scope and identity: the digest of (project, resource, scope, record bytes)."""
    envelopes = _Envelopes()
    logs: dict[str, StoredLog] = {}
    for piece, record in matches:
        digest = log_digest(project, piece.resource, piece.scope, piece.raw).hex()
        logs[digest] = StoredLog(*envelopes.of(piece), record, digest)
    return list(logs.values())


def log_digest(project: int, resource: bytes, scope: bytes, raw: bytes) -> bytes:
    """Tells a log record from all others of all projects: 16 bytes."""
    return xxhash.xxh3_128_digest(b"\0".join((str(project).encode(), resource, scope, raw)))


class _Envelopes:
    """Resources and scopes decoded, equal ones once."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], tuple[Resource, InstrumentationScope]] = {}

    def of(self, piece: thin.RecordSlice) -> tuple[Resource, InstrumentationScope]:
        key = (piece.resource, piece.scope)
        if key not in self._known:
            self._known[key] = (Resource.FromString(key[0]), InstrumentationScope.FromString(key[1]))
        return self._known[key]


def trace_data(matches: Iterable[Matched]) -> bytes:
    """``TracesData`` of these spans, each as exactly the bytes received."""
    return thin.rebuild(piece for piece, _ in matches)
