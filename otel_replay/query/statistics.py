"""Statistics: the JSON of the interface out."""

from __future__ import annotations

from typing import Any

from otel_replay.model import Usage
from otel_replay.store.base import Statistics, StatisticsTable

DEFAULT_GROUPS = 100


def table_dict(by: str, table: StatisticsTable, waiting: int) -> dict[str, Any]:
    """Statistics as JSON; times are strings of nanoseconds, as are the bounds that were counted, or null.

    ::

        {"by": "model", "groups": [{"group", "interactions", "errors", "cost_usd",
                                    "tokens": {"input", "output", "cache_read", "cache_write", "reasoning"},
                                    "latency_ns": {"p50", "p95", "p99"}, "time_to_first_token_ns": {...}}],
         "total": {... without "group"}, "since_unix_nano", "until_unix_nano", "waiting": 0}

    ``waiting`` interactions are stored and not counted yet. What no span said is null.
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
        "latency_ns": _percentiles(row.latency_ns),
        "time_to_first_token_ns": _percentiles(row.time_to_first_token_ns),
    }


def _percentiles(values: tuple[int, int, int] | None) -> dict[str, str] | None:
    return None if values is None else dict(zip(("p50", "p95", "p99"), map(str, values), strict=True))


def _text(unix_nano: int | None) -> str | None:
    return None if unix_nano is None else str(unix_nano)
