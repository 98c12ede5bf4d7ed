"""Reading blocks: a block is a valid OTLP request, so its spans and logs are found by slicing it. Pure.

Readers decode record by record and only those that can match: a 16-byte substring test comes before any parsing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import xxhash
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.identity import session_id
from otel_replay.model import StoredLog, StoredSpan
from otel_replay.otlp import thin
from otel_replay.otlp.attributes import attribute_map
from otel_replay.store.base import SpanVersion

Matched = tuple[thin.RecordSlice, Any]
"""A slice with its decoded record."""


def spans_of_trace(bodies: Iterable[bytes], trace_id: bytes) -> list[Matched]:
    """The winning version of every span of a trace, in stored order."""

    def match(piece: thin.RecordSlice) -> Span | None:
        if trace_id not in piece.raw:
            return None
        span = Span.FromString(piece.raw)
        return span if span.trace_id == trace_id else None

    return _latest_versions(_matches(bodies, match))


def spans_of_session(bodies: Iterable[bytes], wanted: str) -> list[Matched]:
    """The winning version of every span that names the session itself or by its resource."""
    return _latest_versions(_matches(bodies, _session_match(Span, wanted)))


def logs_of_trace(bodies: Iterable[bytes], trace_id: bytes) -> list[Matched]:
    def match(piece: thin.RecordSlice) -> LogRecord | None:
        if trace_id not in piece.raw:
            return None
        record = LogRecord.FromString(piece.raw)
        return record if record.trace_id == trace_id else None

    return list(_matches(bodies, match))


def logs_of_session(bodies: Iterable[bytes], wanted: str) -> list[Matched]:
    return list(_matches(bodies, _session_match(LogRecord, wanted)))


def _session_match(kind: Any, wanted: str) -> Callable[[thin.RecordSlice], Any]:
    needle = wanted.encode()
    is_number = wanted.removeprefix("-").isdecimal()  # an integer attribute does not hold its digits as bytes

    def match(piece: thin.RecordSlice) -> Any:
        if not is_number and needle not in piece.raw and needle not in piece.resource:
            return None
        record = kind.FromString(piece.raw)
        resource = Resource.FromString(piece.resource)
        named = session_id(attribute_map(record.attributes), attribute_map(resource.attributes))
        return record if named == wanted else None

    return match


def _matches(bodies: Iterable[bytes], match: Callable[[thin.RecordSlice], Any]) -> Iterator[Matched]:
    for body in bodies:
        for piece in thin.slices(body):
            record = match(piece)
            if record is not None:
                yield piece, record


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
    return [
        StoredSpan(Resource.FromString(piece.resource), InstrumentationScope.FromString(piece.scope), span)
        for piece, span in matches
    ]


def stored_logs(project: int, matches: Iterable[Matched]) -> list[StoredLog]:
    """With resource, scope and identity: the digest of (project, resource, scope, record bytes)."""
    logs: dict[str, StoredLog] = {}
    for piece, record in matches:
        identity = b"\0".join((str(project).encode(), piece.resource, piece.scope, piece.raw))
        digest = xxhash.xxh3_128_hexdigest(identity)
        resource, scope = Resource.FromString(piece.resource), InstrumentationScope.FromString(piece.scope)
        logs[digest] = StoredLog(resource, scope, record, digest)
    return list(logs.values())


def trace_data(matches: Iterable[Matched]) -> bytes:
    """``TracesData`` of these spans, each as exactly the bytes received."""
    return thin.rebuild(piece for piece, _ in matches)
