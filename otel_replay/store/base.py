"""The seam of the store: what is written, what can be asked, and the two protocols every backend fulfils.

Writing: :meth:`Store.commit` returns when the write is on disk, or raises :class:`RetryableError`, nothing stored.
Reading: a :class:`Reader` answers about one project at a time and never sees half of a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from otel_replay.model import AiKind, Chunk, DomEvent, Session, Signal, Source, StoredLog, StoredSpan
from otel_replay.recording.streams import ChunkInfo


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


@dataclass(frozen=True, slots=True)
class SessionSighting:
    """One mention of a session: when, and what was said of it."""

    session_id: str
    start_unix_nano: int
    end_unix_nano: int
    attributes: dict[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InteractionRow:
    """An AI span as people ask about it; its messages stay in the block."""

    trace_id: str
    span_id: str
    version: SpanVersion
    start_unix_nano: int
    kind: AiKind
    status: str
    service: str
    session_id: str
    conversation_id: str
    operation: str | None
    provider: str | None
    request_model: str | None
    response_model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: str | None


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
    entries of the block it lands in. ``session_traces`` are (session id, trace id) edges.
    """

    project: int
    signal: Signal
    source: Source
    received_unix_nano: int
    digest: bytes = b""
    key_id: int = 0
    body: bytes = b""
    items: int = 0
    errors: int = 0
    start_unix_nano: int = 0
    end_unix_nano: int = 0
    services: frozenset[str] = frozenset()
    trace_ids: frozenset[bytes] = frozenset()
    session_ids: frozenset[str] = frozenset()
    sessions: Sequence[SessionSighting] = ()
    interactions: Sequence[InteractionRow] = ()
    actions: Sequence[ActionRow] = ()
    session_traces: frozenset[tuple[str, str]] = frozenset()
    chunks: Sequence[Chunk] = ()
    quarantined: Sequence[Quarantined] = ()


class ChunkReceipt(NamedTuple):
    """Where a chunk is stored; ``duplicate`` when it was there before."""

    seq: int
    duplicate: bool


class Receipt(NamedTuple):
    """What a commit did; ``duplicate`` when an equal request was committed within the last hour."""

    duplicate: bool
    chunks: Sequence[ChunkReceipt] = ()


class SessionFilter(NamedTuple):
    """What to list; None asks for everything. Times bound the session's start, half open."""

    user: str | None = None
    feature: str | None = None
    label: str | None = None
    since_unix_nano: int | None = None
    until_unix_nano: int | None = None


class SessionSummary(NamedTuple):
    """A session in a list, with counts from de-duplicated rows; ``tokens`` are (input, output)."""

    session: Session
    interactions: int
    actions: int
    errors: int
    traces: int
    has_recording: bool
    models: Sequence[str]
    tokens: tuple[int, int]


class SessionPage(NamedTuple):
    """Newest first; ``next_position`` continues after the last one: (start_unix_nano, session_id)."""

    sessions: Sequence[SessionSummary]
    total: int
    next_position: tuple[int, str] | None


class Reader(Protocol):
    """Questions about stored data; every one names its project."""

    def trace(self, project: int, trace_id: str) -> bytes:
        """``TracesData`` of one trace: resources, scopes and spans as the bytes received; empty when unknown."""

    def spans_of_trace(self, project: int, trace_id: str) -> list[StoredSpan]: ...

    def spans_of_session(self, project: int, session_id: str) -> list[StoredSpan]:
        """Spans that name the session themselves, or by their resource."""

    def logs_of_trace(self, project: int, trace_id: str) -> list[StoredLog]: ...

    def logs_of_session(self, project: int, session_id: str) -> list[StoredLog]: ...

    def metrics(self, project: int) -> Iterator[bytes]:
        """Stored metrics requests (``MetricsData`` bytes), oldest first."""

    def sessions_of_trace(self, project: int, trace_id: str) -> list[str]:
        """Sessions with a recorded edge to the trace; those its spans name are found in the spans."""

    def traces_of_session(self, project: int, session_id: str) -> list[str]: ...

    def traces_of_conversation(self, project: int, conversation_id: str) -> list[str]: ...

    def session(self, project: int, session_id: str) -> Session | None: ...

    def sessions(
        self, project: int, wanted: SessionFilter, *, limit: int, after: tuple[int, str] | None = None
    ) -> SessionPage: ...

    def streams(self, project: int, session_id: str) -> list[str]: ...

    def chunk_infos(self, project: int, session_id: str, stream_id: str) -> list[ChunkInfo]: ...

    def chunks(
        self, project: int, session_id: str, stream_id: str, *, from_seq: int = 0, to_seq: int | None = None
    ) -> Iterator[Chunk]:
        """In sequence order; bounds inclusive."""

    def dom_events(self, project: int, session_id: str, stream_id: str) -> list[DomEvent]:
        """Distilled so far, in sequence order."""

    def undistilled(self, project: int, session_id: str) -> int:
        """Chunks of the session that wait for distillation."""

    def counts(self) -> dict[str, int]:
        """Stored items: ``spans``, ``log_records``, ``metrics``, ``chunks``, ``sessions``, ``interactions``, ..."""


class Store(Reader, Protocol):
    """A backend: a reader that can also be written to."""

    def commit(self, write: Write) -> Receipt:
        """Durable when it returns; raises :class:`RetryableError` having stored nothing of it."""

    def distill(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Distills the chunks that wait, stream by stream in sequence order. Called after acknowledgement.

        Ends early, between two steps of bounded size, once ``stopping()`` is true; what is left stays due.
        """

    def close(self) -> None:
        """Finishes what was committed and lets go of every file; safe to repeat."""
