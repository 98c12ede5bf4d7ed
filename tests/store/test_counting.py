"""Calls that several spans tell of are counted once, whatever comes first, comes again, or is erased."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.overrides import read_overrides
from otel_replay.genai.prices import Cost, Prices
from otel_replay.model import Usage
from otel_replay.store.base import InteractionFilter, SessionFilter, Statistics, Store
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite import SqliteStore, deciding
from otel_replay.store.sqlite.erasure import Subject
from otel_replay.timeline import counted
from tests.store.requests import CHAT, ERROR, START, TRACE, span, traces, write
from tests.store.test_statistics import EVERYTHING, opened

pytestmark = pytest.mark.feature("X10")

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m1"}
PLAIN = 99
"""The number of a span that is no AI span."""


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened(request.param) as one:
        yield one


def told(number: int, parent: int = 0, tokens: int | None = None, **more: Any) -> Span:
    """AI span ``number``, which starts ``number`` ns after the first; ``attributes`` and fields of Span."""
    attributes = {**CHAT, "session.id": "s1", **more.pop("attributes", {})}
    if tokens is not None:
        attributes |= {"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 1}
    parent_id = parent.to_bytes(8, "big") if parent else b""
    times = {"start": START + number, "end": START + 1000 - number} | more
    return span(number, attributes, parent_span_id=parent_id, **times)


def asked(store: Store, by: str = "model", **filters: Any) -> Statistics:
    """The total."""
    return store.statistics(1, by, InteractionFilter(**filters), limit=9).total


STORY = [
    (told(1, tokens=30, attributes=AGENT), "agents"),
    (told(2, 1, 10, attributes={"gen_ai.response.id": "r1"}), "openinference"),
    (told(3, 2, 10, attributes={"gen_ai.response.id": "r1"}), "openai"),
    (told(4, PLAIN, 20, attributes={"gen_ai.response.id": "r2"}), "openai"),
    (told(5, PLAIN, 20, attributes={"gen_ai.response.id": "r2"}), "openinference"),
]
"""An agent; its call, seen twice; below a plain span another, seen by two side by side. In all 2 calls, 30 tokens."""


@pytest.mark.slow
def test_the_order_of_arrival_does_not_matter() -> None:
    for order in permutations(STORY):
        with opened("sqlite") as store:
            for one, scope in order:
                store.commit(write(traces(one, scope=scope)))
                asked(store)
            assert (asked(store).interactions, asked(store).usage) == (2, Usage(30, 2)), order


@pytest.mark.parametrize("by", ["model", "session", "conversation", "day", "user"])
def test_every_way_to_ask_counts_once(store: Store, by: str) -> None:
    for one, scope in reversed(STORY):
        store.commit(write(traces(one, scope=scope)))
    asked_for: list[dict[str, Any]] = [{}, {"session_id": "s1"}, {"service": "api"}]
    for filters in asked_for:
        table = store.statistics(1, by, InteractionFilter(**filters), limit=9)
        assert [(row.interactions, row.usage) for row in (*table.groups, table.total)] == [(2, Usage(30, 2))] * 2


def test_lists_of_sessions_count_once(store: Store) -> None:
    store.commit(write(traces(told(1, tokens=10, status=ERROR, attributes={"gen_ai.response.id": "r"}))))
    store.commit(write(traces(told(2, 1, 10, status=ERROR, attributes={"gen_ai.response.id": "r"}))))
    store.commit(write(traces(told(3, 1, attributes={"gen_ai.operation.name": "execute_tool"}, status=ERROR))))
    asked(store)
    [session] = store.sessions(1, SessionFilter(), limit=9).sessions
    assert (session.interactions, session.errors, session.tokens) == (1, 2, (10, 1))


def test_a_later_version_is_counted_in_its_place(store: Store) -> None:
    agent = told(1, tokens=30, attributes=AGENT)
    store.commit(write(traces(agent, told(2, 1))))
    assert asked(store).usage == Usage(30, 1)
    store.commit(write(traces(told(2, 1, 7, end=START + 2000))))
    assert asked(store).usage == Usage(7, 1)
    store.commit(write(traces(told(2, 1, 8, end=START + 1500))))
    assert asked(store).usage == Usage(7, 1)


def test_a_response_told_twice_side_by_side(store: Store) -> None:
    """By one instrumentation, once without numbers: only the id says that they are one."""
    response = {"gen_ai.response.id": "r1"}
    store.commit(write(traces(told(1, PLAIN, attributes=response))))
    assert (asked(store).interactions, asked(store).usage) == (1, Usage())
    store.commit(write(traces(told(2, PLAIN, 10, attributes=response))))
    assert (asked(store).interactions, asked(store).usage) == (1, Usage(10, 1))
    store.commit(write(traces(told(3, PLAIN, 10, attributes={"gen_ai.response.id": "r2"}))))
    assert (asked(store).interactions, asked(store).usage) == (2, Usage(20, 2))


ELSEWHERE = "cd" * 16
LOST = (told(6, tokens=20, trace=ELSEWHERE, attributes={"gen_ai.response.id": "r2"}), "litellm")
"""A second telling of the last call of the story, in a trace of its own."""


@pytest.mark.slow
def test_a_call_told_in_a_trace_of_its_own_counts_once_in_whatever_order() -> None:
    for order in permutations([*STORY[2:], LOST]):
        with opened("sqlite") as store:
            for one, scope in order:
                store.commit(write(traces(one, scope=scope)))
                asked(store)
            assert (asked(store).interactions, asked(store).usage) == (2, Usage(30, 2)), order


def test_a_later_version_that_says_otherwise_is_a_call_of_its_own(store: Store) -> None:
    elsewhere = told(2, tokens=10, trace=ELSEWHERE, attributes={"gen_ai.response.id": "r1", "session.id": "s2"})
    store.commit(write(traces(elsewhere, scope="litellm")))
    store.commit(write(traces(told(1, PLAIN, 10, attributes={"gen_ai.response.id": "r1"}), scope="openai")))
    assert [asked(store, session_id=one).interactions for one in ("s1", "s2")] == [1, 0]
    later = told(1, PLAIN, 11, attributes={"gen_ai.response.id": "r1"}, end=START + 2000)
    store.commit(write(traces(later, scope="openai")))
    assert [asked(store, session_id=one).interactions for one in ("s1", "s2")] == [1, 1], "other numbers now"


def test_an_erased_trace_leaves_its_twin(tmp_path: Path) -> None:
    with opened("sqlite") as store:
        assert isinstance(store, SqliteStore)
        twin = told(2, tokens=10, trace=ELSEWHERE, attributes={"gen_ai.response.id": "r1", "session.id": "s2"})
        store.commit(write(traces(told(1, tokens=10, attributes={"gen_ai.response.id": "r1"}), scope="openai")))
        store.commit(write(traces(twin, scope="litellm")))
        assert (asked(store).interactions, asked(store, session_id="s2").interactions) == (1, 0)
        store.privacy.erase(1, Subject("session", "s1"))
        assert (asked(store).usage, asked(store, session_id="s2").interactions) == (Usage(10, 1), 1)


def test_what_very_many_traces_tell_is_no_call_of_theirs(store: Store) -> None:
    """Nine, each by another instrumentation: as long as they are eight they are one."""
    for number in range(1, 10):
        spans = traces(
            told(1, tokens=10, trace=f"{number:032x}", attributes={"gen_ai.response.id": "r"}), scope=f"{number}"
        )
        store.commit(write(spans))
        assert asked(store).interactions == (1 if number <= 8 else 9)


def test_traces_and_projects_are_apart(store: Store) -> None:
    response = {"gen_ai.response.id": "r1"}
    store.commit(write(traces(told(1, tokens=10, attributes=response))))
    store.commit(write(traces(told(1, tokens=10, attributes=response, trace="cd" * 16))))
    store.commit(write(traces(told(2, 1, 10, attributes=response)), project=2))
    assert (asked(store).interactions, asked(store).usage.input) == (2, 20)
    assert store.statistics(2, "model", EVERYTHING, limit=9).total.interactions == 1


def test_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step looks at a few rows that were counted before, and leaves the rest to the next."""
    monkeypatch.setattr(deciding, "SIBLINGS_A_STEP", 1)
    with opened("sqlite") as store:
        for trace in range(1, 6):
            named: dict[str, Any] = {"trace": f"{trace:032x}"}
            store.commit(write(traces(told(1, tokens=30, attributes=AGENT, **named), told(2, 1, 10, **named))))
        asked(store)
        store.commit(
            write(traces(*(told(3, 1, 20, trace=f"{trace:032x}", start=START + 600) for trace in range(1, 6))))
        )
        assert (asked(store).interactions, asked(store).usage.input) == (10, 150)


def test_a_trace_that_becomes_very_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (counted, deciding):
        monkeypatch.setattr(module, "MOST_SPANS", 3)
    for kind in ("memory", "sqlite"):
        with opened(kind) as store:
            found = []
            spans = [told(1, tokens=100, attributes=AGENT), *(told(n, 1, 10) for n in range(2, 7))]
            for one in spans:
                store.commit(write(traces(one)))
                found.append(asked(store).usage.input)
            assert found == [100, 10, 20, 130, 140, 150], kind


def test_what_is_erased_no_longer_stands_for_others(tmp_path: Path) -> None:
    with opened("sqlite") as store:
        assert isinstance(store, SqliteStore)
        store.commit(write(traces(told(1, tokens=30, attributes=AGENT))))
        store.commit(write(traces(told(2, 1, 10, attributes={"session.id": "s2"}))))
        assert asked(store).usage == Usage(10, 1)
        store.privacy.erase(1, Subject("session", "s2"))
        assert asked(store).usage == Usage(30, 1)
        assert asked(store, session_id="s1").usage == Usage(30, 1)
        [session] = store.statistics(1, "session", EVERYTHING, limit=9).groups
        assert (session.group, session.interactions, session.usage) == ("s1", 0, Usage(30, 1))


OWN = Prices(read_overrides([{"model": "m1", "input": 1, "output": 1_000_000}]))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_prices_of_ones_own_are_stored_with_the_call(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "replay.db"
    store: Store = MemoryStore(OWN) if kind == "memory" else SqliteStore(path, prices=OWN)
    store.commit(write(traces(told(1, tokens=10), told(2, tokens=10, attributes={"gen_ai.usage.cost": 0.5}))))
    expected = Decimal("1.00001")
    assert store.costs_of_traces(1, [TRACE]) == {(TRACE, f"{1:016x}"): Cost(str(expected), "override")}
    [session] = store.statistics(1, "model", InteractionFilter(session_id="s1"), limit=9).groups
    assert session.cost_usd == str(expected + Decimal("0.5"))
    assert session.costs_usd == {"reported": "0.5", "override": "1.00001", "computed": "0"}
    store.close()
    if kind == "sqlite":
        with closing(SqliteStore(path)) as again:  # prices changed, costs have not
            assert again.costs_of_traces(1, [TRACE])[TRACE, f"{1:016x}"].usd == str(expected)
