"""What becomes which entry: spans, logs, recordings, sessions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.model import DomEvent, Gap
from otel_replay.timeline import StreamView, Subject
from tests.genai.spans import any_value

from .inputs import CHAT, CLIENT, SERVER, START, TRACE, at, build, click, log, span

OTHER_TRACE = "0000000000000000000000000000000b"


def title(attributes: dict[str, Any], **rest: Any) -> str:
    return build([span(1, attributes=attributes, **rest)]).entries[0].title


class TestSpans:
    @pytest.mark.parametrize(
        ("kind", "attributes", "expected"),
        [
            (SERVER, {"http.method": "GET", "http.target": "/a?b=c", "http.status_code": 404}, "GET /a 404"),
            (SERVER, {"http.request.method": "GET", "http.route": "/a/{id}"}, "GET /a/{id}"),
            (CLIENT, {"http.request.method": "PUT", "url.full": "https://h.test:1/p?q"}, "PUT h.test/p"),
            (CLIENT, {"http.method": "PUT", "net.peer.name": "h", "http.url": "http://["}, "PUT h/"),
            (CLIENT, {"http.method": 7}, "7 /"),
            (SERVER, {"http.method": True}, "work"),
        ],
    )
    def test_http_titles(self, kind: Any, attributes: dict[str, Any], expected: str) -> None:
        assert title(attributes, kind=kind) == expected

    def test_titles_are_one_short_harmless_line(self) -> None:
        assert title({}, name="a\x1b]0;b\x07\r\nc\u202ed\x9b31m\u2028e") == "a ]0;b cd 31m e"
        assert title({}, name="x" * 500) == "x" * 199 + "…"
        assert title({}, name="\n") == "(unnamed span)"

    def test_agent_and_untitled_ai_spans(self) -> None:
        assert (
            title({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Planner"}) == "invoke_agent Planner"
        )
        assert title({"gen_ai.request.model": "m"}, name="") == "m"
        assert title({"gen_ai.operation.name": "chat"}, name="") == "chat"

    @pytest.mark.parametrize(("code", "expected"), [(0, "unset"), (1, "ok"), (2, "error"), (9, "unset")])
    def test_status(self, code: Any, expected: str) -> None:
        assert build([span(1, status=Status(code=code))]).entries[0].status == expected

    def test_what_its_dialect_calls_an_error_is_one(self) -> None:
        told = {"langfuse.observation.type": "generation", "langfuse.observation.level": "ERROR"}
        entry = build([span(1, attributes=told, status=Status(code=Status.STATUS_CODE_OK))]).entries[0]
        assert (entry.status, entry.detail["attributes"]) == ("error", {"langfuse.observation.level": "ERROR"})

    def test_asgi_chunks_are_noise(self) -> None:
        noisy = build([span(1, attributes={"asgi.event.type": "http.response.body"})]).entries[0]
        assert (noisy.kind, noisy.detail["noise"]) == ("span", True)
        assert "noise" not in build([span(1)]).entries[0].detail

    def test_detail_holds_only_what_json_can(self) -> None:
        attributes = {
            "big": 2**53,
            "small": 7,
            "raw": b"\x00\xff",
            "nan": float("nan"),
            "none": None,
            "deep": [{"a": [1]}],
        }
        linked = span(1, attributes=attributes)
        linked.span.links.append(Span.Link(trace_id=b"\x0b" * 16, span_id=b"\x0c" * 8))
        detail = json.loads(json.dumps(build([linked]).entries[0].detail, allow_nan=False))
        assert detail == {
            "name": "work",
            "span_kind": "INTERNAL",
            "service": "api",
            "scope": "test",
            "attributes": {
                "big": "9007199254740992",
                "small": 7,
                "raw": "AP8=",
                "nan": "NaN",
                "none": None,
                "deep": [{"a": [1]}],
            },
            "events": [],
            "links": [{"trace_id": "0b" * 16, "span_id": "0c" * 8, "attributes": {}}],
            "status_message": "",
        }

    def test_unknown_span_kind(self) -> None:
        assert build([span(1, kind=99)]).entries[0].detail["span_kind"] == "UNSPECIFIED"  # type: ignore[arg-type]

    def test_times_are_exact(self) -> None:
        entry = build([span(1, start=START, end=2**64 - 1)]).to_dict()["entries"][0]
        assert entry["start_unix_nano"] == entry["raw_start_unix_nano"] == "1763600000123456789"
        assert entry["end_unix_nano"] == "18446744073709551615"

    def test_times_that_are_missing_or_reversed(self) -> None:
        timeline = build(
            [span(1, start=0, end=at(5)), span(2, start=at(2), end=0), span(3, end=at(1)), span(4, start=0, end=0)]
        )
        times = {entry.span_id[-1]: (entry.start_unix_nano, entry.end_unix_nano) for entry in timeline.entries}
        assert times == {"1": (at(5), at(5)), "2": (at(2), at(2)), "3": (at(3), at(3)), "4": (0, 0)}
        assert timeline.warnings == (f"span:{TRACE}:{3:016x}: ends before it starts",)
        assert (timeline.start_unix_nano, timeline.end_unix_nano) == (at(2), at(5))

    def test_warnings_name_the_entry(self) -> None:
        timeline = build([span(1, attributes={**CHAT, "gen_ai.input.messages": "["})])
        assert timeline.entries[0].detail["input_messages"] is None
        assert timeline.warnings == (f"span:{TRACE}:{1:016x}: gen_ai.input.messages: not JSON: Expecting value at 1",)


class TestAttributes:
    def test_what_the_interaction_does_not_tell_stays(self) -> None:
        kept = {
            "gen_ai.usage.total_tokens": 9,
            "gen_ai.agent.id": "a1",
            "gen_ai.prompt.name": "greeting",
            "llm.invocation_parameters": '{"model": "m", "service_tier": "flex"}',
            "langfuse.trace.name": "t",
            "input": "mine",
        }
        told = {**CHAT, "gen_ai.usage.input_tokens": 3, "gen_ai.prompt.0.content": "Hi", "llm.model_name": "m"}
        assert build([span(1, attributes={**kept, **told})]).entries[0].detail["attributes"] == kept

    def test_what_could_not_be_read_stays(self) -> None:
        broken = {"gen_ai.usage.input_tokens": -1, "gen_ai.output.messages": "["}
        assert build([span(1, attributes={**CHAT, **broken})]).entries[0].detail["attributes"] == broken


class TestDuplicates:
    def test_the_greatest_end_time_wins(self) -> None:
        early = span(1, name="longer name", end=at(5))
        assert build([early, span(1, name="late", end=at(6))]).entries[0].title == "late"

    @pytest.mark.parametrize("shorter", "abcdefgh")  # some of these have the greater digest
    def test_then_the_longest_encoding(self, shorter: str) -> None:
        assert build([span(1, name="longer"), span(1, name=shorter)]).entries[0].title == "longer"

    def test_then_always_the_same(self) -> None:
        one, other = span(1, name="one"), span(1, name="two")
        assert build([one, other]) == build([other, one])
        assert len(build([one, other]).entries) == 1

    def test_also_when_only_the_resource_differs(self) -> None:
        one, other = span(1, resource={"service.name": "a"}), span(1, resource={"service.name": "b"})
        assert build([one, other]) == build([other, one])

    def test_the_same_span_id_in_two_traces_is_two_spans(self) -> None:
        timeline = build([span(1), span(1, trace_id=OTHER_TRACE)])
        assert len(timeline.entries) == 2
        assert timeline.traces == (TRACE, OTHER_TRACE)


class TestLogs:
    def test_plain_log(self) -> None:
        entry = build(logs=[log(1, body=any_value({"a": 1}), severity_number=9, severity_text="INFO")]).entries[0]
        assert (entry.id, entry.kind, entry.status, entry.title) == (f"log:{1:032x}", "log", "unset", "INFO")
        assert entry.detail["body"] == {"a": 1}

    @pytest.mark.parametrize("fields", [{"severity_number": 17}, {"attributes": {"exception.type": "ValueError"}}])
    def test_errors(self, fields: dict[str, Any]) -> None:
        entry = build(logs=[log(1, **fields)]).entries[0]
        assert (entry.kind, entry.status) == ("log", "error")

    def test_exception_title(self) -> None:
        attributes = {"exception.type": "ValueError", "exception.message": "no\nway"}
        assert build(logs=[log(1, attributes=attributes)]).entries[0].title == "ValueError: no way"

    def test_observed_time_stands_in(self) -> None:
        entry = build(logs=[log(1, time_unix_nano=0, observed_time_unix_nano=at(7))]).entries[0]
        assert entry.start_unix_nano == entry.end_unix_nano == at(7)

    def test_session_events(self) -> None:
        events = [(1, "start"), (2, "start"), (3, "pause"), (4, "resume"), (5, "pause"), (6, "end"), (7, "end")]
        logs = [log(number, session="s1", event_name=f"session.{name}") for number, name in events]
        assert [(entry.id, entry.kind, entry.start_unix_nano) for entry in build(logs=logs).entries] == [
            ("session:s1:start", "system", at(1)),
            (f"session:s1:pause:{at(3)}", "system", at(3)),
            (f"session:s1:resume:{at(4)}", "system", at(4)),
            (f"session:s1:pause:{at(5)}", "system", at(5)),
            ("session:s1:end", "system", at(7)),
        ]

    def test_a_session_event_without_session_is_a_log(self) -> None:
        assert build(logs=[log(1, event_name="session.start")]).entries[0].kind == "log"

    def test_actions(self) -> None:
        as_field = log(1, event_name="app.widget.click", attributes={"app.widget.id": "send"})
        as_attribute = log(2, attributes={"event.name": "browser.page_view", "url.path": "/home"})
        entries = build(logs=[as_field, as_attribute]).entries
        assert [(entry.kind, entry.title) for entry in entries] == [
            ("action", "click #send"),
            ("action", "page_view /home"),
        ]

    def test_content_of_a_call_may_stand_in_a_log(self) -> None:
        question = {"role": "user", "parts": [{"type": "text", "content": "Hi"}]}
        content = {"gen_ai.input.messages": [question], "gen_ai.request.model": "other", "gen_ai.output.messages": None}
        details = log(2, span_number=1, event_name="gen_ai.client.inference.operation.details", attributes=content)
        call = build([span(1, attributes=CHAT)], [details, log(3, span_number=1, attributes=content)]).entries[0]
        assert call.detail["input_messages"] == [question]
        assert (call.detail["request_model"], call.detail["output_messages"]) == ("gpt-4o-mini", None)
        assert build([span(2, attributes=CHAT)], [details]).entries[0].detail["input_messages"] is None

    def test_messages_in_logs_join_their_span_in_the_order_of_time(self) -> None:
        told = [
            log(3, span_number=1, event_name="gen_ai.choice", body=any_value({"message": {"content": "Hello"}})),
            log(2, span_number=1, event_name="gen_ai.user.message", body=any_value({"content": "And?"})),
            log(1, span_number=1, attributes={"event.name": "gen_ai.user.message"}, body=any_value({"content": "Hi"})),
            log(4, span_number=1, event_name="gen_ai.evaluation.result", attributes={"gen_ai.evaluation.name": "Tone"}),
        ]
        call = next(one for one in build([span(1, attributes=CHAT)], told).entries if one.kind == "interaction")
        assert [one["parts"][0]["content"] for one in call.detail["input_messages"]] == ["Hi", "And?"]
        assert [one["parts"][0]["content"] for one in call.detail["output_messages"]] == ["Hello"]
        assert call.detail["evaluations"] == [{"name": "Tone"}]

    def test_a_log_makes_no_call_of_a_plain_span(self) -> None:
        """Some libraries write it while the application's own span is the current one."""
        name = "gen_ai.client.inference.operation.details"
        told = [log(2, span_number=1, event_name=name, attributes={**CHAT, "gen_ai.input.messages": "[]"})]
        assert [entry.kind for entry in build([span(1)], told).entries] == ["span", "log"]

    def test_two_logs_of_one_call_count_in_any_order(self) -> None:
        name = "gen_ai.client.inference.operation.details"
        told = [
            log(number, span_number=1, event_name=name, attributes={**CHAT, "gen_ai.response.model": f"m{number}"})
            for number in (2, 3)
        ]
        call = span(1, attributes=CHAT)
        assert build([call], told) == build([call], told[::-1])


class TestRecordings:
    def test_events_keep_their_kind(self) -> None:
        event = DomEvent(4, 2, "error", at(1), "TypeError\nx", {"type": "error", "bad": "\ud800"})
        entry = build(dom=[event]).entries[0]
        assert (entry.id, entry.kind, entry.title, entry.status) == ("dom:tab:4:2", "error", "TypeError x", "error")
        assert (entry.stream_id, entry.start_unix_nano, entry.end_unix_nano) == ("tab", at(1), at(1))
        assert entry.detail == {"type": "error", "bad": "?"}

    def test_a_kind_of_later_versions_comes_last(self) -> None:
        entries = build(logs=[log(1)], dom=[DomEvent(0, 0, "hologram", at(1), "x", {})]).entries
        assert [entry.kind for entry in entries] == ["log", "hologram"]

    def test_equal_stream_ids_of_two_sessions_stay_apart(self) -> None:
        streams = [StreamView(session, "tab", [click(0, 1)]) for session in ("s2", "s1")]
        assert [entry.session_id for entry in build(streams=streams).entries] == ["s1", "s2"]

    def test_gaps(self) -> None:
        gap = Gap("tab", -1, 1, "missing", at(2), at(1), 4)
        timeline = build(streams=[StreamView("s1", "tab", [], [gap, gap])])
        assert timeline.gaps == (gap,)
        assert [(entry.id, entry.title) for entry in timeline.entries] == [
            ("gap:tab:-1", "1 chunk of the recording missing: missing")
        ]
        assert timeline.entries[0].end_unix_nano == at(2)


class TestSessions:
    def sessions(self, *args: Any, **rest: Any) -> list[str]:
        return [entry.session_id for entry in build(*args, **rest).entries]

    def test_from_the_resource(self) -> None:
        assert self.sessions([span(1, resource={"rum.sessionId": "s1"})]) == ["s1"]

    def test_from_the_nearest_span_above(self) -> None:
        spans = [
            span(1, attributes={"session.id": "s1"}),
            span(2, 1, attributes={"session.id": "s2"}),
            span(3, 2),
            span(4, 1),
        ]
        assert self.sessions([*spans, span(5)]) == ["s1", "s2", "s2", "s1", ""]

    def test_from_the_only_session_of_the_trace(self) -> None:
        spans = [span(1), span(2, attributes={"session.id": "s1"}), span(3, trace_id=OTHER_TRACE)]
        assert self.sessions(spans) == ["s1", "s1", ""]
        assert self.sessions([span(1)], [log(2, session="s1", span_number=9)]) == ["s1", "s1"]

    def test_a_log_belongs_to_the_session_of_its_span(self) -> None:
        spans = [span(1, attributes={"session.id": "s1"}), span(2, attributes={"session.id": "s2"})]
        assert self.sessions(spans, [log(3, span_number=1)]) == ["s1", "s2", "s1"]

    def test_from_the_subject(self) -> None:
        subject = Subject("session", "s9")
        timeline = build([span(1)], subject=subject)
        assert timeline.sessions == ("s9",)
        assert timeline.to_dict()["session_id"] == "s9"


def test_nothing() -> None:
    timeline = build(subject=Subject("conversation", "c1"))
    assert timeline.to_dict()["conversation_id"] == "c1"
    assert (timeline.entries, timeline.start_unix_nano, timeline.end_unix_nano) == ((), 0, 0)
    assert (timeline.cost_usd, timeline.cost_source) == (None, None)
