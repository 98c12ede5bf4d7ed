"""Statistics: what is counted, by what, from roll-ups and from the interactions themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_replay.errors import InvalidRequest
from otel_replay.genai.prices import Cost
from otel_replay.model import AiKind, Signal, Source, Usage
from otel_replay.store.base import (
    STATISTICS_GROUPS,
    InteractionFilter,
    InteractionRow,
    Reader,
    SessionSighting,
    SpanVersion,
    Statistics,
    StatisticsTable,
    Store,
    Times,
    Write,
)
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.rollups import RollupFollower
from otel_replay.store.statistics import DAY_NS, HOUR_NS, Counted, exact_table, plan
from otel_replay.timeline.counted import CALL

MIDNIGHT = 1_763_596_800 * 10**9
EVERYTHING = InteractionFilter()


def call(number: int, *, start: int = MIDNIGHT, took: int = 10**9, length: int = 1, **told: Any) -> InteractionRow:
    """An interaction of span ``number``."""
    defaults: dict[str, Any] = {
        "kind": AiKind.INTERACTION,
        "status": "unset",
        "service": "api",
        "session_id": "",
        "conversation_id": "",
        "user": "",
        "feature": "",
        "variant": "",
        "operation": "chat",
        "provider": None,
        "request_model": "m1",
        "response_model": None,
        "usage": Usage(),
        "cost_usd": None,
        "time_to_first_token_ns": None,
    }
    version = SpanVersion(start + took, length, b"d" * 16)
    return InteractionRow("ab" * 16, f"{number:016x}", version, start, **(defaults | told))


def stored(*rows: InteractionRow, project: int = 1) -> Write:
    sightings = [SessionSighting(row.session_id, row.start_unix_nano, 0) for row in rows if row.session_id]
    edges = frozenset((row.session_id, row.trace_id) for row in rows if row.session_id)
    told: dict[str, Any] = {"interactions": rows, "sessions": sightings, "session_traces": edges}
    return Write(project, Signal.TRACES, Source.SERVER, MIDNIGHT, **told)


class _Counting(SqliteStore):
    """Counts before it answers, so that tests need not wait."""

    def statistics(self, *asked: Any, **how: Any) -> StatisticsTable:
        connection, follower = self._database.conn, RollupFollower()
        while self._writer.run(lambda: follower.step(connection, 0)).result():
            pass
        return super().statistics(*asked, **how)


@contextmanager
def opened(kind: str) -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as directory:
        store: Store = cast(Store, MemoryStore() if kind == "memory" else _Counting(Path(directory) / "replay.db"))
        yield store
        store.close()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with opened(request.param) as one:
        yield one


def asked(reader: Reader, by: str = "model", limit: int = 100, **filters: Any) -> dict[str, Statistics]:
    table = reader.statistics(1, by, InteractionFilter(**filters), limit=limit)
    return {row.group: row for row in table.groups}


def counts(reader: Reader, by: str = "model", **filters: Any) -> dict[str, int]:
    return {group: row.interactions for group, row in asked(reader, by, **filters).items()}


def test_what_is_counted(store: Store) -> None:
    store.commit(
        stored(
            call(1, usage=Usage(10, 3, 1), cost_usd="0.000000000001", status="error", time_to_first_token_ns=7),
            call(2, usage=Usage(2**53, 0), cost_usd="1.5", took=3 * 10**9),
            call(3, kind=AiKind.TOOL, usage=Usage(1000)),
            call(4, request_model=None),
        )
    )
    table = store.statistics(1, "model", EVERYTHING, limit=10)
    said, unsaid = table.groups
    assert (said.group, said.interactions, said.errors) == ("m1", 2, 1)
    assert said.usage == Usage(2**53 + 10, 3, 1, None, None)
    assert said.cost_usd == "1.500000000001"
    assert said.costs_usd == {"reported": "1.500000000001", "override": "0", "computed": "0"}
    assert said.latency_ns == pytest.approx((10**9, 3 * 10**9, 3 * 10**9, 2 * 10**9), rel=0.01)
    assert said.time_to_first_token_ns == (7, 7, 7, 7)
    assert unsaid == Statistics("", 1, 0, Usage(), None, None, unsaid.latency_ns, None, None)
    assert (table.total.interactions, table.total.errors, table.total.cost_usd) == (3, 1, "1.500000000001")
    assert (table.since_unix_nano, table.until_unix_nano) == (None, None)


def test_groups(store: Store) -> None:
    told: dict[str, Any] = {
        "provider": "openai",
        "user": "ada",
        "feature": "chat",
        "variant": "b",
        "session_id": "s1",
        "conversation_id": "c1",
        "response_model": "m1-2026",
    }
    store.commit(stored(call(1, **told), call(2, start=MIDNIGHT + DAY_NS)._replace(trace_id="cd" * 16)))
    expected = {
        "model": {"m1-2026": 1, "m1": 1},
        "provider": {"openai": 1, "": 1},
        "service": {"api": 2},
        "operation": {"chat": 2},
        "user": {"ada": 1, "": 1},
        "feature": {"chat": 1, "": 1},
        "variant": {"b": 1, "": 1},
        "day": {"2025-11-20": 1, "2025-11-21": 1},
        "session": {"s1": 1, "": 1},
        "conversation": {"c1": 1, "": 1},
    }
    assert {by: counts(store, by) for by in STATISTICS_GROUPS} == expected
    with pytest.raises(InvalidRequest, match="statistics by 'color'"):
        store.statistics(1, "color", EVERYTHING, limit=10)


def test_the_most_come_first_and_the_rest_only_in_the_total(store: Store) -> None:
    store.commit(stored(*(call(number, request_model=f"m{number % 3 and 1 + number % 2}") for number in range(9))))
    table = store.statistics(1, "model", EVERYTHING, limit=2)
    assert [row.interactions for row in table.groups] == [3, 3]
    assert [row.group for row in table.groups] == sorted(row.group for row in table.groups)
    assert table.total.interactions == 9


def test_bounds_are_widened_to_what_is_rolled_up(store: Store) -> None:
    hours = (0, 1, 23, 24, 25, 49, 73)
    store.commit(stored(*(call(n, start=MIDNIGHT + hour * HOUR_NS + 5, user="ada") for n, hour in enumerate(hours))))

    def between(since: int | None, until: int | None, by: str = "service", **more: Any) -> tuple[Any, ...]:
        bounds = [None if at is None else MIDNIGHT + at for at in (since, until)]
        table = store.statistics(
            1, by, InteractionFilter(since_unix_nano=bounds[0], until_unix_nano=bounds[1], **more), limit=9
        )
        back = [None if at is None else at - MIDNIGHT for at in (table.since_unix_nano, table.until_unix_nano)]
        return table.total.interactions, *back

    assert between(HOUR_NS + 99, 49 * HOUR_NS + 1) == (5, HOUR_NS, 50 * HOUR_NS)
    assert between(23 * HOUR_NS, None) == (5, 23 * HOUR_NS, None)
    assert between(None, 24 * HOUR_NS) == (3, None, 24 * HOUR_NS)
    assert between(HOUR_NS, 2 * HOUR_NS - 1) == (1, HOUR_NS, 2 * HOUR_NS)
    assert between(HOUR_NS + 99, 30 * HOUR_NS, "user") == (5, 0, 48 * HOUR_NS)
    assert between(25 * HOUR_NS, None, "day") == (4, DAY_NS, None)
    assert between(HOUR_NS + 6, 25 * HOUR_NS + 5, user="ada") == (2, HOUR_NS + 6, 25 * HOUR_NS + 5)
    assert between(2**63 - 1 - MIDNIGHT, 2**63 - 1 - MIDNIGHT) == (
        0,
        (2**63 - 1) // HOUR_NS * HOUR_NS - MIDNIGHT,
        2**63 - 1 - MIDNIGHT,
    )
    assert between(-(2**62), None)[0] == 7


def test_filters(store: Store) -> None:
    store.commit(
        stored(
            call(1, session_id="s1", conversation_id="c1", user="ada", feature="chat", variant="a", provider="openai"),
            call(2, session_id="s1", service="web", response_model="m2", user="bob", variant="b"),
            call(3, session_id="s2", request_model="m2", user="bob", start=MIDNIGHT + DAY_NS, provider="openai"),
        ),
    )
    assert counts(store, session_id="s1") == {"m1": 1, "m2": 1}
    assert counts(store, conversation_id="c1") == {"m1": 1}
    assert counts(store, user="bob") == {"m2": 2}
    assert counts(store, "user", user="bob") == {"bob": 2}
    assert counts(store, "user", model="m1") == {"ada": 1, "bob": 1}
    assert counts(store, "service", feature="chat") == {"api": 1}
    assert counts(store, "variant", provider="openai") == {"a": 1, "": 1}
    assert counts(store, variant="b") == {"m2": 1}
    assert counts(store, "day", model="m1") == {"2025-11-20": 2}
    assert counts(store, "day", model="m2") == {"2025-11-20": 1, "2025-11-21": 1}
    assert counts(store, "day", service="web") == {"2025-11-20": 1}
    assert counts(store, "day", variant="a") == {"2025-11-20": 1}
    assert counts(store, "day", provider="openai") == {"2025-11-20": 1, "2025-11-21": 1}
    assert counts(store, "day", user="bob", since_unix_nano=MIDNIGHT + DAY_NS) == {"2025-11-21": 1}
    assert counts(store, user="nobody") == counts(store, "day", model="none") == counts(store, session_id="") == {}
    assert counts(store, variant="none") == counts(store, provider="none") == {}


def test_sessions_and_conversations(store: Store) -> None:
    """The busiest first; times from their own calls, also where a filter or a period is asked for."""
    store.commit(
        stored(
            *(call(n, session_id="s1", conversation_id=f"c{n % 2}", start=MIDNIGHT + n * HOUR_NS) for n in range(4)),
            call(4, session_id="s2", cost_usd="0.5", status="error"),
            call(5, session_id="s2", kind=AiKind.AGENT, usage=Usage(7, 1)),
            call(6),
            call(7, session_id="s3", kind=AiKind.TOOL, usage=Usage(7, 1)),
        )
    )
    store.commit(stored(call(8, session_id="s9"), project=2))
    table = store.statistics(1, "session", EVERYTHING, limit=9)
    assert [(row.group, row.interactions, row.errors) for row in table.groups] == [
        ("s1", 4, 0),
        ("", 1, 0),
        ("s2", 1, 1),
    ]
    first, loose, second = table.groups
    assert (first.duration_ns, loose.duration_ns, table.total.duration_ns) == (3 * HOUR_NS + 10**9, None, None)
    assert (second.usage, second.cost_usd) == (Usage(7, 1), "0.5")
    assert first.latency_ns == (10**9,) * 4
    assert (table.total.interactions, table.total.usage) == (6, Usage(7, 1))
    assert [row.group for row in store.statistics(1, "session", EVERYTHING, limit=1).groups] == ["s1"]
    assert counts(store, "conversation") == {"c0": 2, "c1": 2, "": 2}
    assert counts(store, "conversation", session_id="s1") == {"c0": 2, "c1": 2}
    assert counts(store, "session", conversation_id="c1") == {"s1": 2}
    assert counts(store, "session", since_unix_nano=MIDNIGHT + HOUR_NS) == {"s1": 3}


def test_where_costs_are_from(store: Store) -> None:
    store.commit(
        stored(
            call(1, cost_usd="1"),
            call(2, cost_usd="0.25", cost_source="override"),
            call(3, cost_usd="0.5", cost_source="computed"),
        )
    )
    unfiltered: dict[str, Any] = {}
    for filters in (unfiltered, {"service": "api"}):
        [row] = asked(store, **filters).values()
        assert row.cost_usd == "1.75"
        assert row.costs_usd == {"reported": "1", "override": "0.25", "computed": "0.5"}
    found = store.costs_of_traces(1, ["ab" * 16, "cd" * 16])
    assert found == {
        ("ab" * 16, f"{2:016x}"): Cost("0.25", "override"),
        ("ab" * 16, f"{3:016x}"): Cost("0.5", "computed"),
    }
    assert store.costs_of_traces(1, []) == store.costs_of_traces(2, ["ab" * 16]) == {}


def test_projects_are_apart(store: Store) -> None:
    store.commit(stored(call(1)))
    store.commit(stored(call(1, request_model="m2"), project=2))
    assert counts(store) == {"m1": 1}
    assert store.statistics(2, "model", EVERYTHING, limit=9).groups[0].group == "m2"


def test_sums_beyond_64_bits_do_not_stop_the_counting(store: Store) -> None:
    store.commit(stored(*(call(number, usage=Usage(2**63 - 1), cost_usd="1e12") for number in range(3))))
    store.commit(stored(*(call(number, usage=Usage(2**63 - 1)) for number in range(3, 5))))
    [row] = store.statistics(1, "model", EVERYTHING, limit=9).groups
    assert row.interactions == 5
    assert row.usage.input is not None
    assert row.usage.input >= 2**63 - 1


CALLS = st.builds(
    lambda number, start, took, length, trace, told: call(
        number, start=MIDNIGHT + start, took=took, length=length, **told
    )._replace(trace_id=trace),
    st.integers(1, 4),
    st.sampled_from([0, HOUR_NS, 5 * HOUR_NS, DAY_NS]),
    st.integers(-5, 10**11),
    st.integers(1, 3),
    st.sampled_from(["ab" * 16, "ab" * 16, "cd" * 16]),
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from([AiKind.INTERACTION, AiKind.INTERACTION, AiKind.TOOL, AiKind.AGENT]),
            "parent_span_id": st.sampled_from(["", "f" * 16, *(f"{number:016x}" for number in range(1, 4))]),
            "response_id": st.sampled_from([None, "r1", "r2"]),
            "scope": st.sampled_from(["", "openai"]),
            "conversation_id": st.sampled_from(["", "c1", "c2"]),
            "provider": st.sampled_from([None, "openai"]),
            "variant": st.sampled_from(["", "b"]),
            "status": st.sampled_from(["ok", "error"]),
            "service": st.sampled_from(["api", "web", ""]),
            "user": st.sampled_from(["", "ada", "bob"]),
            "session_id": st.sampled_from(["", "s1", "0" * 32]),
            "request_model": st.sampled_from([None, "m1", "m2"]),
            "response_model": st.sampled_from([None, "m1", "m2"]),
            "usage": st.builds(Usage, st.none() | st.integers(0, 2**40), st.none() | st.integers(0, 5)),
            "cost_usd": st.sampled_from([None, "0.5", "0.000000000001"]),
            "time_to_first_token_ns": st.none() | st.integers(0, 10**10),
        }
    ),
)
FILTERS = [
    EVERYTHING,
    InteractionFilter(since_unix_nano=MIDNIGHT + 1, until_unix_nano=MIDNIGHT + 2 * HOUR_NS),
    InteractionFilter(model="m1"),
    InteractionFilter(service="web"),
    InteractionFilter(session_id="s1", user="ada"),
    InteractionFilter(provider="openai"),
    InteractionFilter(variant="b"),
]


def _about(row: Statistics) -> Any:
    """Equal to what is equal but for times, which are within 1 %."""
    return (*row[:6], _near(row.latency_ns), _near(row.time_to_first_token_ns), row.duration_ns)


def _near(times: Times | None) -> Any:
    if times is None:
        return None
    mean = pytest.approx(times.mean, rel=0, abs=times.mean * 0.01 + 1)  # one for cutting off what is no whole number
    return (*(pytest.approx(one, rel=0.01, abs=0) for one in times[:3]), mean)


@pytest.mark.slow
@settings(deadline=None)
@given(commits=st.lists(st.lists(CALLS, min_size=1, max_size=4), min_size=1, max_size=6), ask=st.integers(0, 5))
def test_roll_ups_say_what_the_interactions_say(commits: Sequence[Sequence[InteractionRow]], ask: int) -> None:
    """Also when versions of spans replace others that are counted already."""
    with opened("memory") as memory, opened("sqlite") as sqlite:
        for number, rows in enumerate(commits):
            for store in (memory, sqlite):
                store.commit(stored(*rows))
            if number == ask:
                sqlite.statistics(1, "model", EVERYTHING, limit=9)
        for by in STATISTICS_GROUPS:
            for wanted in FILTERS:
                expected, found = (store.statistics(1, by, wanted, limit=9) for store in (memory, sqlite))
                assert [_about(row) for row in (*expected.groups, expected.total)] == [*found.groups, found.total]
                assert expected[2:] == found[2:]


def test_costs_are_added_exactly(store: Store) -> None:
    costs = ["0.1", "0.2", "0.000000000003", "1234567.7"]
    store.commit(stored(*(call(number, cost_usd=cost) for number, cost in enumerate(costs))))
    [row] = store.statistics(1, "model", EVERYTHING, limit=9).groups
    assert row.cost_usd == str(sum(map(Decimal, costs)))


@pytest.mark.slow
def test_long_lists_of_samples_become_histograms() -> None:
    with opened("sqlite") as store:
        for batch in range(4):
            store.commit(stored(*(call(400 * batch + n, took=(400 * batch + n) * 10**6) for n in range(400))))
            store.statistics(1, "model", EVERYTHING, limit=9)
        [row] = store.statistics(1, "model", EVERYTHING, limit=9).groups
        assert row.interactions == 1600
        assert row.latency_ns == pytest.approx([n * 10**6 for n in (799, 1519, 1583, 799.5)], rel=0.01)
        connection = store._database.conn  # type: ignore[attr-defined]
        [(histogram, samples)] = connection.execute(
            "SELECT length(latency), length(latency_new) FROM rollups WHERE dimension = 0 AND level = 2"
        ).fetchall()
        assert 100 < histogram < 2_000
        assert samples <= 1_024


def test_many_calls_of_one_group_are_looked_at_once() -> None:
    """Each with each would take minutes, and fail by the time that a test has."""
    nothing = (None,) * 6
    calls = [Counted("", CALL, False, nothing, "reported", number, number + 5, None) for number in range(100_000)]
    table = exact_table(calls, plan("session", InteractionFilter(user="ada")), limit=10)
    assert (table.total.interactions, table.total.duration_ns) == (100_000, 100_004)
    assert table.groups[0].duration_ns == 100_004
