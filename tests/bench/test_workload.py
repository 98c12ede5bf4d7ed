"""A benchmark is comparable only while what it sends is the same, and fresh in every request."""

from __future__ import annotations

from itertools import chain, islice

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.bench.workload import SPANS_PER_REQUEST, Generator, Workload

BYTES_PER_SPAN = {Workload.W1: 465, Workload.W2: 1_180}
EACH = pytest.mark.parametrize("workload", list(Workload))


def spans(request: bytes) -> list[Span]:
    groups = ExportTraceServiceRequest.FromString(request).resource_spans
    return list(chain.from_iterable(scope.spans for group in groups for scope in group.scope_spans))


@EACH
def test_same_bytes_every_time(workload: Workload) -> None:
    assert list(Generator(workload).requests(3)) == list(islice(Generator(workload).requests(9), 3))


@EACH
def test_every_span_is_new(workload: Workload) -> None:
    ids = [span.span_id for request in Generator(workload).requests(4) for span in spans(request)]
    assert len(set(ids)) == len(ids) == 4 * SPANS_PER_REQUEST


@EACH
def test_size_of_a_span(workload: Workload) -> None:
    sizes = [len(request) / SPANS_PER_REQUEST for request in Generator(workload).requests(8)]
    assert sum(sizes) / len(sizes) == pytest.approx(BYTES_PER_SPAN[workload], rel=0.1)


def test_one_span_in_ten_of_w2_is_a_chat() -> None:
    names = [span.name for request in Generator(Workload.W2).requests(8) for span in spans(request)]
    assert sum(name.startswith("chat ") for name in names) / len(names) == pytest.approx(0.10, rel=0.2)


def test_traces_span_eight() -> None:
    traces = {span.trace_id for span in spans(next(Generator(Workload.W1).requests(1)))}
    assert 60 <= len(traces) <= 90
