"""Where messages stand in a span's bytes, and what a person reads of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.contents import LARGE_BYTES, content_ranges, text_of
from otel_replay.genai.json_pieces import MAX_ELEMENTS, elements
from tests.genai.spans import any_value, span


def pieces(built: Span) -> list[bytes]:
    raw = built.SerializeToString()
    ranges = content_ranges(raw)
    bounds = [0, *(bound for one in ranges for bound in one), len(raw)]
    assert bounds == sorted(bounds)
    return [raw[start:end] for start, end in ranges]


def text(content: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def test_each_message_of_a_list_is_a_piece() -> None:
    messages = [text("hello"), text('a ", {" quoted\\', "assistant"), text("[,]")]
    found = pieces(span({"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(messages)}))
    assert [json.loads(piece) for piece in found] == messages


@pytest.mark.parametrize("layout", [{"separators": (",", ":")}, {"indent": 2}])
def test_a_message_is_the_same_piece_wherever_it_stands(layout: dict[str, Any]) -> None:
    history = [text("one"), text("two", "assistant")]
    first = pieces(span({"gen_ai.input.messages": json.dumps(history, **layout)}))
    second = pieces(span({"gen_ai.input.messages": json.dumps([*history, text("three")], **layout)}))
    assert second[:2] == first


def test_structured_messages_are_pieces() -> None:
    messages = [text("hello"), text("world", "assistant")]
    found = pieces(span({"gen_ai.input.messages": messages, "gen_ai.output.messages": text("one object")}))
    assert found[:2] == [any_value(message).SerializeToString() for message in messages]
    assert [text_of(piece) for piece in found] == ["hello", "world", "one object"]


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"gen_ai.prompt.0.content": "hi", "gen_ai.prompt.0.role": "user"}, ["hi"]),
        ({"gen_ai.completion.0.tool_calls.0.arguments": '{"city": "Paris"}'}, ["Paris"]),
        ({"gen_ai.tool.call.arguments": '{"id": 4711}', "gen_ai.tool.call.result": "sunny"}, ["4711", "sunny"]),
        ({"gen_ai.system_instructions": '[{"type": "text", "content": "be brief"}]'}, ["be brief"]),
        ({"gen_ai.input.messages": '[{"role": "user", "content": "broken'}, ['[{"role": "user", "content": "broken']),
        ({"gen_ai.input.messages": "[]", "gen_ai.output.messages": ""}, []),
        ({"gen_ai.input.messages": 5, "gen_ai.request.model": "m1", "user.id": "u1"}, []),
        ({"other": "x" * LARGE_BYTES}, ["x" * LARGE_BYTES]),
        ({"other": "x" * (LARGE_BYTES - 20)}, []),
    ],
)
def test_what_is_content(attributes: dict[str, Any], wanted: list[str]) -> None:
    assert [text_of(piece) for piece in pieces(span(attributes))] == wanted


def test_contents_of_events() -> None:
    found = pieces(
        span(
            {"gen_ai.system": "openai"},
            events=[
                ("gen_ai.user.message", {"content": "what?", "role": "user"}),
                ("gen_ai.choice", {"index": 0, "message": '{"role": "assistant", "content": "that."}'}),
                ("gen_ai.content.prompt", {"gen_ai.prompt": "plain"}),
                ("exception", {"content": "not said", "exception.stacktrace": "x" * LARGE_BYTES}),
            ],
        )
    )
    assert [text_of(piece) for piece in found] == ["what?", "that.", "plain", "x" * LARGE_BYTES]


def test_a_span_that_is_written_unlike_others_is_left_whole() -> None:
    raw = span({"gen_ai.prompt.0.content": "hi"}).SerializeToString()
    value_before_key = b"\x4a\x08\x12\x03\x0a\x01v\x0a\x01k"
    assert content_ranges(raw)
    assert content_ranges(raw + value_before_key) == ()


def test_a_short_text_is_not_mistaken_for_the_same_bytes_elsewhere() -> None:
    built = span({"session.id": "hi", "gen_ai.prompt.0.content": "hi"}, name="hi")
    raw = built.SerializeToString()
    [(start, end)] = content_ranges(raw)
    assert raw[start:end] == b"hi"
    assert b"gen_ai.prompt.0.content" in raw[:start]


def test_a_text_is_not_mistaken_for_one_that_begins_the_same() -> None:
    events = [("note", {"content": "x" * 100 + "a"}), ("gen_ai.user.message", {"content": "x" * 100 + "b"})]
    assert pieces(span({"gen_ai.system": "openai"}, events=events)) == [b"x" * 100 + b"b"]


@pytest.mark.parametrize(
    ("piece", "wanted"),
    [
        (b'{"role":"user","content":"old form"}', "old form"),
        (b'{"role":"user","parts":[{"type":"text","content":"data:image/png;base64,AAAA"}]}', ""),
        (b'{"role":"user","parts":[{"type":"text","content":"data: all of it"}]}', "data: all of it"),
        (b'{"role":"user","parts":[{"type":"text","content":"a","name":"b"}]}', "a\nb"),
        (b'{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"f","arguments":{"id":7}}]}', "f\n7"),
        (b'{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":{"type":"rain"}}]}', "rain"),
        (b'{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}', ""),
        (rb'{"role":"tool","content":"{\"city\": \"Z\\u00fcrich\", \"sky\": \"a\\nb\"}"}', "Zürich\na\nb"),
        (rb'{"role":"tool","content":"{\"cut\": \"a\\nb"}', '{"cut": "a\\nb'),
        (b'{"broken', '{"broken'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"2 apples", "2 apples"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_what_a_person_reads(piece: bytes, wanted: str) -> None:
    assert text_of(piece) == wanted


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_elements_are_those_of_the_array(values: list[Any], indent: int | None, ascii_only: bool) -> None:
    encoded = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert [json.loads(encoded[start:end]) for start, end in elements(encoded)] == values


@given(st.binary(max_size=200) | st.text(alphabet='[]{},"\\ a1', max_size=60).map(str.encode))
@example(b"[ ]")
def test_whatever_comes_is_divided_into_disjoint_pieces(data: bytes) -> None:
    bounds = [bound for piece in elements(data) for bound in piece]
    assert bounds == sorted(bounds)
    assert all(0 <= bound <= len(data) for bound in bounds)
    assert isinstance(text_of(data), str)


def test_messages_of_a_request_that_was_copied_whole_are_pieces() -> None:
    """Each turn repeats those before, under whatever key: they are the same pieces."""
    history = [{"role": "user", "content": 'a "quoted\\" ], {'}, {"role": "assistant", "content": "b"}]
    rest = {"tools": [{"name": "f"}], "temperature": 0.2}
    first = pieces(span({"input.value": json.dumps({"model": "m", "messages": history, **rest})}))
    second = pieces(span({"input.value": json.dumps({"model": "m", "messages": [*history, text("c")], **rest})}))
    assert [json.loads(piece) for piece in first[1:3]] == history
    assert [*second[:3], second[4]] == first
    assert [text_of(piece) for piece in first] == ["m", 'a "quoted\\" ], {', "b", "f\n0.2"]


@pytest.mark.parametrize(
    "request_",
    [
        '{"messages": []}',
        '{"messages": [{"role": "user", "content": "only one"}]}',
        '{"messages": [{"role": "user"}, {"role": "user"}',
        '{"messages": [1, 2, "cut',
        '{"content": "\\"messages\\": [1, 2]"}',
        '{"messages": [1,, 2]}',
    ],
)
def test_other_objects_are_one_piece(request_: str) -> None:
    assert elements(request_.encode()) == [(0, len(request_))]


def test_vectors_are_no_content() -> None:
    built = span({"openinference.span.kind": "EMBEDDING", "embedding.embeddings.0.embedding.vector": [0.5] * 1536})
    assert pieces(built) == []


def test_an_array_of_very_many_elements_is_one_piece() -> None:
    data = b"[" + b",".join([b"1"] * (MAX_ELEMENTS + 1)) + b"]"
    assert elements(data) == [(0, len(data))]
