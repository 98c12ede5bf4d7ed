"""Bodies and questions of the routes that speak plain JSON which are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal
from otel_replay.receiver.records import read_record
from otel_replay.receiver.telling import read_told
from otel_replay.receiver.visits import (
    ActionBody,
    CallBody,
    Start,
    Told,
    action_told,
    call_told,
    metadata_told,
    snapshot_told,
    start_told,
)
from tests.outside.access import ask
from tests.outside.outside import JSON, PROBLEM, Outside
from tests.outside.session_replay import BASE, CALL, START, only, refused, send, started

RECORD = "/api/v1/session-record"


# Who may, and what is refused


def test_pages_may_tell(receiver: Outside) -> None:
    """CORS: the preflight, and the answer to the request itself."""
    origin = {"origin": "http://localhost:3000"}
    for path in (f"{BASE}/recording/start", RECORD, "/api/v1/sessions/"):
        asked = {**origin, "access-control-request-method": "POST"}
        answer = receiver.http.options(receiver.url + path, headers=asked, timeout=20)
        assert answer.headers["access-control-allow-origin"] == origin["origin"]
    answer = receiver.http.post(receiver.url + f"{BASE}/recording/start", json=START, headers=origin, timeout=20)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin["origin"])


BAD: list[tuple[str, Any, str]] = [
    ("recording/start", {"feature": "chat"}, "userId"),
    ("recording/start", {"userId": "u"}, "feature"),
    ("recording/start", {"userId": 7, "feature": "chat"}, "$.userId"),
    ("recording/start", {**START, "metadata": []}, "$.metadata"),
    ("recording/start", {**START, "metadata": {"long": "x" * 20_000}}, "metadata"),
    ("recording/start", {**START, "timestamp": "yesterday"}, "$.timestamp"),
    ("recording/start", {**START, "timestamp": "9999-01-01T00:00:00Z"}, "timestamp"),
    ("recording/start", {**START, "timestamp": -1}, "$.timestamp"),
    ("recording/start", {**START, "sessionId": "a\nb"}, "session_id"),
    ("recording/start", [], "object"),
    ("recording/interaction", {"interaction": CALL}, "sessionId"),
    ("recording/interaction", {"sessionId": "known"}, "interaction"),
    ("recording/interaction", {"sessionId": "known", "interaction": {**CALL, "model": None}}, "$.interaction.model"),
    ("recording/interaction", {"sessionId": "known", "interaction": {"model": "m"}}, "prompt"),
    ("recording/interaction", {"sessionId": "known", "interaction": {**CALL, "cost": -1}}, "$.interaction.cost"),
    ("recording/interaction", {"sessionId": "known", "interaction": {**CALL, "cost": "1"}}, "$.interaction.cost"),
    (
        "recording/interaction",
        {"sessionId": "known", "interaction": {**CALL, "tokens": {"input": -3}}},
        "$.interaction.tokens.input",
    ),
    ("recording/interaction", {"sessionId": "known", "interaction": {**CALL, "latency": 1e300}}, "latency"),
    ("recording/user-action", {"sessionId": "known", "action": {"target": "#a"}}, "type"),
    ("recording/user-action", {"sessionId": "known", "action": {"type": ""}}, "$.action.type"),
    ("known/snapshot", {"codeContext": "a.py"}, "$.codeContext"),
    ("known/snapshot", {"systemMetrics": {f"m{number}": number for number in range(101)}}, "systemMetrics"),
    ("known/end", {"timestamp": "soon"}, "$.timestamp"),
]


@pytest.mark.feature("K19")
@pytest.mark.parametrize(("path", "body", "words"), BAD, ids=str)
def test_bad_bodies_are_told_which_field(receiver: Outside, path: str, body: Any, words: str) -> None:
    started(receiver, sessionId="known")
    refused(receiver.post(f"{BASE}/{path}", json.dumps(body).encode(), JSON), 400, words)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"nonsense", b'{"a": 1e999}', b"[" * 100_000], ids=lambda one: one[:9])
@pytest.mark.parametrize("path", [f"{BASE}/recording/start", f"{BASE}/known/snapshot", RECORD, "/api/v1/sessions/"])
def test_what_is_no_json(receiver: Outside, path: str, body: bytes) -> None:
    started(receiver, sessionId="known")
    answer = receiver.post(path, body, JSON)
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM), answer.text


@pytest.mark.parametrize("path", ["recording/start", "recording/user-action", "known/snapshot", "known/end"])
def test_sizes_are_limited(receiver: Outside, path: str) -> None:
    started(receiver, sessionId="known")
    refused(receiver.post(f"{BASE}/{path}", b'{"workspace": "' + b"x" * 2**20 + b'"}', JSON), 413, "1048576")


def test_long_calls_are_taken(receiver: Outside) -> None:
    session_id = started(receiver)

    def body(prompt: str) -> dict[str, Any]:
        return {"sessionId": session_id, "interaction": {**CALL, "prompt": prompt}}

    send(receiver, f"{BASE}/recording/interaction", body("long " * 1_000_000))
    told = only(receiver.document(f"{BASE}/{session_id}")["replayData"]["aiInteractions"])
    assert told["prompt"] == "long " * 1_000_000
    answer = receiver.post(f"{BASE}/recording/interaction", json.dumps(body("x" * 2**24)).encode(), JSON)
    refused(answer, 413, "16777216")


@pytest.mark.feature("K19")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{BASE}/recording/interaction", {"sessionId": "nobody", "interaction": CALL}),
        ("POST", f"{BASE}/recording/user-action", {"sessionId": "nobody", "action": {"type": "click"}}),
        ("POST", f"{BASE}/nobody/snapshot", {}),
        ("POST", f"{BASE}/nobody/end", {}),
        ("POST", f"{BASE}/nobody/share", {}),
        ("POST", f"{BASE}/nobody/export", {}),
        ("GET", f"{BASE}/nobody/export", None),
        ("GET", f"{BASE}/nobody", None),
        ("GET", "/api/v1/sessions/nobody", None),
        ("GET", "/api/v1/sessions/nobody/events", None),
    ],
)
def test_an_unknown_session(receiver: Outside, method: str, path: str, body: Any) -> None:
    refused(ask(receiver, method, path, json=body), 404, "nobody")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"{BASE}/list?user=u", "unknown parameter"),
        (f"{BASE}/list?page=0", "page"),
        (f"{BASE}/list?limit=many", "limit"),
        (f"{BASE}/list?limit=1001", "limit"),
        (f"{BASE}/list?startDate=soon", "startDate"),
        (f"{BASE}/stats?page=1", "unknown parameter"),
    ],
)
def test_bad_questions(receiver: Outside, path: str, words: str) -> None:
    refused(receiver.get(path), 400, words)


def test_texts_that_a_page_has_cut_are_kept(receiver: Outside) -> None:
    session_id = started(receiver)
    call = {**CALL, "prompt": "half an emoji \ud83d", "model": "m \ud83d"}
    send(receiver, f"{BASE}/recording/interaction", {"sessionId": session_id, "interaction": call})
    told = only(receiver.document(f"{BASE}/{session_id}")["replayData"]["aiInteractions"])
    assert (told["prompt"], told["model"]) == ("half an emoji �", "m �")


def test_what_is_told_is_redacted(receiver: Outside) -> None:
    session_id = started(receiver)
    call = {**CALL, "prompt": "my password: hunter2secret"}
    send(receiver, f"{BASE}/recording/interaction", {"sessionId": session_id, "interaction": call})
    assert "hunter2secret" not in receiver.get(f"{BASE}/{session_id}").text


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = [
    *START,
    *CALL,
    "sessionId",
    "metadata",
    "type",
    "target",
    "codeContext",
    "systemMetrics",
    "workspace",
    "error",
]
FACTS = st.dictionaries(st.sampled_from(FIELDS), ANY_JSON)
NEAR = st.fixed_dictionaries({}, optional={name: st.just(value) | ANY_JSON for name, value in (CALL | START).items()})


@given(facts=FACTS | NEAR | ANY_JSON, of_session=st.text(max_size=5))
@example(facts="\ud800", of_session="")
def test_nothing_that_is_told_breaks_anything(facts: Any, of_session: str) -> None:
    plain = json.dumps(facts).encode()
    body = json.dumps({"sessionId": "s", "interaction": facts, "action": facts}).encode()
    calls: list[Callable[[], Told]] = [
        lambda: start_told("s", read_told(plain, Start), 1),
        lambda: snapshot_told("s", plain, 1),
        lambda: call_told(read_told(body, CallBody), body, {"user.id": of_session}, 1),
        lambda: action_told(read_told(body, ActionBody), body, {}, 1),
        lambda: metadata_told("s", "session.update", read_record(plain).metadata, 1),
    ]
    for make in calls:
        with suppress(InvalidRequest):
            told = make()
            assert request_of(told.signal).FromString(told.body).SerializeToString()


def request_of(signal: Signal) -> Any:
    return ExportTraceServiceRequest if signal is Signal.TRACES else ExportLogsServiceRequest
