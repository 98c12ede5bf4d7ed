"""Full text from outside: HTTP, Python and the command line give the same answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import otel_replay
from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal
from tests.outside.outside import PROBLEM, Outside, answered, command, eventually
from tests.outside.telemetry import CHAT, MS, START, span, span_id, traces

Document = dict[str, Any]
TRACE = "5ea4c4" + "0" * 26


def messages(*said: tuple[str, str]) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said])


@pytest.fixture(scope="module", autouse=True)
def conversation(receiver: Outside) -> None:
    """Two turns of a conversation: the second repeats the first."""
    question, answer = ("user", "How do I get a refund?"), ("assistant", "Refunds take [two] days.")
    said = {**CHAT, "session.id": "visit", "gen_ai.conversation.id": "talk", "user.id": "ada"}
    turns = [
        {"gen_ai.input.messages": messages(question), "gen_ai.output.messages": messages(answer)},
        {"gen_ai.input.messages": messages(question, answer, ("user", "Thanks for the refund"))},
    ]
    spans = [span(TRACE, number, attributes={**said, **turn}) for number, turn in enumerate(turns, 1)]
    receiver.export(Signal.TRACES, traces(*spans, service="shop").SerializeToString())


def over_http(receiver: Outside, query: str, **filters: Any) -> Document:
    return receiver.document("/api/v1/search", q=query, wait="5s", **filters)


def _opened(target: Any, query: str, filters: dict[str, Any]) -> Document:
    named = {
        {"session": "session_id", "conversation": "conversation_id"}.get(key, key): filters[key] for key in filters
    }
    replay = otel_replay.open(target)
    try:
        found: Document = replay.search(query, wait_ns=5 * 10**9, **named)
        return found
    finally:
        replay.close()


def from_the_file(receiver: Outside, query: str, **filters: Any) -> Document:
    return _opened(receiver.database, query, filters)


def from_the_url(receiver: Outside, query: str, **filters: Any) -> Document:
    return _opened(receiver.url, query, filters)


def _arguments(query: str, filters: dict[str, Any]) -> list[str]:
    options = [part for key, value in filters.items() for part in (f"--{key}", str(value))]
    return ["search", query, "--wait", "5s", "--format", "json", *options]


def by_command_on_the_file(receiver: Outside, query: str, **filters: Any) -> Document:
    found: Document = answered(receiver.command(*_arguments(query, filters)))
    return found


def by_command_on_the_url(receiver: Outside, query: str, **filters: Any) -> Document:
    found: Document = answered(command(*_arguments(query, filters), "--url", receiver.url))
    return found


WAYS = [over_http, from_the_file, from_the_url, by_command_on_the_file, by_command_on_the_url]


@pytest.mark.feature("K9")
@pytest.mark.parametrize("ask", WAYS, ids=lambda way: way.__name__)
def test_every_way_gives_the_same_hits(receiver: Outside, ask: Any) -> None:
    shared = {
        "trace_id": TRACE,
        "session_id": "visit",
        "conversation_id": "talk",
        "service": "shop",
        "model": "gpt-4o-mini",
        "user": "ada",
    }
    found = ask(receiver, "refund*")
    assert (found["next_cursor"], found["waiting"]) == (None, 0)
    newest, *first_turn = found["hits"]
    assert newest == {
        **shared,
        "span_id": span_id(2),
        "start_unix_nano": str(START + 2 * MS),
        "snippet": "Thanks for the refund",
        "highlights": [[15, 21]],
    }
    told = {**shared, "span_id": span_id(1), "start_unix_nano": str(START + MS)}
    assert sorted(first_turn, key=lambda hit: str(hit["snippet"])) == [
        {**told, "snippet": "How do I get a refund?", "highlights": [[15, 21]]},
        {**told, "snippet": "Refunds take [two] days.", "highlights": [[0, 7]]},
    ]


@pytest.mark.parametrize("ask", WAYS, ids=lambda way: way.__name__)
def test_filters_and_cursors(receiver: Outside, ask: Any) -> None:
    def found(query: str, **filters: Any) -> list[str]:
        return [hit["snippet"] for hit in ask(receiver, query, **filters)["hits"]]

    assert found('"get a refund"', session="visit", conversation="talk", user="ada") == ["How do I get a refund?"]
    assert found("refund", service="other") == found("refund", model="m2") == found("nowhere") == []
    first = ask(receiver, "refund*", limit=1)
    assert [hit["snippet"] for hit in first["hits"]] == ["Thanks for the refund"]
    assert found("refund*")[1:] == found("refund*", cursor=first["next_cursor"])


@pytest.mark.feature("K9")
def test_text_for_people(receiver: Outside) -> None:
    result = receiver.command("search", "two days", "--wait", "5s")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.split("  ")[1:] == ["shop", "gpt-4o-mini", "visit"]
    assert second == "  Refunds take [two] days."
    nothing = receiver.command("search", "nowhere")
    assert (nothing.exit_code, nothing.stdout) == (0, "nothing found\n")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "holds no word"),
        ({"q": " * "}, "holds no word"),
        ({"q": "x" * 2_000}, "the query has 2000 characters"),
        ({"q": "refund", "usr": "ada"}, "unknown parameter 'usr'"),
        ({"q": "refund", "wait": "5"}, "'5' is not a duration"),
        ({"q": "refund", "wait": "1h"}, "wait for 0s to 10s"),
        ({"q": "refund", "limit": "0"}, "limit is 0"),
        ({"q": "refund", "cursor": "x"}, "the cursor is not one"),
        ({"q": "refund", "since": "yesterday"}, "is not a time"),
    ],
)
def test_wrong_questions(receiver: Outside, parameters: dict[str, str], words: str) -> None:
    answer = receiver.get("/api/v1/search", **parameters)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    "query", ['" OR 1', "'; DROP TABLE texts", "NEAR(refund, 2)", "text:refund", "\0refund", "é\ud800é"]
)
def test_no_query_does_more_than_search(receiver: Outside, query: str) -> None:
    assert len(over_http(receiver, query.encode("utf-8", "replace").decode())["hits"]) <= 2
    replay = otel_replay.open(receiver.database)
    assert replay.search(query)["next_cursor"] is None
    replay.close()


def test_a_query_is_required_by_the_command(receiver: Outside) -> None:
    assert receiver.command("search").exit_code == 2
    assert isinstance(receiver.command("search", "*").exception, InvalidRequest)


SCRIPTS = [
    ("東京", "明日の東京は雨です。", ["東京"]),
    ("chatgpt", "我用ChatGPT写代码", ["ChatGPT"]),
    ("ร้าน", "มีร้านอยู่ที่ไหน", ["ร้าน"]),
    ('"雨です"', "明日の東京は雨です。", ["雨です"]),
    ("京東", "明日の東京は雨です。", None),
]


@pytest.mark.feature("K9")
@pytest.mark.parametrize(("query", "text", "found"), SCRIPTS)
def test_words_are_found_in_scripts_that_do_not_part_them(
    receiver: Outside, query: str, text: str, found: list[str] | None
) -> None:
    trace_id = f"{0x5C41B7 + len(text):032x}"
    one = span(trace_id, 1, attributes={**CHAT, "gen_ai.input.messages": messages(("user", text))})
    receiver.export(Signal.TRACES, traces(one).SerializeToString())
    hits = [hit for hit in over_http(receiver, query)["hits"] if hit["snippet"] == text]
    shown = [[text[start:end] for start, end in hit["highlights"]] for hit in hits]
    assert shown == ([found] if found else [])


WEATHER = json.dumps({"Stadt": "Zürich", "Wetter": "Regen\nmorgen Sonne"})
"""As most tools written in Python answer: in ASCII."""

IN_TEXTS: dict[str, Document] = {
    "what a tool answered": {"role": "tool", "tool_call_id": "c1", "content": WEATHER},
    "what a tool of MCP answered": {
        "role": "tool",
        "parts": [{"type": "text", "content": json.dumps({"content": [{"type": "text", "text": WEATHER}]})}],
    },
    "what a tool was asked": {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"arguments": WEATHER}}]},
    "a text of its own": {"role": "user", "parts": [{"type": "text", "content": WEATHER}]},
}


@pytest.mark.feature("K9")
@pytest.mark.parametrize("case", IN_TEXTS)
def test_words_are_found_in_json_within_a_text(receiver: Outside, case: str) -> None:
    session = f"told {case}"
    attributes = {**CHAT, "session.id": session, "gen_ai.input.messages": json.dumps([{"name": case} | IN_TEXTS[case]])}
    one = span(f"{0x15E0 + [*IN_TEXTS].index(case):032x}", 1, attributes=attributes)
    receiver.export(Signal.TRACES, traces(one).SerializeToString())
    for word in ("Zürich", "morgen"):
        [hit] = over_http(receiver, word, session=session)["hits"]
        assert "Zürich Regen morgen Sonne" in hit["snippet"]


@pytest.mark.slow
@pytest.mark.feature("K9")
def test_a_page_of_hits_in_one_long_trace_that_was_told_twice(receiver: Outside) -> None:
    """Each hit has to be in the latest version of its span; all of the trace was read for each of them."""
    for took in (10, 20):  # an exporter that sends a span when it starts, and again when it ends
        for at in range(1, 4_001, 500):
            spans = [_turn(number, took) for number in range(at, at + 500)]
            receiver.export(Signal.TRACES, traces(*spans).SerializeToString())
    found = eventually(lambda: over_http(receiver, "odyssey", limit=500), lambda found: not found["waiting"])
    assert [hit["snippet"] for hit in found["hits"]] == [f"odyssey {number}" for number in range(4_000, 3_500, -1)]


def _turn(number: int, took: int) -> Span:
    attributes = {**CHAT, "gen_ai.input.messages": messages(("user", f"odyssey {number}"))}
    return span("0d155e" + "0" * 26, number, attributes=attributes, end_time_unix_nano=START + (number + took) * MS)
