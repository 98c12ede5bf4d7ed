"""Tags, metadata and expiry that a session manager gives to its sessions, in every list of sessions."""

from __future__ import annotations

import json
from typing import Any

import pytest

import otel_replay
from otel_replay._pb.v1.replay_pb2 import ListSessionsRequest
from otel_replay.model import Signal
from otel_replay.sdk import definitions
from otel_replay.store import managed
from tests.outside.outside import Outside, answered, command
from tests.outside.recording import recording
from tests.outside.telemetry import log, logs

EXPIRES = 4_000_000_000 * 10**9


@pytest.fixture(scope="module", autouse=True)
def sessions(receiver: Outside) -> dict[str, str]:
    """Ids by name; what was said of one was said again, otherwise."""
    with recording(receiver.url) as app:
        manager = app.manager()
        first = manager.create(
            "ada",
            "First",
            metadata={"department": "support", "level": 3},
            preferences={"language": "en"},
            tags=["work", "urgent"],
            expires_at=EXPIRES,
        )
        first.create_chat(model="m1")
        second = manager.create("ada", "Second", tags=["work", "later"])
        second.update(tags=["späť", "work"])
        third = manager.create("ada", "Third")
        return {one.name or "": one.session_id for one in (first, second, third)}


@pytest.mark.feature("B1")
@pytest.mark.feature("B3")
def test_a_list_says_what_the_manager_said(receiver: Outside, sessions: dict[str, str]) -> None:
    listed = {one["name"]: one for one in receiver.document("/api/v1/sessions", user="ada")["sessions"]}
    first, second, third = (listed[name] for name in ("First", "Second", "Third"))
    assert first["session_id"] == sessions["First"]
    assert first["tags"] == ["work", "urgent"]
    assert first["metadata"] == {"department": "support", "level": 3}
    assert first["preferences"] == {"language": "en"}
    assert first["expires_unix_nano"] == str(EXPIRES)
    assert second["tags"] == ["späť", "work"]
    assert (third["tags"], third["metadata"], third["expires_unix_nano"]) == ([], {}, None)


@pytest.mark.feature("B1")
@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("work", ["First", "Second"]),
        ("urgent", ["First"]),
        ("späť", ["Second"]),
        ("later", []),
        ("unknown", []),
    ],
)
def test_sessions_are_found_by_a_tag_in_every_way(
    receiver: Outside, sessions: dict[str, str], tag: str, expected: list[str]
) -> None:
    def python(target: Any) -> Any:
        replay = otel_replay.open(target)
        try:
            return replay.sessions(tag=tag)
        finally:
            replay.close()

    options = ("sessions", "--tag", tag, "--format", "json")
    found = {
        "http": receiver.document("/api/v1/sessions", tag=tag),
        "grpc": json.loads(receiver.replay_service.ListSessions(ListSessionsRequest(tag=tag)).sessions_json),
        "file": python(receiver.database),
        "url": python(receiver.url),
        "cli on the file": answered(receiver.command(*options)),
        "cli on the url": answered(command(*options, "--url", receiver.url)),
    }
    assert sorted(one["name"] for one in found["http"]["sessions"]) == expected
    assert all(one == found["http"] for one in found.values())
    both = receiver.document("/api/v1/sessions", tag=tag, user="bob")
    assert (both["sessions"], both["total"]) == ([], 0)


@pytest.mark.feature("B1")
def test_malformed_tags_are_kept_as_they_came(receiver: Outside) -> None:
    for number, tags in enumerate(("[", '{"a": 1}', "[1, null]", '"work"', "[" * 100_000, json.dumps(["x" * 1_000]))):
        told = {"session.id": f"odd {number}", managed.TAGS: tags, managed.METADATA: tags, managed.EXPIRES: "soon"}
        one = log(None, attributes=told, event_name="session.update")
        receiver.export(Signal.LOGS, logs(one).SerializeToString())
        [listed] = [
            one
            for one in receiver.document("/api/v1/sessions", limit=1000)["sessions"]
            if one["session_id"] == f"odd {number}"
        ]
        assert listed["attributes"][managed.TAGS] == tags
        assert listed["expires_unix_nano"] is None
        assert listed["tags"] == (["x" * 1_000] if number == 5 else [])
    assert receiver.document("/api/v1/sessions", tag="work")["total"] == 2


def test_both_sides_mean_the_same_names() -> None:
    names = (definitions.METADATA, definitions.PREFERENCES, definitions.TAGS, definitions.EXPIRES)
    assert names == managed.MANAGED_ATTRIBUTES


@pytest.mark.feature("B1")
def test_an_erased_session_is_not_found_by_its_tag(receiver: Outside) -> None:
    with recording(receiver.url) as app:
        gone = app.manager().create("eve", "Gone", tags=["only hers"])
    assert receiver.document("/api/v1/sessions", tag="only hers")["total"] == 1
    answer = receiver.http.delete(f"{receiver.url}/api/v1/sessions/{gone.session_id}", timeout=30)
    assert answer.status_code == 200
    assert receiver.document("/api/v1/sessions", tag="only hers")["total"] == 0
