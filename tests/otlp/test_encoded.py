"""Attributes read off the bytes of a span are those that protobuf reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.otlp.attributes import attributes_under
from otel_replay.otlp.encoded import UnusualEncoding, span_places, values_at
from tests.genai.spans import any_value

KEYS = ("a", "session.id", "k" * 200)

values = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 2**36)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
attributes = st.lists(st.tuples(st.sampled_from((*KEYS, "other")), values), max_size=5)
whole_spans = st.builds(
    Span,
    trace_id=st.binary(max_size=16),
    trace_state=st.text(max_size=150),
    name=st.text(max_size=150),
    start_time_unix_nano=st.integers(0, 2**64 - 1),
    kind=st.sampled_from(range(6)),
    dropped_attributes_count=st.integers(0, 2**32 - 1),
    flags=st.integers(0, 2**32 - 1),
)


def add_all(to: Any, told: list[tuple[str, Any]]) -> None:
    for key, value in told:
        to.add(key=key, value=any_value(value))


@given(whole_spans, attributes, st.lists(st.tuples(st.text(max_size=5), attributes), max_size=3))
def test_values_are_those_that_protobuf_reads(
    span: Span, told: list[tuple[str, Any]], events: list[tuple[str, list[tuple[str, Any]]]]
) -> None:
    add_all(span.attributes, told)
    for name, told_of_event in events:
        add_all(span.events.add(name=name, time_unix_nano=7).attributes, told_of_event)
    raw, names = span.SerializeToString(), {key.encode(): key for key in KEYS}
    places = span_places(raw)
    assert values_at(raw, places.attributes, names) == attributes_under(span.attributes, KEYS)
    assert [name.decode() for name, _ in places.events] == [event.name for event in span.events]
    for (_, found), event in zip(places.events, span.events, strict=True):
        assert values_at(raw, found, names) == attributes_under(event.attributes, KEYS)


@pytest.mark.parametrize("number", [0, -1, -(2**63), 2**63 - 1, 2**34, 2**36])
def test_numbers(number: int) -> None:
    span = Span()
    add_all(span.attributes, [("a", number)])
    raw = span.SerializeToString()
    assert values_at(raw, span_places(raw).attributes, {b"a": "a"}) == {"a": number}


@pytest.mark.parametrize(
    "attribute",
    [
        b"\x12\x03\x0a\x01v\x0a\x01k",  # value and key
        b"\x0a\x01k\x12\x03\x0a\x01v\x12\x03\x0a\x01w",  # two values
        b"\x0a\x01k\x12\x03\x0a\x01v\x18\x01",  # a field from the future
        b"",
    ],
)
def test_what_no_library_writes_is_left_to_protobuf(attribute: bytes) -> None:
    raw = b"\x4a" + bytes([len(attribute)]) + attribute
    Span.FromString(raw)
    with pytest.raises(UnusualEncoding):
        span_places(raw)


def test_an_attribute_without_a_value_is_empty() -> None:
    raw = b"\x4a\x03\x0a\x01a" + Span(name="n").SerializeToString()
    assert values_at(raw, span_places(raw).attributes, {b"a": "a"}) == {"a": None}
    assert attributes_under(Span.FromString(raw).attributes, KEYS) == {"a": None}


def test_groups_are_left_to_protobuf() -> None:
    raw = b"\xa3\x06\x08\x01\xa4\x06" + Span(name="n").SerializeToString()
    assert Span.FromString(raw).name == "n"
    with pytest.raises(UnusualEncoding):
        span_places(raw)
