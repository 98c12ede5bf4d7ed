"""What a store in memory holds, and how that is written."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from otel_replay.genai.prices import Prices
from otel_replay.model import Chunk, DomEvent, Signal
from otel_replay.recording.streams import counted_before, of_earlier, outdated_by
from otel_replay.store.base import (
    ActionRow,
    ChunkReceipt,
    ErrorRow,
    InteractionRow,
    Receipt,
    SessionSighting,
    Write,
)
from otel_replay.store.folding import merge_sightings
from otel_replay.store.of_trace import inherited
from otel_replay.store.pricing import NO_PRICES, with_cost

SpanKey = tuple[str, str]
"""(trace id, span id)."""

_Row = TypeVar("_Row", InteractionRow, ActionRow)
_Stream = tuple[int, str, str]
"""(project, session id, stream id)."""


class Held:
    """Everything that was committed, and of rows of equal identity the winning ones."""

    def __init__(self, prices: Prices = NO_PRICES) -> None:
        self._prices = prices
        self._lock = threading.RLock()
        self._digests: set[tuple[int, bytes]] = set()
        self._writes: list[Write] = []
        self._sightings: dict[tuple[int, str], SessionSighting] = {}
        self._interactions: dict[tuple[int, str, str], InteractionRow] = {}
        self._actions: dict[tuple[int, str, str], ActionRow] = {}
        self._edges: set[tuple[int, str, str]] = set()
        self._chunks: dict[_Stream, dict[int, Chunk]] = {}
        self._distilled: dict[_Stream, list[DomEvent]] = {}
        self._errors: dict[tuple[int, str], dict[bytes, ErrorRow]] = defaultdict(dict)  # by session, by place
        self._due: dict[_Stream, int] = {}  # the lowest sequence number that waits for distillation
        self._settled: dict[int, dict[SpanKey, InteractionRow]] = {}  # of projects that were asked about since

    def commit(self, write: Write) -> Receipt:
        with self._lock:
            digests = {(write.project, digest) for digest in (write.digest, *write.further_digests) if digest}
            if digests & self._digests:
                return Receipt(duplicate=True)
            self._digests |= digests
            self._writes.append(write)
            self._note(write)
            return Receipt(False, [self._store_chunk(chunk) for chunk in write.chunks])

    def _note(self, write: Write) -> None:
        for sighting in write.sessions:
            key = (write.project, sighting.session_id)
            known = self._sightings.get(key)
            self._sightings[key] = merge_sightings(known, sighting) if known else sighting
        for interaction in write.interactions:
            _keep_latest(self._interactions, write.project, with_cost(interaction, self._prices))
        for action in write.actions:
            _keep_latest(self._actions, write.project, action)
        self._edges.update((write.project, session, trace) for session, trace in write.session_traces)
        for error in write.error_rows:
            self._errors[write.project, error.session_id].setdefault(error.place, error)
        self._settled.pop(write.project, None)

    def _store_chunk(self, chunk: Chunk) -> ChunkReceipt:
        key = (chunk.project, chunk.session_id, chunk.stream_id)
        stream = self._chunks.setdefault(key, {})
        if chunk.counted_anew:
            starts = [(seq, stream[seq].start_unix_nano) for seq in sorted(stream)]
            if counted_before(chunk, starts):
                return self._store_chunk(of_earlier(chunk))
            for seq in outdated_by(chunk, starts):
                self._store_chunk(of_earlier(stream.pop(seq)))
        if chunk.seq is None:
            for seq, known in stream.items():
                if (known.payload, known.slice_index) == (chunk.payload, chunk.slice_index):
                    return ChunkReceipt(seq, True)
        seq = max(stream, default=-1) + 1 if chunk.seq is None else chunk.seq
        if seq in stream:
            if chunk.counted_anew and stream[seq].payload != chunk.payload:
                return self._store_chunk(of_earlier(chunk))
            return ChunkReceipt(seq, True)
        stream[seq] = replace(chunk, seq=seq, counted_anew=False)
        self._due[key] = min(seq, self._due.get(key, seq))
        return ChunkReceipt(seq, False)

    def _bodies(self, project: int, signal: Signal) -> list[bytes]:
        return [
            write.body for write in self._writes if write.project == project and write.signal == signal and write.body
        ]

    def _calls(self, project: int) -> dict[SpanKey, InteractionRow]:
        """The AI spans; those that name no session with that of their trace."""
        if project not in self._settled:
            self._settled[project] = self._with_sessions_of_traces(project)
        return self._settled[project]

    def _with_sessions_of_traces(self, project: int) -> dict[SpanKey, InteractionRow]:
        rows = list(owned(self._interactions, project))
        sessions: dict[str, set[str]] = defaultdict(set)
        users: dict[str, set[str]] = defaultdict(set)
        edges = {(row.session_id, row.trace_id) for row in rows if row.session_id}
        edges |= {(one.session_id, one.trace_id) for one in owned(self._actions, project) if one.session_id}
        edges |= {(session, trace) for owner, session, trace in self._edges if owner == project}
        for session, trace in edges:
            sessions[trace].add(session)
        for row in rows:
            if row.session_id and row.user:
                users[row.trace_id].add(row.user)
        return {key_of(row): _settled(row, sessions[row.trace_id], users[row.trace_id]) for row in rows}


def _settled(row: InteractionRow, sessions: Iterable[str], users: Iterable[str]) -> InteractionRow:
    if row.session_id:
        return row
    told = inherited(sessions, users)
    return row._replace(session_id=told.session or "", user=row.user or told.user or "")


def _keep_latest(rows: dict[tuple[int, str, str], _Row], project: int, row: _Row) -> None:
    key = (project, row.trace_id, row.span_id)
    if key not in rows or rows[key].version < row.version:
        rows[key] = row


def owned(rows: dict[tuple[int, str, str], _Row], project: int) -> Iterable[_Row]:
    """The rows of a project."""
    return (row for (owner, _, _), row in rows.items() if owner == project)


def key_of(row: InteractionRow) -> SpanKey:
    return row.trace_id, row.span_id
