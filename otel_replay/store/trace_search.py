"""Trace search over blocks that come newest first: exact order and exact matches, without a look at every block. Pure.

A block tells the latest start of its spans. Once enough traces are known whose matching spans start after that of the
next block, no block that follows can change the page. A span found in a block may have been superseded by a version in
another one: each candidate trace is therefore read whole and matched again before it counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.genai.identity import SESSION_MARKERS, record_identity, scope_identity
from otel_replay.model import MAX_UNIX_NANO
from otel_replay.otlp import thin
from otel_replay.otlp.attributes import attribute_map
from otel_replay.store.base import AttributeTest, SpanFilter, TracePage, TraceSummary
from otel_replay.store.blocks import Matched, Whole
from otel_replay.store.matching import capped_start, left_to_hold, service_name, span_matches
from otel_replay.store.needles import Find, quick_test

MATCHED_SPANS = 1_000
"""Ids of matching spans in a summary, the earliest; a trace may have any number."""

PENDING_TRACES = 10_000
"""Candidates that wait to be read whole; with more of them those that cannot make the page are forgotten."""

Position = tuple[int, str]
"""Start of the latest matching span, and trace id."""


class RankedTrace(NamedTuple):
    """A trace with a matching span, and its place in the order."""

    position: Position
    summary: TraceSummary


class BlockScan:
    """Looks for matching spans in blocks."""

    def __init__(self, wanted: SpanFilter) -> None:
        self._wanted = wanted
        self._finds = quick_test(wanted, wanted.attributes)
        self._finds_left: dict[tuple[AttributeTest, ...], list[Find]] = {}

    def candidates(self, body: bytes, whole: Whole) -> dict[bytes, int]:
        """Traces with a version of a span that matches, each with the latest start of such a span.

        ``whole`` gives a cut record back as it was received.
        """
        found: dict[bytes, int] = {}
        if all(find(body, 0) >= 0 for find in self._finds):
            for span in self._spans(body, whole):
                found[span.trace_id] = max(capped_start(span), found.get(span.trace_id, 0))
        return found

    def _spans(self, body: bytes, whole: Whole) -> Iterator[Span]:
        wanted = self._wanted
        for resource_group in thin.parse(body).resources:
            resource = Resource.FromString(b"".join(resource_group.resource))
            for scope_group in resource_group.scopes:
                left = left_to_hold(resource, InstrumentationScope.FromString(b"".join(scope_group.scope)), wanted)
                if left is None:
                    continue
                for raw in _likely(list(scope_group.records), self._finds_of_span(left)):
                    span = Span.FromString(whole(raw))
                    if span_matches(span, left, wanted):
                        yield span

    def _finds_of_span(self, left: tuple[AttributeTest, ...]) -> list[Find]:
        if left not in self._finds_left:
            self._finds_left[left] = quick_test(self._wanted, left)
        return self._finds_left[left]


def _likely(records: list[bytes], finds: list[Find]) -> Iterator[bytes]:
    """The records in which all find something. The first looks through all of them at once: a call for each record
    would cost more than what it looks at."""
    if not finds:
        yield from records
        return
    together, ends = b"".join(records), list(accumulate(map(len, records)))
    at = finds[0](together, 0)
    while at >= 0:
        index = bisect_right(ends, at)
        if all(find(records[index], 0) >= 0 for find in finds):
            yield records[index]
        at = finds[0](together, ends[index])


class TraceRanking:
    """The first ``limit`` traces after a position, from candidates that arrive newest block first.

    ``read`` reads a trace whole: None when it does not match after all.
    """

    def __init__(self, limit: int, after: Position | None, read: Callable[[bytes], RankedTrace | None]) -> None:
        self._limit = limit
        self._after = after
        self._read = read
        self._pending: dict[bytes, int] = {}
        self._done: set[bytes] = set()
        self._best: list[RankedTrace] = []

    def add(self, candidates: dict[bytes, int]) -> None:
        """What was found in a block: trace id and the latest start of a span that matches."""
        for trace_id, start in candidates.items():
            if trace_id not in self._done:
                self._pending[trace_id] = max(start, self._pending.get(trace_id, 0))
        if len(self._pending) > PENDING_TRACES:
            self._settle(-1)
            self._pending.clear()

    def is_complete(self, floor: int) -> bool:
        """Whether the page is certain although spans that start at ``floor`` or before have not been looked at."""
        self._settle(floor)
        return self._is_full() and self._best[-1].position[0] > floor

    def page(self) -> TracePage:
        """What is best of all that was found."""
        self._settle(-1)
        traces = self._best[: self._limit]
        return TracePage([one.summary for one in traces], traces[-1].position if self._is_full() else None)

    def _is_full(self) -> bool:
        """One more than the page holds: so that it knows whether another follows."""
        return len(self._best) > self._limit

    def _settle(self, floor: int) -> None:
        """Reads the candidates that start after ``floor`` and may be among the best. No trace is read twice.

        A trace's place is not above its candidate's: whatever matches after ``floor`` has been found.
        """
        due = sorted(
            ((start, trace_id.hex(), trace_id) for trace_id, start in self._pending.items() if start > floor),
            reverse=True,
        )
        for start, name, trace_id in due:
            if self._is_full() and (start, name) < self._best[-1].position:
                return
            del self._pending[trace_id]
            self._done.add(trace_id)
            ranked = self._read(trace_id)
            if ranked and (self._after is None or ranked.position < self._after):
                self._best = sorted([*self._best, ranked], reverse=True)[: self._limit + 1]


def rank_trace(trace_id: str, found: Sequence[Matched], wanted: SpanFilter) -> RankedTrace | None:
    """The summary of a trace from the winning versions of its spans; None when none of them matches."""
    envelopes = _Envelopes(wanted)
    spans = [_Span(span, piece, envelopes.of(piece)) for piece, span in found]
    matching = sorted((one.start, one.span_id) for one in spans if one.matches(wanted))
    if not matching:
        return None
    roots = [one for one in spans if not any(one.span.parent_span_id)]
    root = min(roots or spans, key=lambda one: (one.start, one.span_id))
    start = min(one.start for one in spans)
    end = max(min(one.span.end_time_unix_nano, MAX_UNIX_NANO) for one in spans)
    summary = TraceSummary(
        trace_id=trace_id,
        root_service=service_name(root.envelope.resource),
        root_name=root.span.name,
        start_unix_nano=start,
        duration_ns=max(0, end - start),
        spans=len(spans),
        errors=sum(one.span.status.code == Status.STATUS_CODE_ERROR for one in spans),
        session_id=min(filter(None, (one.session_id() for one in spans)), default=""),
        matched_span_ids=[span_id for _, span_id in matching[:MATCHED_SPANS]],
    )
    return RankedTrace((matching[-1][0], trace_id), summary)


class _Envelope(NamedTuple):
    """What spans of one resource and scope share; ``left`` is what such a span has to pass, None: it cannot match."""

    resource: Resource
    attributes: dict[str, Any]
    session_id: str
    left: tuple[AttributeTest, ...] | None


class _Envelopes:
    """Envelopes of a trace, equal ones decoded once."""

    def __init__(self, wanted: SpanFilter) -> None:
        self._wanted = wanted
        self._known: dict[tuple[bytes, bytes], _Envelope] = {}

    def of(self, piece: thin.RecordSlice) -> _Envelope:
        key = (piece.resource, piece.scope)
        if key not in self._known:
            resource, scope = Resource.FromString(key[0]), InstrumentationScope.FromString(key[1])
            left = left_to_hold(resource, scope, self._wanted)
            self._known[key] = _Envelope(
                resource, attribute_map(resource.attributes), scope_identity(scope, resource).session_id, left
            )
        return self._known[key]


class _Span:
    """A span with what a summary asks of it."""

    def __init__(self, span: Span, piece: thin.RecordSlice, envelope: _Envelope) -> None:
        self.span = span
        self.envelope = envelope
        self.start = capped_start(span)
        self.span_id = span.span_id.hex()
        self._raw = piece.raw

    def matches(self, wanted: SpanFilter) -> bool:
        return self.envelope.left is not None and span_matches(self.span, self.envelope.left, wanted)

    def session_id(self) -> str:
        """Attributes are decoded only where a key of a session stands among the bytes."""
        has_key = any(marker in self._raw for marker in SESSION_MARKERS)
        return (record_identity(self.span).session_id if has_key else "") or self.envelope.session_id
