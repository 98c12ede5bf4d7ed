"""What sessions say of themselves, and what is recorded in them as events."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from otel_replay.errors import InvalidRequest, ReplayError
from otel_replay.sdk import current_session, session
from otel_replay.sdk.emitting import EventLog
from tests.sdk.recorded import Recorded
from tests.sdk.recorded import recorded as providers


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with providers() as made:
        yield made


def test_a_new_session_starts_when_it_is_entered_and_only_then(recorded: Recorded) -> None:
    visit = recorded.session(user_id="u1", feature="chat", variant="B")
    assert recorded.events == []
    for _ in range(2):
        with visit:
            pass
    described = {"session.id": visit.session_id, "user.id": "u1", "feature": "chat", "variant": "B"}
    assert recorded.events == [("session.start", described)]


def test_a_session_with_an_id_goes_on(recorded: Recorded) -> None:
    with recorded.session("s1"):
        pass
    assert recorded.events == []


@pytest.mark.feature("K4")
def test_states_are_events_of_the_session_as_a_whole(recorded: Recorded) -> None:
    visit = recorded.session("s1")
    with visit, visit.chat(conversation_id="c1"):
        visit.start()
        visit.pause()
        visit.resume()
        visit.end(reason="done")
    plain = {"session.id": "s1"}
    expected = [("session.start", plain), ("session.pause", plain), ("session.resume", plain)]
    assert recorded.events == [*expected, ("session.end", plain | {"reason": "done"})]


def test_an_update_is_told_and_stays(recorded: Recorded) -> None:
    visit = recorded.session("s1", label="a")
    visit.update(label="b", plan="pro")
    with visit:
        recorded.span("later")
    assert recorded.events == [("session.update", {"session.id": "s1", "label": "b", "plan": "pro"})]
    assert recorded.said("later") == {"session.id": "s1", "label": "b", "plan": "pro"}


def test_nothing_is_recorded_while_paused(recorded: Recorded) -> None:
    visit = recorded.session("s1")
    visit.pause()
    visit.pause()
    assert not visit.record_action("click").is_valid
    assert not visit.record_interaction(model="m", prompt="p", response="r").is_valid
    visit.record_code_context("a.py")
    visit.feedback(1)
    visit.record_error(KeyError("x"))
    visit.snapshot()
    assert session("s1").is_paused
    assert not session("s2").is_paused
    visit.resume()
    visit.record_action("click")
    assert [name for name, _ in recorded.events] == ["session.pause", "session.resume"]
    assert list(recorded.spans) == ["click"]


@pytest.mark.feature("K5")
def test_code_context(recorded: Recorded) -> None:
    visit = recorded.session("s1")
    visit.record_code_context(
        "src/app.py", line=12, column=4, snippet="x = 1", language="python", workspace={"open": ["a.py"]}, timestamp=7
    )
    assert recorded.events == [
        (
            "otel_replay.code_context",
            {
                "session.id": "s1",
                "code.file.path": "src/app.py",
                "code.line.number": 12,
                "code.column.number": 4,
                "otel_replay.code.snippet": "x = 1",
                "otel_replay.code.language": "python",
                "otel_replay.code.workspace": '{"open": ["a.py"]}',
            },
        )
    ]
    assert recorded.logs[0].log_record.timestamp == 7


@pytest.mark.feature("K13")
def test_a_snapshot_holds_state_and_the_last_code_context(recorded: Recorded) -> None:
    visit = recorded.session("s1")
    visit.record_code_context("a.py", line=1)
    visit.record_code_context("b.py", line=2)
    visit.snapshot({"step": 3})
    name, said = recorded.events[-1]
    assert name == "session.snapshot"
    assert (said["otel_replay.snapshot.state"], said["code.file.path"], said["code.line.number"]) == (
        '{"step": 3}',
        "b.py",
        2,
    )


def test_feedback_names_the_call_it_is_about(recorded: Recorded) -> None:
    visit = recorded.session("s1")
    call = visit.record_interaction(model="m", prompt="p", response="r")
    visit.feedback(0.5, "too long", label="meh", interaction=call, response_id="r1")
    record = recorded.logs[0].log_record
    assert (record.trace_id, record.span_id) == (call.trace_id, call.span_id)
    assert recorded.events == [
        (
            "gen_ai.evaluation.result",
            {
                "session.id": "s1",
                "gen_ai.evaluation.name": "user_feedback",
                "gen_ai.evaluation.score.value": 0.5,
                "gen_ai.evaluation.score.label": "meh",
                "gen_ai.evaluation.explanation": "too long",
                "gen_ai.response.id": "r1",
            },
        )
    ]


def test_an_error_has_its_type_message_and_stack_and_the_trace_it_happened_in(recorded: Recorded) -> None:
    visit = recorded.session("s1")
    with recorded.tracer.start_as_current_span("work") as span:
        try:
            raise InvalidRequest("no such thing")
        except InvalidRequest as error:
            visit.record_error(error)
    (_, said), record = recorded.events[0], recorded.logs[0].log_record
    assert said["exception.type"] == "otel_replay.errors.InvalidRequest"
    assert said["exception.message"] == "no such thing"
    assert "raise InvalidRequest" in said["exception.stacktrace"]
    assert (record.span_id, record.severity_text) == (span.get_span_context().span_id, "ERROR")


def test_a_failed_interaction_is_an_error(recorded: Recorded) -> None:
    recorded.session("s1").record_interaction(model="m", prompt="p", response="", error=TimeoutError("late"))
    span = recorded.spans["chat m"]
    assert (span.status.is_ok, span.status.description) == (False, "late")
    assert recorded.said("chat m")["error.type"] == "TimeoutError"


def test_the_current_session_is_the_one_that_was_entered(recorded: Recorded) -> None:
    assert current_session() is None
    visit = recorded.session("s1")
    with visit:
        assert current_session() is visit
        with session("s2"):
            inner = current_session()
            assert inner is not None
            assert inner.session_id == "s2"


def test_it_is_said_once_that_nobody_keeps_events(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventLog, "_has_warned", False)
    with caplog.at_level(logging.WARNING, "otel_replay.sdk"):
        with session():
            assert caplog.records == []
        session("s1").end()
        session("s1").end()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "instrument()" in caplog.text


def test_without_psutil_it_is_said_what_to_install(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("otel_replay.sdk.metrics.importlib.import_module", missing)
    with pytest.raises(ReplayError, match=r"otel-replay\[system\]"):
        recorded.session("s1").sample_system()
    recorded.session("s1").snapshot()
    assert recorded.events == [("session.snapshot", {"session.id": "s1"})]


@pytest.mark.feature("K6")
def test_system_metrics_are_sampled_until_stopped(recorded: Recorded) -> None:
    with recorded.session("s1").sample_system(every_s=0.02) as sampler:
        deadline = time.monotonic() + 20
        while len(recorded.logs) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    taken = len(recorded.logs)
    sampler.stop()
    assert len(recorded.logs) == taken
    assert {name for name, _ in recorded.events} == {"otel_replay.system_metrics"}
    first, last = recorded.events[0][1], recorded.events[-1][1]
    assert first["session.id"] == "s1"
    assert 1 << 20 < first["process.memory.usage"] < first["system.memory.usage"]
    assert "system.cpu.utilization" not in first
    for share in ("system.cpu.utilization", "process.cpu.utilization", "system.memory.utilization"):
        assert 0 <= last[share] <= 1
    with pytest.raises(InvalidRequest):
        recorded.session("s1").sample_system(every_s=0)


@pytest.mark.feature("B6")
def test_a_pause_lasts_however_many_others_pause_meanwhile(recorded: Recorded) -> None:
    visit = recorded.session("paused for long")
    visit.pause()
    for number in range(1_200):
        other = recorded.session(f"other {number}")
        other.pause()
        other.resume()
    assert visit.is_paused
    assert not visit.record_action("click").is_valid
    visit.resume()
    assert visit.record_action("click").is_valid


@pytest.mark.parametrize("wrong", ["span:1:2", "nothing", 7])
def test_feedback_takes_the_id_of_a_call_s_entry(recorded: Recorded, wrong: Any) -> None:
    """As a timeline has it, and as a page sends it."""
    visit = recorded.session("s1")
    call = visit.record_interaction(model="m", prompt="p", response="r")
    visit.feedback(1, interaction=f"span:{call.trace_id:032x}:{call.span_id:016x}")
    record = recorded.logs[0].log_record
    assert (record.trace_id, record.span_id) == (call.trace_id, call.span_id)
    with pytest.raises(InvalidRequest, match="span:TRACE:SPAN"):
        visit.feedback(1, interaction=wrong)
