"""One whole story: a click, the request, the model call and its tool, with the recording and a log beside them."""

from __future__ import annotations

import json

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.model import Gap, Session
from otel_replay.timeline import StreamView, Timeline
from tests.genai.spans import any_value, key_values

from .inputs import CHAT, CLIENT, SERVER, START, TRACE, announced, at, build, click, log, span

ACTION, FETCH, SERVE, CALL, TOOL = (f"span:{TRACE}:{number:016x}" for number in range(1, 6))
QUESTION = {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]}
ANSWER = {"role": "assistant", "parts": [{"type": "text", "content": "Sunny\n\x1b[31mand warm"}]}


def story() -> Timeline:
    page = {"session.id": "s1"}
    crash = Span.Event(
        name="exception", time_unix_nano=at(5), attributes=key_values({"exception.type": "TimeoutError"})
    )
    spans = [
        span(1, name="click", attributes={"browser.action": "click", "app.widget.id": "send", **page}),
        span(2, 1, name="POST", kind=CLIENT, attributes={"http.method": "POST", "http.url": "http://x.test/api/chat"}),
        span(
            3,
            2,
            name="POST /api/chat",
            kind=SERVER,
            attributes={"http.request.method": "POST", "url.path": "/api/chat", "http.response.status_code": 200},
        ),
        span(
            4,
            3,
            name="chat gpt-4o-mini",
            kind=CLIENT,
            attributes={
                **CHAT,
                "gen_ai.provider.name": "openai",
                "gen_ai.input.messages": json.dumps([QUESTION]),
                "gen_ai.output.messages": json.dumps([ANSWER]),
                "gen_ai.usage.input_tokens": 12,
                "gen_ai.usage.output_tokens": 3,
                "gen_ai.usage.cost": 1e-05,
                "gen_ai.response.time_to_first_chunk": 0.004,
                "server.address": "api.openai.com",
            },
        ),
        span(
            5,
            4,
            name="execute_tool weather",
            attributes={"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather"},
            events=[crash],
            status=Status(code=Status.STATUS_CODE_ERROR, message="timed out"),
        ),
    ]
    logs = [
        log(0, session="s1", event_name="session.start"),
        log(6, span_number=5, body=any_value("tool failed\nagain"), severity_number=17, severity_text="ERROR"),
    ]
    gap = Gap("tab", 3, 2, "missing", at(20), at(30), None)
    stream = StreamView("s1", "tab", [announced(0, 1, 1), click(1, 1)], [gap])
    session = Session(1, "s1", at(0), at(30))
    return build(spans, logs, streams=[stream], sessions=[session])


def test_order_kinds_and_titles() -> None:
    assert [(entry.start_unix_nano - START, entry.kind, entry.title) for entry in story().entries] == [
        (0, "system", "session start"),
        (1_000_000, "action", "click #send"),
        (1_000_000, "dom", "otel.action"),
        (1_000_000, "dom", "click #send"),
        (2_000_000, "span", "POST x.test/api/chat"),
        (3_000_000, "span", "POST /api/chat 200"),
        (4_000_000, "interaction", "chat gpt-4o-mini → “Sunny [31mand warm”"),
        (5_000_000, "tool", "execute_tool weather"),
        (6_000_000, "log", "tool failed again"),
        (20_000_000, "gap", "2 chunks of the recording missing: missing"),
    ]


def test_links() -> None:
    assert {entry.id: [(link.rel, link.target) for link in entry.links] for entry in story().entries} == {
        "session:s1:start": [],
        ACTION: [],
        "dom:tab:0:0": [("same_call", ACTION), ("caused_by", "dom:tab:0:1")],
        "dom:tab:0:1": [],
        FETCH: [("child_of", ACTION)],
        SERVE: [("child_of", FETCH), ("caused_by", ACTION)],
        CALL: [("child_of", SERVE), ("caused_by", ACTION)],
        TOOL: [("child_of", CALL), ("caused_by", ACTION)],
        f"log:{6:032x}": [],
        "gap:tab:3": [],
    }


def test_head() -> None:
    head = story().to_dict()
    entries = head.pop("entries")
    assert head == {
        "version": 1,
        "trace_id": TRACE,
        "sessions": ["s1"],
        "traces": [TRACE],
        "start_unix_nano": "1763600000123456789",
        "end_unix_nano": "1763600000153456789",
        "clock_reference": "receiver",
        "interactions": 1,
        "cost_usd": "0.00001",
        "cost_source": "reported",
        "tokens": {"input": 12, "output": 3, "cache_read": None, "cache_write": None, "reasoning": None},
        "time_to_visible": [],
        "clock": [],
        "gaps": [
            {
                "stream_id": "tab",
                "after_seq": 3,
                "missing": 2,
                "reason": "missing",
                "from_unix_nano": "1763600000143456789",
                "to_unix_nano": "1763600000153456789",
                "resumes_at": None,
            }
        ],
        "warnings": [],
        "next_cursor": None,
    }
    assert {entry["session_id"] for entry in entries} == {"s1"}


def test_interaction_as_json() -> None:
    entry = next(entry for entry in story().to_dict()["entries"] if entry["kind"] == "interaction")
    assert entry == {
        "id": CALL,
        "kind": "interaction",
        "start_unix_nano": "1763600000127456789",
        "end_unix_nano": "1763600000137456789",
        "raw_start_unix_nano": "1763600000127456789",
        "trace_id": TRACE,
        "span_id": "0000000000000004",
        "parent_span_id": "0000000000000003",
        "session_id": "s1",
        "stream_id": "",
        "title": "chat gpt-4o-mini → “Sunny [31mand warm”",
        "status": "unset",
        "links": [
            {"rel": "child_of", "target": SERVE, "basis": "exact", "confidence": 1.0},
            {"rel": "caused_by", "target": ACTION, "basis": "exact", "confidence": 1.0},
        ],
        "detail": {
            "provider": "openai",
            "request_model": "gpt-4o-mini",
            "response_model": None,
            "operation": "chat",
            "input_messages": [QUESTION],
            "output_messages": [ANSWER],
            "system_instructions": None,
            "tool_calls": [],
            "usage": {"input": 12, "output": 3, "cache_read": None, "cache_write": None, "reasoning": None},
            "cost_usd": "0.00001",
            "cost_source": "reported",
            "finish_reasons": None,
            "time_to_first_token_ns": "4000000",
            "conversation_id": None,
            "agent": None,
            "parameters": {},
            "tool_definitions": None,
            "evaluations": None,
            "usage_details": None,
            "response_id": None,
            "previous_response_id": None,
            "error": None,
            "name": "chat gpt-4o-mini",
            "span_kind": "CLIENT",
            "service": "api",
            "scope": "test",
            "attributes": {"server.address": "api.openai.com"},
            "events": [],
            "links": [],
            "status_message": "",
        },
    }


def test_failed_tool() -> None:
    entry = next(entry for entry in story().entries if entry.kind == "tool")
    assert (entry.status, entry.detail["status_message"]) == ("error", "timed out")
    assert entry.detail["tool"] == {"name": "weather", "call_id": None, "arguments": None, "result": None}
    assert entry.detail["error"] == "TimeoutError: timed out"
    assert entry.detail["events"] == [
        {
            "name": "exception",
            "time_unix_nano": "1763600000128456789",
            "attributes": {"exception.type": "TimeoutError"},
        }
    ]
