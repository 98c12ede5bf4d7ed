"""Statistics and lists of sessions, asked for in every way there is: the same answer each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import otel_replay
from otel_replay._pb.v1.replay_pb2 import ListSessionsRequest
from otel_replay.errors import InvalidRequest
from otel_replay.genai.prices import Prices, usd_text
from otel_replay.model import Signal, Usage
from tests.outside.outside import PROBLEM, Outside, answered, command
from tests.outside.telemetry import CHAT, MS, span, traces

Document = dict[str, Any]
Ask = Callable[..., Document]

HOUR = 3600 * 10**9
NOON = 1_763_640_000 * 10**9
FAILED = Status(code=Status.STATUS_CODE_ERROR)


@pytest.fixture(scope="module")
def calls(receiver: Outside) -> None:
    """Six calls, an hour apart from noon on: two sessions, two models, one failure; one costs something."""
    for number in range(6):
        said = {
            "session.id": f"visit {number % 2}",
            "gen_ai.conversation.id": f"talk {number % 3}",
            "user.id": ("ada", "bob")[number // 3],
            "feature": "help",
            "gen_ai.response.model": ("m1", "m2")[number % 2],
            "gen_ai.response.time_to_first_chunk": 0.25,
        }
        start = NOON + number * HOUR
        one = span(
            f"{0x57A75 + number:032x}",
            1,
            attributes={**CHAT, **said},
            start_time_unix_nano=start,
            end_time_unix_nano=start + (number + 1) * 100 * MS,
            status=FAILED if number == 5 else None,
        )
        receiver.export(Signal.TRACES, traces(one, service="shop").SerializeToString())
    receiver.document("/api/v1/stats", wait="10s")


def _named(filters: Document) -> Document:
    """As Python names them."""
    names = {"since": "since_unix_nano", "until": "until_unix_nano", "session": "session_id", "q": "text"}
    names |= {"conversation": "conversation_id"}
    return {names.get(name, name): value for name, value in filters.items()}


def ways(receiver: Outside, question: str) -> dict[str, Ask]:
    """Ways to ask ``stats`` or ``sessions``, with filters named as over HTTP; times in nanoseconds."""

    def http(**filters: Any) -> Document:
        texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in filters.items()}
        return receiver.document(f"/api/v1/{question}", **texts)

    def python(target: str | Path) -> Ask:
        def ask(**filters: Any) -> Document:
            replay = otel_replay.open(target)
            try:
                return json.loads(json.dumps(getattr(replay, question)(**_named(filters))))  # type: ignore[no-any-return]
            finally:
                replay.close()

        return ask

    def grpc(**filters: Any) -> Document:
        answer = receiver.replay_service.ListSessions(ListSessionsRequest(**_named(filters)))
        found: Document = json.loads(answer.sessions_json)
        return found

    def cli(ask: Callable[..., Any]) -> Ask:
        def run(**filters: Any) -> Document:
            options: list[str] = []
            for name, value in filters.items():
                if isinstance(value, bool):
                    options.append("--has-error" if value else "--has-error=false")
                else:
                    options += [f"--{'text' if name == 'q' else name}", str(value)]
            return answered(ask(question, "--format", "json", *options))  # type: ignore[no-any-return]

        return run

    def with_url(*arguments: str) -> Any:
        return command(*arguments, "--url", receiver.url)

    return {
        "http": http,
        "file": python(receiver.database),
        "url": python(receiver.url),
        "cli on the file": cli(receiver.command),
        "cli on the url": cli(with_url),
        **({"grpc": grpc} if question == "sessions" else {}),
    }


def everywhere(receiver: Outside, question: str, **filters: Any) -> Document:
    """The one answer of all ways."""
    found = {name: ask(**filters) for name, ask in ways(receiver, question).items()}
    assert all(one == found["http"] for one in found.values()), found
    return found["http"]


def counts(table: Document) -> dict[str, int]:
    return {row["group"]: row["interactions"] for row in table["groups"]}


def test_the_whole_document(receiver: Outside, calls: None) -> None:
    table = everywhere(receiver, "stats", by="model")
    first, second = table["groups"]
    assert table["by"] == "model"
    assert (table["since_unix_nano"], table["until_unix_nano"], table["waiting"]) == (None, None, 0)
    assert (first["group"], first["interactions"], first["errors"]) == ("m1", 3, 0)
    assert (second["group"], second["interactions"], second["errors"]) == ("m2", 3, 1)
    assert first["tokens"] == {"input": 36, "output": 102, "cache_read": None, "cache_write": None, "reasoning": None}
    computed = Prices().cost("openai", "m1", str(CHAT["gen_ai.request.model"]), Usage(36, 102), NOON)
    assert first["cost_usd"] == (usd_text(computed.pico_usd) if computed else None)
    assert [int(first["latency_ns"][name]) for name in ("p50", "p95", "p99", "mean")] == pytest.approx(
        [300 * MS, 500 * MS, 500 * MS, 300 * MS], rel=0.01
    )
    assert set(table["total"]) == set(first) - {"group"}
    assert table["total"]["interactions"] == 6


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"by": "service"}, {"shop": 6}),
        ({"by": "user"}, {"ada": 3, "bob": 3}),
        ({"by": "feature", "limit": 1}, {"help": 6}),
        ({"by": "variant"}, {"": 6}),
        ({"by": "day"}, {"2025-11-20": 6}),
        ({"by": "session"}, {"visit 0": 3, "visit 1": 3}),
        ({"by": "conversation"}, {"talk 0": 2, "talk 1": 2, "talk 2": 2}),
        ({"by": "conversation", "session": "visit 1"}, {"talk 0": 1, "talk 1": 1, "talk 2": 1}),
        ({"by": "provider", "since": NOON + HOUR, "until": NOON + 2 * HOUR + 1}, {"openai": 2}),
        ({"by": "model", "session": "visit 1"}, {"m2": 3}),
        ({"by": "model", "conversation": "talk 0"}, {"m1": 1, "m2": 1}),
        ({"by": "model", "user": "ada"}, {"m1": 2, "m2": 1}),
        ({"by": "user", "model": "m1", "service": "shop"}, {"ada": 2, "bob": 1}),
        ({"by": "day", "model": "m2"}, {"2025-11-20": 3}),
        ({"by": "user", "provider": "openai"}, {"ada": 3, "bob": 3}),
        ({"by": "model", "provider": "none"}, {}),
        ({"by": "model", "variant": "b"}, {}),
        ({"by": "operation", "feature": "help", "label": "none"}, {}),
    ],
)
def test_groups_and_filters(receiver: Outside, calls: None, filters: Document, expected: dict[str, int]) -> None:
    assert counts(everywhere(receiver, "stats", **filters)) == expected


def test_bounds_are_told_as_they_were_counted(receiver: Outside, calls: None) -> None:
    table = everywhere(receiver, "stats", by="model", since=NOON + 1, until=NOON + HOUR + 1)
    assert (table["since_unix_nano"], table["until_unix_nano"]) == (str(NOON), str(NOON + 2 * HOUR))
    assert table["total"]["interactions"] == 2


def test_statistics_as_text(receiver: Outside, calls: None) -> None:
    text = receiver.command("stats", "--by", "user").stdout
    head, *rows = text.splitlines()
    assert head.split()[:3] == ["user", "calls", "errors"]
    assert [row.split()[:3] for row in rows] == [["ada", "3", "0"], ["bob", "3", "1"], ["all", "6", "1"]]
    assert receiver.command("stats", "--user", "nobody").stdout == "no model calls\n"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"by": "color"}, "by is one of: model, provider"),
        ({"limit": "0"}, "limit is 0"),
        ({"wait": "11s"}, "wait for 0s to 10s"),
        ({"wait": "5"}, "is not a duration"),
        ({"trace": "x"}, "unknown parameter 'trace'"),
        ({"since": "soon"}, "is not a time"),
    ],
)
def test_wrong_statistics(receiver: Outside, parameters: Document, words: str) -> None:
    answer = receiver.get("/api/v1/stats", **parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert words in answer.json()["detail"]


def test_texts_of_any_kind_only_find_nothing(receiver: Outside, calls: None) -> None:
    for text in ("\0", "' OR 1=1 --", "x" * 100_000, "\ud800"):
        replay = otel_replay.open(receiver.database)
        assert replay.stats(user=text)["groups"] == []
        assert replay.sessions(model=text)["sessions"] == []
        replay.close()
    with pytest.raises(InvalidRequest, match="by is one of"):
        otel_replay.open(receiver.database).stats(by="\ud800")


# Lists of sessions


@pytest.mark.feature("K8")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"service": "shop"}, ["visit 1", "visit 0"]),
        ({"service": "none"}, []),
        ({"model": "m1"}, ["visit 0"]),
        ({"model": CHAT["gen_ai.request.model"]}, ["visit 1", "visit 0"]),
        ({"has_error": True}, ["visit 1"]),
        ({"has_error": False}, ["visit 0"]),
        ({"state": "active", "service": "shop"}, ["visit 1", "visit 0"]),
        ({"state": "ended"}, []),
        ({"q": "nobody said so"}, []),
        ({"limit": 1, "page": 2}, ["visit 0"]),
        ({"limit": 1, "page": 3}, []),
    ],
)
def test_sessions_by_what_their_calls_are(
    receiver: Outside, calls: None, filters: Document, expected: list[str]
) -> None:
    found = everywhere(receiver, "sessions", **filters)
    assert [one["session_id"] for one in found["sessions"]] == expected
    assert found["total"] == (2 if "page" in filters else len(expected))
    assert found["total_at_least"] is False


@pytest.mark.feature("K8")
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"state": "gone"}, "ask for active, paused, ended"),
        ({"has_error": "maybe"}, "neither true nor false"),
        ({"page": "0"}, "page is 0"),
        ({"page": "201"}, "1 to 200"),
        ({"page": "1", "cursor": "WzEsICJ4Il0="}, "give one of them"),
    ],
)
def test_wrong_lists(receiver: Outside, parameters: Document, words: str) -> None:
    answer = receiver.get("/api/v1/sessions", **parameters)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]
