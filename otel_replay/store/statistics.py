"""What statistics count and how a question about them is answered, the same in every backend. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from otel_replay.errors import InvalidRequest
from otel_replay.genai.prices import COST_SOURCES, CostSource, usd_text
from otel_replay.model import MAX_UNIX_NANO, Usage
from otel_replay.store.base import STATISTICS_GROUPS, InteractionFilter, Statistics, StatisticsTable, Times
from otel_replay.store.sketch import exact_percentiles
from otel_replay.timeline.counted import CALL, COST, TOKENS

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS

Numbers = tuple[int | None, ...]
"""Of one interaction: input, output, cache read, cache write and reasoning tokens, cost in 1e-12 USD."""

BUSIEST = ("session", "conversation")
"""Groups of which there are as many as calls: those with the most calls are looked up, and their calls looked at."""

_BY_DAY_OF = {name: name for name in ("service", "feature", "provider", "variant")} | {"model": "any_model"}


class Plan(NamedTuple):
    """How a question is answered.

    With ``rolled_up_by`` from roll-ups in that dimension ("" is the one of everything), of group ``name`` or of all;
    the bounds are whole hours or days then. With one of :data:`BUSIEST` from the calls of those groups, with None from
    the interactions themselves.
    """

    rolled_up_by: str | None
    name: str | None
    since_unix_nano: int | None
    until_unix_nano: int | None

    def looks_at_calls_of(self, group: str) -> bool:
        """Whether single interactions are looked at for a group; "" is also the total."""
        return self.rolled_up_by is None or (self.rolled_up_by in BUSIEST and bool(group))


def plan(by: str, wanted: InteractionFilter) -> Plan:
    """Roll-ups answer what asks for no more than one dimension; raises :class:`InvalidRequest` for an unknown one."""
    if by not in STATISTICS_GROUPS:
        raise InvalidRequest(f"statistics by {by[:40]!r}", hint=f"by is one of: {', '.join(STATISTICS_GROUPS)}")
    bounds = (wanted.since_unix_nano, wanted.until_unix_nano)
    asked = {name: value for name, value in wanted._asdict().items() if value is not None and "unix_nano" not in name}
    if by in BUSIEST:
        return Plan(None if asked or bounds != (None, None) else by, None, *bounds)
    if not asked:
        unit = DAY_NS if by in ("day", "user") else HOUR_NS
        return Plan("" if by == "day" else by, None, *_widened(bounds, unit))
    (dimension, name), *more = asked.items()
    if by == "day" and not more and dimension in _BY_DAY_OF:
        return Plan(_BY_DAY_OF[dimension], name, *_widened(bounds, DAY_NS))
    return Plan(None, None, *bounds)


def _widened(bounds: tuple[int | None, int | None], unit: int) -> tuple[int | None, int | None]:
    since, until = bounds
    return (
        None if since is None else since // unit * unit,
        None if until is None else min(-(-until // unit) * unit, MAX_UNIX_NANO),
    )


def counts_other_errors(by: str, wanted: InteractionFilter) -> bool:
    """Whether errors are all those of sessions, and not only of calls: of one session, or in groups of sessions.

    What only calls have cannot be asked of them.
    """
    of_calls = (wanted.conversation_id, wanted.service, wanted.model, wanted.provider, wanted.variant)
    return (by == "session" or wanted.session_id is not None) and all(value is None for value in of_calls)


def with_other_errors(by: str, table: StatisticsTable, of_session: Callable[[str], int], total: int) -> StatisticsTable:
    """The answer with the errors of sessions that are none of calls."""
    groups = table.groups
    if by == "session":
        groups = [line._replace(errors=line.errors + of_session(line.group)) if line.group else line for line in groups]
    return table._replace(groups=groups, total=table.total._replace(errors=table.total.errors + total))


class Counted(NamedTuple):
    """One AI span as statistics see it; ``counts`` says what of it counts, as ``timeline/counted.py`` has the bits."""

    group: str
    counts: int
    failed: bool
    numbers: Numbers
    cost_source: CostSource
    start_unix_nano: int
    end_unix_nano: int
    time_to_first_token_ns: int | None


def exact_table(rows: Iterable[Counted], how: Plan, limit: int) -> StatisticsTable:
    """The answer from single interactions."""
    everything = [row for row in rows if row.counts]
    groups: dict[str, list[Counted]] = defaultdict(list)
    for row in everything:
        groups[row.group].append(row)
    busiest = sorted(groups, key=lambda name: (-sum(row.counts & CALL for row in groups[name]), name))[:limit]
    lines = [exact(name, groups[name], how) for name in busiest]
    return StatisticsTable(lines, exact("", everything, how), how.since_unix_nano, how.until_unix_nano)


def most(lines: Iterable[Statistics], limit: int) -> list[Statistics]:
    """Those with the most interactions, of equals the first by name."""
    return sorted(lines, key=lambda line: (-line.interactions, line.group))[:limit]


def exact(group: str, rows: Sequence[Counted], how: Plan) -> Statistics:
    """A line of the answer."""
    calls = [row for row in rows if row.counts & CALL]
    usages = [row.numbers[:-1] for row in rows if row.counts & TOKENS]
    costs = [(row.cost_source, row.numbers[-1] or 0) for row in rows if row.counts & COST]
    columns = [[number for number in column if number is not None] for column in zip(*usages, strict=True)]
    tokens = [sum(column) if column else None for column in columns] or [None] * 5
    by_source = [sum(cost for source, cost in costs if source == one) for one in COST_SOURCES]
    first_tokens = [row.time_to_first_token_ns for row in calls]
    has_duration = bool(rows) and how.looks_at_calls_of(group)
    return statistics_of(
        group,
        len(calls),
        sum(row.failed for row in calls),
        Usage(*tokens),
        by_source if costs else None,
        exact_times([latency(row.start_unix_nano, row.end_unix_nano) for row in calls]),
        exact_times([time for time in first_tokens if time is not None]),
        latency(min(row.start_unix_nano for row in rows), max(row.end_unix_nano for row in rows))
        if has_duration
        else None,
    )


def exact_times(values: Sequence[int]) -> Times | None:
    percentiles = exact_percentiles(values)
    return Times(*percentiles, sum(values) // len(values)) if percentiles else None


def statistics_of(
    group: str,
    interactions: int,
    errors: int,
    usage: Usage,
    pico_usd: Sequence[int] | None,
    latency_ns: Times | None,
    time_to_first_token_ns: Times | None,
    duration_ns: int | None,
) -> Statistics:
    """A line of the answer; ``pico_usd`` are the costs in the order of :data:`COST_SOURCES`."""
    cost_usd = None if pico_usd is None else usd_text(sum(pico_usd))
    costs_usd = None if pico_usd is None else dict(zip(COST_SOURCES, map(usd_text, pico_usd), strict=True))
    times = (latency_ns, time_to_first_token_ns, duration_ns)
    return Statistics(group, interactions, errors, usage, cost_usd, costs_usd, *times)


def latency(start_unix_nano: int, end_unix_nano: int) -> int:
    """How long a span took; 0 for one that ends before it starts."""
    return max(end_unix_nano - start_unix_nano, 0)


def day_name(unix_nano: int) -> str:
    """The UTC day of a time: ``2026-11-20``."""
    return datetime.fromtimestamp(unix_nano // DAY_NS * 86_400, UTC).date().isoformat()
