"""A store in memory with the same answers as every other: for tests of what stands on a store, and to compare with.

It keeps what it is given and searches all of it: no index, no compression, nothing to get wrong.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, replace
from typing import TypeVar

from otel_replay.genai.prices import Cost, Prices, pico_usd
from otel_replay.model import MAX_UNIX_NANO, AiKind, Chunk, DomEvent, Session, Signal, StoredLog, StoredSpan
from otel_replay.recording.distill import distill_stream
from otel_replay.recording.streams import ChunkInfo, counted_before, of_earlier, outdated_by
from otel_replay.store import blocks
from otel_replay.store.base import (
    COUNTED_SESSIONS,
    ActionRow,
    ChunkReceipt,
    InteractionFilter,
    InteractionRow,
    Lag,
    Receipt,
    SearchPage,
    SessionFilter,
    SessionPage,
    SessionSighting,
    SessionSummary,
    SpanFilter,
    StatisticsTable,
    TracePage,
    Write,
)
from otel_replay.store.folding import merge_sightings, plain_attributes
from otel_replay.store.managed import listed_tags
from otel_replay.store.names import kept_name, kept_operations
from otel_replay.store.page_errors import page_errors
from otel_replay.store.pricing import NO_PRICES, with_cost
from otel_replay.store.said import sessions_that_said
from otel_replay.store.searching import Origin, search_writes, wants
from otel_replay.store.statistics import (
    Counted,
    counts_other_errors,
    day_name,
    exact_table,
    plan,
    with_other_errors,
)
from otel_replay.store.text_query import TextQuery
from otel_replay.store.trace_search import rank_trace
from otel_replay.timeline.counted import CALL, TOKENS
from otel_replay.timeline.relations import AiSpan, SpanId, times
from otel_replay.timeline.twins import counted_in

_Row = TypeVar("_Row", InteractionRow, ActionRow)
_Stream = tuple[int, str, str]
_SpanKey = tuple[str, str]


class MemoryStore:
    """A :class:`~otel_replay.store.base.Store` that forgets everything when the process ends."""

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
        self._errors: dict[tuple[int, str], dict[bytes, int]] = defaultdict(dict)  # places, with their times
        self._due: dict[_Stream, int] = {}  # the lowest sequence number that waits for distillation

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
            self._errors[write.project, error.session_id][error.place] = error.unix_nano

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
                if known.payload == chunk.payload:
                    return ChunkReceipt(seq, True)
        seq = max(stream, default=-1) + 1 if chunk.seq is None else chunk.seq
        if seq in stream:
            return ChunkReceipt(seq, True)
        stream[seq] = replace(chunk, seq=seq, counted_anew=False)
        self._due[key] = min(seq, self._due.get(key, seq))
        return ChunkReceipt(seq, False)

    def distill(self, stopping: Callable[[], bool] = lambda: False) -> None:
        with self._lock:
            while self._due and not stopping():
                stream, _ = self._due.popitem()
                self._distilled[stream] = list(distill_stream(self.chunks(*stream)))

    def compact(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Nothing to sort."""

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
        bodies = self._bodies(project, Signal.TRACES)
        return blocks.stored_spans(blocks.spans_of_session(bodies, session_id, lambda _traces: bodies))

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

    # Trace search

    def search_traces(
        self, project: int, wanted: SpanFilter, *, limit: int, after: tuple[int, str] | None = None
    ) -> TracePage:
        owned = [write for write in self._writes if write.project == project and write.signal == Signal.TRACES]
        names = {trace_id.hex() for write in owned for trace_id in write.trace_ids}
        ranked = [rank_trace(name, self._spans_of_trace(project, name), wanted) for name in names]
        rest = sorted((one for one in ranked if one and (after is None or one.position < after)), reverse=True)
        page = rest[:limit]
        return TracePage([one.summary for one in page], page[-1].position if len(rest) > limit else None)

    def services(self, project: int) -> list[str]:
        return sorted(filter(None, self._operations(project)))

    def operations(self, project: int, service: str) -> list[str]:
        return sorted(self._operations(project).get(kept_name(service), ()))

    def _operations(self, project: int) -> dict[str, set[str]]:
        return kept_operations(write.operations for write in self._writes if write.project == project)

    # Search

    def search(
        self,
        project: int,
        text: str,
        wanted: InteractionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
    ) -> SearchPage:
        def winner(origin: Origin) -> InteractionRow | None:
            return self._interactions.get((project, origin.trace_id, origin.span_id))

        def is_wanted(row: InteractionRow, start_unix_nano: int) -> bool:
            return wants(wanted, row, start_unix_nano, self._label(project, row.session_id))

        owned = [write for write in self._writes if write.project == project]
        return search_writes(owned, winner, is_wanted, TextQuery(text), limit, after)

    def _label(self, project: int, session_id: str) -> str | None:
        session = self.session(project, session_id)
        label = session.attributes.get("label") if session else None
        return None if label is None else str(label)

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

    def session_summary(self, project: int, session_id: str) -> SessionSummary | None:
        session = self.session(project, session_id)
        return self._summary(session) if session else None

    def sessions(
        self,
        project: int,
        wanted: SessionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
        skip: int = 0,
    ) -> SessionPage:
        everything = [_session(owner, sighting) for (owner, _), sighting in self._sightings.items() if owner == project]
        matching = [session for session in everything if _wanted(session, wanted) and self._named(session, wanted)]
        more = False
        if wanted.text is not None:
            said = sessions_that_said(self, project, wanted.text)
            matching, more = [one for one in matching if one.session_id in said.session_ids], said.more
        matching.sort(key=_position, reverse=True)
        rest = [session for session in matching if after is None or _position(session) < after][skip:]
        page = rest[:limit]
        total, last = len(matching), _position(page[-1]) if len(rest) > limit else None
        summaries = [self._summary(one) for one in page]
        return SessionPage(summaries, min(total, COUNTED_SESSIONS), last, more or total > COUNTED_SESSIONS)

    def _named(self, session: Session, wanted: SessionFilter) -> bool:
        """Whether the AI spans of a session are those that are asked for."""
        rows = [row for row in _owned(self._interactions, session.project) if row.session_id == session.session_id]
        if wanted.service is not None and all(row.service != wanted.service for row in rows):
            return False
        if wanted.model is not None and all(
            wanted.model not in (row.request_model, row.response_model) for row in rows
        ):
            return False
        failed = any(row.status == "error" for row in rows) or self._other_errors(session.project, session.session_id)
        return wanted.has_error is None or wanted.has_error == bool(failed)

    def _other_errors(self, project: int, session_id: str) -> list[int]:
        """When something failed in a session that is no AI span."""
        pages = (events for stream, events in self._distilled.items() if stream[:2] == (project, session_id))
        of_pages = [error.unix_nano for events in pages for error in page_errors(events)]
        return [*self._errors.get((project, session_id), {}).values(), *of_pages]

    def _summary(self, session: Session) -> SessionSummary:
        project, session_id = session.project, session.session_id
        bits = self._counting(project)
        spans = [row for row in _owned(self._interactions, project) if row.session_id == session_id]
        calls = [row for row in spans if bits[_key(row)] & CALL]
        usages = [row.usage for row in spans if bits[_key(row)] & TOKENS]
        repeats = [row for row in spans if row.kind is AiKind.INTERACTION and not bits[_key(row)] & CALL]
        errors = sum(row.status == "error" for row in spans) - sum(row.status == "error" for row in repeats)
        models = {row.response_model or row.request_model for row in spans} - {None}
        return SessionSummary(
            session=session,
            interactions=len(calls),
            actions=sum(row.session_id == session_id for row in _owned(self._actions, project)),
            errors=errors + len(self._other_errors(project, session_id)),
            traces=len(self.traces_of_session(project, session_id)),
            has_recording=bool(self.streams(project, session_id)),
            models=sorted(model for model in models if model),
            tokens=(sum(usage.input or 0 for usage in usages), sum(usage.output or 0 for usage in usages)),
        )

    # Statistics

    def statistics(self, project: int, by: str, wanted: InteractionFilter, *, limit: int) -> StatisticsTable:
        how = plan(by, wanted)
        wanted = wanted._replace(since_unix_nano=how.since_unix_nano, until_unix_nano=how.until_unix_nano)
        bits = self._counting(project)
        rows = [row for row in _owned(self._interactions, project) if self._meant(project, row, wanted)]
        table = exact_table([_counted(by, row, bits[_key(row)]) for row in rows], how, limit)
        if not counts_other_errors(by, wanted):
            return table
        errors = self._errors_in(project, wanted)
        return with_other_errors(by, table, lambda session: errors.get(session, 0), sum(errors.values()))

    def _errors_in(self, project: int, wanted: InteractionFilter) -> dict[str, int]:
        """By session, of those that a question about calls is about."""
        described = SessionFilter(user=wanted.user, feature=wanted.feature, label=wanted.label)
        since = -MAX_UNIX_NANO if wanted.since_unix_nano is None else wanted.since_unix_nano
        until = MAX_UNIX_NANO + 1 if wanted.until_unix_nano is None else wanted.until_unix_nano
        return {
            session: sum(since <= time < until for time in self._other_errors(project, session))
            for owner, session in self._sightings
            if owner == project and wanted.session_id in (None, session)
            if _wanted(_session(project, self._sightings[owner, session]), described)
        }

    def _counting(self, project: int) -> dict[SpanId, int]:
        """What counts of each AI span."""
        traces: dict[str, list[AiSpan]] = defaultdict(list)
        for row in _owned(self._interactions, project):
            traces[row.trace_id].append(_ai_span(row))
        return counted_in(traces)

    def costs_of_traces(self, project: int, trace_ids: Iterable[str]) -> dict[tuple[str, str], Cost]:
        wanted = set(trace_ids)
        return {
            _key(row): Cost(row.cost_usd, row.cost_source)
            for row in _owned(self._interactions, project)
            if row.trace_id in wanted and row.cost_usd is not None and row.cost_source != "reported"
        }

    def _meant(self, project: int, row: InteractionRow, wanted: InteractionFilter) -> bool:
        session = self.session(project, row.session_id)
        label = session.attributes.get("label") if session else None
        return all(
            (
                wanted.session_id in (None, row.session_id),
                wanted.conversation_id in (None, row.conversation_id),
                wanted.user in (None, row.user),
                wanted.feature in (None, row.feature),
                wanted.label is None or (label is not None and str(label) == wanted.label),
                wanted.service in (None, row.service),
                wanted.model in (None, row.request_model, row.response_model),
                wanted.provider in (None, row.provider),
                wanted.variant in (None, row.variant),
                wanted.since_unix_nano is None or wanted.since_unix_nano <= row.start_unix_nano,
                wanted.until_unix_nano is None or row.start_unix_nano < wanted.until_unix_nano,
            )
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

    def damaged_chunks(self, project: int, session_id: str, stream_id: str) -> frozenset[int]:
        return frozenset()

    def dom_events(self, project: int, session_id: str, stream_id: str) -> list[DomEvent]:
        return self._distilled.get((project, session_id, stream_id), [])

    def undistilled(self, project: int, session_id: str) -> int:
        due = [
            (self._chunks[stream], first) for stream, first in self._due.items() if stream[:2] == (project, session_id)
        ]
        return sum(seq >= first for chunks, first in due for seq in chunks)

    def lag(self, project: int | None = None) -> Lag:
        due = [(stream, first) for stream, first in self._due.items() if project in (None, stream[0])]
        chunks = sum(seq >= first for stream, first in due for seq in self._chunks[stream])
        return Lag(texts=0, interactions=0, chunks=chunks)

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


def _key(row: InteractionRow) -> _SpanKey:
    return row.trace_id, row.span_id


def _ai_span(row: InteractionRow) -> AiSpan:
    start, end = times(row.start_unix_nano, row.version.end_unix_nano)
    return AiSpan(
        span_id=row.span_id,
        parent_span_id=row.parent_span_id,
        start_unix_nano=start,
        end_unix_nano=end,
        kind=row.kind,
        teller=(row.service, row.scope),
        provider=row.provider,
        response_id=row.response_id,
        usage=astuple(row.usage),
        reports_cost=row.cost_usd is not None and row.cost_source == "reported",
        is_priced=row.cost_usd is not None and row.cost_source != "reported",
        has_session=bool(row.session_id),
    )


def _counted(by: str, row: InteractionRow, bits: int) -> Counted:
    group = {"model": row.response_model or row.request_model, "day": day_name(row.start_unix_nano)}
    group |= {"session": row.session_id, "conversation": row.conversation_id}
    return Counted(
        (group[by] if by in group else getattr(row, by)) or "",
        bits,
        row.status == "error",
        (*astuple(row.usage), None if row.cost_usd is None else pico_usd(row.cost_usd)),
        row.cost_source,
        row.start_unix_nano,
        row.version.end_unix_nano,
        row.time_to_first_token_ns,
    )


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
    if wanted.tag is not None and wanted.tag not in listed_tags(session.attributes):
        return False
    if wanted.state is not None and session.state != wanted.state:
        return False
    if wanted.since_unix_nano is not None and session.start_unix_nano < wanted.since_unix_nano:
        return False
    return wanted.until_unix_nano is None or session.start_unix_nano < wanted.until_unix_nano
