"""Filters as text, and the quick test of bytes: it may be wrong in one direction only."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.errors import InvalidRequest
from otel_replay.store.base import AttributeTest, SpanFilter
from otel_replay.store.matching import attribute_test, parse_attribute_test, span_matches
from otel_replay.store.needles import quick_test
from tests.genai.spans import span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http.route=/cart", AttributeTest("", "http.route", "/cart")),
        ("n=5", AttributeTest("", "n", 5)),
        ("n=-5.5e1", AttributeTest("", "n", -55.0)),
        ("n=007", AttributeTest("", "n", "007")),
        ("n=5x", AttributeTest("", "n", "5x")),
        ('n="5"', AttributeTest("", "n", "5")),
        ('n="5', AttributeTest("", "n", '"5')),
        (r'n="\u00e4"', AttributeTest("", "n", "ä")),
        (r'n="\ud800"', AttributeTest("", "n", "\ufffd")),
        ("ok=true", AttributeTest("", "ok", True)),
        ("ok=True", AttributeTest("", "ok", "True")),
        ("ok=null", AttributeTest("", "ok", "null")),
        ("n=NaN", AttributeTest("", "n", "NaN")),
        ("a=b=c", AttributeTest("", "a", "b=c")),
        ("a=", AttributeTest("", "a", "")),
        ("a=*", AttributeTest("", "a", None)),
        ('a="*"', AttributeTest("", "a", "*")),
        ("span.a=1", AttributeTest("span", "a", 1)),
        ("event.exception.type=E", AttributeTest("event", "exception.type", "E")),
        ("span.event.name=x", AttributeTest("span", "event.name", "x")),
        ("spans.a=1", AttributeTest("", "spans.a", 1)),
        ("n=" + "9" * 5_000, AttributeTest("", "n", "9" * 5_000)),
        ("n=" + "[" * 5_000, AttributeTest("", "n", "[" * 5_000)),
    ],
)
def test_filters_as_text(text: str, expected: AttributeTest) -> None:
    parsed = parse_attribute_test(text)
    assert parsed == expected
    assert type(parsed.value) is type(expected.value)


@pytest.mark.parametrize("text", ["", "key", "=1", "span.=1", "event.", "n=1e999", "n=" + "9" * 400])
def test_filters_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"write key=value|a finite number"):
        parse_attribute_test(text)


@pytest.mark.parametrize("value", [b"x", [1], {}, float("nan"), 10**400])
def test_what_no_attribute_equals(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="a finite number"):
        attribute_test("n", value)


# Encodings: as libraries write them, and every other way that they read

KEYS = ["n", "nn", "http.status", "k" * 100, "k" * 101, "k" * 130, "ü", "gen_ai.tool.call.arguments"]
SOME = [
    0,
    1,
    2,
    127,
    128,
    500,
    -1,
    2**63 - 1,
    -(2**63),
    0.0,
    -0.0,
    1.0,
    500.0,
    0.5,
    True,
    False,
    "",
    "1",
    "n",
    "x" * 130,
]
VALUES: st.SearchStrategy[Any] = st.sampled_from(SOME) | st.integers(-(2**63), 2**63 - 1)


def varint(number: int, overlong: bool = False) -> bytes:
    number %= 2**64
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes((*encoded[:-1], encoded[-1] | 0x80, 0)) if overlong and len(encoded) < 10 else bytes(encoded)


def any_value(value: str | float, overlong: bool) -> bytes:
    if isinstance(value, bool):
        return b"\x10" + varint(value, overlong)
    if isinstance(value, int):
        return b"\x18" + varint(value, overlong)
    if isinstance(value, float):
        return b"\x21" + struct.pack("<d", value)
    return b"\x0a" + varint(len(value.encode()), overlong) + value.encode()


@st.composite
def attributes(draw: st.DrawFn) -> bytes:
    """A ``Span.attributes``, odd in any number of ways."""
    odd = draw(st.booleans())
    flags = st.booleans() if odd else st.just(False)
    key = draw(st.sampled_from(KEYS)).encode()
    parts = [b"\x0a" + varint(len(key), draw(flags)) + key]
    for _ in range(draw(st.integers(1, 2)) if odd else 1):
        values = draw(st.lists(VALUES, min_size=1, max_size=2 if odd else 1))
        encoded = b"".join(any_value(value, draw(flags)) for value in values)
        parts.append(b"\x12" + varint(len(encoded), draw(flags)) + encoded)
    joined = b"".join(draw(st.permutations(parts)) if odd else parts)
    return b"\x4a" + varint(len(joined), draw(flags)) + joined


@settings(max_examples=5 * settings().max_examples)
@given(st.lists(attributes(), max_size=4), st.sampled_from(KEYS), VALUES | st.none())
def test_the_quick_test_turns_away_no_match(encoded: list[bytes], key: str, value: Any) -> None:
    raw, test = b"".join(encoded), AttributeTest("span", key, value)
    if span_matches(Span.FromString(raw), [test], SpanFilter()):
        assert all(find(raw, 0) >= 0 for find in quick_test(SpanFilter(), [test]))
        assert all(find(b"before" + raw, 3) >= 3 for find in quick_test(SpanFilter(), [test]))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1, 2], 2),
        ([1, 0.5], 0.5),
        ([500, True], True),
        ([0.0], -0.0),
        ([-0.0], 0),
        ([1.0], 1),
        ([1], 1.0),
        ([2, "a"], "a"),
    ],
)
def test_the_last_of_several_values_of_one_attribute_counts(values: list[Any], wanted: Any) -> None:
    """Each in the encoding that libraries write, one after the other."""
    encoded = [any_value(value, False) for value in values]
    joined = b"\x0a\x01n" + b"".join(b"\x12" + varint(len(one)) + one for one in encoded)
    raw, test = b"\x4a" + varint(len(joined)) + joined, AttributeTest("span", "n", wanted)
    assert span_matches(Span.FromString(raw), [test], SpanFilter())
    assert all(find(raw, 0) >= 0 for find in quick_test(SpanFilter(), [test]))


@given(st.sampled_from(KEYS[:-1]), VALUES, VALUES)
def test_the_quick_test_turns_away_another_value(key: str, held: Any, wanted: Any) -> None:
    """In the encoding that libraries write."""
    if len(key) > 100 or isinstance(held, str) or isinstance(wanted, str):
        return
    raw = span({key: held}).SerializeToString()
    [find] = quick_test(SpanFilter(), [AttributeTest("span", key, wanted)])
    equal = held == wanted and isinstance(held, bool) is isinstance(wanted, bool)
    assert (find(raw, 0) >= 0) is equal


@pytest.mark.parametrize(
    ("value", "passes"), [("/cart", True), ("/car", False), ("cart", False), ("/cart/", False), ("http.route", True)]
)
def test_the_quick_test_takes_whole_strings(value: str, passes: bool) -> None:
    raw = span({"http.route": "/cart"}).SerializeToString()
    finds = quick_test(SpanFilter(), [AttributeTest("", "http.route", value)])
    assert all(find(raw, 0) >= 0 for find in finds) is passes
