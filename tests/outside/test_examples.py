"""The examples, each started as a reader would start it, and what the receiver then tells."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import requests

from tests.e2e.processes import running
from tests.outside.outside import Outside, eventually

pytestmark = pytest.mark.slow

EXPECTED = "RuntimeError: as it was asked to"
"""What a web application's failing view leaves in the session; a framework may add words of its own."""


def run(example: str, receiver: Outside) -> list[str]:
    """What an example writes: ids of sessions."""
    program = [sys.executable, "-m", f"otel_replay.examples.{example}", receiver.url]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.split()


def entries(receiver: Outside, session_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = receiver.timeline(f"/api/v1/sessions/{session_id}/timeline")["entries"]
    return found


def kinds(receiver: Outside, session_id: str) -> list[str]:
    """Kinds of entries without logs and states, of which a session has more or fewer."""
    return [one["kind"] for one in entries(receiver, session_id) if not one["id"].startswith(("log:", "session:"))]


@pytest.mark.feature("K7")
@pytest.mark.parametrize(
    ("example", "feature", "expected"),
    [
        ("chat_session", "chat", ["action", "interaction", "interaction"]),
        ("experimentation_session", "experimentation", ["interaction"]),
        ("workflow_session", "workflow", ["interaction", "span", "span", "span"]),
        ("agent_session", "agent", ["action", "agent", "interaction", "tool"]),
        ("notebook_session", "notebook", ["interaction"]),
    ],
)
def test_every_type_of_session_has_an_example(
    receiver: Outside, example: str, feature: str, expected: list[str]
) -> None:
    ids = run(example, receiver)
    assert ids
    rows = receiver.document("/api/v1/sessions", feature=feature, state="ended")["sessions"]
    assert sorted(one["session_id"] for one in rows) == sorted(ids)
    for session_id in ids:
        found = [kind for kind in kinds(receiver, session_id) if kind not in ("code_context", "system")]
        assert sorted(found) == expected


@pytest.mark.feature("K20")
def test_the_experiment_shows_both_variants(receiver: Outside) -> None:
    run("experimentation_session", receiver)
    table = receiver.document("/api/v1/stats", by="variant", wait="10s")
    assert {row["group"] for row in table["groups"]} >= {"A", "B"}


def test_the_agent_s_generator_is_one_conversation(receiver: Outside) -> None:
    (session_id,) = run("agent_session", receiver)
    spans = [one for one in entries(receiver, session_id) if one["kind"] in ("agent", "tool", "interaction")]
    (trace_id,) = {one["trace_id"] for one in spans}
    names = {span["name"]: span for span in _spans(receiver, trace_id)}
    conversations = {_attribute(span, "gen_ai.conversation.id") for span in names.values()}
    assert len(conversations) == 1
    assert names["execute_tool get_weather"]["parentSpanId"] == names["invoke_agent Forecaster"]["spanId"]


@pytest.mark.feature("B11")
def test_the_complete_example_of_a_manager(receiver: Outside) -> None:
    (session_id,) = run("session_manager", receiver)
    (row,) = receiver.document("/api/v1/sessions", user="user123")["sessions"]
    assert (row["session_id"], row["state"], row["interactions"]) == (session_id, "ended", 3)
    assert row["attributes"]["session.name"] == "My work"
    titles = [one["title"] for one in entries(receiver, session_id) if one["kind"] == "system"]
    assert titles == ["session start", "session pause", "session resume", "session end"]


@pytest.mark.feature("K14")
@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
def test_web_applications(receiver: Outside, framework: str) -> None:
    session_id, trace_id = f"visit-{framework}", f"{framework.encode().hex():0>32}"
    with running(f"otel_replay.examples.{framework}_app", receiver.url, "0") as program:
        url = program.wait_for(r"(?i)running on (http://127\.0\.0\.1:\d+)")
        headers = {"x-session-id": session_id, "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
        with visitor() as http:
            assert http.get(f"{url}/ask?q=one", headers=headers, timeout=20).json() == {"answer": "Hello!"}
            assert http.get(f"{url}/stream?q=two", headers=headers, timeout=20).text == "Hello!"
            assert http.get(f"{url}/fail", headers=headers, timeout=20).status_code == 500
        with visitor() as http:
            cookie = str(http.get(f"{url}/ask?q=three", timeout=20).cookies["otel-replay-session"])
            assert "otel-replay-session" not in http.get(f"{url}/ask?q=four", timeout=20).cookies
        new = eventually(lambda: story(receiver, cookie), lambda told: len(_interactions(told)) == 2)
        told = eventually(lambda: story(receiver, session_id), lambda told: EXPECTED in _errors(told))
    assert [one["session_id"] for one in _interactions(new)] == [cookie, cookie]
    assert [one["detail"]["input_messages"][0]["parts"][0]["content"] for one in _interactions(told)] == ["one", "two"]
    assert {one["trace_id"] for one in _interactions(told)} == {trace_id}
    assert EXPECTED in _errors(told)


def visitor() -> requests.Session:
    """A client that keeps its cookies."""
    http = requests.Session()
    http.trust_env = False
    return http


def story(receiver: Outside, session_id: str) -> dict[str, Any]:
    """A timeline; one without entries while nothing is known of the session."""
    answer = receiver.get(f"/api/v1/sessions/{session_id}/timeline")
    found: dict[str, Any] = answer.json() if answer.status_code == 200 else {"entries": []}
    return found


def _errors(timeline: dict[str, Any]) -> list[str]:
    return [one["title"] for one in timeline["entries"] if one["status"] == "error" and one["id"].startswith("log:")]


def _interactions(timeline: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in timeline["entries"] if one["kind"] == "interaction"]


def _spans(receiver: Outside, trace_id: str) -> list[dict[str, Any]]:
    groups = receiver.document(f"/api/v1/traces/{trace_id}")["resourceSpans"]
    return [span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]]


def _attribute(span: dict[str, Any], key: str) -> Any:
    return next((one["value"]["stringValue"] for one in span["attributes"] if one["key"] == key), None)
