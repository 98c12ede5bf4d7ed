"""Which AI spans count, decided trace by trace after they are stored: by the rules of ``timeline/counted.py``.

A row is stored with what counts of a span that is alone in its trace, which most are. Whoever comes into a trace where
others are, or leaves it, has the whole trace decided again. Part of the follower of roll-ups, in its transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from otel_replay.store.sqlite.rows import KINDS, SOURCES
from otel_replay.timeline.counted import MOST_SPANS, counted
from otel_replay.timeline.relations import AiSpan, times

SIBLINGS_A_STEP = 10_000
"""About so many rows that were counted before are looked at again in one step: 0.1 s."""

_KINDS = {number: kind for kind, number in KINDS.items()}
_REPORTED = SOURCES["reported"]


class Row(NamedTuple):
    """An AI span as roll-ups see it; names are ids of strings."""

    id: int
    project: int
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes | None
    start_unix_nano: int
    end_unix_nano: int
    kind: int
    failed: int
    session_id: bytes | str | None
    conversation_id: bytes | str | None
    model: int
    provider: int
    service: int
    operation: int
    user: int
    feature: int
    variant: int
    request_model: int
    response_model: int
    teller: int
    response_id: int | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_pico_usd: int | None
    cost_source: int
    time_to_first_token_ns: int | None
    counts: int

    @property
    def usage(self) -> tuple[int | None, ...]:
        return self[22:27]


_SAID_OTHERWISE = {"failed": "status = 2", "model": "iif(response_model > 0, response_model, request_model)"}
ROW = ", ".join(_SAID_OTHERWISE.get(name, name) for name in Row._fields)
"""SQL for the columns of :class:`Row`."""

_TOLD_BEFORE = (
    "SELECT came.id FROM interactions AS came WHERE came.id > ?1 AND came.id <= ?2 AND EXISTS (SELECT 1 FROM"
    " interactions AS other WHERE other.project = came.project AND other.trace_id = came.trace_id AND other.id <= ?1)"
)
_OF_TRACE = f"SELECT {ROW} FROM interactions WHERE project = ? AND trace_id = ? AND id <= ? LIMIT {MOST_SPANS + 1}"


Change = tuple[Row, int, bool]
"""A row, what counts of it from now on, and whether that no longer counts instead."""

_Trace = tuple[int, bytes]
"""(project, trace id)."""


class Decisions:
    """One step: rows up to the number ``upto`` are counted, those after it are new."""

    def __init__(self, connection: Any, upto: int) -> None:
        self._connection = connection
        self._upto = upto
        self._before: dict[_Trace, list[Row]] = {}
        self._left = SIBLINGS_A_STEP

    def take(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The first of new rows, as many as one step can decide together with what is counted of their traces."""
        if not rows:
            return rows
        late = {number for (number,) in self._connection.execute(_TOLD_BEFORE, (self._upto, rows[-1].id))}
        for place, row in enumerate(rows):
            if row.id in late and (row.project, row.trace_id) not in self._before:
                if self._left <= 0:
                    return rows[:place]
                self._read((row.project, row.trace_id))
        return rows

    def _read(self, trace: _Trace) -> None:
        found = self._connection.execute(_OF_TRACE, (*trace, self._upto))
        self._before[trace] = [Row._make(row) for row in found]
        self._left -= len(self._before[trace])

    def changes(self, new: Sequence[Row], gone: Sequence[Row]) -> list[Change]:
        """What is counted and what no longer is, with rows that came and rows that went; the rows are told, too."""
        found: list[Change] = [(row, row.counts, True) for row in gone if row.id <= self._upto]
        for trace in {(row.project, row.trace_id) for row, _, _ in found} - self._before.keys():
            self._read(trace)
        came: dict[_Trace, list[Row]] = defaultdict(list)
        for row in new:
            came[row.project, row.trace_id].append(row)
        for trace in self._before.keys() - came.keys():
            found += self._decided(self._before[trace], [])
        for trace, rows in came.items():
            before = self._before.get(trace)
            found += self._decided(before, rows) if before or len(rows) > 1 else [(rows[0], rows[0].counts, False)]
        told = [(bits, row.id) for row, bits, _ in found if bits != row.counts]
        self._connection.executemany("UPDATE interactions SET counts = ? WHERE id = ?", told)
        return found

    def _decided(self, before: Sequence[Row] | None, came: Sequence[Row]) -> list[Change]:
        before = before or ()
        if len(before) > MOST_SPANS:
            return [(row, row.counts, False) for row in came]
        bits = counted(_ai_span(row) for row in (*before, *came))
        changed = [row for row in before if bits[row.span_id] != row.counts]
        found = [(row, row.counts, True) for row in changed]
        return found + [(row, bits[row.span_id], False) for row in (*changed, *came)]


def _ai_span(row: Row) -> AiSpan:
    start, end = times(row.start_unix_nano, row.end_unix_nano)
    return AiSpan(
        span_id=row.span_id,
        parent_span_id=row.parent_span_id or b"",
        start_unix_nano=start,
        end_unix_nano=end,
        kind=_KINDS[row.kind],
        teller=row.teller,
        provider=row.provider,
        response_id=row.response_id,
        usage=row.usage,
        reports_cost=row.cost_source == _REPORTED,
        is_priced=row.cost_source > _REPORTED,
        has_session=row.session_id is not None,
    )
