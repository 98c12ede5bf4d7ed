"""Which AI spans count, decided trace by trace after they are stored: by the rules of ``timeline/counted.py``.

A row is stored with what counts of a span that is alone in its trace, which most are. Whoever comes into a trace where
others are, or leaves it, has the whole trace decided again, with the few others that tell of one call with it
(``timeline/twins.py``). Part of the follower of roll-ups, in its transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from otel_replay.model import AiKind
from otel_replay.store.sqlite.rows import KINDS, SOURCES
from otel_replay.timeline.counted import MOST_SPANS, counted
from otel_replay.timeline.relations import MOMENT_NS, NEAR, SUMMING_UP, AiSpan, SpanId, are_twins, times
from otel_replay.timeline.twins import MOST_TRACES, counted_in

SIBLINGS_A_STEP = 10_000
"""About so many rows that were counted before are looked at again in one step: 0.1 s."""

SESSION, USER = 1, 2
"""What a row names only because its trace does, as bits of its column `inherited`."""

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
    inherited: int
    sums_up: int

    @property
    def trace(self) -> tuple[int, bytes]:
        return self.project, self.trace_id

    @property
    def usage(self) -> tuple[int | None, ...]:
        return self[22:27]

    @property
    def own_session(self) -> bytes | str | None:
        """None where only its trace names it."""
        return None if self.inherited & SESSION else self.session_id


_SUMS_UP = f"(SELECT text FROM strings WHERE strings.id = operation) = '{SUMMING_UP}'"
_SAID_OTHERWISE = {
    "failed": "status = 2",
    "model": "iif(response_model > 0, response_model, request_model)",
    "sums_up": f"iif(kind = {KINDS[AiKind.AGENT]}, {_SUMS_UP}, 0)",
}
ROW = ", ".join(_SAID_OTHERWISE.get(name, name) for name in Row._fields)
"""SQL for the columns of :class:`Row`."""

_TOLD_BEFORE = (
    "SELECT came.id FROM interactions AS came WHERE came.id > ?1 AND came.id <= ?2 AND EXISTS (SELECT 1 FROM"
    " interactions AS other WHERE other.project = came.project AND other.trace_id = came.trace_id AND other.id <= ?1)"
)
_OF_TRACE = f"SELECT {ROW} FROM interactions WHERE project = ? AND trace_id = ? AND id <= ? LIMIT {MOST_SPANS + 1}"

# By the index `interactions_response`, whose second column this expression is.
_SECOND = f"start_unix_nano / {MOMENT_NS}"
_MAY_HAVE_TWINS = (
    "SELECT DISTINCT one.project, one.trace_id FROM interactions AS one WHERE one.response_id IS NOT NULL AND EXISTS"
    " (SELECT 1 FROM interactions AS other WHERE other.project = one.project AND other.response_id = one.response_id"
    f" AND other.{_SECOND} IN (one.{_SECOND} - 1, one.{_SECOND}, one.{_SECOND} + 1)"
    " AND other.trace_id <> one.trace_id AND other.id <= ?1)"
)
_NEW_WITH_TWINS = f"{_MAY_HAVE_TWINS} AND one.id > ?2 AND one.id <= ?1"
_TRACE_WITH_TWINS = f"{_MAY_HAVE_TWINS} AND one.project = ?2 AND one.trace_id = ?3 AND one.id <= ?1"
_OF_RESPONSE = (
    f"SELECT {ROW} FROM interactions WHERE project = ? AND {_SECOND} = ? AND response_id = ? AND kind = 0"
    f" AND start_unix_nano > 0 AND end_unix_nano > start_unix_nano AND id <= ? LIMIT {NEAR + 1}"
)


Change = tuple[Row, int, bool]
"""A row, what counts of it from now on, and whether that no longer counts instead."""

Trace = tuple[int, bytes]
"""(project, trace id)."""


class Decisions:
    """One step: rows up to the number ``upto`` are counted, those after it up to ``last`` are new."""

    def __init__(self, connection: Any, upto: int) -> None:
        self._connection = connection
        self.upto = upto
        self.last = upto
        self._before: dict[Trace, list[Row]] = {}
        self._came: dict[Trace, list[Row]] = {}
        self._of_responses: dict[tuple[int, int, int | None], list[Row]] = {}
        self._left = SIBLINGS_A_STEP

    def take(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The first of new rows, as many as one step can decide together with what is counted of their traces."""
        new = rows[: self._fitting(rows)]
        if new:
            self._came, self.last = _by_trace(new), new[-1].id
        return new

    def _fitting(self, rows: Sequence[Row]) -> int:
        """How many of them that is."""
        if not rows:
            return 0
        late = {number for (number,) in self._connection.execute(_TOLD_BEFORE, (self.upto, rows[-1].id))}
        for place, row in enumerate(rows):
            if row.id in late and row.trace not in self._before:
                if self._left <= 0:
                    return place
                self._read(row.trace)
        return len(rows)

    @property
    def touched(self) -> set[Trace]:
        """The traces that were read, or have new rows."""
        return self._before.keys() | self._came.keys()

    def rows_of(self, trace: Trace) -> list[Row]:
        """What is counted of a trace, and what is new."""
        if trace not in self._before and trace not in self._came:
            self._read(trace)
        return [*self._before.get(trace, ()), *self._came.get(trace, ())]

    def replace(self, old: Row, new: Row) -> None:
        """Takes a row as it is now."""
        rows = (self._before if old.id <= self.upto else self._came)[old.trace]
        rows[rows.index(old)] = new

    def _read(self, trace: Trace) -> None:
        found = self._connection.execute(_OF_TRACE, (*trace, self.upto))
        self._before[trace] = [Row._make(row) for row in found]
        self._left -= len(self._before[trace])

    def changes(self, gone: Sequence[Row]) -> list[Change]:
        """What is counted and what no longer is, with the rows taken and those that are gone; rows are told, too."""
        left = [row for row in gone if row.id <= self.upto]
        for trace in {row.trace for row in left} - self._before.keys():
            self._read(trace)
        touched = self.touched
        found: list[Change] = [(row, row.counts, True) for row in left]
        grouped: set[Trace] = set()
        for trace in self._with_twins(left):
            if trace not in grouped:
                group = self._group(trace)
                bits = counted_in({one: self._spans(one) for one in group})
                for one in set(group) - grouped:
                    found += self._decided(one, {row.span_id: bits[one, row.span_id] for row in self.rows_of(one)})
                grouped.update(group)
        for trace in touched - grouped:
            found += self._decided_alone(trace)
        told = [(bits, row.id) for row, bits, _ in found if bits != row.counts]
        self._connection.executemany("UPDATE interactions SET counts = ? WHERE id = ?", told)
        return found

    def _spans(self, trace: Trace) -> list[AiSpan]:
        return [_ai_span(row) for row in self.rows_of(trace)]

    def _decided_alone(self, trace: Trace) -> list[Change]:
        before, came = self._before.get(trace, ()), self._came.get(trace, ())
        if len(before) > MOST_SPANS or (not before and len(came) == 1):
            return [(row, row.counts, False) for row in came]
        return self._decided(trace, counted(self._spans(trace)))

    def _decided(self, trace: Trace, bits: Mapping[SpanId, int]) -> list[Change]:
        changed = [row for row in self._before.get(trace, ()) if bits[row.span_id] != row.counts]
        found = [(row, row.counts, True) for row in changed]
        return found + [(row, bits[row.span_id], False) for row in (*changed, *self._came.get(trace, ()))]

    # Traces that tell of one call

    def _with_twins(self, left: Iterable[Row]) -> list[Trace]:
        """Of what has changed the traces that may have twins, and those that were twins of a row that is gone."""
        execute, found = self._connection.execute, []
        if self.last > self.upto:
            found += execute(_NEW_WITH_TWINS, (self.last, self.upto)).fetchall()
        for project, trace in [*self._before]:
            found += execute(_TRACE_WITH_TWINS, (self.last, project, trace)).fetchall()
        return [*dict.fromkeys([*found, *(twin for row in left for twin in self._twins_of(row))])]

    def _group(self, trace: Trace) -> list[Trace]:
        """A trace and those that are decided with it; one more than are, where there are too many."""
        group = {trace: None}
        waiting = [trace]
        for one in waiting:
            for twin in (twin for row in self._known(one) for twin in self._twins_of(row)):
                if twin not in group and len(group) <= MOST_TRACES:
                    group[twin] = None
                    waiting.append(twin)
        return waiting

    def _known(self, trace: Trace) -> list[Row]:
        """The rows of a trace, unless they are too many to have twins."""
        rows = self.rows_of(trace)
        return rows if len(rows) <= MOST_SPANS else []

    def _twins_of(self, row: Row) -> Iterator[Trace]:
        """The other traces that tell of its call."""
        span, second = _ai_span(row), row.start_unix_nano // MOMENT_NS
        if not span.may_have_twins or self._of_response(row, second) is None:
            return
        for near in (second - 1, second, second + 1):
            for other in self._of_response(row, near) or ():
                if other.trace != row.trace and are_twins(span, _ai_span(other)) and self._known(other.trace):
                    yield other.trace

    def _of_response(self, row: Row, second: int) -> list[Row] | None:
        """The calls of its response id that start in a second; None where very many do."""
        key = (row.project, second, row.response_id)
        if key not in self._of_responses:
            found = self._connection.execute(_OF_RESPONSE, (*key, self.last))
            self._of_responses[key] = [Row._make(one) for one in found]
        rows = self._of_responses[key]
        return rows if len(rows) <= NEAR else None


def _by_trace(rows: Iterable[Row]) -> dict[Trace, list[Row]]:
    found: dict[Trace, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.trace].append(row)
    return found


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
        sums_up=bool(row.sums_up),
        has_session=row.own_session is not None,
    )
