"""Parts and messages of every API that libraries copy, to those of the conventions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otel_replay.genai.listings import document, tool_definition
from otel_replay.genai.messages import message
from otel_replay.genai.parts import part
from otel_replay.genai.payloads import instructions_of, messages_of, response_id_of, tools_of

PNG = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"}
WEB = {"type": "uri", "modality": "image", "uri": "https://x.test/a.png"}
CALL = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}}
ANSWERED = {"type": "tool_call_response", "id": "c1", "response": "sunny"}


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("hi", {"type": "text", "content": "hi"}),
        ({"type": "text", "text": "hi"}, {"type": "text", "content": "hi"}),
        ({"type": "text", "content": "hi"}, {"type": "text", "content": "hi"}),
        ({"type": "input_text", "text": "hi"}, {"type": "text", "content": "hi"}),
        ({"type": "output_text", "text": "hi", "annotations": []}, {"type": "text", "content": "hi"}),
        (
            {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "content": "hi", "cache_control": {"type": "ephemeral"}},
        ),
        (
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "reasoning", "content": "hm", "signature": "s"},
        ),
        ({"type": "reasoning", "text": "hm"}, {"type": "reasoning", "content": "hm"}),
        (
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "status": None},
            {"type": "reasoning", "content": "hm"},
        ),
        ({"text": "hm", "thought": True}, {"type": "reasoning", "content": "hm"}),
        ({"text": "hi"}, {"type": "text", "content": "hi"}),
        # pictures, sounds, files
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}, PNG),
        ({"type": "image_url", "image_url": "https://x.test/a.png"}, WEB),
        ({"type": "input_image", "image_url": "https://x.test/a.png"}, WEB),
        ({"type": "input_image", "file_id": "f1"}, {"type": "file", "modality": "image", "file_id": "f1"}),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, PNG),
        ({"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}, WEB),
        ({"type": "image", "image": "AAAA", "mediaType": "image/png"}, PNG),
        ({"type": "file", "data": "AAAA", "mediaType": "image/png"}, PNG),
        ({"type": "file", "data": "https://x.test/a.png", "mediaType": "image/png"}, {**WEB, "mime_type": "image/png"}),
        ({"inline_data": {"mime_type": "image/png", "data": "AAAA"}}, PNG),
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, PNG),
        (
            {"fileData": {"fileUri": "gs://a", "mimeType": "image/png"}},
            {**WEB, "mime_type": "image/png", "uri": "gs://a"},
        ),
        ({"media": {"url": "data:image/png;base64,AAAA", "contentType": "image/png"}}, PNG),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": "AAAA"},
        ),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
            {"type": "blob", "modality": "document", "mime_type": "application/pdf", "content": "AAAA"},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            {
                "type": "blob",
                "modality": "document",
                "mime_type": "application/pdf",
                "content": "AAAA",
                "filename": "a.pdf",
            },
        ),
        (
            {"type": "file", "modality": "video", "mime_type": "video/mp4", "file_id": "f1"},
            {"type": "file", "modality": "video", "mime_type": "video/mp4", "file_id": "f1"},
        ),
        # tools
        ({"type": "tool_call", "id": "c1", "name": "f", "arguments": '{"a": 1}'}, CALL),
        ({"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}, CALL),
        ({"type": "tool-call", "toolCallId": "c1", "toolName": "f", "args": {"a": 1}}, CALL),
        ({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}, CALL),
        ({"type": "function", "id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}, CALL),
        ({"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}, CALL),
        ({"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}}, CALL),
        ({"toolRequest": {"ref": "c1", "name": "f", "input": {"a": 1}}}, CALL),
        ({"type": "tool_call_response", "id": "c1", "response": "sunny"}, ANSWERED),
        ({"type": "tool_call_response", "id": "c1", "result": "sunny"}, ANSWERED),
        (
            {"type": "tool_call_response", "id": "c1", "response": [{"type": "text", "text": '{"a": 1}'}]},
            {**ANSWERED, "response": {"a": 1}},
        ),
        ({"type": "tool_result", "tool_use_id": "c1", "content": "sunny", "is_error": False}, ANSWERED),
        (
            {"type": "tool_result", "tool_use_id": "c1", "content": "sunny", "is_error": True},
            {**ANSWERED, "is_error": True},
        ),
        ({"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sunny"}]}, ANSWERED),
        ({"type": "tool-result", "toolCallId": "c1", "toolName": "f", "result": "sunny"}, ANSWERED),
        (
            {"type": "tool-result", "toolCallId": "c1", "toolName": "f", "output": {"type": "json", "value": {"a": 1}}},
            {**ANSWERED, "response": {"a": 1}},
        ),
        ({"type": "function_call_output", "call_id": "c1", "output": "sunny"}, ANSWERED),
        ({"functionResponse": {"id": "c1", "name": "f", "response": {"a": 1}}}, {**ANSWERED, "response": {"a": 1}}),
        ({"toolResponse": {"ref": "c1", "name": "f", "output": "sunny"}}, ANSWERED),
    ],
)
def test_parts(written: Any, read: Any) -> None:
    assert part(written) == read
    assert part(read) == read


@pytest.mark.parametrize(
    "kept",
    [
        {"type": "hologram", "depth": 3},
        {"type": "server_tool_call", "id": "s1", "name": "search", "server_tool_call": {"type": "web"}},
        {"type": "compaction", "content": "short"},
        {"type": "image_url", "url": "x"},
        {"type": "image_url", "image_url": 7},
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "tool_use", "input": {}},
        {"type": "reasoning", "encrypted_content": "AAAA", "summary": []},
        {"type": ["text"], "a": 1},
        {"a": 1},
        7,
        None,
    ],
)
def test_parts_of_other_types_are_kept(kept: Any) -> None:
    assert part(kept) == kept


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"role": "human", "content": "hi"}, text("user", "hi")),
        ({"role": "model", "parts": [{"text": "hi"}]}, text("assistant", "hi")),
        ({"role": "developer", "content": "hi"}, text("developer", "hi")),
        ({"role": "MODEL", "content": "hi", "name": None}, text("assistant", "hi")),
        (
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}]},
            {"role": "tool", "parts": [ANSWERED]},
        ),
        (
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}, "and?"]},
            {"role": "user", "parts": [ANSWERED, {"type": "text", "content": "and?"}]},
        ),
        (
            {"role": "function", "name": "f", "content": "sunny"},
            {"role": "tool", "parts": [{**ANSWERED, "id": None}], "name": "f"},
        ),
        (
            {"role": "tool", "tool_call_id": "c1", "content": "[1, 2]"},
            {"role": "tool", "parts": [{**ANSWERED, "response": [1, 2]}]},
        ),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a": 1}'}},
            {"role": "assistant", "parts": [{**CALL, "id": None}]},
        ),
        (
            {"role": "assistant", "reasoning_content": "hm", "content": "hi"},
            {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "hi"}]},
        ),
        (
            {"role": "thinking", "content": "hm"},
            {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}]},
        ),
        ({"type": "ai", "content": "hi"}, text("assistant", "hi")),
        (
            {
                "role": "assistant",
                "parts": [],
                "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}],
            },
            {"role": "assistant", "parts": [CALL]},
        ),
        ({"role": "assistant", "parts": [CALL], "tool_calls": [{"name": "f"}]}, {"role": "assistant", "parts": [CALL]}),
        (
            {"role": "tool", "parts": [{"type": "text", "content": "sunny"}], "tool_call_id": "c1"},
            {"role": "tool", "parts": [ANSWERED]},
        ),
        ({"content": '[{"text": "x"}]'}, text("user", '[{"text": "x"}]')),
        ({"content": "[]"}, text("user", "[]")),
        ({"content": {"a": 1}}, {"role": "user", "parts": [{"type": "text", "content": {"a": 1}}]}),
    ],
)
def test_messages(written: dict[str, Any], read: dict[str, Any]) -> None:
    assert message(written, "user") == read


def langchain(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name], "kwargs": kwargs}


HI = [text("user", "hi")]
CALLED = {"role": "assistant", "parts": [CALL]}


@pytest.mark.parametrize(
    ("payload", "messages"),
    [
        ([{"role": "user", "content": "hi"}], HI),
        ({"messages": [{"role": "user", "content": "hi"}], "model": "m"}, HI),
        ({"messages": [[langchain("HumanMessage", content="hi", id="7")]]}, HI),
        (
            [langchain("AIMessageChunk", content="", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c1"}])],
            [CALLED],
        ),
        ([langchain("ToolMessage", content="sunny", tool_call_id="c1")], [{"role": "tool", "parts": [ANSWERED]}]),
        ({"input": "hi", "instructions": "Be brief."}, HI),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}, HI),
        ({"contents": "hi"}, HI),
        ({"contents": ["hi"]}, HI),
        ({"contents": {"parts": [{"text": "hi"}]}}, HI),
        ({"contents": [{"parts": [{"text": "hi"}], "role": "user"}], "config": {}}, HI),
        ({"prompt": "hi"}, HI),
        ({"prompt": ["hi"]}, HI),
        (["hi"], HI),
        ([{"type": "text", "text": "hi"}], HI),
        ({"role": "user", "content": "hi", "id": "m1"}, HI),
        (
            [
                {"type": "reasoning", "summary": [{"text": "hm"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
                {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            ],
            [
                {
                    "role": "assistant",
                    "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "hi"}, CALL],
                },
                {"role": "tool", "parts": [ANSWERED]},
            ],
        ),
    ],
)
def test_requests(payload: Any, messages: list[Any]) -> None:
    assert messages_of(payload, "user") == messages
    assert messages_of(json.dumps(payload), "user") == messages


SAID = text("assistant", "hi")


@pytest.mark.parametrize(
    ("payload", "messages"),
    [
        (
            {"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]},
            [SAID | {"finish_reason": "stop"}],
        ),
        ({"choices": [{"text": "hi", "index": 0}]}, [SAID]),
        (
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": "hi"}],
                "stop_reason": "end_turn",
            },
            [SAID | {"finish_reason": "end_turn"}],
        ),
        (
            {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}]},
            [SAID | {"finish_reason": "STOP"}],
        ),
        ({"content": {"role": "model", "parts": [{"text": "hi"}]}, "usage_metadata": {}}, [SAID]),
        (
            {
                "output": [
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
                ],
                "id": "r",
            },
            [SAID],
        ),
        ({"output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}}, [SAID]),
        ({"message": {"role": "model", "content": [{"text": "hi"}]}}, [SAID]),
        ({"generations": [[{"text": "hi", "message": langchain("AIMessage", content="hi")}]]}, [SAID]),
        ({"generations": [[{"text": "hi"}]]}, [SAID]),
        ({"output": "hi"}, [SAID]),
        ({"content": "hi"}, [SAID]),
        ({"combined_chunk_content": "hi", "chunk_count": 3}, [SAID]),
    ],
)
def test_answers(payload: Any, messages: list[Any]) -> None:
    assert messages_of(payload, "assistant") == messages


@pytest.mark.parametrize(
    "payload",
    [
        {"question": "hi"},
        {"args": [], "kwargs": {"a": 1}},
        [{"a": 1}],
        [{"role": "user", "content": "hi"}, {"a": 1}],
        {"messages": [{"a": 1}]},
        {"choices": 7},
        {"generations": 7},
        {},
        [],
        "hi",
        7,
        None,
    ],
)
def test_what_is_plainly_no_message(payload: Any) -> None:
    assert messages_of(payload, "user") is None


@pytest.mark.parametrize(
    "request_",
    [
        {"system": "Be brief."},
        {"system": [{"type": "text", "text": "Be brief."}]},
        {"instructions": "Be brief."},
        {"config": {"system_instruction": "Be brief."}},
        {"systemInstruction": {"parts": [{"text": "Be brief."}]}},
    ],
)
def test_instructions_apart_from_messages(request_: Any) -> None:
    assert (
        instructions_of(request_) == instructions_of(json.dumps(request_)) == [{"type": "text", "content": "Be brief."}]
    )
    assert instructions_of({"messages": []}) is None


def test_ids_of_answers() -> None:
    assert response_id_of('{"id": "chatcmpl-1", "choices": []}') == "chatcmpl-1"
    assert response_id_of({"responseId": "r1", "candidates": []}) == "r1"
    for other in ('{"id": "customer-7"}', '{"id": 7, "choices": []}', '{"id": "x", ', "[1]", "hi", 7, None):
        assert response_id_of(other) is None


DEFINED = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    "written",
    [
        DEFINED,
        json.dumps(DEFINED),
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
        {"name": "f", "description": "d", "input_schema": {"type": "object"}},
        {"type": "custom", "name": "f", "description": "d", "input_schema": '{"type": "object"}'},
        {"type": "function", "name": "f", "description": "d", "inputSchema": {"type": "object"}},
        {"name": "f", "description": "d", "parameters_json_schema": {"type": "object"}, "strict": None},
    ],
)
def test_tool_definitions(written: Any) -> None:
    assert tool_definition(written) == DEFINED


def test_tools_of_other_shapes_are_kept() -> None:
    assert (
        tool_definition({"type": "web_search_20250305", "name": "web", "max_uses": 3})["type"] == "web_search_20250305"
    )
    assert tool_definition({"google_search": {}}) == {"google_search": {}}
    assert tool_definition(7) is None
    assert tools_of({"config": {"tools": [{"function_declarations": [DEFINED]}, {"google_search": {}}]}}) == [
        DEFINED,
        {"google_search": {}},
    ]


def test_documents() -> None:
    assert document({"page_content": "x", "metadata": {"a": 1}}) == {"content": "x", "metadata": {"a": 1}}
    assert document("x") == {"content": "x"}
    assert document(7) is None
