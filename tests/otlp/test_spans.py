"""A table read by columns is the one that decoding every span gives, or none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from otel_replay.otlp.spans import SpanTable, parse_columns, spans_by_columns, spans_one_by_one
from tests.receiver.wire import bytes_field, fixed_field, number_field, varint

TRACE, ID = b"\1" * 16, b"\2" * 8
TIMES = fixed_field(7, 5) + fixed_field(8, 6)


def by_columns(records: Sequence[bytes]) -> SpanTable | None:
    scope = b"".join(bytes_field(2, record) for record in records)
    return spans_by_columns(records, parse_columns(bytes_field(1, bytes_field(2, scope))))


def one_by_one(records: Sequence[bytes]) -> SpanTable | None:
    return spans_one_by_one(records, map(Span.FromString, records))


def told(table: SpanTable | None) -> list[object]:
    assert table is not None
    return [list(one) if hasattr(one, "tolist") else one for one in (getattr(table, name) for name in table.__slots__)]


USUAL = st.builds(
    Span,
    trace_id=st.binary(min_size=16, max_size=16).filter(any),
    span_id=st.binary(min_size=8, max_size=8).filter(any),
    trace_state=st.sampled_from(["", "a=b", "a" * 127, "a" * 500]),
    parent_span_id=st.sampled_from([b"", ID]),
    name=st.text(max_size=10) | st.integers(120, 140).map("x".__mul__) | st.just("x" * 16_000),
    kind=st.integers(0, 5),
    start_time_unix_nano=st.integers(1, 2**64 - 1),
    end_time_unix_nano=st.integers(1, 2**64 - 1),
)


@given(st.lists(USUAL, min_size=1, max_size=8))
def test_usual_spans_are_read_by_columns(spans: list[Span]) -> None:
    request = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])
    records = [span.SerializeToString() for span in spans]
    table = spans_by_columns(records, parse_columns(request.SerializeToString()))
    assert told(table) == told(one_by_one(records))


def span(trace_id: bytes = TRACE, span_id: bytes = ID, *rest: bytes) -> bytes:
    return bytes_field(1, trace_id) + bytes_field(2, span_id) + b"".join(rest)


GOOD = span(TRACE, ID, TIMES)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [span(TRACE, ID)],
        [bytes_field(2, ID) + bytes_field(1, TRACE) + TIMES],
        [span(TRACE, ID, fixed_field(7, 5)), span(TRACE, ID, TIMES, fixed_field(8, 7))],
        [span(TRACE, ID, fixed_field(8, 6)), span(TRACE, ID, TIMES, fixed_field(7, 7))],
        [GOOD, span(TRACE, ID, TIMES, bytes_field(1, b"\3" * 16))],
        [GOOD, span(TRACE, ID, TIMES, bytes_field(2, b"\3" * 8))],
        [GOOD, span(TRACE, ID, TIMES, bytes_field(5, b"late"))],
        [GOOD, span(TRACE, ID, bytes_field(5, b"x" * 16_384), TIMES)],
        [GOOD, span(TRACE, ID, number_field(6, 1, padding=1), TIMES)],
        # The text ends with a start that ends like the tag of an end, and another span has two ends.
        [GOOD + fixed_field(8, 7), span(TRACE, ID, bytes_field(5, b"x" * 9), fixed_field(7, 0x41 << 56))],
        # What looks like times in a number of two bytes, and a start that another span has twice.
        [
            span(TRACE, ID, varint(6 << 3) + b"\x80\x39" + bytes_field(99, b"12345") + b"\x41" * 9),
            GOOD + fixed_field(7, 7),
        ],
    ],
    ids=str,
)
def test_other_encodings_are_not_read(records: list[bytes]) -> None:
    assert by_columns([*records]) is None


@pytest.mark.parametrize(
    ("trace_id", "span_id"), [(bytes(16), ID), (TRACE, bytes(8)), (TRACE[1:], ID), (TRACE, ID[1:])]
)
def test_a_span_without_usable_ids_makes_no_table(trace_id: bytes, span_id: bytes) -> None:
    records = [GOOD, span(trace_id, span_id, TIMES)]
    assert by_columns(records) is None
    assert one_by_one(records) is None


def test_half_an_id_may_be_zeros() -> None:
    records = [span(bytes(8) + ID, ID, TIMES), span(ID + bytes(8), ID, TIMES)]
    assert told(by_columns(records)) == told(one_by_one(records))


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(0, 60))
def test_columns_refuse_what_a_parse_by_the_schema_refuses(noise: bytes, place: int) -> None:
    text = bytes_field(5, b"name") + bytes_field(9, bytes_field(1, b"key") + bytes_field(2, bytes_field(1, b"value")))
    record = span(TRACE, ID, TIMES, text)
    record = record[:place] + noise + record[place + len(noise) :]
    body = bytes_field(1, bytes_field(2, bytes_field(2, record)))
    try:
        TracesData.FromString(body)
    except Exception as error:  # noqa: BLE001 - whatever it raises
        with pytest.raises(type(error)):
            parse_columns(body)
