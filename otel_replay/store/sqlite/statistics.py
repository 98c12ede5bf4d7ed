"""Statistics: out of roll-ups, or out of the interactions themselves when few are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from otel_replay.errors import InvalidRequest
from otel_replay.genai.prices import COST_SOURCES, Cost, usd_text
from otel_replay.model import Usage
from otel_replay.store.base import InteractionFilter, Statistics, StatisticsTable, Times
from otel_replay.store.sketch import Sketch
from otel_replay.store.sqlite.errors import OtherErrors
from otel_replay.store.sqlite.identifiers import ID_TEXT, find_string, pack_id, texts_of
from otel_replay.store.sqlite.queries import Queries
from otel_replay.store.sqlite.rollups import ALL, COUNTS, DAY, DIMENSIONS, HOUR, HOURS_A_DAY, NUMBERS, PARTS, SKETCHES
from otel_replay.store.statistics import (
    BUSIEST,
    HOUR_NS,
    Counted,
    Plan,
    counts_other_errors,
    day_name,
    exact,
    exact_table,
    most,
    plan,
    statistics_of,
    with_other_errors,
)

MOST_ROWS = 50_000
"""Interactions that are read one by one for an answer: as many take about 150 ms."""

_GROUPS = (
    {"model": "iif(response_model > 0, response_model, request_model)", "day": "start_unix_nano"}
    | {name: name for name in ("provider", "service", "operation", "user", "feature", "variant")}
    | {name: f"coalesce({ID_TEXT.format(f'{name}_id')}, '')" for name in BUSIEST}
)
_VALUES = (
    "counts, status = 2, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens,"
    " cost_pico_usd, cost_source, start_unix_nano, end_unix_nano, time_to_first_token_ns"
)
_TRACES_AT_ONCE = 500
_COUNTING = " + ".join(f"{name}_said" for name in NUMBERS)
"""Of a roll-up: zero when nothing but calls counts."""


class StatisticsQueries(Queries):
    """What interactions cost and how long they took, in groups."""

    def statistics(self, project: int, by: str, wanted: InteractionFilter, *, limit: int) -> StatisticsTable:
        with self._connections.snapshot() as connection:
            table = _table(connection, project, by, wanted, limit)
            if not counts_other_errors(by, wanted):
                return table
            errors = OtherErrors(connection, project, wanted)
            return with_other_errors(by, table, errors.of_session, errors.total())

    def costs_of_traces(self, project: int, trace_ids: Iterable[str]) -> dict[tuple[str, str], Cost]:
        packed = [bytes.fromhex(trace_id) for trace_id in trace_ids]
        rows: list[Any] = []
        with self._connections.snapshot() as connection:
            for at in range(0, len(packed), _TRACES_AT_ONCE):
                part = packed[at : at + _TRACES_AT_ONCE]
                where = f"project = ? AND trace_id IN ({', '.join('?' * len(part))}) AND cost_source > 1"
                query = f"SELECT trace_id, span_id, cost_pico_usd, cost_source FROM interactions WHERE {where}"
                rows += connection.execute(query, (project, *part))
        return {
            (trace.hex(), span.hex()): Cost(usd_text(cost), COST_SOURCES[source - 1])
            for trace, span, cost, source in rows
        }


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


class RolledUp:
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
        columns = f"{self._group} AS grouped, interactions, {_COUNTING} AS counting"
        union, values = self._union(columns, self._dimension, "1")
        query = (
            f"SELECT grouped FROM ({union}) GROUP BY grouped HAVING sum(interactions) > 0 OR sum(counting) > 0"
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
    found = dict(zip(COUNTS, counts, strict=True))
    *tokens, cost = (found[name] if found[f"{name}_said"] else None for name in NUMBERS)
    parts = [found[f"{name}_cost"] for name in PARTS]
    latencies, first_tokens = Sketch(), Sketch()
    for row in rollups:
        for place, sketch in ((0, latencies), (2, first_tokens)):
            packed, samples = row[len(COUNTS) + place :][:2]
            sketch.add_packed(packed)
            sketch.add_samples(samples)
    return statistics_of(
        group,
        found["interactions"],
        found["errors"],
        Usage(*tokens),
        None if cost is None else [max(cost - sum(parts), 0), *parts],
        _times(latencies),
        _times(first_tokens),
        None,
    )


def _times(sketch: Sketch) -> Times | None:
    percentiles, mean = sketch.percentiles(), sketch.mean()
    return None if percentiles is None or mean is None else Times(*percentiles, mean)


def _table(connection: Any, project: int, by: str, wanted: InteractionFilter, limit: int) -> StatisticsTable:
    how = plan(by, wanted)
    if how.rolled_up_by is None:
        return _from_rows(connection, project, by, wanted, limit)
    if how.rolled_up_by in BUSIEST:
        return _busiest(connection, project, how, limit)
    return RolledUp(connection, project, how, by_day=by == "day").table(limit)


def _busiest(connection: Any, project: int, how: Plan, limit: int) -> StatisticsTable:
    """The sessions or conversations with the most calls, from these calls; the rest of the table is rolled up."""
    kind = how.rolled_up_by
    query = f"SELECT {kind}_id, counting FROM {kind}s WHERE project = ? AND counting > 0 ORDER BY calls DESC LIMIT ?"
    found = connection.execute(query, (project, limit)).fetchall()
    if sum(counting for _, counting in found) > MOST_ROWS:
        raise _too_many("narrow since and until, or ask for fewer groups")
    where = f"project = ? AND {kind}_id IN ({', '.join('?' * len(found))}) AND counts > 0"
    query = f"SELECT {_GROUPS[str(kind)]}, {_VALUES} FROM interactions WHERE {where}"
    groups: dict[str, list[Counted]] = defaultdict(list)
    for group, *values in connection.execute(query, (project, *(one for one, _ in found))):
        groups[group].append(_counted(group, values))
    lines = [exact(group, rows, how) for group, rows in groups.items()]
    loose, total = (_rolled_up_ever(connection, project, DIMENSIONS[name]) for name in (str(kind), ""))
    if loose != _statistics("", []):
        lines.append(loose)
    return StatisticsTable(most(lines, limit), total, None, None)


def _rolled_up_ever(connection: Any, project: int, dimension: int) -> Statistics:
    """What names nothing in a dimension, over all time."""
    where = "project = ? AND dimension = ? AND level = ? AND start_hour = 0 AND name = 0"
    query = f"SELECT {', '.join((*COUNTS, *SKETCHES))} FROM rollups WHERE {where}"
    return _statistics("", connection.execute(query, (project, dimension, ALL)).fetchall())


def _from_rows(connection: Any, project: int, by: str, wanted: InteractionFilter, limit: int) -> StatisticsTable:
    where, values = conditions_of(connection, project, wanted)
    query = f"SELECT {_GROUPS[by]}, {_VALUES} FROM interactions WHERE {where} AND counts > 0 LIMIT ?"
    rows = connection.execute(query, (*values, MOST_ROWS + 1)).fetchall()
    if len(rows) > MOST_ROWS:
        raise _too_many("narrow since and until, or ask with one filter by day, or with none")
    name_of: Callable[[Any], str] = str if by in BUSIEST else day_name
    if by not in BUSIEST and by != "day":
        name_of = texts_of(connection, {row[0] for row in rows}).__getitem__
    counted = [_counted(name_of(group), values) for group, *values in rows]
    return exact_table(counted, plan(by, wanted), limit)


def _counted(group: str, values: Sequence[Any]) -> Counted:
    """Of the columns :data:`_VALUES`."""
    counts, failed, *numbers, source, start, end, first_token = values
    return Counted(group, counts, bool(failed), tuple(numbers), COST_SOURCES[source - 1], start, end, first_token)


def _too_many(hint: str) -> InvalidRequest:
    return InvalidRequest(f"more than {MOST_ROWS} interactions to look at one by one", hint=hint)


def conditions_of(connection: Any, project: int, wanted: InteractionFilter) -> tuple[str, list[Any]]:
    clauses, values = ["project = ?"], [project]

    def add(clause: str, *given: Any) -> None:
        clauses.append(clause)
        values.extend(given)

    if wanted.session_id is not None:
        add("session_id = ?", pack_id(wanted.session_id))
    if wanted.conversation_id is not None:
        add("conversation_id = ?", pack_id(wanted.conversation_id))
    for name in ("user", "feature", "service", "provider", "variant"):
        text = getattr(wanted, name)
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
