"""What is written to a store: a request with all that was read from it, or chunks, and what a commit answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from otel_replay.genai.prices import CostSource
from otel_replay.model import AiKind, Chunk, Signal, Source, Usage


class SpanVersion(NamedTuple):
    """Of spans with equal identity the greatest version wins, whatever the order of arrival."""

    end_unix_nano: int
    length: int
    digest: bytes


class AttributeValue(NamedTuple):
    """A value of a session's attribute; of several the one with the greatest (event time, digest) wins."""

    event_unix_nano: int
    digest: str
    value: Any


class SessionSighting(NamedTuple):
    """One mention of a session: when, and what was said of it."""

    session_id: str
    start_unix_nano: int
    end_unix_nano: int
    attributes: Mapping[str, AttributeValue] = MappingProxyType({})


class InteractionRow(NamedTuple):
    """An AI span as people ask about it; its messages stay with the span.

    ``record`` is the span's position among the records of its request; ``contents`` are the byte ranges
    (start, end; ascending, apart) of its encoding that hold what was said: see :mod:`otel_replay.genai.contents`.
    ``cost_source`` says where ``cost_usd`` is from: what the receiver writes was reported, stores price the rest.
    """

    trace_id: str
    span_id: str
    version: SpanVersion
    start_unix_nano: int
    kind: AiKind
    status: str
    service: str
    session_id: str
    conversation_id: str
    user: str
    feature: str
    variant: str
    operation: str | None
    provider: str | None
    request_model: str | None
    response_model: str | None
    usage: Usage
    cost_usd: str | None
    time_to_first_token_ns: int | None
    record: int = 0
    contents: tuple[tuple[int, int], ...] = ()
    parent_span_id: str = ""
    scope: str = ""
    response_id: str | None = None
    cost_source: CostSource = "reported"


class LogContents(NamedTuple):
    """What a log record says of the operation of a span; the messages stay with the record.

    ``record`` and ``contents`` are as in :class:`InteractionRow`; ``unix_nano`` is the record's time.
    """

    trace_id: str
    span_id: str
    unix_nano: int
    record: int
    contents: tuple[tuple[int, int], ...]


class ErrorRow(NamedTuple):
    """Something that failed in a session and is no AI span, which have rows of their own.

    ``place`` tells it from all others of the session: of a span its trace id and span id, of a log record its digest
    (:func:`otel_replay.store.blocks.log_digest`). ``trace_id`` is empty for what names no trace, ``span_id`` for all
    but a log record that was written in a span: what a failed AI span of the session logs is that error told twice, and
    does not count beside it.
    """

    session_id: str
    place: bytes
    trace_id: bytes
    unix_nano: int
    span_id: bytes = b""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """A user action that a span told of."""

    trace_id: str
    span_id: str
    version: SpanVersion
    start_unix_nano: int
    name: str
    target: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that could not be stored as telemetry, kept with its reason."""

    signal: Signal
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """One acknowledged unit: an OTLP request with all that was read from it, or uploaded chunks, or both.

    ``body`` is a valid protobuf request (empty: only chunks). ``trace_ids`` and ``session_ids`` become the index
    entries of the block it lands in. ``further_digests`` are those of more requests that ``body`` holds; of such a
    write nothing is stored when any of its requests is known, and its receipt says duplicate. ``session_traces`` are
    (session id, trace id) edges, those of ``interactions`` and ``actions`` among them; ``operations`` are (service,
    span name). Of the records' times ``start_unix_nano`` is the least start, ``last_start_unix_nano`` the greatest
    start, ``end_unix_nano`` the greatest end.
    """

    project: int
    signal: Signal
    source: Source
    received_unix_nano: int
    digest: bytes = b""
    further_digests: tuple[bytes, ...] = ()
    key_id: int = 0
    body: bytes = b""
    items: int = 0
    errors: int = 0
    start_unix_nano: int = 0
    last_start_unix_nano: int = 0
    end_unix_nano: int = 0
    services: frozenset[str] = frozenset()
    operations: frozenset[tuple[str, str]] = frozenset()
    trace_ids: frozenset[bytes] = frozenset()
    session_ids: frozenset[str] = frozenset()
    sessions: Sequence[SessionSighting] = ()
    interactions: Sequence[InteractionRow] = ()
    actions: Sequence[ActionRow] = ()
    session_traces: frozenset[tuple[str, str]] = frozenset()
    chunks: Sequence[Chunk] = ()
    quarantined: Sequence[Quarantined] = ()
    log_contents: Sequence[LogContents] = ()
    error_rows: Sequence[ErrorRow] = ()


class ChunkReceipt(NamedTuple):
    """Where a chunk is stored; ``duplicate`` when it was there before."""

    seq: int
    duplicate: bool


class Receipt(NamedTuple):
    """What a commit did; ``duplicate`` when an equal request was committed within the last hour."""

    duplicate: bool
    chunks: Sequence[ChunkReceipt] = ()
