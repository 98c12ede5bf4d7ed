"""Statistics: out of roll-ups, or out of the interactions themselves when few are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from otel_replay.errors import InvalidRequest
from otel_replay.store.base import InteractionFilter, Statistics, StatisticsTable
from otel_replay.store.sketch import Sketch
from otel_replay.store.sqlite.identifiers import find_string, pack_id, texts_of
from otel_replay.store.sqlite.queries import Queries
from otel_replay.store.sqlite.rollups import ALL, COUNTS, DAY, DIMENSIONS, HOUR, HOURS_A_DAY, NUMBERS, SKETCHES
from otel_replay.store.statistics import (
    HOUR_NS,
    Counted,
    Plan,
    day_name,
    exact_table,
    latency,
    plan,
    statistics_of,
)

MOST_ROWS = 50_000
"""Interactions that are read one by one for an answer: as many take about 150 ms."""

_GROUPS = {
    "model": "iif(response_model > 0, response_model, request_model)",
    "day": "start_unix_nano",
} | {name: name for name in ("provider", "service", "operation", "user", "feature", "variant")}
_VALUES = (
    "status = 2, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_pico_usd,"
    " start_unix_nano, end_unix_nano, time_to_first_token_ns"
)


class StatisticsQueries(Queries):
    """What interactions cost and how long they took, in groups."""

    def statistics(self, project: int, by: str, wanted: InteractionFilter, *, limit: int) -> StatisticsTable:
        how = plan(by, wanted)
        with self._connections.snapshot() as connection:
            if how.rolled_up_by is None:
                return _from_rows(connection, project, by, wanted, limit)
            return _RolledUp(connection, project, how, by_day=by == "day").table(limit)


class _Part(NamedTuple):
    """Roll-ups of one level, from a start to before another."""

    level: int
    from_hour: int
    to_hour: int


_EVER = 2**62


def _parts(since_unix_nano: int | None, until_unix_nano: int | None, *, only_days: bool) -> list[_Part]:
    """The fewest roll-ups that cover a time: hours, whole days between them, hours; or all there is."""
    if since_unix_nano is None and until_unix_nano is None and not only_days:
        return [_Part(ALL, 0, 1)]
    start = 0 if since_unix_nano is None else since_unix_nano // HOUR_NS
    end = _EVER if until_unix_nano is None else -(-until_unix_nano // HOUR_NS)
    first_day = -(-start // HOURS_A_DAY) * HOURS_A_DAY
    last_day = max(end // HOURS_A_DAY * HOURS_A_DAY, first_day)
    if first_day >= end:
        return [_Part(HOUR, start, end)]
    parts = [_Part(HOUR, start, first_day), _Part(DAY, first_day, last_day), _Part(HOUR, last_day, end)]
    return [part for part in parts if part.from_hour < part.to_hour]


class _RolledUp:
    """One answer from roll-ups of one dimension."""

    def __init__(self, connection: Any, project: int, how: Plan, *, by_day: bool) -> None:
        self._connection = connection
        self._how = how
        self._by_day = by_day
        self._group = "start_hour" if by_day else "name"
        self._project = project
        self._dimension = DIMENSIONS[how.rolled_up_by or ""]
        # -1 is no string's id: 0 would be the interactions that name none.
        self._name = None if how.name is None else find_string(connection, project, how.name) or -1
        days = by_day or how.rolled_up_by == "user"
        self._parts = _parts(
            how.since_unix_nano,
            how.until_unix_nano,
            only_days=by_day,
        )
        if days:  # whole days, of which the last may be cut off by the greatest time there is
            self._parts = [part._replace(level=DAY) if part.level == HOUR else part for part in self._parts]

    def table(self, limit: int) -> StatisticsTable:
        shown = self._most(limit)
        groups = self._sums(self._dimension, self._group, f"{self._group} IN ({', '.join(map(str, shown))})")
        names = self._names(shown)
        rows = [_statistics(names[group], found) for group, found in groups.items()]
        rows.sort(key=lambda row: (-row.interactions, row.group))
        only = "1" if self._how.name is not None else "name = 0"
        total_of = self._dimension if self._how.name is not None else DIMENSIONS[""]
        total = self._sums(total_of, "0", only).get(0, [])
        return StatisticsTable(rows, _statistics("", total), self._how.since_unix_nano, self._how.until_unix_nano)

    def _names(self, groups: Iterable[int]) -> dict[int, str]:
        if self._by_day:
            return {hour: day_name(hour * HOUR_NS) for hour in groups}
        return texts_of(self._connection, groups)

    def _most(self, limit: int) -> list[int]:
        """The groups with the most interactions; of equally many those that came first."""
        union, values = self._union(f"{self._group} AS grouped, interactions", self._dimension, "1")
        query = (
            f"SELECT grouped FROM ({union}) GROUP BY grouped HAVING sum(interactions) > 0"
            " ORDER BY sum(interactions) DESC, grouped LIMIT ?"
        )
        return [row[0] for row in self._connection.execute(query, (*values, limit))]

    def _sums(self, dimension: int, group: str, condition: str) -> dict[int, list[Any]]:
        """The roll-ups of each group."""
        union, values = self._union(f"{group}, {', '.join((*COUNTS, *SKETCHES))}", dimension, condition)
        groups: dict[int, list[Any]] = defaultdict(list)
        for key, *row in self._connection.execute(union, values):
            groups[key].append(row)
        return groups

    def _union(self, columns: str, dimension: int, condition: str) -> tuple[str, list[Any]]:
        where = f"project = ? AND dimension = ? AND level = ? AND start_hour >= ? AND start_hour < ? AND {condition}"
        values: list[Any] = []
        if self._name is not None:
            where += " AND name = ?"
        for part in self._parts:
            values += [self._project, dimension, *part]
            values += [] if self._name is None else [self._name]
        one = f"SELECT {columns} FROM rollups WHERE {where}"
        return " UNION ALL ".join([one] * len(self._parts)), values


def _statistics(group: str, rollups: Sequence[Any]) -> Statistics:
    """A line of the answer from the roll-ups of its group."""
    counts = [sum(column) for column in zip(*(row[: len(COUNTS)] for row in rollups), strict=True)] or [0] * len(COUNTS)
    interactions, errors, *sums = counts
    numbers = [total if said else None for total, said in zip(sums, sums[len(NUMBERS) :], strict=False)]
    latencies, first_tokens = Sketch(), Sketch()
    for row in rollups:
        for place, sketch in ((0, latencies), (2, first_tokens)):
            packed, samples = row[len(COUNTS) + place :][:2]
            sketch.add_packed(packed)
            sketch.add_samples(samples)
    return statistics_of(group, interactions, errors, numbers, latencies.percentiles(), first_tokens.percentiles())


def _from_rows(connection: Any, project: int, by: str, wanted: InteractionFilter, limit: int) -> StatisticsTable:
    where, values = _conditions(connection, project, wanted)
    query = f"SELECT {_GROUPS[by]}, {_VALUES} FROM interactions WHERE {where} AND kind = 0 LIMIT ?"
    rows = connection.execute(query, (*values, MOST_ROWS + 1)).fetchall()
    if len(rows) > MOST_ROWS:
        raise InvalidRequest(
            f"more than {MOST_ROWS} interactions to look at one by one",
            hint="narrow since and until, or ask with one filter by day, or with none",
        )
    names = None if by == "day" else texts_of(connection, {row[0] for row in rows})
    counted = [
        Counted(names[group] if names else day_name(group), bool(failed), tuple(numbers), latency(start, end), first)
        for group, failed, *numbers, start, end, first in rows
    ]
    return exact_table(counted, (wanted.since_unix_nano, wanted.until_unix_nano), limit)


def _conditions(connection: Any, project: int, wanted: InteractionFilter) -> tuple[str, list[Any]]:
    clauses, values = ["project = ?"], [project]

    def add(clause: str, *given: Any) -> None:
        clauses.append(clause)
        values.extend(given)

    if wanted.session_id is not None:
        add("session_id = ?", pack_id(wanted.session_id))
    if wanted.conversation_id is not None:
        add("conversation_id = ?", pack_id(wanted.conversation_id))
    for name, text in (("user", wanted.user), ("feature", wanted.feature), ("service", wanted.service)):
        if text is not None:
            add(f"{name} = ? AND {name} > 0", find_string(connection, project, text))
    if wanted.model is not None:
        model = find_string(connection, project, wanted.model)
        add("? IN (request_model, response_model) AND ? > 0", model, model)
    if wanted.label is not None:
        of_session = "SELECT 1 FROM sessions WHERE project = ? AND session_id = interactions.session_id AND label = ?"
        add(f"EXISTS ({of_session} AND label > 0)", project, find_string(connection, project, wanted.label))
    if wanted.since_unix_nano is not None:
        add("start_unix_nano >= ?", wanted.since_unix_nano)
    if wanted.until_unix_nano is not None:
        add("start_unix_nano < ?", wanted.until_unix_nano)
    return " AND ".join(clauses), values
