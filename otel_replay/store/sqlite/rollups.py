"""Roll-ups: interactions counted by hour, by day and over all time, for each dimension that statistics group by.

A follower counts rows once, in the order of their ids, and takes replaced versions out again. Times are kept as buckets
of a sketch: the newest singly, so that adding them is one statement for all groups, the rest as a histogram.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from otel_replay.store.sketch import Sketch, pack_sample
from otel_replay.store.statistics import HOUR_NS, latency

DIMENSIONS = {
    name: number
    for number, name in enumerate(
        ("", "model", "provider", "service", "operation", "user", "feature", "variant", "any_model")
    )
}
"""As stored. ``model`` is the one that answered, else the one that was asked; ``any_model`` counts under both."""

_USER = DIMENSIONS["user"]

HOUR, DAY, ALL = range(3)
HOURS_A_DAY = 24

LONG_BYTES = 1_024
"""Samples of a roll-up beyond this become its histogram: as many bytes as a histogram usually has."""

LONG_ROWS = f"length(latency_new) > {LONG_BYTES}"

ROW_BYTES = 256
_LEAST_ROWS = 256
_MOST = 2**63 - 1

NUMBERS = ("input", "output", "cache_read", "cache_write", "reasoning", "cost")
COUNTS = ("interactions", "errors", *NUMBERS, *(f"{name}_said" for name in NUMBERS))
SKETCHES = ("latency", "latency_new", "first_token", "first_token_new")
KEY = ("project", "dimension", "level", "start_hour", "name")

_ROW = (
    "id, project, start_unix_nano, end_unix_nano, status = 2, iif(response_model > 0, response_model, request_model),"
    " provider, service, operation, user, feature, variant, request_model, response_model, input_tokens, output_tokens,"
    " cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_pico_usd, time_to_first_token_ns"
)

# Sums stay at the greatest 64-bit integer rather than overflow: SQLite would make them floating-point numbers.
_UPSERT = (
    f"INSERT INTO rollups ({', '.join((*KEY, *COUNTS, 'latency_new', 'first_token_new'))})"
    f" VALUES ({', '.join('?' * (len(KEY) + len(COUNTS) + 2))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = CAST({name} + excluded.{name} AS INTEGER)" for name in COUNTS)
    + ", latency_new = CAST(latency_new || excluded.latency_new AS BLOB),"
    " first_token_new = CAST(first_token_new || excluded.first_token_new AS BLOB)"
)

Key = tuple[int, int, int, int, int]
Added = tuple[Any, ...]
"""What is added to a roll-up: :data:`COUNTS`, then samples of both sketches."""


def _added(row: Sequence[Any], *, removed: bool) -> Added:
    """What one row of :data:`_ROW` adds, or takes away again."""
    numbers = row[14:20]
    first_token = row[20]
    samples = (
        pack_sample(latency(row[2], row[3]), removed=removed),
        b"" if first_token is None else pack_sample(first_token, removed=removed),
    )
    counts = (1, row[4], *[number or 0 for number in numbers], *[number is not None for number in numbers])
    return (*([-count for count in counts] if removed else counts), *samples)


def _summed(parts: Sequence[Added]) -> Added:
    if len(parts) == 1:
        return parts[0]
    *counts, latencies, first_tokens = zip(*parts, strict=True)
    return (*map(sum, counts), b"".join(latencies), b"".join(first_tokens))


class RollupFollower:
    """Counts interactions that were stored; see :class:`~otel_replay.store.sqlite.followers.Follower`."""

    def step(self, connection: Any, budget_bytes: int) -> bool:
        """Counts about ``budget_bytes`` of rows, 256 at least; True when more wait."""
        limit = max(budget_bytes // ROW_BYTES, _LEAST_ROWS)
        counted = connection.execute("SELECT counted FROM rollups_progress").fetchone()[0]
        gone = connection.execute(f"SELECT kind, {_ROW} FROM retracted ORDER BY id LIMIT ?", (limit,)).fetchall()
        query = f"SELECT kind, {_ROW} FROM interactions WHERE id > ? ORDER BY id LIMIT ?"
        new = connection.execute(query, (counted, limit)).fetchall()
        if not gone and not new:
            return False
        rows = [(row[1:], True) for row in gone if row[0] == 0 and row[1] <= counted]
        rows += [(row[1:], False) for row in new if row[0] == 0]
        connection.executemany(_UPSERT, _upserts(rows))
        _fold_long_ones(connection)
        if gone:
            connection.execute("DELETE FROM retracted WHERE id <= ?", (gone[-1][1],))
        if new:
            connection.execute("UPDATE rollups_progress SET counted = ?", (new[-1][1],))
        return max(len(gone), len(new)) == limit

    def waiting(self, connection: Any) -> int:
        return waiting_interactions(connection)


def waiting_interactions(connection: Any, project: int | None = None) -> int:
    """AI spans that are stored and not counted yet; None: of all projects."""
    query = (
        "SELECT (SELECT count(*) FROM interactions WHERE id > counted AND (?1 IS NULL OR project = ?1))"
        " + (SELECT count(*) FROM retracted WHERE ?1 IS NULL OR project = ?1) FROM rollups_progress"
    )
    return int(connection.execute(query, (project,)).fetchone()[0])


def _upserts(rows: Iterable[tuple[Sequence[Any], bool]]) -> Iterator[Added]:
    """What (row, removed) change in every roll-up that they count in, sorted by its key.

    Rows that are equal in all dimensions but the user are added up first: few services call few models, and a row would
    else be added to 26 roll-ups. Of users there are nearly as many as rows.
    """
    alike: dict[Any, list[Added]] = defaultdict(list)
    by_user: dict[tuple[int, int, int], list[Added]] = defaultdict(list)
    for row, removed in rows:
        _, project, start, _, _, model, provider, service, operation, user, feature, variant, asked, answered = row[:14]
        added = _added(row, removed=removed)
        hour = start // HOUR_NS
        alike[project, hour, (0, model, provider, service, operation, -1, feature, variant), asked, answered].append(
            added
        )
        by_user[project, hour // HOURS_A_DAY * HOURS_A_DAY, user].append(added)
    changes = [*_rolled_up(alike)]
    for (project, day, user), parts in by_user.items():
        added = _summed(parts)
        changes += [((project, _USER, DAY, day, user), added), ((project, _USER, ALL, 0, user), added)]
    changes.sort(key=itemgetter(0))
    return ((*key, *_storable(added)) for key, added in changes)


def _rolled_up(alike: Mapping[Any, Sequence[Added]]) -> Iterator[tuple[Key, Added]]:
    sums: dict[Key, list[Added]] = defaultdict(list)
    for (project, hour, names, asked, answered), parts in alike.items():
        places = [(dimension, name) for dimension, name in enumerate(names) if name >= 0]
        places += [(DIMENSIONS["any_model"], name) for name in {asked, answered} - {0}]
        added, day = _summed(parts), hour // HOURS_A_DAY * HOURS_A_DAY
        for dimension, name in places:
            for level, start_hour in ((HOUR, hour), (DAY, day), (ALL, 0)):
                sums[project, dimension, level, start_hour, name].append(added)
    return ((key, _summed(parts)) for key, parts in sums.items())


def _storable(added: Added) -> Added:
    """With counts that fit into 64 bits."""
    counts = added[: len(COUNTS)]
    if min(counts) >= -_MOST and max(counts) <= _MOST:
        return added
    return (*(max(-_MOST, min(count, _MOST)) for count in counts), *added[len(COUNTS) :])


def _fold_long_ones(connection: Any) -> None:
    """Makes long lists of samples histograms."""
    long = f"SELECT {', '.join((*KEY, *SKETCHES))} FROM rollups WHERE {LONG_ROWS}"
    for *key, latencies, new_latencies, first_tokens, new_first_tokens in connection.execute(long).fetchall():
        packed = (_joined(latencies, new_latencies), _joined(first_tokens, new_first_tokens))
        connection.execute(
            "UPDATE rollups SET latency = ?, latency_new = x'', first_token = ?, first_token_new = x''"
            f" WHERE {' AND '.join(f'{name} = ?' for name in KEY)}",
            (*packed, *key),
        )


def _joined(histogram: bytes, samples: bytes) -> bytes:
    sketch = Sketch()
    sketch.add_packed(histogram)
    sketch.add_samples(samples)
    return sketch.pack()
