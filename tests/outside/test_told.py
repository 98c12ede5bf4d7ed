"""Snapshots and feedback over HTTP, as a page or a shell script sends them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.errors import InvalidRequest, RequestTooLarge
from otel_replay.model import Signal
from otel_replay.receiver.told import MAX_BYTES, feedback_request, snapshot_request
from tests.outside.outside import JSON, PROBLEM, Outside
from tests.outside.telemetry import CHAT, span, span_id, traces

Document = dict[str, Any]
TRACE = "5e" * 16


def tell(receiver: Outside, session_id: str, what: str, document: Any) -> Document:
    answer = receiver.post(f"/api/v1/sessions/{session_id}/{what}", json.dumps(document).encode(), JSON)
    assert answer.status_code == 200, answer.text
    found: Document = answer.json()
    return found


def only(receiver: Outside, session_id: str) -> Document:
    (entry,) = receiver.timeline(f"/api/v1/sessions/{session_id}/timeline")["entries"]
    found: Document = entry
    return found


@pytest.mark.feature("K13")
def test_a_snapshot_over_http(receiver: Outside) -> None:
    code = {"file": "a.py", "line": 3, "column": 1, "snippet": "x", "language": "python", "workspace": ["a.py"]}
    metrics = {"system.cpu.utilization": 0.5, "queue_length": 4}
    answer = tell(receiver, "a/b", "snapshot", {"state": {"step": 2}, "metrics": metrics, "code_context": code})
    entry = only(receiver, "a/b")
    assert answer == {"session_id": "a/b", "time_unix_nano": entry["start_unix_nano"]}
    assert entry["detail"]["event_name"] == "session.snapshot"
    assert entry["detail"]["attributes"] == {
        "session.id": "a/b",
        "otel_replay.snapshot.state": '{"step": 2}',
        "code.file.path": "a.py",
        "code.line.number": 3,
        "code.column.number": 1,
        "otel_replay.code.snippet": "x",
        "otel_replay.code.language": "python",
        "otel_replay.code.workspace": '["a.py"]',
        "system.cpu.utilization": 0.5,
        "otel_replay.metric.queue_length": 4.0,
    }


def test_feedback_over_http_names_the_call(receiver: Outside) -> None:
    call = span(TRACE, 1, attributes={**CHAT, "session.id": "rated"})
    receiver.export(Signal.TRACES, traces(call).SerializeToString())
    told = {"score": 1, "comment": "thanks", "label": "good", "name": "thumbs", "response_id": "r1"}
    tell(receiver, "rated", "feedback", {**told, "interaction": f"span:{TRACE}:{span_id(1)}"})
    entries = receiver.timeline("/api/v1/sessions/rated/timeline")["entries"]
    (verdict,) = [entry for entry in entries if entry["kind"] == "log"]
    assert (verdict["trace_id"], verdict["span_id"]) == (TRACE, span_id(1))
    assert verdict["detail"]["attributes"] == {
        "session.id": "rated",
        "gen_ai.evaluation.name": "thumbs",
        "gen_ai.evaluation.score.value": 1.0,
        "gen_ai.evaluation.score.label": "good",
        "gen_ai.evaluation.explanation": "thanks",
        "gen_ai.response.id": "r1",
    }


def test_what_is_told_is_redacted_like_everything_else(receiver: Outside) -> None:
    tell(receiver, "secret", "feedback", {"comment": "my password: hunter2secret"})
    assert "hunter2secret" not in json.dumps(only(receiver, "secret"))


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("snapshot", b"["),
        ("snapshot", b"[]"),
        ("snapshot", b"\xff"),
        ("snapshot", b'{"metrics": {"a": "b"}}'),
        ("snapshot", b'{"metrics": {"session.id; drop": 1}}'),
        ("snapshot", b'{"metrics": {"a": 1e999}}'),
        ("snapshot", b'{"code_context": {"line": -1}}'),
        ("snapshot", b'{"code_context": {"line": 99999999999999999999}}'),
        ("snapshot", b'{"mood": "good"}'),
        ("snapshot", b'{"state": ' + b"[" * 100_000),
        ("feedback", b"{}"),
        ("feedback", b'{"score": "5"}'),
        ("feedback", b'{"score": 1, "interaction": "dom:main:1:2"}'),
    ],
)
def test_what_is_not_understood_is_said(receiver: Outside, what: str, body: bytes) -> None:
    answer = receiver.post(f"/api/v1/sessions/s1/{what}", body, JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert answer.json()["detail"]


def test_sizes_are_limited(receiver: Outside) -> None:
    large = b'{"state": "' + b"x" * MAX_BYTES + b'"}'
    assert receiver.post("/api/v1/sessions/s1/snapshot", large, JSON).status_code == 413
    assert receiver.post(f"/api/v1/sessions/{'x' * 201}/snapshot", b"{}", JSON).status_code == 400
    many = json.dumps({"metrics": {f"m{number}": number for number in range(101)}}).encode()
    assert receiver.post("/api/v1/sessions/s1/snapshot", many, JSON).status_code == 400


def test_a_page_may_tell_too(receiver: Outside) -> None:
    """CORS: the preflight, and the answer to the request itself."""
    origin = {"origin": "http://localhost:3000"}
    address = f"{receiver.url}/api/v1/sessions/paged/feedback"
    asked = receiver.http.options(address, headers={**origin, "access-control-request-method": "POST"}, timeout=20)
    assert asked.headers["access-control-allow-origin"] == origin["origin"]
    answer = receiver.http.post(address, json={"score": 1}, headers=origin, timeout=20)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin["origin"])
    elsewhere = {"origin": "https://evil.example"}
    assert receiver.http.post(address, json={"score": 0}, headers=elsewhere, timeout=20).status_code in (401, 403)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = ["state", "metrics", "code_context", "score", "label", "comment", "name", "interaction", "response_id"]


@given(st.text(), st.dictionaries(st.sampled_from(FIELDS), ANY_JSON) | ANY_JSON)
def test_nothing_that_is_told_breaks_anything(session_id: str, document: Any) -> None:
    body = json.dumps(document).encode()
    for make in (snapshot_request, feedback_request):
        with suppress(InvalidRequest, RequestTooLarge):
            assert make(session_id, body, 1).SerializeToString()
