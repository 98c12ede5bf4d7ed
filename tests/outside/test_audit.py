"""The audit trail: who read, shared, erased what, who logged in, and who was refused; ids only as hashes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from otel_replay._pb.v1 import replay_pb2
from otel_replay.model import Signal
from tests.outside.access import SCOPES, ask, make_key
from tests.outside.outside import Outside, running
from tests.outside.telemetry import page, span, traces

TRACE = "ab" * 16

pytestmark = pytest.mark.feature("K21")


class Audited:
    """A receiver with a session and a trace, and a key for each scope."""

    def __init__(self, receiver: Outside) -> None:
        self.receiver = receiver
        receiver.export(Signal.TRACES, traces(span(TRACE, 1)).SerializeToString())
        receiver.upload("s1", page())
        self.keys = {scope: make_key(receiver, scope) for scope in SCOPES}

    def ask(self, method: str, path: str, scope: str | None, **more: Any) -> requests.Response:
        return ask(self.receiver, method, path, self.keys[scope] if scope else None, **more)

    def trail(self, **subject: str) -> list[tuple[str, str, str]]:
        """(action, kind, outcome), oldest first, but for reading the trail."""
        answer = self.ask("GET", "/api/v1/audit", "admin", params=subject)
        found = [(one["action"], one["kind"], one["outcome"]) for one in answer.json()["entries"]]
        return [one for one in reversed(found) if one[1] != "audit"]


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Audited]:
    with running(tmp_path / "replay.db") as receiver:
        yield Audited(receiver)


def test_what_is_read_is_noted_by_its_id(audited: Audited) -> None:
    audited.ask("GET", "/api/v1/sessions/s1/timeline", "read")
    audited.ask("GET", "/api/v1/sessions/s1/recording", "read")
    audited.ask("GET", f"/api/v1/traces/{TRACE}", "read")
    audited.ask("GET", "/api/v1/sessions/unknown/timeline", "read")
    assert audited.trail(kind="session", id="s1") == [("read", "session", "ok")] * 2
    assert audited.trail(kind="trace", id=TRACE) == [("read", "trace", "ok")]
    assert audited.trail(kind="session", id="unknown") == [("read", "session", "failed with 404")]


def test_sessions_read_and_exported_by_other_names_are_sessions(audited: Audited) -> None:
    for path in ("/api/session-replay/s1", "/api/session-replay/s1/export", "/api/v1/sessions/s1/events"):
        audited.ask("GET", path, "read")
    audited.ask("POST", "/api/session-replay/s1/share", "share")
    actions = [("read", "session", "ok"), ("export", "session", "ok"), ("read", "session", "ok")]
    assert audited.trail(kind="session", id="s1") == [*actions, ("share", "session", "ok")]
    audited.ask("GET", "/api/session-replay/list", "read")
    assert audited.trail()[-1] == ("read", "sessions", "ok")


def test_reading_over_grpc_is_noted_too(audited: Audited) -> None:
    request = replay_pb2.GetTimelineRequest(session_id="s1")
    method = "/otel_replay.v1.ReplayService/GetTimeline"
    call: Any = audited.receiver.channel.unary_unary(method, replay_pb2.GetTimelineRequest.SerializeToString)
    call(request, metadata=[("x-api-key", audited.keys["read"])])
    with pytest.raises(grpc.RpcError):
        call(request)
    assert audited.trail(kind="session", id="s1") == [("read", "session", "ok")]
    assert ("read", "", "refused") in audited.trail()


def test_sharing_keys_and_logins_are_noted(audited: Audited) -> None:
    audited.ask("POST", "/api/v1/sessions/s1/share", "share", json={})
    audited.ask("POST", "/api/v1/keys", "admin", json={"name": "more", "scopes": ["read"]})
    audited.ask("POST", "/api/v1/login", None, json={"key": audited.keys["read"]})
    audited.ask("GET", "/api/v1/sessions", None)
    noted = audited.trail()
    assert ("share", "session", "ok") in noted
    assert ("create", "keys", "ok") in noted
    assert ("log in", "login", "ok") in noted
    assert ("read", "sessions", "refused") in noted


def test_ids_stand_there_as_hashes_only(audited: Audited) -> None:
    audited.ask("GET", "/api/v1/sessions/s1/timeline", "read")
    [entry] = audited.ask("GET", "/api/v1/audit", "admin", params={"kind": "session", "id": "s1"}).json()["entries"]
    assert len(entry["subject"]) == 16
    assert "s1" not in str(entry)
    assert entry["key_id"] in audited.keys["read"]


def test_nothing_of_it_can_be_changed(audited: Audited) -> None:
    audited.ask("DELETE", "/api/v1/sessions/s1", "admin")
    assert [one[0] for one in audited.trail(kind="session", id="s1")][-1] == "erase"
    assert audited.ask("DELETE", "/api/v1/audit", "admin").status_code == 405
