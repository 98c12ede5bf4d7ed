"""``/api/session-replay`` as clients of other services send it: only the address changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.outside.access import ask, cookies_of, make_key
from tests.outside.outside import Outside, eventually, running
from tests.outside.recording import recording
from tests.outside.session_replay import AT, AT_NS, BASE, CALL, Document, entries, only, refused, send, started
from tests.outside.telemetry import click, page

BEHIND_TLS = {"host": "replay.example.com", "x-forwarded-proto": "https"}


# Recording a session


@pytest.mark.feature("K1")
@pytest.mark.feature("K19")
def test_start(receiver: Outside) -> None:
    session_id = started(receiver, metadata={"plan": "premium"})
    other = started(receiver)
    assert session_id != other
    assert len(session_id) == 32
    row = receiver.document(f"/api/v1/sessions/{session_id}")
    told = {"user": "user_123", "feature": "chat", "label": "Customer Support Chat", "state": "active"}
    assert {name: row[name] for name in told} == told


@pytest.mark.feature("R2")
def test_start_with_an_id_goes_on_with_that_session(receiver: Outside) -> None:
    assert started(receiver, sessionId="visit-7", timestamp=AT) == "visit-7"
    assert started(receiver, sessionId="visit-7", timestamp=AT) == "visit-7"
    assert len(entries(receiver, "visit-7", "system")) == 1


@pytest.mark.feature("K2")
@pytest.mark.feature("K19")
def test_an_interaction(receiver: Outside) -> None:
    session_id = started(receiver)
    answer = send(receiver, f"{BASE}/recording/interaction", {"sessionId": session_id, "interaction": CALL})
    call = only(entries(receiver, session_id, "interaction"))
    assert answer == {"id": call["id"]}
    assert (call["start_unix_nano"], call["end_unix_nano"]) == (str(AT_NS), str(AT_NS + 1_200 * 10**6))
    detail = call["detail"]
    assert (detail["provider"], detail["request_model"], detail["cost_usd"]) == ("openai", "gpt-4", "0.0008")
    assert (detail["usage"]["input"], detail["usage"]["output"]) == (15, 25)
    assert detail["parameters"] == {"temperature": 0.7, "max_tokens": 500}
    said = [detail[name][0]["parts"][0]["content"] for name in ("input_messages", "output_messages")]
    assert said == [CALL["prompt"], CALL["response"]]


@pytest.mark.feature("K2")
def test_an_interaction_is_the_span_that_the_sdk_makes(receiver: Outside) -> None:
    facts: Document = {"user_id": "user_123", "feature": "chat", "label": "Customer Support Chat"}
    with recording(receiver.url) as app, app.session("by-sdk", **facts) as session:
        session.start()
        session.record_interaction(
            model="gpt-4",
            prompt=CALL["prompt"],
            response=CALL["response"],
            input_tokens=15,
            output_tokens=25,
            cost=0.0008,
            latency_ms=1200,
            provider="openai",
            temperature=0.7,
            max_tokens=500,
            timestamp=datetime(2026, 11, 20, 10, 0, 0, 250_000, UTC),
        )
    started(receiver, sessionId="by-http")
    send(receiver, f"{BASE}/recording/interaction", {"sessionId": "by-http", "interaction": CALL})
    spans = [span_of(receiver, only(entries(receiver, name, "interaction"))) for name in ("by-sdk", "by-http")]
    assert spans[0].pop("sessionId") == "by-sdk"
    assert spans[1].pop("sessionId") == "by-http"
    assert spans[0] == spans[1]


def span_of(receiver: Outside, entry: Document) -> Document:
    """A span as stored, attributes by name, without its ids."""
    (group,) = receiver.document(f"/api/v1/traces/{entry['trace_id']}")["resourceSpans"]
    ((span,),) = [one["spans"] for one in group["scopeSpans"]]
    attributes = {one["key"]: one["value"] for one in span["attributes"]}
    told = {name: span.get(name) for name in ("name", "kind", "startTimeUnixNano", "endTimeUnixNano")}
    return {**told, "sessionId": attributes.pop("session.id")["stringValue"], "attributes": attributes}


def test_what_tells_its_time_is_stored_once(receiver: Outside) -> None:
    session_id = started(receiver)
    body = {"sessionId": session_id, "interaction": CALL}
    assert send(receiver, f"{BASE}/recording/interaction", body) == send(
        receiver, f"{BASE}/recording/interaction", body
    )
    act = {"sessionId": session_id, "action": {"timestamp": AT, "type": "click", "target": "#send"}}
    assert send(receiver, f"{BASE}/recording/user-action", act) == send(receiver, f"{BASE}/recording/user-action", act)
    untimed = {"sessionId": session_id, "action": {"type": "click", "target": "#again"}}
    ids = [send(receiver, f"{BASE}/recording/user-action", untimed)["id"] for _ in range(2)]
    assert ids[0] != ids[1]
    row = receiver.document(f"/api/v1/sessions/{session_id}")
    assert (row["interactions"], row["actions"], row["tokens"]) == (1, 3, {"input": 15, "output": 25})


@pytest.mark.feature("K18")
def test_an_interaction_that_failed(receiver: Outside) -> None:
    session_id = started(receiver)
    failed = {"model": "gpt-4", "prompt": "Hi", "error": "rate limit reached", "timestamp": 1_795_168_800_250}
    send(receiver, f"{BASE}/recording/interaction", {"sessionId": session_id, "interaction": failed})
    call = only(entries(receiver, session_id, "interaction"))
    assert (call["status"], call["start_unix_nano"]) == ("error", str(AT_NS))
    assert not call["detail"]["output_messages"], "no answer, which is another thing than an empty one"
    replay = receiver.document(f"{BASE}/{session_id}")
    assert replay["errorCount"] == 1
    assert "rate limit reached" in replay["replayData"]["aiInteractions"][0]["error"]


@pytest.mark.feature("K3")
@pytest.mark.feature("K19")
@pytest.mark.parametrize(
    ("type_", "target"),
    [
        ("click", "#send"),
        ("navigation", "/orders"),
        ("page_view", "/"),
        ("form_submit", "checkout"),
        ("engagement", None),
    ],
)
def test_a_user_action(receiver: Outside, type_: str, target: str | None) -> None:
    session_id = started(receiver)
    action = {"timestamp": AT, "type": type_, "target": target, "metadata": {"button": "left"}}
    answer = send(receiver, f"{BASE}/recording/user-action", {"sessionId": session_id, "action": action})
    entry = only(entries(receiver, session_id, "action"))
    assert (answer["id"], entry["start_unix_nano"]) == (entry["id"], str(AT_NS))
    assert entry["detail"]["action"] == {"name": type_, "target": target}
    told = receiver.document(f"{BASE}/{session_id}")["replayData"]["userActions"]
    expected = {
        "id": entry["id"],
        "timestamp": AT,
        "type": type_,
        "target": target or "",
        "metadata": {"button": "left"},
    }
    assert {name: only(told)[name] for name in expected} == expected


@pytest.mark.feature("K5")
@pytest.mark.feature("K6")
@pytest.mark.feature("K13")
@pytest.mark.feature("K19")
def test_a_snapshot(receiver: Outside) -> None:
    session_id = started(receiver)
    code = {
        "filePath": "src/a.py",
        "cursorPosition": {"line": 3, "column": 7},
        "snippet": "x = 1",
        "language": "python",
    }
    metrics = {"cpu": 12.5, "memory": {"used": 512, "total": 1024}, "activeRequests": 3, "host": "a1"}
    body = {"codeContext": {**code, "dirty": True}, "systemMetrics": metrics, "workspace": {"open": ["a.py"]}}
    uid = send(receiver, f"{BASE}/{session_id}/snapshot", {**body, "timestamp": AT})["id"]
    snapshot = entries(receiver, session_id, "system")[0]
    assert snapshot["start_unix_nano"] == str(AT_NS)
    attributes = snapshot["detail"]["attributes"]
    assert attributes["log.record.uid"] == uid
    assert json.loads(attributes["otel_replay.snapshot.state"]) == {
        "codeContext": {"dirty": True},
        "systemMetrics": {"host": "a1"},
    }
    told = receiver.document(f"{BASE}/{session_id}")["replayData"]
    place = {"file": "src/a.py", "line": 3, "column": 7, "snippet": "x = 1", "language": "python"}
    assert only(told["codeContext"]) == {
        "id": snapshot["id"],
        "timestamp": AT,
        **place,
        "workspace": {"open": ["a.py"]},
    }
    measured = {"cpu": 12.5, "memory.used": 512, "memory.total": 1024, "activeRequests": 3}
    assert only(told["systemMetrics"]) == {"id": snapshot["id"], "timestamp": AT, "metrics": measured}


@pytest.mark.feature("K4")
@pytest.mark.feature("K19")
def test_the_end(receiver: Outside) -> None:
    session_id = started(receiver, timestamp="2026-11-20T10:00:00Z")
    ended = send(receiver, f"{BASE}/{session_id}/end", {"timestamp": "2026-11-20T10:01:30.5Z"})
    assert ended == {"sessionId": session_id, "duration": 90_500}
    assert receiver.document(f"/api/v1/sessions/{session_id}")["state"] == "ended"
    assert send(receiver, f"{BASE}/{session_id}/end") == ended, "it stays ended when it did"


def test_the_end_without_a_body_is_now(receiver: Outside) -> None:
    session_id = started(receiver)
    assert 0 <= send(receiver, f"{BASE}/{session_id}/end")["duration"] < 60_000


# Reading it back


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Three sessions of two users, on three days, with one call each."""
    with running(tmp_path_factory.mktemp("shop") / "replay.db") as receiver:
        for day, (user, feature) in enumerate([("ada", "chat"), ("ada", "agent"), ("bob", "chat")], 1):
            session_id = f"s{day}"
            at = f"2025-01-0{day}T12:00:00Z"
            facts = {"userId": user, "feature": feature, "label": f"visit {day}", "metadata": {"day": day}}
            started(receiver, sessionId=session_id, timestamp=at, **facts)
            call = {**CALL, "timestamp": at, "cost": 0.01 * day}
            send(receiver, f"{BASE}/recording/interaction", {"sessionId": session_id, "interaction": call})
            send(receiver, f"{BASE}/{session_id}/end", {"timestamp": f"2025-01-0{day}T12:00:10Z"})
        yield receiver


@pytest.mark.feature("K8")
@pytest.mark.feature("K19")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["s3", "s2", "s1"]),
        ({"userId": "ada"}, ["s2", "s1"]),
        ({"feature": "chat"}, ["s3", "s1"]),
        ({"label": "visit 2"}, ["s2"]),
        ({"startDate": "2025-01-02"}, ["s3", "s2"]),
        ({"endDate": "2025-01-02T12:00:00.000Z"}, ["s2", "s1"]),
        ({"startDate": "1735819200000", "endDate": "2025-01-03"}, ["s2"]),
        ({"userId": "nobody"}, []),
    ],
    ids=str,
)
def test_lists_and_their_filters(shop: Outside, asked: dict[str, str], expected: list[str]) -> None:
    found = shop.document(f"{BASE}/list", **asked)
    assert [one["sessionId"] for one in found["replays"]] == expected
    assert (found["total"], found["page"], found["limit"]) == (len(expected), 1, 20)


@pytest.mark.feature("K8")
def test_pages_of_a_list(shop: Outside) -> None:
    pages = [shop.document(f"{BASE}/list", page=number, limit=2) for number in (1, 2, 3)]
    assert [[one["sessionId"] for one in found["replays"]] for found in pages] == [["s3", "s2"], ["s1"], []]
    assert [(found["total"], found["page"], found["limit"]) for found in pages] == [(3, 1, 2), (3, 2, 2), (3, 3, 2)]


@pytest.mark.feature("K12")
@pytest.mark.feature("K19")
def test_a_session_read_back(shop: Outside) -> None:
    found = shop.document(f"{BASE}/s2")
    head = {"sessionId": "s2", "userId": "ada", "feature": "agent", "label": "visit 2", "status": "ended"}
    assert {name: found[name] for name in head} == head
    assert (found["startTime"], found["endTime"]) == ("2025-01-02T12:00:00.000Z", "2025-01-02T12:00:10.000Z")
    assert (found["duration"], found["errorCount"]) == (10_000, 0)
    tokens = {"input": 15, "output": 25}
    assert found["summary"] == {"totalInteractions": 1, "totalCost": 0.02, "totalTokens": tokens}
    call = only(found["replayData"]["aiInteractions"])
    told = {**CALL, "timestamp": "2025-01-02T12:00:00.000Z", "cost": 0.02}
    assert {name: call[name] for name in told} == told
    assert [found["replayData"][name] for name in ("userActions", "codeContext", "systemMetrics")] == [[], [], []]


@pytest.mark.feature("K12")
@pytest.mark.feature("K19")
def test_statistics(shop: Outside) -> None:
    found = eventually(lambda: shop.document(f"{BASE}/stats"), lambda one: one["totalInteractions"] == 3)
    assert found == {
        "totalSessions": 3,
        "totalInteractions": 3,
        "totalErrors": 0,
        "totalCost": 0.06,
        "totalTokens": {"input": 45, "output": 75},
        "averageInteractions": 1.0,
        "averageCost": 0.02,
        "averageTokens": {"input": 15.0, "output": 25.0},
        "averageDuration": 10_000.0,
        "averageLatency": pytest.approx(1200.0, rel=0.01),
    }
    of_ada = shop.document(f"{BASE}/stats", userId="ada")
    assert (of_ada["totalSessions"], of_ada["totalInteractions"], of_ada["totalCost"]) == (2, 2, 0.03)


def test_statistics_of_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as receiver:
        found = receiver.document(f"{BASE}/stats")
    assert (found["totalSessions"], found["totalCost"], found["averageCost"]) == (0, 0.0, None)


@pytest.mark.feature("K10")
@pytest.mark.feature("K19")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_export(shop: Outside, method: str) -> None:
    if method == "GET":
        shop.upload("s1", [*page(), click(5)], seq=0)
    answer = ask(shop, method, f"{BASE}/s1/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="session-s1.json"'
    found = answer.json()
    assert (found["sessionId"], found["userId"]) == ("s1", "ada")
    assert found["replayData"]["aiInteractions"][0]["prompt"] == CALL["prompt"]
    assert "interaction" in [entry["kind"] for entry in found["timeline"]["entries"]]
    assert found["recording"]["events"] == [*page(), click(5)]


@pytest.mark.feature("K11")
@pytest.mark.feature("K19")
def test_a_share(shop: Outside) -> None:
    """As curl sends it: no body, and so no type of one."""
    answer = ask(shop, "POST", f"{BASE}/s1/share")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["url"].startswith(f"{shop.url}/s/")
    left = datetime.fromisoformat(told["expiresAt"]) - datetime.now(UTC)
    assert left.days == 6, "a week, unless something else is said"
    visit = ask(shop, "GET", told["url"].removeprefix(shop.url))
    assert (visit.status_code, visit.headers["location"]) == (303, "../#/sessions/s1")
    behind_a_proxy = ask(shop, "POST", f"{BASE}/s1/share", make_key(shop, "share"), headers=BEHIND_TLS).json()
    assert behind_a_proxy["url"].startswith("https://replay.example.com/s/")


@pytest.mark.feature("K11")
def test_a_share_ends_when_it_is_said(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as receiver:
        started(receiver, sessionId="s1")
        key = make_key(receiver, "share")
        make_key(receiver, "admin")
        for lasts, seconds in ((60_000, 60), ("1h", 3_600)):
            made = ask(receiver, "POST", f"{BASE}/s1/share", key, json={"expiresIn": lasts}).json()
            left = datetime.fromisoformat(made["expiresAt"]) - datetime.now(UTC)
            assert 0 <= seconds - left.total_seconds() < 30
        visit = ask(receiver, "GET", made["url"].removeprefix(receiver.url))
        assert ask(receiver, "GET", f"{BASE}/s1", cookies=cookies_of(visit)).json()["sessionId"] == "s1"
        assert ask(receiver, "GET", f"{BASE}/list", cookies=cookies_of(visit)).status_code == 403
        assert ask(receiver, "GET", f"{BASE}/s1").status_code == 401
        refused(ask(receiver, "POST", f"{BASE}/s1/share", key, json={"expiresIn": True}), 400, "expiresIn")
        refused(ask(receiver, "POST", f"{BASE}/s1/share", key, json={"expiresIn": 1}), 400, "expires")


@pytest.mark.feature("K7")
@pytest.mark.parametrize("feature", ["chat", "experimentation", "workflow", "agent", "notebook"])
def test_types_of_sessions(receiver: Outside, feature: str) -> None:
    session_id = started(receiver, userId="of-types", feature=feature)
    found = receiver.document(f"{BASE}/list", userId="of-types", feature=feature)
    assert [one["sessionId"] for one in found["replays"]] == [session_id]
