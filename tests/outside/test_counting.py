"""Statistics of sessions, chats, users and variants, where several spans tell of one call: each counts once."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.model import Signal
from tests.outside.outside import Outside, answered
from tests.outside.telemetry import CHAT, MS, START, span, traces
from tests.outside.test_statistics import everywhere

FAILED = Status(code=Status.STATUS_CODE_ERROR)
PLAIN = 500
"""Numbers of spans from here on are not sent: of plain spans, which only others name."""

Document = dict[str, Any]


def trace_of(session: str) -> str:
    return session.encode().hex().ljust(32, "c")


def told(session: str, number: int, parent: int = 0, *, at: int, took: int, **attributes: Any) -> Span:
    """A span of a session's trace, ``at`` ms after the start of all; ``attributes`` with underscores for dots."""
    named = {f"gen_ai.{name.replace('__', '.')}": value for name, value in attributes.items()}

    return span(
        trace_of(session),
        number,
        parent,
        attributes={"session.id": session, **named},
        start_time_unix_nano=START + at * MS,
        end_time_unix_nano=START + (at + took) * MS,
    )


def call(session: str, number: int, parent: int = 0, *, tokens: tuple[int, int], **more: Any) -> Span:
    said: Document = {"operation__name": "chat", "provider__name": "acme", "request__model": "own-model"}
    said |= {"usage__input_tokens": tokens[0], "usage__output_tokens": tokens[1]}
    return told(session, number, parent, **(said | more))


def send(receiver: Outside, *spans: Span, scope: str = "openai") -> None:
    request = traces(*spans)
    request.resource_spans[0].scope_spans[0].scope.name = scope
    receiver.export(Signal.TRACES, request.SerializeToString())


def agent_run(receiver: Outside, session: str) -> None:
    """An agent asks twice and a tool asks once; two instrumentations look on. 3 calls, 60 tokens in, 6 out, 0.06 USD.

    What is innermost is sent first, as exporters do.
    """
    first: Document = {"response__id": f"{session}-1", "tokens": (10, 1), "at": 100, "took": 1_000}
    second: Document = {"response__id": f"{session}-2", "tokens": (20, 2), "at": 2_000, "took": 1_000}
    third: Document = {"response__id": f"{session}-3", "tokens": (30, 3), "at": 4_000, "took": 4_000}
    costs: list[Document] = [{"usage__cost": cost} for cost in (0.01, 0.02, 0.03)]
    send(receiver, call(session, 12, 11, **first, **costs[0]), call(session, 22, PLAIN, **second, **costs[1]))
    send(receiver, call(session, 11, 1, **first), call(session, 21, PLAIN, **second), scope="openinference")
    send(receiver, call(session, 32, 31, **third, **costs[2]))
    tool = told(session, 31, 1, operation__name="execute_tool", tool__name="ask", at=3_900, took=4_200)
    totals: Document = {
        "usage__input_tokens": 60,
        "usage__output_tokens": 6,
        "usage__cost": 0.06,
        "operation__name": "invoke_agent",
    }
    send(receiver, tool, told(session, 1, at=0, took=9_000, **totals), scope="agents")


@pytest.mark.feature("X10")
@pytest.mark.feature("K12")
def test_statistics_of_a_session_count_each_call_once(receiver: Outside) -> None:
    agent_run(receiver, "agents")
    receiver.document("/api/v1/stats", wait="10s")
    table = everywhere(receiver, "stats", by="conversation", session="agents")
    [line] = table["groups"]
    assert (line["interactions"], line["errors"]) == (3, 0)
    assert line["tokens"] == {"input": 60, "output": 6, "cache_read": None, "cache_write": None, "reasoning": None}
    assert line["cost_usd"] == "0.06"
    assert line["costs_usd"] == {"reported": "0.06", "override": "0", "computed": "0"}
    assert line["latency_ns"] == {
        "p50": str(1_000 * MS),
        "p95": str(4_000 * MS),
        "p99": str(4_000 * MS),
        "mean": str(2_000 * MS),
    }
    assert line["duration_ns"] == str(7_900 * MS)
    by_session = everywhere(receiver, "stats", by="session")
    assert {row["group"]: row for row in by_session["groups"]}["agents"] == {**line, "group": "agents"}
    [listed] = [one for one in receiver.document("/api/v1/sessions")["sessions"] if one["session_id"] == "agents"]
    assert (listed["interactions"], listed["tokens"]) == (3, {"input": 60, "output": 6})


@pytest.mark.feature("X10")
def test_the_timeline_has_the_same_totals(receiver: Outside) -> None:
    agent_run(receiver, "timelines")
    timeline = receiver.timeline("/api/v1/sessions/timelines/timeline")
    total = receiver.document("/api/v1/stats", session="timelines", wait="10s")["total"]
    assert len(timeline["entries"]) == 7
    assert (timeline["tokens"], timeline["cost_usd"]) == (total["tokens"], total["cost_usd"])
    assert timeline["tokens"]["input"] == 60


@pytest.mark.feature("X10")
def test_a_figure_counts_at_the_agent_until_a_call_below_has_it(receiver: Outside) -> None:
    def total() -> Document:
        found: Document = receiver.document("/api/v1/stats", session="late", wait="10s")["total"]
        return found

    send(receiver, told("late", 1, at=0, took=900, operation__name="invoke_agent", usage__input_tokens=50))
    assert (total()["interactions"], total()["tokens"]["input"]) == (0, 50)
    send(receiver, call("late", 2, 1, tokens=(20, 2), at=10, took=100))
    assert (total()["interactions"], total()["tokens"]["input"]) == (1, 20)


@pytest.fixture(scope="module")
def variants(receiver: Outside) -> None:
    """Ten calls of variant a, ten of b, which is twice as fast, dearer, and fails once."""
    for number in range(20):
        variant, took = (("a", 400), ("b", 200))[number % 2]
        said = {**CHAT, "session.id": f"ab {number}", "variant": variant, "feature": "experiment", "user.id": "tester"}
        said |= {"gen_ai.usage.cost": 0.01 * (1 + number % 2), "gen_ai.response.time_to_first_chunk": took / 4_000}
        one = span(
            f"{0xAB00 + number:032x}",
            1,
            attributes=said,
            end_time_unix_nano=START + (took + 1) * MS,
            status=FAILED if number == 19 else None,
        )
        receiver.export(Signal.TRACES, traces(one).SerializeToString())
    receiver.document("/api/v1/stats", wait="10s")


@pytest.mark.feature("K20")
def test_variants_side_by_side(receiver: Outside, variants: None) -> None:
    table = everywhere(receiver, "stats", by="variant", feature="experiment")
    found = {row["group"]: row for row in table["groups"]}
    assert {name: (row["interactions"], row["errors"], row["cost_usd"]) for name, row in found.items()} == {
        "a": (10, 0, "0.1"),
        "b": (10, 1, "0.2"),
    }
    for name, took in (("a", 400), ("b", 200)):
        assert set(found[name]["latency_ns"].values()) == {str(took * MS)}
        assert set(found[name]["time_to_first_token_ns"].values()) == {str(took * MS // 4)}
    assert table["total"]["interactions"] == 20


@pytest.mark.feature("K20")
def test_variants_as_a_person_compares_them(receiver: Outside, variants: None) -> None:
    text = receiver.command("stats", "--by", "variant", "--feature", "experiment").stdout
    heading = text.splitlines()[0].split()
    assert heading == ["variant", "a", "b", "all"]
    rows = {" ".join(line.split()[:-3]): line.split()[-3:] for line in text.splitlines()}
    assert rows["calls"] == ["10", "10", "20"]
    assert rows["errors, % of calls"] == ["0.0", "10.0", "5.0"]
    assert rows["input tokens a call"] == ["12.0"] * 3
    assert rows["cost USD a call"] == ["0.010000", "0.020000", "0.015000"]
    assert rows["latency p95 ms"] == ["400.0", "200.0", "400.0"]
    assert rows["first token p50 ms"] == ["100.0", "50.0", "50.0"]


@pytest.mark.feature("B7")
def test_statistics_of_session_chat_user_and_all(receiver: Outside) -> None:
    """Messages and the average response time, by session, chat and user, and of the system."""
    for number, (chat, took) in enumerate([("plan", 100), ("plan", 300), ("code", 800)]):
        said = {"session.id": "desk", "user.id": "grace", "gen_ai.conversation.id": f"desk-{chat}"}
        one = span(
            f"{0xB700 + number:032x}", 1, attributes={**CHAT, **said}, end_time_unix_nano=START + (took + 1) * MS
        )
        receiver.export(Signal.TRACES, traces(one).SerializeToString())
    receiver.document("/api/v1/stats", wait="10s")

    def messages(**filters: Any) -> dict[str, tuple[int, int]]:
        rows = everywhere(receiver, "stats", **filters)["groups"]
        return {row["group"]: (row["interactions"], int(row["latency_ns"]["mean"]) // MS) for row in rows}

    assert messages(by="conversation", session="desk") == {"desk-plan": (2, 200), "desk-code": (1, 800)}
    assert messages(by="session", conversation="desk-plan") == {"desk": (2, 200)}
    assert messages(by="session", user="grace") == {"desk": (3, 400)}
    assert messages(by="user", session="desk") == {"grace": (3, 400)}
    of_all = answered(receiver.command("stats", "--by", "session", "--format", "json"))
    assert {"desk": 3}.items() <= {row["group"]: row["interactions"] for row in of_all["groups"]}.items()
    assert of_all["total"]["interactions"] >= 3


CACHED: Document = {"cache_read_input_tokens": 200, "cache_creation_input_tokens": 30}
GENKIT: Document = {
    "usage": {"inputTokens": 1_000, "outputTokens": 7},
    "custom": {"content": [], "usage": {"input_tokens": 1_000, "output_tokens": 7, **CACHED}},
}
HAYSTACK: Document = {"model": "claude-sonnet-4-5", "usage": {"prompt_tokens": 1_000, "completion_tokens": 7, **CACHED}}
APART: dict[str, Document] = {
    "Genkit": {
        "genkit:metadata:subtype": "model",
        "genkit:name": "anthropic/claude-sonnet-4-5",
        "genkit:output": json.dumps(GENKIT),
    },
    "Haystack": {
        "haystack.component.type": "AnthropicChatGenerator",
        "haystack.component.output": json.dumps({"replies": [{"meta": HAYSTACK}]}),
    },
}
"""What libraries write of a call of Anthropic's API, by their sources: 1,000 tokens of input and the cache's."""


@pytest.mark.feature("X10")
@pytest.mark.feature("X5")
@pytest.mark.parametrize("library", APART)
def test_input_counts_the_cache_although_the_provider_does_not(receiver: Outside, library: str) -> None:
    session = f"apart {library}"
    one = span(trace_of(session), 1, attributes={"session.id": session, **APART[library]})
    send(receiver, one)
    tokens = {"input": 1_230, "output": 7, "cache_read": 200, "cache_write": 30, "reasoning": None}
    assert receiver.document(f"/api/v1/sessions/{session}/timeline")["tokens"] == tokens
    total = receiver.document("/api/v1/stats", session=session, wait="10s")["total"]
    assert total["tokens"] == tokens
    fresh, read, written, answered = (Decimal(usd) for usd in ("3", "0.3", "3.75", "15"))  # for a million
    cost = (1_000 * fresh + 200 * read + 30 * written + 7 * answered) / 10**6
    assert Decimal(total["cost_usd"]) == cost


@pytest.mark.feature("X10")
@pytest.mark.feature("X5")
def test_langchain_and_the_client_below_it_tell_of_one_call(receiver: Outside) -> None:
    """OpenInference's spans of LangChain are nobody's parents: Anthropic's client begins a trace of its own."""
    usage: Document = {"usage__cache_read.input_tokens": 22, "usage__cache_write.input_tokens": 8}
    client = call("chain", 2, tokens=(301, 12), at=10, took=40, response__id="msg_1", **usage)
    client.trace_id = bytes.fromhex(trace_of("client"))
    result = {"generations": [[{"text": "It is red."}]], "llm_output": {"id": "msg_1", "model": "claude-sonnet-4-5"}}
    counts = {"prompt": 301, "completion": 12, "prompt_details.cache_read": 22, "prompt_details.cache_write": 8}
    said: Document = {
        "session.id": "chain",
        "openinference.span.kind": "LLM",
        "output.value": json.dumps(result),
        **{f"llm.token_count.{name}": number for name, number in counts.items()},
    }
    times = {"start_time_unix_nano": START, "end_time_unix_nano": START + 60 * MS}
    send(receiver, client, scope="com.anthropic.sdk.python")
    send(
        receiver, span(trace_of("chain"), 1, attributes=said, **times), scope="openinference.instrumentation.langchain"
    )
    total = receiver.document("/api/v1/stats", session="chain", wait="10s")["total"]
    timeline = receiver.document("/api/v1/sessions/chain/timeline")
    assert total["interactions"] == timeline["interactions"] == 1
    assert (total["tokens"]["input"], timeline["tokens"]["input"]) == (301, 301)
