"""The main job, with nothing faked but the model's answers.

Chromium opens the chat page, types and clicks; the page calls the application; the application calls the model with
the real client and streams the answer into the page. The page's events and spans arrive over HTTP, the application's
spans over gRPC, and one timeline tells it all.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from otel_replay.examples.chat.stub import MODEL, RESPONSE_MODEL
from tests.e2e.conftest import RecordedSession
from tests.e2e.conversation import shows

pytestmark = [pytest.mark.browser, pytest.mark.slow]

USAGE = ({"input": 34, "output": 35}, {"input": 84, "output": 30})


@pytest.fixture(params=[0, 1], ids=["first question", "second question"], scope="module")
def number(request: pytest.FixtureRequest) -> int:
    """Which turn of the conversation."""
    assert isinstance(request.param, int)
    return request.param


@pytest.fixture(scope="module")
def timeline(recorded_session: RecordedSession, number: int) -> dict[str, Any]:
    """``otel-replay timeline TRACE_ID --format json`` of the turn, while the receiver runs."""
    return recorded_session.timeline(recorded_session.visit.turns[number].trace_id)


@pytest.mark.feature("C1")
@pytest.mark.feature("C2")
@pytest.mark.feature("C4")
@pytest.mark.feature("C7")
@pytest.mark.feature("R7")
def test_the_story_is_told_in_order(recorded_session: RecordedSession, timeline: dict[str, Any], number: int) -> None:
    turn = recorded_session.visit.turns[number]
    entries = timeline["entries"]
    shown = shows(entries, turn.answer)
    assert shown
    story = [
        one(entries, kind="action", trace_id=turn.trace_id),
        one(entries, kind="span", trace_id=turn.trace_id, span_kind="SERVER"),
        one(entries, kind="interaction", trace_id=turn.trace_id),
        shown,
    ]
    assert timeline["trace_id"] == turn.trace_id
    assert story == sorted(story, key=entries.index)
    assert [entry["title"].partition(" → ")[0] for entry in story[:3]] == [
        "click #send",
        "POST /api/chat 200",
        f"chat {RESPONSE_MODEL}",
    ]
    starts = [int(entry["start_unix_nano"]) for entry in entries]
    assert starts == sorted(starts)


def test_the_interaction_says_what_was_asked_and_answered(
    recorded_session: RecordedSession, timeline: dict[str, Any], number: int
) -> None:
    turns = recorded_session.visit.turns
    detail = one(timeline["entries"], kind="interaction", trace_id=turns[number].trace_id)["detail"]
    assert (detail["provider"], detail["operation"]) == ("openai", "chat")
    assert (detail["request_model"], detail["response_model"]) == (MODEL, RESPONSE_MODEL)
    earlier = [text for turn in turns[:number] for text in (turn.question, turn.answer)]
    assert texts(detail["input_messages"])[-len(earlier) - 1 :] == [*earlier, turns[number].question]
    assert texts(detail["output_messages"]) == [turns[number].answer]
    assert {kind: detail["usage"][kind] for kind in ("input", "output")} == USAGE[number]
    assert (timeline["interactions"], timeline["tokens"]["output"]) == (1, USAGE[number]["output"])


@pytest.mark.feature("R2")
@pytest.mark.feature("R7")
def test_one_session_joins_all_of_it(recorded_session: RecordedSession, timeline: dict[str, Any], number: int) -> None:
    session_id, trace_id = recorded_session.visit.session_id, recorded_session.visit.turns[number].trace_id
    assert timeline["sessions"] == [session_id]
    assert {entry["session_id"] for entry in timeline["entries"]} == {session_id}
    spans = [
        entry for entry in timeline["entries"] if entry["trace_id"] == trace_id and entry["id"].startswith("span:")
    ]
    assert {entry["detail"]["service"] for entry in spans} == {"chat-example", "chat-example-web"}
    assert {entry["detail"]["attributes"].get("session.id") for entry in spans} == {session_id}


@pytest.mark.feature("R7")
def test_the_click_is_the_exact_cause_of_the_call(
    recorded_session: RecordedSession, timeline: dict[str, Any], number: int
) -> None:
    trace_id = recorded_session.visit.turns[number].trace_id
    click = one(timeline["entries"], kind="action", trace_id=trace_id)
    interaction = one(timeline["entries"], kind="interaction", trace_id=trace_id)
    causes = [link for link in interaction["links"] if link["rel"] == "caused_by"]
    assert [(link["target"], link["basis"]) for link in causes] == [(click["id"], "exact")]


@pytest.mark.feature("C4")
def test_the_session_has_both_questions_in_one_conversation(recorded_session: RecordedSession) -> None:
    visit = recorded_session.visit
    timeline = recorded_session.timeline("--session", visit.session_id)
    interactions = [entry for entry in timeline["entries"] if entry["kind"] == "interaction"]
    assert [entry["trace_id"] for entry in interactions] == [turn.trace_id for turn in visit.turns]
    (conversation_id,) = {entry["detail"]["conversation_id"] for entry in interactions}
    assert re.fullmatch(r"[0-9a-f]{32}", conversation_id)
    assert {turn.trace_id for turn in visit.turns} <= set(timeline["traces"])
    assert timeline["gaps"] == []


@pytest.mark.feature("C3")
def test_the_recording_is_kept_under_session_and_stream(recorded_session: RecordedSession) -> None:
    visit = recorded_session.visit
    answer = requests.get(f"{recorded_session.receiver.url}/api/v1/sessions/{visit.session_id}/recording", timeout=20)
    (stream,) = answer.json()["streams"]
    assert (stream["stream_id"], stream["from_seq"], stream["gaps"]) == (visit.stream_id, 0, [])
    kinds = [event["type"] for event in stream["events"]]
    assert kinds[:2] == [4, 2]
    named = {event["data"]["payload"]["trace_id"] for event in stream["events"] if is_action(event)}
    assert named == {turn.trace_id for turn in visit.turns}


def is_action(event: dict[str, Any]) -> bool:
    return bool(event["type"] == 5 and event["data"]["tag"] == "otel.action")


def one(entries: list[dict[str, Any]], *, kind: str, trace_id: str, span_kind: str | None = None) -> dict[str, Any]:
    """The only entry of the kind in the trace."""
    (found,) = (
        entry
        for entry in entries
        if (entry["kind"], entry["trace_id"]) == (kind, trace_id)
        and span_kind in (None, entry["detail"].get("span_kind"))
    )
    return found


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [part["content"] for message in messages for part in message["parts"] if part["type"] == "text"]
