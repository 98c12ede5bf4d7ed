"""A store in memory with the same answers as every other: for tests of what stands on a store, and to compare with.

It keeps what it is given and searches all of it: no index, no compression, nothing to get wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from otel_replay.model import AiKind, Chunk, DomEvent, Session, Signal, StoredLog, StoredSpan
from otel_replay.recording.distill import distill_stream
from otel_replay.recording.streams import ChunkInfo
from otel_replay.store import blocks
from otel_replay.store.base import (
    ActionRow,
    ChunkReceipt,
    InteractionRow,
    Receipt,
    SessionFilter,
    SessionPage,
    SessionSighting,
    SessionSummary,
    Write,
)
from otel_replay.store.folding import merge_sightings, plain_attributes

_Row = TypeVar("_Row", InteractionRow, ActionRow)
_Stream = tuple[int, str, str]


class MemoryStore:
    """A :class:`~otel_replay.store.base.Store` that forgets everything when the process ends."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._digests: set[tuple[int, bytes]] = set()
        self._writes: list[Write] = []
        self._sightings: dict[tuple[int, str], SessionSighting] = {}
        self._interactions: dict[tuple[int, str, str], InteractionRow] = {}
        self._actions: dict[tuple[int, str, str], ActionRow] = {}
        self._edges: set[tuple[int, str, str]] = set()
        self._chunks: dict[_Stream, dict[int, Chunk]] = {}
        self._distilled: dict[_Stream, list[DomEvent]] = {}
        self._due: dict[_Stream, int] = {}  # the lowest sequence number that waits for distillation

    def commit(self, write: Write) -> Receipt:
        with self._lock:
            if write.digest and (write.project, write.digest) in self._digests:
                return Receipt(duplicate=True)
            self._digests.add((write.project, write.digest))
            self._writes.append(write)
            self._note(write)
            return Receipt(False, [self._store_chunk(chunk) for chunk in write.chunks])

    def _note(self, write: Write) -> None:
        for sighting in write.sessions:
            key = (write.project, sighting.session_id)
            known = self._sightings.get(key)
            self._sightings[key] = merge_sightings(known, sighting) if known else sighting
        for interaction in write.interactions:
            _keep_latest(self._interactions, write.project, interaction)
        for action in write.actions:
            _keep_latest(self._actions, write.project, action)
        self._edges.update((write.project, session, trace) for session, trace in write.session_traces)

    def _store_chunk(self, chunk: Chunk) -> ChunkReceipt:
        key = (chunk.project, chunk.session_id, chunk.stream_id)
        stream = self._chunks.setdefault(key, {})
        if chunk.seq is None:
            for seq, known in stream.items():
                if known.payload == chunk.payload:
                    return ChunkReceipt(seq, True)
        seq = max(stream, default=-1) + 1 if chunk.seq is None else chunk.seq
        if seq in stream:
            return ChunkReceipt(seq, True)
        stream[seq] = replace(chunk, seq=seq)
        self._due[key] = min(seq, self._due.get(key, seq))
        return ChunkReceipt(seq, False)

    def distill(self, stopping: Callable[[], bool] = lambda: False) -> None:
        with self._lock:
            while self._due and not stopping():
                stream, _ = self._due.popitem()
                self._distilled[stream] = list(distill_stream(self.chunks(*stream)))

    def close(self) -> None:
        """Nothing to let go of."""

    # Spans, logs, metrics

    def trace(self, project: int, trace_id: str) -> bytes:
        return blocks.trace_data(self._spans_of_trace(project, trace_id))

    def spans_of_trace(self, project: int, trace_id: str) -> list[StoredSpan]:
        return blocks.stored_spans(self._spans_of_trace(project, trace_id))

    def _spans_of_trace(self, project: int, trace_id: str) -> list[blocks.Matched]:
        return blocks.spans_of_trace(self._bodies(project, Signal.TRACES), bytes.fromhex(trace_id))

    def spans_of_session(self, project: int, session_id: str) -> list[StoredSpan]:
        return blocks.stored_spans(blocks.spans_of_session(self._bodies(project, Signal.TRACES), session_id))

    def logs_of_trace(self, project: int, trace_id: str) -> list[StoredLog]:
        bodies = self._bodies(project, Signal.LOGS)
        return blocks.stored_logs(project, blocks.logs_of_trace(bodies, bytes.fromhex(trace_id)))

    def logs_of_session(self, project: int, session_id: str) -> list[StoredLog]:
        bodies = self._bodies(project, Signal.LOGS)
        return blocks.stored_logs(project, blocks.logs_of_session(bodies, session_id))

    def metrics(self, project: int) -> Iterator[bytes]:
        return iter(self._bodies(project, Signal.METRICS))

    def _bodies(self, project: int, signal: Signal) -> list[bytes]:
        return [
            write.body for write in self._writes if write.project == project and write.signal == signal and write.body
        ]

    # Edges and sessions

    def sessions_of_trace(self, project: int, trace_id: str) -> list[str]:
        return sorted(session for owner, session, trace in self._edges if (owner, trace) == (project, trace_id))

    def traces_of_session(self, project: int, session_id: str) -> list[str]:
        return sorted(trace for owner, session, trace in self._edges if (owner, session) == (project, session_id))

    def traces_of_conversation(self, project: int, conversation_id: str) -> list[str]:
        rows = _owned(self._interactions, project)
        return sorted({row.trace_id for row in rows if row.conversation_id == conversation_id})

    def session(self, project: int, session_id: str) -> Session | None:
        sighting = self._sightings.get((project, session_id))
        return _session(project, sighting) if sighting else None

    def sessions(
        self, project: int, wanted: SessionFilter, *, limit: int, after: tuple[int, str] | None = None
    ) -> SessionPage:
        everything = [_session(owner, sighting) for (owner, _), sighting in self._sightings.items() if owner == project]
        matching = [session for session in everything if _wanted(session, wanted)]
        matching.sort(key=_position, reverse=True)
        rest = [session for session in matching if after is None or _position(session) < after]
        page = rest[:limit]
        more = len(rest) > limit
        return SessionPage([self._summary(one) for one in page], len(matching), _position(page[-1]) if more else None)

    def _summary(self, session: Session) -> SessionSummary:
        project, session_id = session.project, session.session_id
        spans = [row for row in _owned(self._interactions, project) if row.session_id == session_id]
        calls = [row for row in spans if row.kind is AiKind.INTERACTION]
        models = {row.response_model or row.request_model for row in spans} - {None}
        return SessionSummary(
            session=session,
            interactions=len(calls),
            actions=sum(row.session_id == session_id for row in _owned(self._actions, project)),
            errors=sum(row.status == "error" for row in spans),
            traces=len(self.traces_of_session(project, session_id)),
            has_recording=bool(self.streams(project, session_id)),
            models=sorted(model for model in models if model),
            tokens=(sum(row.input_tokens or 0 for row in calls), sum(row.output_tokens or 0 for row in calls)),
        )

    # Recordings

    def streams(self, project: int, session_id: str) -> list[str]:
        starts = {
            stream: min(chunk.start_unix_nano for chunk in chunks.values())
            for (owner, session, stream), chunks in self._chunks.items()
            if (owner, session) == (project, session_id)
        }
        return sorted(starts, key=lambda stream: (starts[stream], stream))

    def chunk_infos(self, project: int, session_id: str, stream_id: str) -> list[ChunkInfo]:
        return [
            ChunkInfo(chunk.seq or 0, chunk.start_unix_nano, chunk.end_unix_nano, chunk.has_full_snapshot)
            for chunk in self.chunks(project, session_id, stream_id)
        ]

    def chunks(
        self, project: int, session_id: str, stream_id: str, *, from_seq: int = 0, to_seq: int | None = None
    ) -> Iterator[Chunk]:
        stream = self._chunks.get((project, session_id, stream_id), {})
        for seq in sorted(stream):
            if from_seq <= seq and (to_seq is None or seq <= to_seq):
                yield stream[seq]

    def dom_events(self, project: int, session_id: str, stream_id: str) -> list[DomEvent]:
        return self._distilled.get((project, session_id, stream_id), [])

    def undistilled(self, project: int, session_id: str) -> int:
        due = [
            (self._chunks[stream], first) for stream, first in self._due.items() if stream[:2] == (project, session_id)
        ]
        return sum(seq >= first for chunks, first in due for seq in chunks)

    def counts(self) -> dict[str, int]:
        items = {signal: sum(write.items for write in self._writes if write.signal == signal) for signal in Signal}
        return {
            "spans": items[Signal.TRACES],
            "log_records": items[Signal.LOGS],
            "metrics": items[Signal.METRICS],
            "blocks": sum(bool(write.body) for write in self._writes),
            "chunks": sum(len(stream) for stream in self._chunks.values()),
            "sessions": len(self._sightings),
            "interactions": len(self._interactions),
            "actions": len(self._actions),
            "quarantine": sum(len(write.quarantined) for write in self._writes),
        }


def _keep_latest(rows: dict[tuple[int, str, str], _Row], project: int, row: _Row) -> None:
    key = (project, row.trace_id, row.span_id)
    if key not in rows or rows[key].version < row.version:
        rows[key] = row


def _owned(rows: dict[tuple[int, str, str], _Row], project: int) -> Iterable[_Row]:
    return (row for (owner, _, _), row in rows.items() if owner == project)


def _session(project: int, sighting: SessionSighting) -> Session:
    attributes = plain_attributes(sighting.attributes)
    state = attributes.pop("state", "active")
    return Session(project, sighting.session_id, sighting.start_unix_nano, sighting.end_unix_nano, state, attributes)


def _position(session: Session) -> tuple[int, str]:
    return (session.start_unix_nano, session.session_id)


def _wanted(session: Session, wanted: SessionFilter) -> bool:
    for name, text in (("user.id", wanted.user), ("feature", wanted.feature), ("label", wanted.label)):
        if text is not None and (name not in session.attributes or str(session.attributes[name]) != text):
            return False
    if wanted.since_unix_nano is not None and session.start_unix_nano < wanted.since_unix_nano:
        return False
    return wanted.until_unix_nano is None or session.start_unix_nano < wanted.until_unix_nano
