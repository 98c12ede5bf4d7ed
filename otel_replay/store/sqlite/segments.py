"""Merging the index's segments, four of one tier into one of the next: a lookup reads about ten rows at any size.

All of it happens beside the writer: rows are read and merged outside its transactions, and written by small tasks into
a segment that nobody sees yet. One more task makes it visible and retires what it replaces. A kill at any point leaves
invisible rows behind and nothing else; the next process deletes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from otel_replay.store import buckets
from otel_replay.store.sqlite.database import ReadConnections
from otel_replay.store.sqlite.index import (
    BUILDING,
    RETIRED,
    SESSIONS,
    TRACES,
    VISIBLE,
    Segment,
    add_entries,
    add_segment,
    forget_removed,
    removed_blocks,
)

FAN_OUT = 4
"""Rows of a lookup are at most ``FAN_OUT - 1`` a tier; every entry is written once a tier."""

_TASK_ROW_BITS = 7
"""At most 128 rows (150 KB) are written or deleted in one task: acknowledgements wait behind it."""

_KINDS = (TRACES, SESSIONS)

RunTask = Callable[[Callable[[], Any]], Any]
"""Runs a task in the writer's thread, in a transaction of its own, and gives its result."""


class SegmentMerger:
    """Merges what is due, one set of segments at a time. The only one to touch the segments of a file once made."""

    def __init__(self, writing: Any, reading: ReadConnections, run: RunTask) -> None:
        self._writing = writing
        self._reading = reading
        self._run = run

    def step(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Clears up what an ended process left, merges one set of segments; False when nothing was due."""
        with self._reading.snapshot() as connection:
            segments = [
                Segment(*row) for row in connection.execute("SELECT * FROM index_segments ORDER BY first_block")
            ]
            visible = [segment for segment in segments if segment.visible == VISIBLE]
            inputs = _full_tier(visible) or _mostly_gone(connection, visible)
        leftovers = [segment for segment in segments if segment.visible != VISIBLE]
        for segment in leftovers:
            self._discard(segment, stopping)
        if inputs:
            self._merge(inputs, stopping)
        return bool(leftovers or inputs)

    def _merge(self, inputs: Sequence[Segment], stopping: Callable[[], bool]) -> None:
        with self._reading.snapshot() as connection:
            removed = removed_blocks(connection, inputs[0].first_block, inputs[-1].last_block)
            merged = _merged(connection, inputs, removed)
        merged = self._run(partial(add_segment, self._writing, merged))
        for kind in _KINDS:
            slice_bits = max(merged.bits(kind) - _TASK_ROW_BITS, 0)
            for part in range(1 << slice_bits if merged.bits(kind) >= 0 else 0):
                if stopping():
                    return
                entries = self._slice(inputs, kind, part, slice_bits)
                if removed:
                    entries = buckets.without(entries, removed)
                self._run(partial(add_entries, self._writing, merged, kind, entries))
        self._run(partial(self._publish, merged, inputs, removed))
        for segment in inputs:
            self._discard(segment, stopping)

    def _slice(self, inputs: Sequence[Segment], kind: int, part: int, bits: int) -> buckets.Entries:
        """The entries whose hash starts with the ``bits`` bits of ``part``."""
        with self._reading.snapshot() as connection:
            rows = [row for segment in inputs for row in _rows(connection, segment, kind, part, bits)]
        return buckets.within(buckets.join(rows), part, bits)

    def _publish(self, merged: Segment, inputs: Sequence[Segment], removed: set[int]) -> None:
        execute = self._writing.execute
        execute("UPDATE index_segments SET visible = ? WHERE id = ?", (VISIBLE, merged.id))
        for segment in inputs:
            execute("UPDATE index_segments SET visible = ? WHERE id = ?", (RETIRED, segment.id))
        forget_removed(self._writing, removed)

    def _discard(self, segment: Segment, stopping: Callable[[], bool]) -> None:
        """Deletes a segment that nobody sees."""
        while not stopping() and self._run(partial(self._delete_rows, segment)):
            pass

    def _delete_rows(self, segment: Segment) -> bool:
        """Deletes some rows; once there are none, the segment. Whether to go on."""
        bounds = (segment.row_id(TRACES, 0), segment.row_id(SESSIONS, 1 << 31) - 1)
        some = f"SELECT id FROM index_buckets WHERE id BETWEEN ? AND ? LIMIT {1 << _TASK_ROW_BITS}"
        if self._writing.execute(f"DELETE FROM index_buckets WHERE id IN ({some})", bounds).rowcount:
            return True
        self._writing.execute("DELETE FROM index_segments WHERE id = ?", (segment.id,))
        return False


def _full_tier(segments: Sequence[Segment]) -> Sequence[Segment]:
    """The oldest segments of the lowest tier that has enough of them."""
    for tier in sorted({segment.tier for segment in segments}):
        members = [segment for segment in segments if segment.tier == tier]
        if len(members) >= FAN_OUT:
            return members[:FAN_OUT]
    return ()


def _mostly_gone(connection: Any, segments: Sequence[Segment]) -> Sequence[Segment]:
    """A segment half of whose blocks were removed: it is written again without their entries."""
    for segment in segments:
        if segment.blocks and 2 * len(removed_blocks(connection, *_range(segment))) >= segment.blocks:
            return (segment,)
    return ()


def _range(segment: Segment) -> tuple[int, int]:
    return segment.first_block, segment.last_block


def _merged(connection: Any, inputs: Sequence[Segment], removed: set[int]) -> Segment:
    """The segment to make of these, without its id. Alone, a segment stays in its tier."""
    blocks = sum(segment.blocks for segment in inputs)
    live = max(blocks - len(removed), 0)
    trace_bits, session_bits = (_bits(_entries(connection, inputs, kind), live / max(blocks, 1)) for kind in _KINDS)
    return Segment(
        id=0,
        visible=BUILDING,
        tier=inputs[0].tier + (len(inputs) > 1),
        first_block=inputs[0].first_block,
        last_block=inputs[-1].last_block,
        blocks=live,
        trace_bits=trace_bits,
        session_bits=session_bits,
        start_unix_nano=min(segment.start_unix_nano for segment in inputs),
        end_unix_nano=max(segment.end_unix_nano for segment in inputs),
    )


def _bits(entries: int, share: float) -> int:
    """For about this share of the entries; any that is left needs a bucket."""
    return max(buckets.bits_for(round(entries * share)), 0) if entries else -1


def _entries(connection: Any, inputs: Sequence[Segment], kind: int) -> int:
    query = "SELECT total(length(data)) FROM index_buckets WHERE id BETWEEN ? AND ?"
    bounds = [(segment.row_id(kind, 0), segment.row_id(kind, 1 << 31) - 1) for segment in inputs]
    return sum(int(connection.execute(query, bound).fetchone()[0]) for bound in bounds) // buckets.ENTRY_BYTES


def _rows(connection: Any, segment: Segment, kind: int, part: int, bits: int) -> list[bytes]:
    """The segment's rows that can have entries of the slice."""
    finer = segment.bits(kind) - bits
    if segment.bits(kind) < 0:
        return []
    first, last = (part << finer, ((part + 1) << finer) - 1) if finer >= 0 else (part >> -finer, part >> -finer)
    query = "SELECT data FROM index_buckets WHERE id BETWEEN ? AND ? ORDER BY id"
    bounds = (segment.row_id(kind, first), segment.row_id(kind, last))
    return [data for (data,) in connection.execute(query, bounds)]
