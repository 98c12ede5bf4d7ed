"""Taking out of blocks, and of writes that come late, what belongs to somebody who asked for it to be erased. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate, compress
from typing import Any, NamedTuple, TypeVar

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.identity import identity, record_identity, resource_identity, scope_identity
from otel_replay.model import MAX_UNIX_NANO, Signal
from otel_replay.otlp import thin
from otel_replay.otlp.attributes import attribute_map
from otel_replay.otlp.requests import RECORD_TYPES
from otel_replay.store import bodies
from otel_replay.store.base import ErrorRow, InteractionRow, LogContents, Write
from otel_replay.store.blocks import log_digest
from otel_replay.store.merging import Block, Run, runs
from otel_replay.store.records import Contents, Place, Record, RecordReader, StoredBlock, build_block

SPAN_ID_BYTES = 8

_NOTHING: frozenset[Any] = frozenset()


@dataclass(frozen=True, slots=True)
class Gone:
    """What is to go, all of one project: whole traces, sessions, what a key wrote, what names a user.

    Of ``loose_traces``, those of the sessions, only records go that name no session of their own.
    """

    traces: Set[bytes] = _NOTHING
    sessions: Set[str] = _NOTHING
    loose_traces: Set[bytes] = _NOTHING
    keys: Set[int] = _NOTHING
    user: str = ""

    def takes(self, record: Record, contents: Contents, signal: Signal) -> bool:
        """Whether a span or log record goes."""
        if record.trace_id in self.traces or record.session_id in self.sessions or record.key_id in self.keys:
            return True
        if not record.session_id and record.trace_id in self.loose_traces:
            return True
        return bool(self.user) and _user_of(record, self.user.encode(), contents, signal) == self.user

    def may_touch(self, block: StoredBlock) -> bool:
        """Whether a block may hold something that no index leads to: False is certain."""
        if any(run.key_id in self.keys for run in block.runs):
            return True
        names = [name.encode() for name in (self.user, *self.sessions) if name]
        return any(name in block.body for name in (*names, *self.traces, *self.loose_traces))


def _user_of(record: Record, user: bytes, contents: Contents, signal: Signal) -> str:
    """The user a record names, by itself or by its surroundings; empty without a look where ``user`` stands nowhere."""
    resource, scope = record.envelope.encoded
    if not any(user in part for part in (record.raw, resource, scope)):
        return ""
    raw = contents.whole(record.raw)
    own = record_identity(Span.FromString(raw) if signal is Signal.TRACES else LogRecord.FromString(raw))
    named = identity(attribute_map(InstrumentationScope.FromString(scope).attributes))
    told = own.or_else(named).or_else(resource_identity(attribute_map(Resource.FromString(resource).attributes)))
    return told.user_id


class Removed(NamedTuple):
    """A record that went: its ids, the session it named, and the contents it referred to.

    ``item_id`` is the id of a span, the digest of a log record (:func:`otel_replay.store.blocks.log_digest`).
    """

    trace_id: bytes
    item_id: bytes
    session_id: str
    service: str
    name: str
    contents: tuple[int, ...]

    @property
    def place(self) -> bytes:
        """What it is known by as an error: see :class:`ErrorRow`."""
        return self.trace_id + self.item_id if len(self.item_id) == SPAN_ID_BYTES else self.item_id


def without(block: StoredBlock, gone: Gone, contents: Contents) -> tuple[Block | None, list[Removed]]:
    """What is left of a block (None: nothing), and what went of it; when nothing went, the block does not matter."""
    if block.signal is Signal.METRICS:
        return _metrics_without(block, gone)
    kept, removed = [], []
    for record in RecordReader(contents).read(block):
        if gone.takes(record, contents, block.signal):
            removed.append(_removed(record, contents, block.project, block.signal))
        else:
            kept.append(record)
    return (build_block(Place(*block[1:7]), kept) if kept else None), removed


def _removed(record: Record, contents: Contents, project: int, signal: Signal) -> Removed:
    service, raw = record.envelope.attributes.get("service.name"), contents.whole(record.raw)
    name = ""
    if signal is Signal.TRACES:
        span = Span.FromString(raw)
        item_id, name = span.span_id, span.name
    else:
        item_id = log_digest(project, *record.envelope.encoded, raw)
    return Removed(
        record.trace_id,
        item_id,
        record.session_id,
        service if isinstance(service, str) else "",
        name,
        bodies.body_ids(record.raw),
    )


def carriers(block: StoredBlock, contents: Contents) -> Iterator[Removed]:
    """The records of a block whose contents are stored apart, without what else there is of them."""
    for raw in thin.records_of(thin.parse(block.body)):
        if bodies.is_cut(raw):
            record = RECORD_TYPES[block.signal].FromString(contents.whole(raw))
            yield Removed(record.trace_id, b"", "", "", "", bodies.body_ids(raw))


# Metrics


def _metrics_without(block: StoredBlock, gone: Gone) -> tuple[Block | None, list[Removed]]:
    """Of metrics those go that name what is gone: they are not looked up by anything, and hardly ever name it."""
    needles = [name.encode() for name in (*gone.sessions, gone.user) if name]
    needles += [trace for traces in (gone.traces, gone.loose_traces) for trace in traces]
    kept: list[tuple[int, thin.RecordSlice]] = []
    removed = 0
    for key_id, piece in _metrics(block):
        if key_id in gone.keys or any(needle in part for needle in needles for part in _parts(piece)):
            removed += 1
        else:
            kept.append((key_id, piece))
    left = _metrics_block(block, kept) if kept and removed else None
    return left, [Removed(b"", b"", "", "", "", ())] * removed


def _metrics(block: StoredBlock) -> Iterator[tuple[int, thin.RecordSlice]]:
    at = 0
    for run in block.runs:
        for piece in thin.slices(block.body[at : at + run.length]):
            yield run.key_id, piece
        at += run.length


def _parts(piece: thin.RecordSlice) -> tuple[bytes, bytes, bytes]:
    return piece.raw, piece.resource, piece.scope


def _metrics_block(block: StoredBlock, kept: Sequence[tuple[int, thin.RecordSlice]]) -> Block:
    pieces = [(key_id, thin.rebuild(iter([piece]))) for key_id, piece in kept]
    resources = [Resource.FromString(piece.resource) for _, piece in kept]
    times = [min(time, MAX_UNIX_NANO) for _, piece in kept for time in _times(Metric.FromString(piece.raw))] or [0]
    services = (attribute_map(resource.attributes).get("service.name") for resource in resources)
    sessions = (scope_identity(InstrumentationScope(), resource).session_id for resource in resources)
    return Block(
        *block[1:7],
        start_unix_nano=min(times),
        last_start_unix_nano=max(times),
        end_unix_nano=max(times),
        items=len(kept),
        errors=0,
        services=frozenset(service if isinstance(service, str) else "" for service in services),
        runs=runs((key_id, len(body)) for key_id, body in pieces),
        trace_ids=frozenset(),
        session_ids=frozenset(sessions) - {""},
        body=b"".join(body for _, body in pieces),
    )


def _times(metric: Metric) -> Iterator[int]:
    kind = metric.WhichOneof("data")
    return (point.time_unix_nano for point in getattr(metric, kind).data_points) if kind else iter(())


# Writes that come late


class _AsReceived:
    """Contents of records that were not cut yet."""

    def whole(self, record: bytes) -> bytes:
        return record

    def outline(self, record: bytes) -> bytes:
        return record


def write_without(write: Write, gone: Gone) -> tuple[Write, int]:
    """A write without what is gone, and how many of its items and chunks that were."""
    chunks = [chunk for chunk in write.chunks if chunk.session_id not in gone.sessions]
    left = replace(
        write,
        chunks=chunks,
        quarantined=(),
        operations=frozenset(),  # names stay known by what comes next
        sessions=[one for one in write.sessions if one.session_id not in gone.sessions],
        actions=[row for row in write.actions if _stays(row, gone)],
        error_rows=[row for row in write.error_rows if _error_stays(row, gone)],
        session_traces=frozenset(
            (session, trace)
            for session, trace in write.session_traces
            if session not in gone.sessions and bytes.fromhex(trace) not in gone.traces
        ),
    )
    if not write.body:
        return left, len(write.chunks) - len(chunks)
    left = _body_without(left, gone)
    return left, len(write.chunks) - len(chunks) + write.items - left.items


def _stays(row: Any, gone: Gone) -> bool:
    trace = bytes.fromhex(row.trace_id)
    is_loose = not row.session_id and trace in gone.loose_traces
    return row.session_id not in gone.sessions and trace not in gone.traces and not is_loose


def _error_stays(row: ErrorRow, gone: Gone) -> bool:
    return row.session_id not in gone.sessions and row.trace_id not in gone.traces


def _body_without(write: Write, gone: Gone) -> Write:
    place = Place(write.project, write.signal, write.source, 0, 0, write.received_unix_nano)
    stored = StoredBlock(0, *place, (Run(write.key_id, len(write.body)),), write.body)
    block, flags = _kept(stored, gone)
    if block is None:
        nothing = replace(write, body=b"", items=0, errors=0, services=_NOTHING, trace_ids=_NOTHING)
        return replace(nothing, session_ids=_NOTHING, interactions=(), log_contents=())
    numbers = list(accumulate(flags, initial=0))
    return replace(
        write,
        body=thin.select(write.body, _in_turn(flags)),
        items=block.items,
        errors=block.errors,
        services=block.services,
        trace_ids=block.trace_ids,
        session_ids=block.session_ids,
        start_unix_nano=block.start_unix_nano,
        last_start_unix_nano=block.last_start_unix_nano,
        end_unix_nano=block.end_unix_nano,
        interactions=_renumbered(write.interactions, flags, numbers),
        log_contents=_renumbered(write.log_contents, flags, numbers),
    )


_Telling = TypeVar("_Telling", InteractionRow, LogContents)


def _renumbered(rows: Sequence[_Telling], flags: Sequence[bool], numbers: Sequence[int]) -> list[_Telling]:
    """Those of records that stay, by their new numbers."""
    return [row._replace(record=numbers[row.record]) for row in rows if flags[row.record]]


def _kept(block: StoredBlock, gone: Gone) -> tuple[Block | None, list[bool]]:
    """The summary of what is left, and for every record whether it stays."""
    contents = _AsReceived()
    if block.signal is Signal.METRICS:
        needles = [name.encode() for name in gone.sessions]
        pieces = list(_metrics(block))
        flags = [not any(needle in part for needle in needles for part in _parts(piece)) for _, piece in pieces]
        kept = list(compress(pieces, flags))
        return (_metrics_block(block, kept) if kept else None), flags
    records = list(RecordReader(contents).read(block))
    flags = [not gone.takes(record, contents, block.signal) for record in records]
    left = list(compress(records, flags))
    return (build_block(Place(*block[1:7]), left) if left else None), flags


def _in_turn(flags: Sequence[bool]) -> Callable[[thin.RecordSlice], bool]:
    turn = iter(flags)
    return lambda _piece: next(turn)
