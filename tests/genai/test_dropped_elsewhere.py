"""What Phoenix 20.26 and Langfuse 4.16 lose of the telemetry they receive, as read in their code: nothing of it here.

Phoenix: ``phoenix/trace/gen_ai/conversion.py``. Langfuse: ``OtelIngestionProcessor``, which reads the details event of
spans only. That metrics are kept, which Langfuse throws away, is shown in ``tests/outside/test_fidelity.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from otel_replay.model import Signal
from tests.outside.outside import Outside, running
from tests.outside.telemetry import log, logs, span, span_id, traces

pytestmark = pytest.mark.feature("X5")

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
HI = {"role": "user", "parts": [{"type": "text", "content": "Hi"}]}
DETAILS = "gen_ai.client.inference.operation.details"
PARTS = [
    {"type": "server_tool_call", "id": "s1", "name": "search", "server_tool_call": {"query": "x"}},
    {"type": "server_tool_call_response", "id": "s1", "server_tool_call_response": {"hits": 1}},
    {"type": "file", "mime_type": "text/plain", "modality": "text", "file_id": "f1"},
    {"type": "compaction", "id": "c1", "content": "short"},
]
RESPONSES = [{"type": "tool_call_response", "id": f"c{number}", "response": number} for number in (1, 2)]
NO_TOKENS = dict.fromkeys(("input", "output", "cache_read", "cache_write", "reasoning"))

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with running(tmp_path_factory.mktemp("receiver") / "replay.db") as outside:
        yield outside


def trace_of(number: int) -> str:
    return f"{number:032x}"


def send(
    receiver: Outside, attributes: dict[str, Any], *, events: list[tuple[str, dict[str, Any]]] | None = None
) -> int:
    """One span in a trace and a session of its own, by the number that is given back."""
    number = next(_NUMBERS)
    one = span(trace_of(number), 1, attributes={"session.id": f"s{number}", **attributes})
    for name, said in events or ():
        one.events.add(name=name, attributes=span("", 1, attributes=said).attributes)
    receiver.export(Signal.TRACES, traces(one).SerializeToString())
    return number


def timeline(receiver: Outside, number: int) -> dict[str, Any]:
    return receiver.document(f"/api/v1/traces/{trace_of(number)}/timeline")


def entry(receiver: Outside, number: int) -> dict[str, Any]:
    """The entry of the span; log records have theirs beside it."""
    [found] = [one for one in timeline(receiver, number)["entries"] if one["id"].startswith("span:")]
    told: dict[str, Any] = found
    return told


@pytest.mark.parametrize(
    ("attributes", "field", "expected"),
    [
        pytest.param({"gen_ai.input.messages": [HI]}, "input_messages", [HI], id="structured messages"),
        pytest.param(
            {"gen_ai.input.messages": json.dumps([HI, 7])}, "input_messages", [HI], id="the others beside a bad message"
        ),
        pytest.param({"gen_ai.prompt.0.content": "Hi"}, "input_messages", [HI], id="numbered prompts"),
        pytest.param(
            {"gen_ai.prompt.0.content": "Hi", "input.value": "{}"}, "input_messages", [HI], id="before a whole input"
        ),
        pytest.param(
            {"gen_ai.response.id": "r1", "gen_ai.response.model": "m2"},
            "output_messages",
            None,
            id="an answer that nobody told is not made of its id and model",
        ),
        pytest.param({"gen_ai.operation.name": "plan", "agent.name": "Planner"}, "agent", "Planner", id="agent.name"),
        pytest.param(
            {"gen_ai.input.messages": [{"role": "user", "parts": PARTS}]},
            "input_messages",
            [{"role": "user", "parts": PARTS}],
            id="every part",
        ),
        pytest.param(
            {"gen_ai.input.messages": [{"role": "tool", "parts": RESPONSES}]},
            "input_messages",
            [{"role": "tool", "parts": RESPONSES}],
            id="two answers of tools in one message",
        ),
    ],
)
def test_what_was_said_and_by_whom(receiver: Outside, attributes: dict[str, Any], field: str, expected: Any) -> None:
    assert entry(receiver, send(receiver, {**CHAT, **attributes}))["detail"][field] == expected


@pytest.mark.parametrize(
    ("attributes", "tokens"),
    [
        pytest.param({"prompt_tokens": 3}, {"input": 3}, id="old counts"),
        pytest.param(
            {"input_tokens": 9, "cache_write.input_tokens": 4}, {"input": 9, "cache_write": 4}, id="cache writes"
        ),
        pytest.param({"output_tokens": 9, "reasoning.output_tokens": 4}, {"output": 9, "reasoning": 4}, id="reasoning"),
        pytest.param({"input_tokens": 9, "audio.input_tokens": 4}, {"input": 9}, id="modalities"),
    ],
)
def test_every_count_and_none_twice(receiver: Outside, attributes: dict[str, int], tokens: dict[str, int]) -> None:
    """Parts of a count are not added to it: where the call says them, in the sum of its trace, and in statistics."""
    number = send(receiver, {**CHAT, **{f"gen_ai.usage.{key}": value for key, value in attributes.items()}})
    found = timeline(receiver, number)
    assert found["entries"][0]["detail"]["usage"] == found["tokens"] == {**NO_TOKENS, **tokens}
    total = receiver.document("/api/v1/stats", session=f"s{number}", wait="10s")["total"]
    assert total["tokens"] == found["tokens"]


def test_counts_by_modality(receiver: Outside) -> None:
    number = send(receiver, {**CHAT, "gen_ai.usage.input_tokens": 9, "gen_ai.usage.audio.input_tokens": 4})
    assert entry(receiver, number)["detail"]["usage_details"] == {"audio.input": 4}


@pytest.mark.parametrize("operation", ["invoke_workflow", "plan"])
def test_newer_operations(receiver: Outside, operation: str) -> None:
    found = entry(receiver, send(receiver, {"gen_ai.operation.name": operation}))
    assert (found["kind"], found["detail"]["operation"]) == ("agent", operation)


@pytest.mark.parametrize(
    "event",
    [
        ("gen_ai.user.message", {"content": "Hi"}),
        ("gen_ai.content.prompt", {"gen_ai.prompt": "Hi"}),
        (DETAILS, {"gen_ai.input.messages": [HI]}),
        (DETAILS, {"gen_ai.input.messages": json.dumps([HI])}),
    ],
)
@pytest.mark.parametrize("is_log", [False, True], ids=["span event", "log"])
def test_messages_in_events(receiver: Outside, event: tuple[str, dict[str, Any]], is_log: bool) -> None:
    """Of the span, and on the logs signal, which Langfuse has no route for."""
    number = send(receiver, CHAT, events=[] if is_log else [event])
    if is_log:
        name, attributes = event
        ids: dict[str, Any] = {"trace_id": trace_of(number), "span_id": bytes.fromhex(span_id(1))}
        record = log(None, attributes=attributes, event_name=name, **ids)
        answer = receiver.post("/v1/logs", logs(record).SerializeToString())
        assert answer.status_code == 200
    assert entry(receiver, number)["detail"]["input_messages"] == [HI]


def test_counts_in_an_event_of_the_span(receiver: Outside) -> None:
    """What the span says itself goes first."""
    events = [(DETAILS, {"gen_ai.usage.input_tokens": 3, "gen_ai.request.model": "other"})]
    number = send(receiver, CHAT, events=events)
    detail = entry(receiver, number)["detail"]
    assert (detail["usage"]["input"], detail["request_model"]) == (3, "m")
    total = receiver.document("/api/v1/stats", session=f"s{number}", wait="10s")["total"]
    assert total["tokens"]["input"] == 3


def test_who_asked(receiver: Outside) -> None:
    number = send(receiver, {**CHAT, "user.id": "ada"})
    [row] = receiver.document("/api/v1/sessions", user="ada")["sessions"]
    assert row["session_id"] == f"s{number}"


@pytest.mark.parametrize(("value", "written"), [("eu-1", "eu-1"), (7, "7"), (True, "true")])
def test_attributes_that_no_dialect_knows_are_found(receiver: Outside, value: Any, written: str) -> None:
    number = send(receiver, {**CHAT, "acme.shard": value})
    assert entry(receiver, number)["detail"]["attributes"]["acme.shard"] == value
    found = receiver.document("/api/v1/traces", attr=f"acme.shard={written}")["traces"]
    assert [one["trace_id"] for one in found] == [trace_of(number)]
