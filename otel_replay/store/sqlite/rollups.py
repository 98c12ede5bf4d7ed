"""Roll-ups: interactions counted by hour, by day and over all time, for each dimension that statistics group by.

A follower counts rows once, in the order of their ids, and takes out again what was replaced, deleted, found to belong
to another session, or to tell of a call that is counted already. A roll-up of which nothing is left is deleted. Times
are kept as buckets of a sketch: the newest singly, so that adding them is one statement for all groups, the rest as a
histogram. Sessions and conversations, of which there are nearly as many as calls, only have the number of their calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from otel_replay.genai.prices import COST_SOURCES
from otel_replay.store.sketch import Sketch, pack_sample
from otel_replay.store.sqlite.deciding import ROW, Change, Decisions, Row
from otel_replay.store.sqlite.inheriting import RETOLD_A_STEP, forget_retold, inherit, retold
from otel_replay.store.sqlite.rows import SOURCES
from otel_replay.store.statistics import HOUR_NS, latency
from otel_replay.timeline.counted import CALL, COST, TOKENS

DIMENSIONS = {
    name: number
    for number, name in enumerate(
        (
            *("", "model", "provider", "service", "operation", "user", "feature", "variant", "any_model"),
            *("session", "conversation"),
        )
    )
}
"""As stored. ``model`` is the one that answered, else the one that was asked; ``any_model`` counts under both. Of the
last two only what names none is rolled up, over all time."""

_USER = DIMENSIONS["user"]
_LOOSE = ("session", "conversation")

HOUR, DAY, ALL = range(3)
HOURS_A_DAY = 24

LONG_BYTES = 1_024
"""Samples of a roll-up beyond this become its histogram: as many bytes as a histogram usually has."""

LONG_ROWS = f"length(latency_new) > {LONG_BYTES}"

ROW_BYTES = 256
_LEAST_ROWS = 256
_MOST = 2**63 - 1

NUMBERS = ("input", "output", "cache_read", "cache_write", "reasoning", "cost")
PARTS = COST_SOURCES[1:]
"""Of the cost: what was not reported."""
_OWN, _LISTED = (SOURCES[source] for source in PARTS)

_SAID, _COSTS = tuple(f"{name}_said" for name in NUMBERS), tuple(f"{name}_cost" for name in PARTS)
COUNTS = ("spans", "interactions", "errors", *NUMBERS, *_SAID, *_COSTS)
"""`spans` are all AI spans, whatever counts of them."""

SKETCHES = ("latency", "latency_new", "first_token", "first_token_new")
KEY = ("project", "dimension", "level", "start_hour", "name")
_OF_KEY = " AND ".join(f"{name} = ?" for name in KEY)

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

_NO_USAGE = (None,) * 5


def _added(row: Row, bits: int, *, removed: bool) -> Added:
    """What counts of a row, to be added, or to be taken away again."""
    is_call = bits & CALL
    asked, answered, read, written, reasoning = row.usage if bits & TOKENS else _NO_USAGE
    cost = row.cost_pico_usd if bits & COST else None
    own = cost or 0 if row.cost_source == _OWN else 0
    listed = cost or 0 if row.cost_source == _LISTED else 0
    counts = (
        *(1, is_call, is_call and row.failed),
        *(asked or 0, answered or 0, read or 0, written or 0, reasoning or 0, cost or 0),
        *(asked is not None, answered is not None, read is not None, written is not None, reasoning is not None),
        *(cost is not None, own, listed),
    )
    return (*([-count for count in counts] if removed else counts), *_samples(row, is_call, removed))


def _samples(row: Row, is_call: int, removed: bool) -> tuple[bytes, bytes]:
    if not is_call:
        return b"", b""
    took = pack_sample(latency(row.start_unix_nano, row.end_unix_nano), removed=removed)
    first_token = row.time_to_first_token_ns
    return took, b"" if first_token is None else pack_sample(first_token, removed=removed)


def _summed(parts: Sequence[Added]) -> Added:
    if len(parts) == 1:
        return parts[0]
    *counts, latencies, first_tokens = zip(*parts, strict=True)
    return (*_storable([*map(sum, counts)]), b"".join(latencies), b"".join(first_tokens))


class RollupFollower:
    """Counts interactions that were stored; see :class:`~otel_replay.store.sqlite.followers.Follower`."""

    def step(self, connection: Any, budget_bytes: int) -> bool:
        """Counts about ``budget_bytes`` of rows, 256 at least; True when more wait."""
        limit = max(budget_bytes // ROW_BYTES, _LEAST_ROWS)
        upto = connection.execute("SELECT counted FROM rollups_progress").fetchone()[0]
        gone = _rows(connection, f"SELECT {ROW} FROM retracted ORDER BY id LIMIT ?", limit)
        came = _rows(connection, f"SELECT {ROW} FROM interactions WHERE id > ? ORDER BY id LIMIT ?", upto, limit)
        told_anew = retold(connection)
        if not (gone or came or told_anew):
            return False
        decisions = Decisions(connection, upto)
        new = decisions.take(came)
        moved = inherit(connection, decisions, [*told_anew, *(row.trace for row in gone)])
        _roll_up(connection, [*moved, *decisions.changes(gone)])
        forget_retold(connection, told_anew)
        if gone:
            connection.execute("DELETE FROM retracted WHERE id <= ?", (gone[-1].id,))
        if new:
            connection.execute("UPDATE rollups_progress SET counted = ?", (new[-1].id,))
        return len(new) < len(came) or max(len(gone), len(came)) == limit or len(told_anew) == RETOLD_A_STEP

    def waiting(self, connection: Any) -> int:
        return waiting_interactions(connection)


def _roll_up(connection: Any, changes: Sequence[Change]) -> None:
    upserts = [*_upserts(changes)]
    connection.executemany(_UPSERT, upserts)
    less = [upsert[: len(KEY)] for upsert in upserts if upsert[len(KEY)] < 0]
    connection.executemany(f"DELETE FROM rollups WHERE {_OF_KEY} AND spans <= 0", less)
    _fold_long_ones(connection)
    _count_calls(connection, changes)


def _rows(connection: Any, query: str, *values: int) -> list[Row]:
    return [Row._make(row) for row in connection.execute(query, values)]


def waiting_interactions(connection: Any, project: int | None = None) -> int:
    """AI spans that are not counted yet, and traces whose edges are to be looked at again; None: of all projects."""
    query = (
        "SELECT (SELECT count(*) FROM interactions WHERE id > counted AND (?1 IS NULL OR project = ?1))"
        " + (SELECT count(*) FROM retracted WHERE ?1 IS NULL OR project = ?1)"
        " + (SELECT count(*) FROM retold WHERE ?1 IS NULL OR project = ?1) FROM rollups_progress"
    )
    return int(connection.execute(query, (project,)).fetchone()[0])


def _count_calls(connection: Any, changes: Iterable[Change]) -> None:
    """Sessions and conversations know how many calls they have, and how many AI spans of which anything counts."""
    sums: dict[str, dict[Any, list[int]]] = {column: defaultdict(lambda: [0, 0]) for column in _LOOSE}
    for row, bits, is_removed in changes:
        for named, name in zip(sums.values(), (row.session_id, row.conversation_id), strict=True):
            if bits and name is not None:
                added = named[row.project, name]
                added[0] += -(bits & CALL) if is_removed else bits & CALL
                added[1] += -1 if is_removed else 1
    for column, named in sums.items():
        connection.executemany(
            f"UPDATE {column}s SET calls = calls + ?, counting = counting + ? WHERE project = ? AND {column}_id = ?",
            [(*added, *key) for key, added in named.items() if any(added)],
        )


def _upserts(changes: Iterable[Change]) -> Iterator[Added]:
    """What changes in every roll-up that rows count in, sorted by its key.

    Rows that are equal in all dimensions but the user are added up first: few services call few models, and a row would
    else be added to 26 roll-ups. Of users there are nearly as many as rows.
    """
    alike: dict[Any, list[Added]] = defaultdict(list)
    by_user: dict[tuple[int, int, int], list[Added]] = defaultdict(list)
    for row, bits, is_removed in changes:
        added = _added(row, bits, removed=is_removed)
        hour = row.start_unix_nano // HOUR_NS
        names = (0, row.model, row.provider, row.service, row.operation, -1, row.feature, row.variant)
        loose = (row.session_id is None, row.conversation_id is None)
        alike[row.project, hour, names, row.request_model, row.response_model, loose].append(added)
        by_user[row.project, hour // HOURS_A_DAY * HOURS_A_DAY, row.user].append(added)
    found = [*_rolled_up(alike)]
    for (project, day, user), parts in by_user.items():
        added = _summed(parts)
        found += [((project, _USER, DAY, day, user), added), ((project, _USER, ALL, 0, user), added)]
    found.sort(key=itemgetter(0))
    return ((*key, *added) for key, added in found)


def _rolled_up(alike: Mapping[Any, Sequence[Added]]) -> Iterator[tuple[Key, Added]]:
    sums: dict[Key, list[Added]] = defaultdict(list)
    for (project, hour, names, asked, answered, loose), parts in alike.items():
        places = [(dimension, name) for dimension, name in enumerate(names) if name >= 0]
        places += [(DIMENSIONS["any_model"], name) for name in {asked, answered} - {0}]
        added, day = _summed(parts), hour // HOURS_A_DAY * HOURS_A_DAY
        for dimension, name in places:
            for level, start_hour in ((HOUR, hour), (DAY, day), (ALL, 0)):
                sums[project, dimension, level, start_hour, name].append(added)
        for dimension in (DIMENSIONS[kind] for kind, is_loose in zip(_LOOSE, loose, strict=True) if is_loose):
            sums[project, dimension, ALL, 0, 0].append(added)
    return ((key, _summed(parts)) for key, parts in sums.items())


def _storable(counts: Sequence[int]) -> Sequence[int]:
    """Sums that fit into 64 bits; what one row says always does."""
    if min(counts) >= -_MOST and max(counts) <= _MOST:
        return counts
    return [max(-_MOST, min(count, _MOST)) for count in counts]


def _fold_long_ones(connection: Any) -> None:
    """Makes long lists of samples histograms."""
    long = f"SELECT {', '.join((*KEY, *SKETCHES))} FROM rollups WHERE {LONG_ROWS}"
    for *key, latencies, new_latencies, first_tokens, new_first_tokens in connection.execute(long).fetchall():
        packed = (_joined(latencies, new_latencies), _joined(first_tokens, new_first_tokens))
        connection.execute(
            "UPDATE rollups SET latency = ?, latency_new = x'', first_token = ?, first_token_new = x''"
            f" WHERE {_OF_KEY}",
            (*packed, *key),
        )


def _joined(histogram: bytes, samples: bytes) -> bytes:
    sketch = Sketch()
    sketch.add_packed(histogram)
    sketch.add_samples(samples)
    return sketch.pack()
