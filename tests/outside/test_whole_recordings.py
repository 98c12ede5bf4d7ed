"""Sessions that pages start, events that they append, and recordings that come and go as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.outside.access import ask, make_key
from tests.outside.outside import JSON, Outside, running
from tests.outside.session_replay import BASE, entries, only, refused, send, started
from tests.outside.telemetry import click, page

# Sessions, events and projects


@pytest.mark.feature("S8")
def test_sessions_and_their_events(receiver: Outside) -> None:
    created = send(receiver, "/api/v1/sessions/", {"project_id": 1, "metadata": {"userId": "kit-user", "plan": "pro"}})
    session_id = created["id"]
    send(receiver, f"/api/v1/sessions/{session_id}/events", {"events": page()})
    send(receiver, f"/api/v1/sessions/{session_id}/events", [click(10), click(20)])
    events = [*page(), click(10), click(20)]
    recording = receiver.document(f"/api/v1/sessions/{session_id}/events")
    assert (recording["id"], recording["events"]) == (session_id, events)
    (stream,) = recording["streams"]
    assert (stream["stream_id"], stream["from_seq"], stream["to_seq"], stream["events"]) == ("main", 0, 1, len(events))
    found = receiver.document(f"/api/v1/sessions/{session_id}")
    told = {"id": session_id, "session_id": session_id, "project_id": 1, "user": "kit-user", "has_recording": True}
    assert {name: found[name] for name in told} == told
    listed = receiver.document("/api/v1/projects/1/sessions", user="kit-user")
    assert (listed["total"], only(listed["sessions"])["id"]) == (1, session_id)
    assert receiver.document("/api/v1/projects/default/sessions", user="kit-user") == listed


@pytest.mark.feature("S8")
@pytest.mark.feature("R3")
def test_metadata_is_told_back(receiver: Outside) -> None:
    metadata = {"userId": "m1", "plan": "pro", "nested": {"a": [1]}}
    session_id = send(receiver, "/api/v1/sessions/", {"project_id": "default", "metadata": metadata})["id"]
    assert receiver.document(f"/api/v1/sessions/{session_id}")["metadata"] == metadata
    assert receiver.document(f"{BASE}/{session_id}")["metadata"] == metadata
    assert receiver.document(f"{BASE}/{started(receiver, metadata=metadata)}")["metadata"] == metadata


@pytest.mark.feature("S8")
def test_events_of_several_tabs_and_of_one(receiver: Outside) -> None:
    for stream in ("tab-a", "tab-b"):
        receiver.upload("tabs", page(), stream_id=stream, seq=0)
    path = "/api/v1/sessions/tabs/events"
    assert receiver.document(path)["events"] == [*page(), *page()]
    assert receiver.document(path, stream="tab-b")["events"] == page()
    refused(receiver.get(path, stream="tab-c"), 404, "tab-c")
    started(receiver, sessionId="no-tabs")
    assert receiver.document("/api/v1/sessions/no-tabs/events")["events"] == []


@pytest.mark.feature("S8")
def test_a_project_that_is_not_there(receiver: Outside) -> None:
    refused(receiver.post("/api/v1/sessions/", b'{"project_id": 77}', JSON), 404, "77")
    refused(receiver.get("/api/v1/projects/77/sessions"), 404, "77")
    refused(receiver.get("/api/v1/projects/nobody/sessions"), 404, "nobody")


@pytest.mark.feature("R6")
@pytest.mark.feature("S8")
def test_a_key_s_project_wins(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as receiver:
        key = make_key(receiver, "ingest", "read", project="shop")
        made = ask(receiver, "POST", "/api/v1/sessions/", key, json={"project_id": 1}).json()
        listed = ask(receiver, "GET", "/api/v1/projects/1/sessions", key).json()
        assert [one["id"] for one in listed["sessions"]] == [made["id"]]
        assert listed["sessions"][0]["project_id"] != 1
        assert receiver.document("/api/v1/projects/1/sessions")["total"] == 0
        assert receiver.get("/api/v1/projects/shop/sessions").status_code == 404, "without a key it is not served"
        refused(ask(receiver, "POST", f"{BASE}/{made['id']}/end"), 404, made["id"])
        assert ask(receiver, "POST", f"{BASE}/{made['id']}/end", key).status_code == 200


# Whole recordings

RECORD = "/api/v1/session-record"


@pytest.mark.feature("R4")
@pytest.mark.feature("R5")
def test_a_whole_recording(receiver: Outside) -> None:
    body = {"sessionId": "lens", "events": page(), "metadata": {"userId": "user-123"}}
    first = send(receiver, RECORD, body)
    assert (first["sessionId"], first["seq"], first["duplicate"]) == ("lens", 0, False)
    assert send(receiver, RECORD, body) == {**first, "duplicate": True}
    assert send(receiver, RECORD, {"sessionId": "lens", "events": [click(9)]})["seq"] == 1, "the same id appends"
    assert receiver.document("/api/v1/sessions/lens/events")["events"] == [*page(), click(9)]
    assert receiver.document("/api/v1/sessions/lens")["user"] == "user-123"
    assert len(entries(receiver, "lens", "log")) == 1, "metadata sent twice is told once"


@pytest.mark.feature("R4")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"events": [{"type": 4, "timestamp": 1, "data": {}}]},
        {"sessionId": "lens"},
        {"sessionId": "", "events": []},
        {"sessionId": "lens", "events": None},
        {"sessionId": None, "events": [1]},
        [],
        "text",
    ],
    ids=str,
)
def test_missing_data(receiver: Outside, body: Any) -> None:
    refused(receiver.post(RECORD, json.dumps(body).encode(), JSON), 400, "Missing data")


@pytest.mark.feature("R4")
def test_beacons_send_text(receiver: Outside) -> None:
    body = json.dumps({"sessionId": "beacon", "events": page()}).encode()
    assert receiver.post(RECORD, body, "text/plain;charset=UTF-8").status_code == 200


@pytest.mark.feature("R4")
@pytest.mark.slow
def test_a_recording_of_fifty_megabytes(receiver: Outside) -> None:
    text = "x" * 50_000
    events = [*page(), *(click(number) | {"text": f"{number}{text}"} for number in range(1_000))]
    body = json.dumps({"sessionId": "large", "events": events}).encode()
    assert 50_000_000 < len(body) < 52_000_000
    assert receiver.post(RECORD, body, JSON).status_code == 200
    assert receiver.document("/api/v1/sessions/large/events")["events"] == events
    over = body + b" " * (64 * 2**20)
    assert receiver.post(RECORD, over, JSON).status_code == 413
