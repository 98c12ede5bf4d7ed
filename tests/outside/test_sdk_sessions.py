"""What an application records of its sessions, as the receiver tells it again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from otel_replay.sdk.backlog import is_sampled
from tests.outside.outside import Outside, eventually
from tests.outside.recording import Recording, recording

Document = dict[str, Any]

SECOND = 10**9
NOON = 1_763_640_000 * SECOND


@pytest.fixture(scope="module")
def app(receiver: Outside) -> Iterator[Recording]:
    with recording(receiver.url) as made:
        yield made


def told(receiver: Outside, session_id: str) -> list[Document]:
    """The entries of a session."""
    entries: list[Document] = receiver.timeline(f"/api/v1/sessions/{session_id}/timeline")["entries"]
    return entries


def row(receiver: Outside, session_id: str, **filters: Any) -> Document | None:
    """The session in the list of sessions, if the filters let it through."""
    rows = receiver.document("/api/v1/sessions", limit=1000, **filters)["sessions"]
    return next((one for one in rows if one["session_id"] == session_id), None)


def attributes(entry: Document) -> Document:
    found: Document = entry["detail"]["attributes"]
    return found


@pytest.mark.feature("K1")
def test_a_session_starts_with_user_feature_and_label(receiver: Outside, app: Recording) -> None:
    with app.session(user_id="ada", feature="chat", label="support") as visit:
        pass
    found = row(receiver, visit.session_id, user="ada", feature="chat", label="support", state="active")
    assert found is not None
    assert [entry["id"] for entry in told(receiver, visit.session_id)] == [f"session:{visit.session_id}:start"]


@pytest.mark.feature("K2")
def test_an_interaction_with_all_its_facts(receiver: Outside, app: Recording) -> None:
    with app.session() as visit, visit.chat(conversation_id="c-facts", system_prompt="Be brief."):
        visit.record_interaction(
            model="gpt-4o",
            provider="openai",
            prompt="Status of my order?",
            response="It is on its way.",
            input_tokens=15,
            output_tokens=25,
            cost=0.0008,
            latency_ms=1_200,
            temperature=0.7,
            max_tokens=500,
            timestamp=NOON,
        )
    (entry,) = [one for one in told(receiver, visit.session_id) if one["kind"] == "interaction"]
    detail = entry["detail"]
    times = (entry["start_unix_nano"], entry["end_unix_nano"])
    assert times == (str(NOON), str(NOON + 1_200_000_000))
    assert (detail["provider"], detail["request_model"], detail["cost_usd"]) == ("openai", "gpt-4o", "0.0008")
    assert (detail["usage"]["input"], detail["usage"]["output"]) == (15, 25)
    assert (detail["parameters"]["temperature"], detail["parameters"]["max_tokens"]) == (0.7, 500)
    assert detail["conversation_id"] == "c-facts"
    said = [[part["content"] for part in one["parts"]] for one in detail["input_messages"] + detail["output_messages"]]
    assert said == [["Status of my order?"], ["It is on its way."]]
    assert detail["system_instructions"][0]["content"] == "Be brief."


@pytest.mark.feature("K3")
def test_actions_of_every_kind(receiver: Outside, app: Recording) -> None:
    actions = [
        ("click", "#send"),
        ("navigation", "Orders"),
        ("page_view", "Home"),
        ("submit", "#form"),
        ("hover", "Card"),
    ]
    with app.session() as visit:
        for number, (action, target) in enumerate(actions):
            visit.record_action(action, target=target, timestamp=NOON + number, duration_s=3)
    entries = [one for one in told(receiver, visit.session_id) if one["kind"] == "action"]
    assert [(one["detail"]["action"]["name"], one["detail"]["action"]["target"]) for one in entries] == actions
    assert [one["start_unix_nano"] for one in entries] == [str(NOON + number) for number in range(5)]
    assert attributes(entries[0])["duration_s"] == 3
    found = row(receiver, visit.session_id)
    assert found is not None
    assert found["actions"] == 5


@pytest.mark.feature("K4")
@pytest.mark.feature("B6")
def test_a_session_pauses_goes_on_and_ends(receiver: Outside, app: Recording) -> None:
    with app.session() as visit:
        visit.record_action("click", target="#one")
        visit.pause()
        found = row(receiver, visit.session_id)
        assert found is not None
        assert found["state"] == "paused"
        visit.record_action("click", target="#two")
        visit.resume()
        visit.record_action("click", target="#three")
        visit.end()
    found = row(receiver, visit.session_id)
    assert found is not None
    assert found["state"] == "ended"
    titles = [entry["title"] for entry in told(receiver, visit.session_id)]
    expected = ["session start", "click #one", "session pause", "session resume", "click #three", "session end"]
    assert titles == expected


@pytest.mark.feature("K20")
def test_variants_stand_side_by_side(receiver: Outside, app: Recording) -> None:
    for variant, cost, failed in (("A", 0.5, False), ("B", 0.25, True)):
        with app.session(feature="experiment", variant=variant) as visit:
            error = TimeoutError("late") if failed else None
            visit.record_interaction(model="m", prompt="p", response="r", cost=cost, latency_ms=100, error=error)
    groups = receiver.document("/api/v1/stats", by="variant", feature="experiment", wait="10s")["groups"]
    assert {one["group"]: (one["interactions"], one["cost_usd"], one["errors"]) for one in groups} == {
        "A": (1, "0.5", 0),
        "B": (1, "0.25", 1),
    }


@pytest.mark.feature("K18")
def test_an_error_stands_in_the_timeline(receiver: Outside, app: Recording) -> None:
    with app.session() as visit:
        try:
            raise ValueError("no such order")
        except ValueError as error:
            visit.record_error(error)
    entry = told(receiver, visit.session_id)[-1]
    assert (entry["status"], entry["title"]) == ("error", "ValueError: no such order")
    assert "raise ValueError" in attributes(entry)["exception.stacktrace"]


def test_feedback_stands_with_the_call_it_is_about(receiver: Outside, app: Recording) -> None:
    with app.session() as visit:
        call = visit.record_interaction(model="m", prompt="p", response="r")
        visit.feedback(0.5, "too long", interaction=call)
    entries = {entry["detail"].get("event_name"): entry for entry in told(receiver, visit.session_id)}
    verdict = entries["gen_ai.evaluation.result"]
    assert (verdict["trace_id"], verdict["span_id"]) == (f"{call.trace_id:032x}", f"{call.span_id:016x}")
    assert attributes(verdict)["gen_ai.evaluation.score.value"] == 0.5
    assert attributes(verdict)["gen_ai.evaluation.explanation"] == "too long"


@pytest.mark.feature("K5")
def test_code_context_is_kept(receiver: Outside, app: Recording) -> None:
    with app.session() as visit:
        visit.record_code_context(
            "src/app.py", line=12, column=4, snippet="x = 1", language="python", workspace={"open": ["b.py"]}
        )
    said = attributes(told(receiver, visit.session_id)[-1])
    assert (said["code.file.path"], said["code.line.number"], said["code.column.number"]) == ("src/app.py", 12, 4)
    assert said["otel_replay.code.snippet"] == "x = 1"
    assert said["otel_replay.code.language"] == "python"
    assert said["otel_replay.code.workspace"] == '{"open": ["b.py"]}'


@pytest.mark.feature("K6")
def test_system_metrics_are_kept(receiver: Outside, app: Recording) -> None:
    with app.session() as visit, visit.sample_system(every_s=0.01):
        found = eventually(lambda: told(receiver, visit.session_id), lambda entries: len(entries) > 2)
    said = attributes(found[-1])
    assert said["process.memory.usage"] > 1 << 20
    assert 0 <= said["system.cpu.utilization"] <= 1


@pytest.mark.feature("K13")
def test_a_snapshot_from_the_application(receiver: Outside, app: Recording) -> None:
    with app.session() as visit:
        visit.record_code_context("a.py", line=3)
        visit.snapshot({"step": 2})
    said = attributes(told(receiver, visit.session_id)[-1])
    assert (said["otel_replay.snapshot.state"], said["code.file.path"], said["code.line.number"]) == (
        '{"step": 2}',
        "a.py",
        3,
    )


@pytest.mark.feature("K17")
def test_a_share_of_the_sessions_and_every_error(receiver: Outside) -> None:
    inside = next(name for number in range(100) if is_sampled(name := f"share-{number}", 0.5))
    outside, failing = [name for number in range(100) if not is_sampled(name := f"share-{number}", 0.5)][:2]
    with recording(receiver.url, rate=0.5) as app:
        for name in (inside, outside, failing):
            with app.session(name) as visit:
                visit.record_action("click", target="#one")
                if name == failing:
                    visit.record_interaction(model="m", prompt="p", response="", error=TimeoutError("late"))
                visit.record_action("click", target="#two")
    assert [entry["title"] for entry in told(receiver, inside)] == ["click #one", "click #two"]
    assert row(receiver, outside) is None
    assert [entry["kind"] for entry in told(receiver, failing)] == ["action", "interaction", "action"]


@pytest.mark.feature("R3")
@pytest.mark.feature("K1")
def test_what_is_said_later_of_a_session_holds_from_then_on(receiver: Outside, app: Recording) -> None:
    """Who a visitor is, is known after the login: calls that go on in what was entered before say so too."""
    client = app.tracer_provider.get_tracer("a model's client")
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    with app.session(feature="chat", label="guest") as visit, visit.chat("Help"):
        client.start_span("chat m", attributes=call).end()
        with client.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
            visit.update(user_id="grace", label="customer")
            client.start_span("chat m", attributes=call).end()
    assert row(receiver, visit.session_id, user="grace", label="customer") is not None
    assert row(receiver, visit.session_id, label="guest") is None
    groups = receiver.document("/api/v1/stats", by="user", session=visit.session_id, wait="10s")["groups"]
    assert {one["group"]: one["interactions"] for one in groups} == {"": 1, "grace": 1}


@pytest.mark.slow
@pytest.mark.feature("K2")
def test_messages_as_a_model_s_client_has_them_lose_nothing(receiver: Outside, app: Recording) -> None:
    from openai.types.chat import ChatCompletionMessage

    weather = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Graz"}'}}
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/sky.png"}}
    asked = ChatCompletionMessage.model_validate({"role": "assistant", "content": None, "tool_calls": [weather]})
    prompt: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "Is it like this?"}, picture]},
        asked,
        {"role": "tool", "tool_call_id": "t1", "content": "Rain."},
        "And tomorrow?",
    ]
    with app.session() as visit:
        visit.record_interaction(model="m", prompt=prompt, response=asked)
    (entry,) = [one for one in told(receiver, visit.session_id) if one["kind"] == "interaction"]
    question, call, result, again = entry["detail"]["input_messages"]
    assert [part["type"] for part in question["parts"]] == ["text", "uri"]
    assert question["parts"][0]["content"] == "Is it like this?"
    expected = {"type": "tool_call", "id": "t1", "name": "weather", "arguments": {"city": "Graz"}}
    assert (call["role"], call["parts"]) == ("assistant", [expected])
    assert (result["role"], result["parts"][0]["id"], result["parts"][0]["response"]) == ("tool", "t1", "Rain.")
    assert (again["role"], again["parts"][0]["content"]) == ("user", "And tomorrow?")
    assert [one["name"] for one in entry["detail"]["tool_calls"]] == ["weather"]


@pytest.mark.feature("K2")
@pytest.mark.feature("K18")
def test_a_call_that_failed_has_no_answer(receiver: Outside, app: Recording) -> None:
    with app.session() as visit:
        visit.record_interaction(model="m", prompt="Hi", error=TimeoutError("late"))
        visit.record_interaction(model="m", prompt="Hi", response=None, error=TimeoutError("late"))
    calls = [one for one in told(receiver, visit.session_id) if one["kind"] == "interaction"]
    assert [(one["status"], one["detail"]["output_messages"]) for one in calls] == [("error", None)] * 2


@pytest.mark.feature("K2")
def test_odd_facts_cost_nothing_but_themselves(receiver: Outside, app: Recording) -> None:
    """Halves of surrogate pairs (a text that JavaScript has cut), numbers beyond 64 bits, times that are none."""
    cut = "to be continued \ud83d"
    with app.session(order=2**70, note=cut, user_id=cut) as visit:
        visit.record_interaction(
            model=f"m {cut}", prompt=cut, response=cut, latency_ms=float("nan"), error=ValueError(cut)
        )
        visit.record_action(cut, target=cut, place={(1, 2): "no key of JSON"})
        visit.record_error(ValueError(cut))
        visit.snapshot({"said": cut})
    said = "to be continued \ufffd"
    entries = told(receiver, visit.session_id)
    (call,) = [one for one in entries if one["kind"] == "interaction"]
    assert call["detail"]["request_model"] == f"m {said}"
    texts = [call["detail"][key][0]["parts"][0]["content"] for key in ("input_messages", "output_messages")]
    assert texts == [said, said]
    (action,) = [one for one in entries if one["kind"] == "action"]
    assert action["detail"]["action"]["target"] == said
    assert attributes(action)["order"] == str(2**70)
    assert attributes(action)["place"] == "\"{(1, 2): 'no key of JSON'}\""
    assert f"ValueError: {said}" in [one["title"] for one in entries if one["status"] == "error"]
    assert row(receiver, visit.session_id, user=said) is not None


# What the timeline makes of them


@pytest.mark.feature("K5")
def test_code_context_has_a_kind_of_its_own(receiver: Outside, app: Recording) -> None:
    with app.session() as visit:
        visit.record_code_context("src/app.py", line=12, column=4, language="python")
    entry = told(receiver, visit.session_id)[-1]
    assert (entry["kind"], entry["title"]) == ("code_context", "src/app.py:12:4 (python)")


@pytest.mark.feature("K6")
@pytest.mark.feature("K13")
def test_metrics_and_snapshots_are_one_lane(receiver: Outside) -> None:
    body = b'{"metrics": {"system.cpu.utilization": 0.12}, "code_context": {"file": "a.py", "line": 3}}'
    assert receiver.post("/api/v1/sessions/lane/snapshot", body).status_code == 200
    (entry,) = receiver.timeline("/api/v1/sessions/lane/timeline", kinds="system")["entries"]
    assert entry["title"] == "snapshot: a.py:3, CPU 12 %"


@pytest.mark.feature("K17")
def test_what_was_not_recorded_is_a_gap(receiver: Outside, app: Recording) -> None:
    gap: dict[str, str | int] = {
        "session.id": "gapped",
        "otel_replay.gap.reason": "sampled",
        "otel_replay.gap.records": 7,
    }
    span = app.tracer_provider.get_tracer("t").start_span("not recorded", attributes=gap, start_time=NOON)
    span.end(NOON + 30 * SECOND)
    (entry,) = receiver.timeline("/api/v1/sessions/gapped/timeline")["entries"]
    assert (entry["kind"], entry["title"]) == ("gap", "7 records were not kept: sampled")
    assert int(entry["end_unix_nano"]) - int(entry["start_unix_nano"]) == 30 * SECOND
