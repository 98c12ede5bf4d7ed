"""A session manager on a real file and on a real server: what it holds is there again after a crash."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import otel_replay
from otel_replay.errors import InvalidRequest, NotFound
from otel_replay.sdk import LimitReached, SessionManager
from otel_replay.sdk.managed import ManagedSession
from otel_replay.sdk.pausing import PAUSES
from tests.outside.outside import Outside, eventually, running
from tests.outside.recording import Recording, recording
from tests.sdk.test_delivery import free_port


@pytest.fixture(params=["server", "file"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recording]:
    """An application that records to a receiver, and one that writes a file itself."""
    endpoint = f"sqlite:///{tmp_path}/replay.db"
    if request.param == "server":
        receiver: Outside = request.getfixturevalue("receiver")
        endpoint = receiver.url
    with recording(endpoint) as made:
        yield made


def states(app: Recording, user: str) -> dict[str, str]:
    """State by session, as the store has it."""
    replay = otel_replay.open(app.endpoint.removeprefix("sqlite:///"))
    rows = replay.sessions(user=user)["sessions"]
    replay.close()
    return {row["session_id"]: row["state"] for row in rows}


def filled(manager: SessionManager, user: str) -> ManagedSession:
    """A session with everything that one can have."""
    session = manager.create(
        user,
        "My work",
        metadata={"department": "support", "level": 3},
        preferences={"language": "en"},
        tags=["work", "urgent"],
        expires_at=4_000_000_000 * 10**9,
        auto_save=True,
        feature="chat",
        label="first",
        variant="B",
    )
    general = session.create_chat(
        "General", provider="openai", model="m1", system_prompt="Be brief.", metadata={"topic": "tea"}, tags=["a"]
    )
    session.create_chat("Review", model="m2", max_messages=4)
    for chat, text in ((general, "Hello"), (general, "And now?"), (session.current_chat, "Look at this")):
        assert chat is not None
        with chat.message(text) as turn:
            turn.answer = f"{text}, you said"
    session.switch_to(general.chat_id)
    session.update(tags=["work"])
    return session


@pytest.mark.feature("B8")
@pytest.mark.feature("B1")
@pytest.mark.feature("B4")
@pytest.mark.feature("B5")
def test_another_manager_finds_everything_again(app: Recording) -> None:
    session = filled(app.manager(), "u-again")
    found = app.manager().load(session.session_id)
    assert found is not session
    assert found.definition == session.definition
    assert found.definition.metadata == {"department": "support", "level": 3}
    assert found.definition.tags == ["work"]
    assert [chat.definition for chat in found.chats.values()] == [chat.definition for chat in session.chats.values()]
    assert found.current_chat is not None
    assert session.current_chat is not None
    assert found.current_chat.chat_id == session.current_chat.chat_id
    assert [chat.stats() for chat in found.chats.values()] == [chat.stats() for chat in session.chats.values()]
    assert [chat.history for chat in found.chats.values()] == [chat.history for chat in session.chats.values()]
    with found.message("Do you remember?") as turn:
        assert [one["content"] for one in turn.messages[1:3]] == ["Hello", "Hello, you said"]
        turn.answer = "I do."
    review = next(chat for chat in found.chats.values() if chat.name == "Review")
    with review.message("more") as turn:
        turn.answer = "fine"
    with pytest.raises(LimitReached):
        review.message("too much").__enter__()


@pytest.mark.feature("B1")
@pytest.mark.feature("B9")
def test_sessions_are_listed_as_any_other(app: Recording) -> None:
    manager = app.manager()
    session = filled(manager, "u-listed")
    assert manager.stored_sessions("u-listed") == [session.session_id]
    replay = otel_replay.open(app.endpoint.removeprefix("sqlite:///"))
    (row,) = replay.sessions(user="u-listed", feature="chat", label="first", state="active")["sessions"]
    assert row["attributes"]["session.name"] == "My work"
    assert (row["interactions"], row["models"]) == (3, ["m1", "m2"])
    timeline = replay.timeline(session_id=session.session_id)
    assert [entry.detail["input_messages"][-1]["parts"][0]["content"] for entry in timeline.interactions] == [
        "Hello",
        "And now?",
        "Look at this",
    ]
    conversation = replay.timeline(conversation_id=next(iter(session.chats)))
    assert len(conversation.interactions) == 2
    replay.close()


@pytest.mark.feature("B6")
@pytest.mark.feature("B8")
def test_recovery_gives_active_and_paused_sessions_and_no_ended_one(app: Recording) -> None:
    manager = app.manager()
    active, paused, ended = (manager.create("u-recover", name) for name in ("active", "paused", "ended"))
    paused.create_chat(model="m")
    paused.pause()
    ended.close()
    app.session(user_id="u-recover").start()  # not a manager's
    PAUSES.end(paused.session_id, time.time_ns())  # a new process knows nothing of pauses
    again = app.manager()
    again.recover()
    found = {one.session_id: one for one in again.user_sessions("u-recover")}
    assert {name: one.state for name, one in found.items()} == {
        active.session_id: "active",
        paused.session_id: "paused",
    }
    assert found[paused.session_id].visit.is_paused
    with pytest.raises(InvalidRequest, match="is paused"):
        found[paused.session_id].message("x").__enter__()
    found[paused.session_id].resume()
    assert again.load(ended.session_id).state == "ended"
    assert ended.session_id not in [one.session_id for one in again.user_sessions("u-recover")]


@pytest.mark.feature("B3")
def test_what_timed_out_while_nobody_was_there_is_ended_at_recovery(app: Recording) -> None:
    session = app.manager().create("u-late")
    later = app.manager(clock=lambda: session.created_unix_nano + 31 * 60 * 10**9)
    later.recover()
    assert later.user_sessions("u-late") == []
    assert app.manager().load(session.session_id).state == "ended"


@pytest.mark.feature("B3")
def test_idle_sessions_are_ended_at_an_interval(app: Recording) -> None:
    with app.manager(session_timeout_s=0.1, cleanup_interval_s=0.02) as manager:
        session = manager.create("u-idle")
        assert eventually(lambda: manager.user_sessions("u-idle"), lambda held: not held) == []
    assert states(app, "u-idle") == {session.session_id: "ended"}


@pytest.mark.feature("B9")
def test_shutdown_ends_nothing_and_the_next_manager_has_it_all(app: Recording) -> None:
    with app.manager() as manager:
        ids = [manager.create("u-next").session_id for _ in range(3)]
        manager.get(ids[0]).pause()
        manager.get(ids[1]).close()
        assert [one.session_id for one in manager.active_sessions()] == [ids[2]]
    assert "otel-replay-sessions" not in [thread.name for thread in threading.enumerate()]
    assert states(app, "u-next") == dict(zip(ids, ("paused", "ended", "active"), strict=True))
    again = app.manager()
    again.recover()
    assert {one.session_id for one in again.user_sessions("u-next")} == {ids[0], ids[2]}
    assert ids[2] in [one.session_id for one in again.active_sessions()]
    assert ids[0] not in [one.session_id for one in again.active_sessions()]


@pytest.mark.feature("B8")
def test_deleting_erases_what_is_stored(app: Recording) -> None:
    manager = app.manager()
    session, kept = filled(manager, "u-delete"), manager.create("u-delete")
    manager.delete(session.session_id)
    assert manager.user_sessions("u-delete") == [kept]
    assert manager.stored_sessions("u-delete") == [kept.session_id]
    for forgotten in (manager, app.manager()):
        with pytest.raises(NotFound):
            forgotten.load(session.session_id)
    with pytest.raises(InvalidRequest, match="has ended"):
        session.create_chat()


@pytest.mark.feature("B2")
def test_limits_hold_for_what_is_new(app: Recording) -> None:
    manager = app.manager(max_sessions_per_user=1, max_chats_per_session=1, max_messages_per_chat=2)
    session = manager.create("u-limit")
    session.create_chat(model="m")
    with session.message("one") as turn:
        turn.answer = "two"
    for more in (lambda: manager.create("u-limit"), session.create_chat, session.message("three").__enter__):
        with pytest.raises(LimitReached, match=r"max_"):
            more()
    replay = otel_replay.open(app.endpoint.removeprefix("sqlite:///"))
    assert len(replay.timeline(session_id=session.session_id).interactions) == 1
    assert replay.sessions(user="u-limit")["total"] == 1
    replay.close()


@pytest.mark.feature("B7")
def test_statistics_survive_a_restart(app: Recording) -> None:
    manager = app.manager()
    session = filled(manager, "u-stats")
    again = app.manager()
    again.recover()
    assert again.user_stats("u-stats") == manager.user_stats("u-stats")
    found = again.get(session.session_id).stats()
    assert (found.chats, found.messages) == (2, 6)
    assert found.average_response_ns == session.stats().average_response_ns


CRASHING = """
    import os, sys
    import otel_replay
    from otel_replay.sdk import SessionManager

    otel_replay.instrument(sys.argv[1], "crashing")
    manager = SessionManager(sys.argv[1])
    session = manager.create("u-crash", "Unlucky", auto_save=True)
    session.create_chat("Last words", model="m", system_prompt="Be brief.")
    with session.message("Are you well?") as turn:
        turn.answer = "Quite."
    print(session.session_id, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
@pytest.mark.feature("B8")
def test_a_crash_loses_nothing_that_was_saved(app: Recording) -> None:
    if app.endpoint.startswith("sqlite:"):
        app.tracer_provider.shutdown()  # one process writes a file
        app.logger_provider.shutdown()
    program = [sys.executable, "-c", textwrap.dedent(CRASHING), app.endpoint]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr
    with recording(app.endpoint) as restarted:
        manager = restarted.manager()
        manager.recover()
        (session,) = manager.user_sessions("u-crash")
        assert (session.session_id, session.name) == (done.stdout.strip(), "Unlucky")
        with session.message("Still?") as turn:
            assert [one["content"] for one in turn.messages] == ["Be brief.", "Are you well?", "Quite.", "Still?"]
            turn.answer = "Still."
        assert session.stats().messages == 4
        manager.delete(session.session_id)


def test_another_s_telemetry_cannot_break_recovery(receiver: Outside) -> None:
    """Everything that recovery reads may have been written by anybody."""
    with recording(receiver.url) as app:
        session = app.manager().create("u-broken")
        values: list[Any] = ["{", "[]", json.dumps([1, None]), 7, True, "x" * 5000, ""]
        for value in values:
            names = ["metadata", "preferences", "tags", "expires_unix_nano", "revision", "current_chat"]
            broken = {f"otel_replay.session.{name}": value for name in names}
            session.visit.tell("session.update", broken)
            chat = {f"otel_replay.chat.{name}": value for name in ("tags", "metadata", "max_messages", "model")}
            session.visit.tell("otel_replay.chat", {"gen_ai.conversation.id": "c", **chat})
            span = {"otel_replay.turn.messages": value, "gen_ai.conversation.id": "c", "session.id": session.session_id}
            app.tracer_provider.get_tracer("t").start_span("message", attributes=span).end()
        found = app.manager().load(session.session_id)
        assert (found.user_id, found.definition.metadata, list(found.chats)) == ("u-broken", {}, ["c"])
        assert found.chats["c"].stats().messages == 7


@pytest.mark.feature("B8")
def test_two_who_load_a_session_at_once_have_the_same_one(app: Recording) -> None:
    session = filled(app.manager(), "u-twice")
    again = app.manager()
    ready = threading.Barrier(8, timeout=20)

    def load(_: int) -> ManagedSession:
        ready.wait()
        return again.load(session.session_id)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(load, range(8)))
    assert found == {again.get(session.session_id)}


@pytest.mark.feature("B1")
def test_users_by_number_are_found_again(app: Recording) -> None:
    """As databases have them; one tag is a text as well."""
    manager = app.manager(max_sessions_per_user=1)
    session = manager.create(4711, "By number", tags="work")
    assert (session.user_id, session.definition.tags) == ("4711", ["work"])
    with pytest.raises(LimitReached, match="user 4711"):
        manager.create("4711")
    again = app.manager()
    assert again.stored_sessions(4711) == [session.session_id]
    again.load(session.session_id)
    assert again.user_stats(4711).sessions == len(again.user_sessions(4711)) == 1
    manager.delete(session.session_id)


LEAVING = """
    import os, sys
    import otel_replay
    from otel_replay.sdk import SessionManager

    otel_replay.instrument(sys.argv[1])
    session = SessionManager(sys.argv[1]).create("u-away", "Nobody there", auto_save=True)
    session.create_chat("Alone", model="m")
    with session.message("Hello?") as turn:
        turn.answer = "Hello."
    print(session.session_id, flush=True)
    os.kill(os.getpid(), 9)
"""

RECOVERING = """
    import sys
    import otel_replay
    from otel_replay.sdk import SessionManager

    otel_replay.instrument(sys.argv[1])
    with SessionManager(sys.argv[1]) as manager:
        for session in manager.recover():
            print(session.session_id, session.stats().messages)
"""


def ran(program: str, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.feature("B8")
def test_what_was_said_while_the_store_was_away_is_recovered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on disk when the process crashes, and the next one has nothing to send of its own."""
    monkeypatch.setenv("OTEL_REPLAY_SPOOL", str(tmp_path / "spool"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    crashed = ran(LEAVING, url)
    assert crashed.returncode == -9, crashed.stderr
    with running(tmp_path / "replay.db", http_port=port):
        done = ran(RECOVERING, url)
    assert done.stdout == f"{crashed.stdout.strip()} 2\n", done.stderr


ASKING = """
    import sys
    import otel_replay
    from otel_replay.sdk import SessionManager

    otel_replay.instrument(sys.argv[1], "asking")
    with SessionManager(sys.argv[1]) as manager:
        session = manager.create("u-asking")
        manager.recover(), manager.stored_sessions(), SessionManager(sys.argv[1]).load(session.session_id)
        manager.delete(session.session_id)
    import requests
    requests.get(sys.argv[1] + "/healthz")
"""


@pytest.mark.slow
def test_what_a_manager_asks_its_store_is_no_call_of_the_application(receiver: Outside) -> None:
    pytest.importorskip("opentelemetry.instrumentation.requests", reason="otel-replay[services] is not installed")
    done = ran(ASKING, receiver.url)
    assert done.returncode == 0, done.stderr
    traces = receiver.document("/api/v1/traces", service="asking")["traces"]
    assert [one["root_name"] for one in traces] == ["GET"], "the application's own request, and no other"
