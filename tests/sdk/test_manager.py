"""A session manager in one process: limits, expiry, chats, turns, statistics. What it keeps: tests/outside."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from otel_replay.errors import InvalidRequest, NotFound, StoreUnavailable
from otel_replay.sdk import LimitReached, SessionManager
from tests.sdk.recorded import Recorded
from tests.sdk.recorded import recorded as providers

SECOND = 10**9


class Clock:
    """Nanoseconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_763_600_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with providers() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def manager_of(recorded: Recorded, clock: Clock, **options: Any) -> SessionManager:
    return SessionManager("unused.db", clock=clock, **recorded.providers, **options)


def test_sessions_are_held_by_user(recorded: Recorded, clock: Clock) -> None:
    manager = manager_of(recorded, clock)
    first, second, other = manager.create("u1"), manager.create("u1", "Named"), manager.create("u2")
    assert manager.user_sessions("u1") == [first, second]
    assert manager.active_sessions() == [first, second, other]
    assert manager.get(second.session_id) is second
    second.pause()
    assert manager.active_sessions() == [first, other]
    first.close()
    first.close()
    assert manager.user_sessions("u1") == [second]
    with pytest.raises(NotFound, match="is held"):
        manager.get(first.session_id)
    with pytest.raises(InvalidRequest, match="there already"):
        manager.create("u3", session_id=second.session_id)


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ("max_active_sessions", lambda manager, _session: manager.create("u9")),
        ("max_sessions_per_user", lambda manager, _session: manager.create("u1")),
        ("max_chats_per_session", lambda _manager, session: session.create_chat()),
        ("max_messages_per_chat", lambda _manager, session: session.message("x").__enter__()),
    ],
)
def test_limits_name_themselves(recorded: Recorded, clock: Clock, setting: str, more: Any) -> None:
    limit = 2 if setting == "max_messages_per_chat" else 1
    manager = manager_of(recorded, clock, **{setting: limit})
    session = manager.create("u1")
    session.create_chat("Talk", model="m")
    with session.message("first") as turn:
        turn.answer = "fine"
    with pytest.raises(LimitReached) as caught:
        more(manager, session)
    assert (caught.value.limit, caught.value.setting) == (limit, setting)
    assert setting in str(caught.value)
    assert str(limit) in str(caught.value)
    assert len(manager.active_sessions()) == len(session.chats) == 1


def test_a_limit_of_a_chat_of_its_own(recorded: Recorded, clock: Clock) -> None:
    session = manager_of(recorded, clock).create("u1")
    session.create_chat(model="m", max_messages=3)
    with session.message("first") as turn:
        turn.answer = "fine"
    with pytest.raises(LimitReached, match=r"create_chat"):
        session.message("second").__enter__()


def test_without_limits_there_are_none(recorded: Recorded, clock: Clock) -> None:
    none = dict.fromkeys(["max_active_sessions", "max_sessions_per_user", "max_chats_per_session"])
    manager = manager_of(recorded, clock, session_timeout_s=None, **none)
    sessions = [manager.create("u1") for _ in range(1_100)]
    clock.pass_(10**6)
    assert manager.clean_up() == []
    assert [chat.chat_id for chat in (sessions[0].create_chat() for _ in range(30))] == list(sessions[0].chats)


def test_idle_and_expired_sessions_end(recorded: Recorded, clock: Clock) -> None:
    manager = manager_of(recorded, clock, session_timeout_s=60)
    later = datetime.fromtimestamp((clock.now + 90 * SECOND) / SECOND, UTC)
    idle, busy, expiring = manager.create("u1"), manager.create("u1"), manager.create("u1", expires_at=later)
    busy.create_chat(model="m")
    for _ in range(2):
        clock.pass_(45)
        for session in (busy, expiring):
            session.update(name="still here") if clock.now < later.timestamp() * SECOND or session is busy else None
    assert {one.session_id for one in manager.clean_up()} == {idle.session_id, expiring.session_id}
    assert (idle.state, busy.state, expiring.state) == ("ended", "active", "ended")
    reasons = {
        said["session.id"]: said["otel_replay.session.end_reason"]
        for name, said in recorded.events
        if name == "session.end"
    }
    assert reasons == {idle.session_id: "timeout", expiring.session_id: "expired"}


def test_an_expired_session_takes_nothing_also_before_it_is_cleaned_up(recorded: Recorded, clock: Clock) -> None:
    manager = manager_of(recorded, clock, max_sessions_per_user=1)
    session = manager.create("u1", expires_at=clock.now + 5 * SECOND)
    session.create_chat(model="m")
    clock.pass_(5)
    with pytest.raises(InvalidRequest, match="has expired"):
        session.message("x").__enter__()
    assert manager.create("u1").state == "active", "the expired one makes room"


def test_cleaning_up_happens_by_itself_and_stops(recorded: Recorded) -> None:
    with SessionManager("unused.db", session_timeout_s=0.05, cleanup_interval_s=0.01, **recorded.providers) as manager:
        session = manager.create("u1")
        deadline = time.monotonic() + 20
        while session.state != "ended" and time.monotonic() < deadline:
            time.sleep(0.005)
        assert session.state == "ended"
    assert "otel-replay-sessions" not in [thread.name for thread in threading.enumerate()]
    manager.shutdown()


def test_messages_go_to_the_current_chat(recorded: Recorded, clock: Clock) -> None:
    session = manager_of(recorded, clock).create("u1", feature="chat")
    with pytest.raises(InvalidRequest, match="has no chat"):
        session.message("too early")
    general = session.create_chat("General", provider="openai", model="m1", system_prompt="Be brief.")
    review = session.create_chat("Review", model="m2")
    assert session.current_chat is review
    session.switch_to(general.chat_id)
    with session.message("Hello") as turn:
        assert turn.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
        assert (turn.model, turn.provider) == ("m1", "openai")
        recorded.span("the model's client")
        turn.answer, turn.input_tokens = "Hi!", 5
    with general.message("Again") as turn:
        assert [one["content"] for one in turn.messages] == ["Be brief.", "Hello", "Hi!", "Again"]
        turn.answer = "Again!"
    with pytest.raises(NotFound):
        session.switch_to("nonsense")
    said = recorded.said("the model's client")
    assert (said["session.id"], said["gen_ai.conversation.id"]) == (session.session_id, general.chat_id)
    assert (general.stats().messages, review.stats().messages) == (4, 0)
    turn_span, call = recorded.spans["message"], recorded.spans["chat m1"]
    assert call.parent is not None
    assert call.parent.span_id == turn_span.context.span_id
    assert recorded.said("message")["otel_replay.turn.messages"] == 2
    assert recorded.said("message")["feature"] == "chat"


def test_where_the_client_is_instrumented_no_call_is_recorded_twice(recorded: Recorded, clock: Clock) -> None:
    session = manager_of(recorded, clock, records_calls=False).create("u1")
    session.create_chat()
    with session.message("Hello") as turn:
        turn.answer = "Hi!"
    assert list(recorded.spans) == ["message"]
    assert session.stats().messages == 2


def test_a_chat_without_a_model_cannot_be_recorded(recorded: Recorded, clock: Clock) -> None:
    session = manager_of(recorded, clock).create("u1")
    session.create_chat("Talk")
    with pytest.raises(InvalidRequest, match="has no model"):
        session.message("x").__enter__()


def test_a_turn_that_fails_adds_nothing(recorded: Recorded, clock: Clock) -> None:
    session = manager_of(recorded, clock).create("u1")
    chat = session.create_chat(model="m")

    def talk() -> None:
        with session.message("Hello") as turn:
            turn.answer = "half"
            raise TimeoutError("late")

    with pytest.raises(TimeoutError):
        talk()
    assert (chat.history, session.stats().messages) == ([], 0)
    span = recorded.spans["message"]
    assert (span.status.is_ok, [event.name for event in span.events]) == (False, ["exception"])


def test_turns_of_tasks_side_by_side(recorded: Recorded, clock: Clock) -> None:
    session = manager_of(recorded, clock).create("u1", auto_save=True)
    chats = [session.create_chat(f"{number}", model="m") for number in range(5)]

    async def talk(number: int) -> None:
        for _ in range(3):
            async with chats[number].message("Hello") as turn:
                await asyncio.sleep(0)
                recorded.span(f"call {number}")
                turn.answer = "Hi!"

    async def all_talk() -> None:
        await asyncio.gather(*map(talk, range(5)))

    asyncio.run(all_talk())
    assert [chat.stats().messages for chat in chats] == [6] * 5
    for number, chat in enumerate(chats):
        assert recorded.said(f"call {number}")["gen_ai.conversation.id"] == chat.chat_id


def test_paused_and_ended_sessions_take_nothing(recorded: Recorded, clock: Clock) -> None:
    session = manager_of(recorded, clock).create("u1")
    session.create_chat(model="m")
    session.pause()
    for refused in (session.pause, session.create_chat, lambda: session.message("x").__enter__()):
        with pytest.raises(InvalidRequest, match="is paused"):
            refused()
    session.resume()
    session.resume()
    session.close()
    for refused in (session.pause, session.resume, session.create_chat, session.update):
        with pytest.raises(InvalidRequest, match="has ended"):
            refused()
    states = [name for name, _ in recorded.events if name in ("session.pause", "session.resume", "session.end")]
    assert states == ["session.pause", "session.resume", "session.end"]


def test_statistics_of_chat_session_user_and_system(recorded: Recorded, clock: Clock) -> None:
    manager = manager_of(recorded, clock)
    start = clock.now
    first, second = manager.create("u1", "First"), manager.create("u2")
    for name, seconds in (("One", 1), ("Two", 3)):
        first.create_chat(name, model="m")
        with first.message("Hello") as turn:
            clock.pass_(seconds)
            turn.answer = "Hi!"
    one, two = (chat.stats() for chat in first.chats.values())
    assert (one.messages, one.average_response_ns, one.last_message_unix_nano) == (2, SECOND, start + SECOND)
    assert two.average_response_ns == 3 * SECOND
    stats = first.stats()
    assert (stats.name, stats.chats, stats.messages, stats.average_response_ns) == ("First", 2, 4, 2 * SECOND)
    assert (stats.created_unix_nano, stats.last_activity_unix_nano) == (start, start + 4 * SECOND)
    second.pause()
    user = manager.user_stats("u1")
    assert (user.sessions, user.active_sessions, user.chats, user.messages) == (1, 1, 2, 4)
    assert user.average_response_ns == 2 * SECOND
    system = manager.stats()
    assert (system.sessions, system.active_sessions, system.paused_sessions, system.users) == (2, 1, 1, 2)
    assert (system.chats, system.messages, system.average_chats_per_session) == (2, 4, 1.0)
    assert (system.oldest_unix_nano, system.newest_unix_nano) == (start, start)
    nobody = manager.user_stats("nobody")
    assert (nobody.sessions, nobody.average_response_ns, nobody.last_activity_unix_nano) == (0, None, None)


@pytest.mark.feature("B10")
def test_a_logger_of_one_s_own_is_told(recorded: Recorded, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("my.app")
    with caplog.at_level(logging.INFO):
        session = manager_of(recorded, clock, logger=logger).create("u1")
        session.close("bored")
    assert {record.name for record in caplog.records} == {"my.app"}
    assert f"session {session.session_id} of u1 starts" in caplog.text
    assert "bored" in caplog.text


def test_a_save_that_fails_is_told_and_an_automatic_one_is_logged(
    recorded: Recorded, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = manager_of(recorded, clock)
    session = manager.create("u1", auto_save=True)
    monkeypatch.setattr(recorded.tracer_provider, "force_flush", lambda: False)
    with pytest.raises(StoreUnavailable):
        manager.save(session.session_id)
    session.create_chat(model="m")
    assert "was not saved" in caplog.text


def test_a_store_that_is_not_there_yet_holds_nothing(recorded: Recorded, tmp_path: Path) -> None:
    manager = SessionManager(tmp_path / "none.db", **recorded.providers)
    assert (manager.recover(), manager.stored_sessions()) == ([], [])
    with pytest.raises(NotFound):
        manager.load("s1")


@pytest.mark.feature("B4")
def test_a_chat_that_is_there_is_not_made_again(recorded: Recorded, clock: Clock) -> None:
    session = manager_of(recorded, clock).create("u1")
    chat = session.create_chat("First", model="m", chat_id="c1", tags="a")
    with chat.message("Hello") as turn:
        turn.answer = "Hi!"
    with pytest.raises(InvalidRequest, match=r"c1 is there already.*switch_to"):
        session.create_chat("Second", model="m", chat_id="c1")
    assert (session.chats, session.stats().messages, chat.definition.tags) == ({"c1": chat}, 2, ["a"])


@pytest.mark.feature("B2")
def test_turns_under_way_count(recorded: Recorded, clock: Clock) -> None:
    chat = manager_of(recorded, clock, max_messages_per_chat=4).create("u1").create_chat(model="m")
    with chat.message("one") as first, chat.message("two") as second:
        with pytest.raises(LimitReached):
            chat.message("three").__enter__()
        first.answer = second.answer = "fine"
    assert chat.stats().messages == 4


@pytest.mark.feature("B2")
def test_a_turn_that_failed_leaves_its_place(recorded: Recorded, clock: Clock) -> None:
    chat = manager_of(recorded, clock, max_messages_per_chat=2).create("u1").create_chat(model="m")
    for answer in (None, "fine"):
        with suppress(TimeoutError), chat.message("Hello") as turn:
            turn.answer = answer
            if answer is None:
                raise TimeoutError("late")
    assert chat.stats().messages == 2
