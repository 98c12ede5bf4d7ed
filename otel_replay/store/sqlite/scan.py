"""Trace search: a scan of compressed blocks, newest first, that ends as soon as the page is certain."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from otel_replay.model import Signal
from otel_replay.store.base import SpanFilter, TracePage
from otel_replay.store.sqlite.body_reading import BodyReader
from otel_replay.store.sqlite.telemetry import PIECE_BLOCKS, TelemetryQueries
from otel_replay.store.trace_search import BlockScan, Position, RankedTrace, TraceRanking, rank_trace


class TraceSearchQueries(TelemetryQueries):
    """Traces by what their spans say."""

    def search_traces(
        self, project: int, wanted: SpanFilter, *, limit: int, after: Position | None = None
    ) -> TracePage:
        ranking = TraceRanking(limit, after, lambda trace_id: self._ranked(project, trace_id.hex(), wanted))
        scan, order = BlockScan(wanted), _NewestFirst(project, wanted, after)
        while not order.is_done and not self._scan_piece(project, order, scan, ranking):
            pass
        return ranking.page()

    def _scan_piece(self, project: int, order: _NewestFirst, scan: BlockScan, ranking: TraceRanking) -> bool:
        """Scans some more blocks, in a snapshot of their own; True: the page is certain."""
        reading = self._reading(project, Signal.TRACES)
        with self._connections.snapshot() as connection:
            whole = BodyReader(connection, project).whole
            for block in order.next_piece(connection):
                if ranking.is_complete(block.floor):
                    return True
                body = reading.read(connection, block.number)
                if body is not None:
                    ranking.add(scan.candidates(body, whole))
        return False

    def _ranked(self, project: int, trace_id: str, wanted: SpanFilter) -> RankedTrace | None:
        return rank_trace(trace_id, self._spans_of_trace(project, trace_id), wanted)


class _Block(NamedTuple):
    """A block to scan; no span in it, or in a block after it, starts after ``floor``, unless it was found before."""

    floor: int
    number: int


class _NewestFirst:
    """The blocks that may hold a match by the latest start of their spans, descending, piece by piece.

    Compaction may move spans between two pieces to a block that stands before the place reached: such blocks, which
    have new numbers, come with the next piece.
    """

    def __init__(self, project: int, wanted: SpanFilter, after: Position | None) -> None:
        self._where, self._values = _conditions(project, wanted, after)
        self._newest: int | None = None
        self._reached: tuple[int, int] | None = None
        self.is_done = False

    def next_piece(self, connection: Any) -> list[_Block]:
        moved = self._moved(connection)
        query = f"SELECT last_start_unix_nano, id FROM blocks WHERE {self._where}"
        values = list(self._values)
        if self._reached:
            query += " AND (last_start_unix_nano, id) < (?, ?)"
            values += self._reached
        query += " ORDER BY last_start_unix_nano DESC, id DESC LIMIT ?"
        piece = [_Block(*row) for row in connection.execute(query, (*values, PIECE_BLOCKS))]
        self.is_done = len(piece) < PIECE_BLOCKS
        if piece:
            self._reached = piece[-1]
        return moved + piece

    def _moved(self, connection: Any) -> list[_Block]:
        """Blocks that compaction has made since the last piece."""
        known, (newest,) = self._newest, connection.execute("SELECT coalesce(max(id), 0) FROM blocks").fetchone()
        self._newest = newest
        if known is None or self._reached is None or newest == known:
            return []
        # NOT INDEXED: by their numbers, for the index by time would read all blocks there are.
        query = f"SELECT id FROM blocks NOT INDEXED WHERE id > ? AND level > 0 AND {self._where}"
        floor = self._reached[0]
        return [_Block(floor, number) for (number,) in connection.execute(query, (known, *self._values))]


def _conditions(project: int, wanted: SpanFilter, after: Position | None) -> tuple[str, list[Any]]:
    """What the summary of a block says when it may hold a match."""
    clauses, values = ["project = ? AND signal = ?"], [project, int(Signal.TRACES)]
    service = None if wanted.service is None else json.dumps(wanted.service)  # as it stands in the array of them
    for clause, value in (
        ("last_start_unix_nano >= ?", wanted.since_unix_nano),
        ("start_unix_nano < ?", wanted.until_unix_nano),
        ("start_unix_nano <= ?", after[0] if after else None),
        ("instr(services, ?)", service),
        ("errors >= ?", 1 if wanted.status == "error" else None),
    ):
        if value is not None:
            clauses.append(clause)
            values.append(value)  # type: ignore[arg-type]
    return " AND ".join(clauses), values
