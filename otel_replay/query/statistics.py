"""Statistics: the JSON of the interface out."""

from __future__ import annotations

from typing import Any

from otel_replay.model import Usage
from otel_replay.store.base import Statistics, StatisticsTable, Times

DEFAULT_GROUPS = 100


def table_dict(by: str, table: StatisticsTable, waiting: int) -> dict[str, Any]:
    """Statistics as JSON; times are strings of nanoseconds, as are the bounds that were counted, or null.

    ::

        {"by": "model", "groups": [{"group", "interactions", "errors",
                                    "tokens": {"input", "output", "cache_read", "cache_write", "reasoning"},
                                    "cost_usd", "costs_usd": {"reported", "override", "computed"},
                                    "latency_ns": {"p50", "p95", "p99", "mean"}, "time_to_first_token_ns": {...},
                                    "duration_ns"}],
         "total": {... without "group"}, "since_unix_nano", "until_unix_nano", "waiting": 0}

    Every call is counted once, whoever tells of it. ``errors`` are calls that failed; by session, and with the filter
    of one, all errors of a session, as lists of sessions count them, unless a filter asks for what only calls have.
    ``costs_usd`` are the parts of ``cost_usd`` by where they are from. ``duration_ns`` is from the first start to the
    last end of the calls, null where roll-ups answer: it is there by session and by conversation, and with the filters
    of these. ``waiting`` interactions are stored and not counted yet. What no span said is null.
    """
    return {
        "by": by,
        "groups": [{"group": row.group, **_row_dict(row)} for row in table.groups],
        "total": _row_dict(table.total),
        "since_unix_nano": _text(table.since_unix_nano),
        "until_unix_nano": _text(table.until_unix_nano),
        "waiting": waiting,
    }


def _row_dict(row: Statistics) -> dict[str, Any]:
    return {
        "interactions": row.interactions,
        "errors": row.errors,
        "tokens": {name: getattr(row.usage, name) for name in Usage.__slots__},
        "cost_usd": row.cost_usd,
        "costs_usd": None if row.costs_usd is None else dict(row.costs_usd),
        "latency_ns": _times(row.latency_ns),
        "time_to_first_token_ns": _times(row.time_to_first_token_ns),
        "duration_ns": _text(row.duration_ns),
    }


def _times(times: Times | None) -> dict[str, str] | None:
    return None if times is None else {name: str(value) for name, value in times._asdict().items()}


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
