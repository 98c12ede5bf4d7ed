"""Which AI spans of several traces count: those of each by the rules of :mod:`otel_replay.timeline.counted`, and traces
that tell of one call as if they were one trace. Pure; timelines and statistics both ask :func:`counted_in`.

An instrumentation that loses its context makes a trace of its own, as LiteLLM's does of every stream, while another
sees the same call where it belongs. The id of the provider's response tells, as far as
:func:`~otel_replay.timeline.relations.are_twins` believes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TypeVar

from otel_replay.timeline.counted import MOST_SPANS, counted
from otel_replay.timeline.relations import MOMENT_NS, NEAR, AiSpan, SpanId, are_twins

MOST_TRACES = 8
"""What more traces tell is no call of theirs: there are servers that give every response the same id."""

T = TypeVar("T", bound=Hashable)


def counted_in(traces: Mapping[T, Sequence[AiSpan]]) -> dict[SpanId, int]:
    """Of each AI span by (trace id, span id) what counts, as bits. The order of traces and spans does not matter."""
    found: dict[SpanId, int] = {}
    for group in together(traces):
        found |= counted(_apart(trace, span) for trace in group for span in traces[trace])
    return found


def _apart(trace: Hashable, span: AiSpan) -> AiSpan:
    """With ids that no other trace has."""
    parent = span.parent_span_id and (trace, span.parent_span_id)
    return span._replace(trace_id=trace, span_id=(trace, span.span_id), parent_span_id=parent)


def together(traces: Mapping[T, Sequence[AiSpan]]) -> list[list[T]]:
    """The traces in groups, each to be decided as one. Most are alone, and so is a very large one."""
    met = _met(traces) if len(traces) > 1 else {}
    groups: list[list[T]] = []
    grouped: set[T] = set()
    for trace in traces:
        if trace not in grouped:
            group = _reached(trace, met)
            grouped.update(group)
            groups += [group] if len(group) <= MOST_TRACES else [[one] for one in group]
    return groups


def _reached(trace: T, met: Mapping[T, set[T]]) -> list[T]:
    found, seen = [trace], {trace}
    for one in found:
        new = met.get(one, set()) - seen
        seen |= new
        found += new
    return found


def _met(traces: Mapping[T, Sequence[AiSpan]]) -> dict[T, set[T]]:
    """Of each trace the others with which it shares a call."""
    met: dict[T, set[T]] = defaultdict(set)
    for (one, span), (other, twin) in _pairs(traces):
        if one != other and are_twins(span, twin):
            met[one].add(other)
            met[other].add(one)
    return met


def _pairs(traces: Mapping[T, Sequence[AiSpan]]) -> Iterator[tuple[tuple[T, AiSpan], tuple[T, AiSpan]]]:
    """What says one response id within one second or two that follow each other, unless very many do."""
    told: dict[tuple[Hashable, int], list[tuple[T, AiSpan]]] = defaultdict(list)
    for trace, spans in traces.items():
        for span in spans:
            if span.may_have_twins:
                told[span.response_id, span.start_unix_nano // MOMENT_NS].append((trace, span))
    few = {key: spans for key, spans in told.items() if len(spans) <= NEAR}
    small = {trace for trace, spans in traces.items() if len(spans) <= MOST_SPANS}
    for (response, second), tellers in few.items():
        following = few.get((response, second + 1), [])
        for one, other in (*combinations(tellers, 2), *product(tellers, following)):
            if one[0] in small and other[0] in small:
                yield one, other
