"""What statistics count and how a question about them is answered, the same in every backend. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from otel_replay.errors import InvalidRequest
from otel_replay.model import MAX_UNIX_NANO, Usage
from otel_replay.store.base import STATISTICS_GROUPS, InteractionFilter, Statistics, StatisticsTable
from otel_replay.store.sketch import exact_percentiles

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
_PICO_USD = 10**12

Numbers = tuple[int | None, ...]
"""Of one interaction: input, output, cache read, cache write and reasoning tokens, cost in 1e-12 USD."""


def cost_pico_usd(cost_usd: str | None) -> int | None:
    """A cost in the unit in which costs are added, 1e-12 USD; at most what 64 bits hold."""
    if cost_usd is None:
        return None
    return min(int((Decimal(cost_usd) * _PICO_USD).to_integral_value()), MAX_UNIX_NANO)


class Plan(NamedTuple):
    """How a question is answered.

    With ``rolled_up_by`` from roll-ups in that dimension ("" is the one of everything), of group ``name`` or of all;
    the bounds are whole hours or days then. With None from the interactions themselves.
    """

    rolled_up_by: str | None
    name: str | None
    since_unix_nano: int | None
    until_unix_nano: int | None


def plan(by: str, wanted: InteractionFilter) -> Plan:
    """Roll-ups answer what asks for no more than one dimension; raises :class:`InvalidRequest` for an unknown one."""
    if by not in STATISTICS_GROUPS:
        raise InvalidRequest(f"statistics by {by[:40]!r}", hint=f"by is one of: {', '.join(STATISTICS_GROUPS)}")
    bounds = (wanted.since_unix_nano, wanted.until_unix_nano)
    asked = {name: value for name, value in wanted._asdict().items() if value is not None and "unix_nano" not in name}
    if not asked:
        unit = DAY_NS if by in ("day", "user") else HOUR_NS
        return Plan("" if by == "day" else by, None, *_widened(bounds, unit))
    (dimension, name), *more = asked.items()
    if by == "day" and not more and dimension in ("service", "feature", "model"):
        return Plan("any_model" if dimension == "model" else dimension, name, *_widened(bounds, DAY_NS))
    return Plan(None, None, *bounds)


def _widened(bounds: tuple[int | None, int | None], unit: int) -> tuple[int | None, int | None]:
    since, until = bounds
    return (
        None if since is None else since // unit * unit,
        None if until is None else min(-(-until // unit) * unit, MAX_UNIX_NANO),
    )


class Counted(NamedTuple):
    """One interaction as statistics see it."""

    group: str
    failed: bool
    numbers: Numbers
    latency_ns: int
    time_to_first_token_ns: int | None


def exact_table(rows: Iterable[Counted], bounds: tuple[int | None, int | None], limit: int) -> StatisticsTable:
    """The answer from single interactions."""
    everything = list(rows)
    groups: dict[str, list[Counted]] = defaultdict(list)
    for row in everything:
        groups[row.group].append(row)
    shown = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))[:limit]
    return StatisticsTable([_exact(*item) for item in shown], _exact("", everything), *bounds)


def _exact(group: str, rows: Sequence[Counted]) -> Statistics:
    columns = list(zip(*(row.numbers for row in rows), strict=True)) or [()] * 6
    said = [[number for number in column if number is not None] for column in columns]
    first_tokens = [row.time_to_first_token_ns for row in rows]
    return statistics_of(
        group,
        len(rows),
        sum(row.failed for row in rows),
        [sum(column) if column else None for column in said],
        exact_percentiles(row.latency_ns for row in rows),
        exact_percentiles(time for time in first_tokens if time is not None),
    )


def statistics_of(
    group: str,
    interactions: int,
    errors: int,
    numbers: Sequence[int | None],
    latency_ns: tuple[int, int, int] | None,
    time_to_first_token_ns: tuple[int, int, int] | None,
) -> Statistics:
    """A line of the answer from sums in the order of :data:`Numbers`."""
    *tokens, cost = numbers
    cost_usd = None if cost is None else format((Decimal(cost) / _PICO_USD).normalize(), "f")
    return Statistics(group, interactions, errors, Usage(*tokens), cost_usd, latency_ns, time_to_first_token_ns)


def latency(start_unix_nano: int, end_unix_nano: int) -> int:
    """How long a span took; 0 for one that ends before it starts."""
    return max(end_unix_nano - start_unix_nano, 0)


def day_name(unix_nano: int) -> str:
    """The UTC day of a time: ``2026-11-20``."""
    return datetime.fromtimestamp(unix_nano // DAY_NS * 86_400, UTC).date().isoformat()
