"""Stored blocks taken apart into records, and records put together to blocks: the parts of every rewriting of blocks.

Records and the envelopes they stand in are moved byte for byte, cut records as they are. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.genai.identity import SESSION_MARKERS, record_identity, scope_identity
from otel_replay.model import MAX_UNIX_NANO, Signal, Source
from otel_replay.otlp import thin
from otel_replay.otlp.attributes import attribute_map
from otel_replay.store.bodies import is_cut
from otel_replay.store.merging import Block, Run, runs

BLANK = b"0"
"""What an outline has in place of contents, byte for byte."""


class Contents(Protocol):
    """Gives cut records back what was taken out of them; other records as they are."""

    def whole(self, record: bytes) -> bytes:
        """The record as it was received."""

    def outline(self, record: bytes) -> bytes:
        """The record with blanks for its contents, without reading any. It may be no valid message."""


class StoredBlock(NamedTuple):
    """A block as it is read for rewriting."""

    id: int
    project: int
    signal: Signal
    source: Source
    level: int
    partition: int
    received_unix_nano: int
    runs: tuple[Run, ...]
    body: bytes


class Envelope(NamedTuple):
    """A resource and scope with all that stands beside them, without records.

    ``order`` tells envelopes apart, those of one resource are neighbours; ``attributes`` are the
    resource's, ``session_id`` is what records are told that name no session themselves.
    """

    order: tuple[int, int]
    resource_group: Any
    scope_group: Any
    attributes: dict[str, Any]
    session_id: str

    @property
    def encoded(self) -> tuple[bytes, bytes]:
        """Resource and scope."""
        return b"".join(self.resource_group.resource), b"".join(self.scope_group.scope)


class Record(NamedTuple):
    """A span or log record with what a block's summary says of it. A log record may have no trace id."""

    key_id: int
    envelope: Envelope
    raw: bytes
    trace_id: bytes
    session_id: str
    start_unix_nano: int
    end_unix_nano: int
    is_error: bool


class RecordReader:
    """Reads the records of traces and logs blocks. Equal envelopes of any of them are one."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._resources: dict[bytes, tuple[int, Any]] = {}
        self._envelopes: dict[tuple[int, bytes], Envelope] = {}

    def read(self, block: StoredBlock) -> Iterator[Record]:
        """The block's records in stored order."""
        make = self._span if block.signal is Signal.TRACES else self._log
        at = 0
        for run in block.runs:
            for envelope, raws in self._groups(block.body[at : at + run.length]):
                for raw in raws:
                    yield make(run.key_id, envelope, raw)
            at += run.length

    def _groups(self, body: bytes) -> Iterator[tuple[Envelope, list[bytes]]]:
        for resource_group in thin.parse(body).resources:
            groups = [(scope_group, list(scope_group.records)) for scope_group in resource_group.scopes]
            del resource_group.scopes[:]
            known = self._resources.setdefault(
                resource_group.SerializeToString(), (len(self._resources), resource_group)
            )
            for scope_group, raws in groups:
                del scope_group.records[:]
                yield self._envelope(*known, scope_group), raws

    def _envelope(self, resource: int, resource_group: Any, scope_group: Any) -> Envelope:
        key = (resource, scope_group.SerializeToString())
        if key not in self._envelopes:
            surrounding = Resource.FromString(b"".join(resource_group.resource))
            scope = InstrumentationScope.FromString(b"".join(scope_group.scope))
            self._envelopes[key] = Envelope(
                order=(resource, len(self._envelopes)),
                resource_group=resource_group,
                scope_group=scope_group,
                attributes=attribute_map(surrounding.attributes),
                session_id=scope_identity(scope, surrounding).session_id,
            )
        return self._envelopes[key]

    def _span(self, key_id: int, envelope: Envelope, raw: bytes) -> Record:
        span, session = self._decoded(Span, raw)
        return Record(
            key_id=key_id,
            envelope=envelope,
            raw=raw,
            trace_id=span.trace_id or raw[3:19],  # of a cut one that cannot be given back whole
            session_id=session or envelope.session_id,
            start_unix_nano=min(span.start_time_unix_nano, MAX_UNIX_NANO),
            end_unix_nano=min(span.end_time_unix_nano, MAX_UNIX_NANO),
            is_error=span.status.code == Status.STATUS_CODE_ERROR,
        )

    def _decoded(self, kind: Any, raw: bytes) -> tuple[Any, str]:
        """The record, of a cut one with blanks for its contents where that can be decoded, and the session it names."""
        if not is_cut(raw):
            return _read(kind, raw)
        try:
            record, session = _read(kind, self._contents.outline(raw))
        except DecodeError:
            return _read(kind, self._contents.whole(raw))
        is_blank = session and not session.strip(BLANK.decode())
        return _read(kind, self._contents.whole(raw)) if is_blank else (record, session)

    def _log(self, key_id: int, envelope: Envelope, raw: bytes) -> Record:
        log, session = self._decoded(LogRecord, raw)
        time = min(log.time_unix_nano or log.observed_time_unix_nano, MAX_UNIX_NANO)
        return Record(
            key_id=key_id,
            envelope=envelope,
            raw=raw,
            trace_id=log.trace_id if len(log.trace_id) == 16 else b"",
            session_id=session or envelope.session_id,
            start_unix_nano=time,
            end_unix_nano=time,
            is_error=log.severity_number >= SeverityNumber.SEVERITY_NUMBER_ERROR,
        )


def _read(kind: Any, text: bytes) -> tuple[Any, str]:
    record = kind.FromString(text)
    return record, _own_session(text, record)


def _own_session(text: bytes, record: Span | LogRecord) -> str:
    """The session a record names itself; empty: none."""
    for marker in SESSION_MARKERS:
        if marker in text:
            return record_identity(record).session_id
    return ""


class Place(NamedTuple):
    """What a rewritten block has of those it was made from."""

    project: int
    signal: Signal
    source: Source
    level: int
    partition: int
    received_unix_nano: int


def build_block(place: Place, records: Sequence[Record]) -> Block:
    """The block of these records: each key's in one run, and in it those of one envelope together, else in order."""
    ordered = sorted(records, key=lambda record: (record.key_id, record.envelope.order))
    bodies = [
        (key_id, thin.rebuild(map(_slice, members)))
        for key_id, members in groupby(ordered, key=lambda record: record.key_id)
    ]
    services = (record.envelope.attributes.get("service.name") for record in records)
    return Block(
        *place,
        start_unix_nano=min(record.start_unix_nano for record in records),
        last_start_unix_nano=max(record.start_unix_nano for record in records),
        end_unix_nano=max(record.end_unix_nano for record in records),
        items=len(records),
        errors=sum(record.is_error for record in records),
        services=frozenset(service if isinstance(service, str) else "" for service in services),
        runs=runs((key_id, len(body)) for key_id, body in bodies),
        trace_ids=frozenset(record.trace_id for record in records) - {b""},
        session_ids=frozenset(record.session_id for record in records) - {""},
        body=b"".join(body for _, body in bodies),
    )


def _slice(record: Record) -> thin.RecordSlice:
    return thin.RecordSlice(record.envelope.resource_group, record.envelope.scope_group, record.raw)


def all_records(blocks: Iterable[StoredBlock], contents: Contents) -> list[Record]:
    """The records of several blocks, in order."""
    reader = RecordReader(contents)
    return [record for block in blocks for record in reader.read(block)]
