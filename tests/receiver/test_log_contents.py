"""Where messages stand in log records: what is cut out is what a person said, and comes back byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_replay.genai import DETAILS_EVENT
from otel_replay.genai.contents import text_of
from otel_replay.receiver.prepare.log_contents import log_contents
from otel_replay.store import bodies
from tests.genai.spans import any_value, key_values
from tests.store.requests import log, logs, write


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in texts]


def texts(record: LogRecord, name: str) -> list[str]:
    raw = record.SerializeToString()
    return [text_of(raw[start:end]) for start, end in log_contents(raw, name)]


@pytest.mark.parametrize(
    ("name", "attributes", "body", "expected"),
    [
        (
            DETAILS_EVENT,
            {"gen_ai.input.messages": said("one", "two"), "gen_ai.provider.name": "x"},
            None,
            ["one", "two"],
        ),
        (DETAILS_EVENT, {"gen_ai.input.messages": json.dumps(said("one", "two"))}, None, ["one", "two"]),
        (DETAILS_EVENT, {"gen_ai.input.messages": said("b")}, {"gen_ai.output.messages": said("a")}, ["a", "b"]),
        (DETAILS_EVENT, {"gen_ai.request.model": "m"}, "no map", []),
        ("gen_ai.user.message", {"gen_ai.provider.name": "x"}, {"role": "user", "content": "one"}, ["one"]),
        ("gen_ai.user.message", {}, "just text", ["just text"]),
        ("gen_ai.user.message", {}, None, []),
        ("gen_ai.choice", {}, {"index": 0, "message": {"content": "one"}, "finish_reason": "stop"}, ["one"]),
        ("gen_ai.content.prompt", {"gen_ai.prompt": "one"}, None, ["one"]),
        ("app.note", {"gen_ai.prompt": "one"}, {"content": "one"}, []),
    ],
)
def test_what_is_said_in_each_form(name: str, attributes: dict[str, Any], body: Any, expected: list[str]) -> None:
    record = log(attributes, event_name=name, body=None if body is None else any_value(body))
    assert texts(record, name) == expected


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([DETAILS_EVENT, "gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt"])
KEYS = st.sampled_from(["gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.prompt", "content", "note"])


@given(NAMES, st.dictionaries(KEYS, VALUES, max_size=4), VALUES)
def test_ranges_ascend_apart_and_what_is_cut_is_rejoined(name: str, attributes: dict[str, Any], body: Any) -> None:
    raw = LogRecord(attributes=key_values(attributes), body=any_value(body), event_name=name).SerializeToString()
    ranges = log_contents(raw, name)
    bounds = [bound for one in ranges for bound in one]
    assert bounds == sorted(bounds)
    assert all(0 <= start < end <= len(raw) for start, end in ranges)
    contents = {number: raw[start:end] for number, (start, end) in enumerate(ranges)}
    assert bodies.whole(bodies.cut(raw, ranges, list(contents)), contents) == raw


def test_unusual_encodings_are_left_whole() -> None:
    """Correct, but not as any protobuf library writes it: the value of an attribute in front of its key."""
    value, key = AnyValue(string_value="said"), b"gen_ai.prompt"
    attribute = b"\x12\x06" + value.SerializeToString() + b"\x0a" + bytes([len(key)]) + key
    assert KeyValue.FromString(attribute).key == "gen_ai.prompt"
    assert log_contents(b"\x32" + bytes([len(attribute)]) + attribute, "gen_ai.content.prompt") == ()
    assert log_contents(b"\x73\x74", "gen_ai.user.message") == ()  # a group


@pytest.mark.parametrize(("trace", "span_id"), [("", b"\1" * 8), ("ab" * 16, b""), ("ab" * 16, b"\1" * 7)])
def test_a_record_outside_of_a_span_stays_whole(trace: str, span_id: bytes) -> None:
    record = log(trace=trace, span_id=span_id, event_name="gen_ai.user.message", body=any_value("said"))
    assert write(logs(record)).log_contents == []


def test_numbers_are_those_of_the_records_that_are_stored() -> None:
    """Pieces of recordings leave the request."""
    place = {"rr-web.stream": "t", "rr-web.offset": 1, "rr-web.chunk": 1, "rr-web.total-chunks": 1}
    piece = log({"session.id": "s", "rr-web.event": "", **place}, body=any_value("{}"))
    message = log(trace="ab" * 16, span_id=b"\1" * 8, event_name="gen_ai.user.message", body=any_value("said"))
    built = write(logs(piece, message, log(), message))
    assert [row.record for row in built.log_contents] == [0, 2]
