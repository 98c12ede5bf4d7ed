"""The seam of the store: what is written, what can be asked, and the two protocols every backend fulfils.

Writing: :meth:`Store.commit` returns when the write is on disk, or raises :class:`RetryableError`, nothing stored.
Reading: a :class:`Reader` answers about one project at a time and never sees half of a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from otel_replay.genai.prices import Cost, CostSource
from otel_replay.model import AiKind, Chunk, DomEvent, Session, Signal, Source, StoredLog, StoredSpan, Usage
from otel_replay.recording.streams import ChunkInfo

KEPT_OPERATIONS = 1_000
"""Span names kept for each service: names made of ids must not fill the file."""


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


class ChunkReceipt(NamedTuple):
    """Where a chunk is stored; ``duplicate`` when it was there before."""

    seq: int
    duplicate: bool


class Receipt(NamedTuple):
    """What a commit did; ``duplicate`` when an equal request was committed within the last hour."""

    duplicate: bool
    chunks: Sequence[ChunkReceipt] = ()


class SessionFilter(NamedTuple):
    """What to list; None asks for everything. Times bound the session's start, half open.

    ``service`` and ``model`` ask for sessions with an AI span of that service, or request or response model;
    ``has_error`` for sessions with (or without) a failed one. ``text`` is looked for in what was said, like a search.
    """

    user: str | None = None
    feature: str | None = None
    label: str | None = None
    since_unix_nano: int | None = None
    until_unix_nano: int | None = None
    service: str | None = None
    model: str | None = None
    state: str | None = None
    has_error: bool | None = None
    text: str | None = None


class SessionSummary(NamedTuple):
    """A session in a list; every call is counted once. ``tokens`` are (input, output)."""

    session: Session
    interactions: int
    actions: int
    errors: int
    traces: int
    has_recording: bool
    models: Sequence[str]
    tokens: tuple[int, int]


class SessionPage(NamedTuple):
    """Newest first; ``next_position`` continues after the last one: (start_unix_nano, session_id).

    With ``total_at_least`` there are more than ``total``: counting stops at :data:`COUNTED_SESSIONS`.
    """

    sessions: Sequence[SessionSummary]
    total: int
    next_position: tuple[int, str] | None
    total_at_least: bool = False


COUNTED_SESSIONS = 10_000


class AttributeTest(NamedTuple):
    """``key=value`` of one span. ``place`` is ``span``, ``resource``, ``scope``, ``event``, or empty: any of them.

    ``value`` is typed: a string, an integer, a float, a boolean or None (the key is there, whatever its value).
    """

    place: str
    key: str
    value: str | int | float | bool | None


class SpanFilter(NamedTuple):
    """What to look for; None asks for everything. All of it has to hold on one span.

    Times bound the span's start, half open; durations are inclusive. ``status`` is ``ok``, ``error`` or ``unset``.
    """

    service: str | None = None
    operation: str | None = None
    attributes: tuple[AttributeTest, ...] = ()
    status: str | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    since_unix_nano: int | None = None
    until_unix_nano: int | None = None


class TraceSummary(NamedTuple):
    """A trace in a list. The root is the span without a parent, else the earliest; ``session_id`` the least named."""

    trace_id: str
    root_service: str
    root_name: str
    start_unix_nano: int
    duration_ns: int
    spans: int
    errors: int
    session_id: str
    matched_span_ids: Sequence[str]


class TracePage(NamedTuple):
    """Newest first by (start of the latest matching span, trace id); ``next_position`` is that of the last one."""

    traces: Sequence[TraceSummary]
    next_position: tuple[int, str] | None


class InteractionFilter(NamedTuple):
    """Which AI spans; None asks for everything. Times bound the span's start, half open."""

    session_id: str | None = None
    conversation_id: str | None = None
    user: str | None = None
    feature: str | None = None
    label: str | None = None
    service: str | None = None
    model: str | None = None
    provider: str | None = None
    variant: str | None = None
    since_unix_nano: int | None = None
    until_unix_nano: int | None = None


class SearchHit(NamedTuple):
    """A text that was said, at the earliest AI span that carries it.

    ``highlights`` are (start, end) in characters of ``snippet``.
    """

    trace_id: str
    span_id: str
    start_unix_nano: int
    session_id: str
    conversation_id: str
    service: str
    model: str | None
    user: str
    snippet: str
    highlights: Sequence[tuple[int, int]]


class SearchPage(NamedTuple):
    """Newest first; ``next_position`` continues after the last one."""

    hits: Sequence[SearchHit]
    next_position: tuple[int, str] | None


class Times(NamedTuple):
    """Percentiles by nearest rank, and the mean."""

    p50: int
    p95: int
    p99: int
    mean: int


class Statistics(NamedTuple):
    """Of the interactions of one group; None when nothing was said or measured.

    ``costs_usd`` are the parts of ``cost_usd`` by where they are from. Times are within 1 %. ``duration_ns`` is from
    the first start to the last end, where single interactions were looked at.
    """

    group: str
    interactions: int
    errors: int
    usage: Usage
    cost_usd: str | None
    costs_usd: Mapping[CostSource, str] | None
    latency_ns: Times | None
    time_to_first_token_ns: Times | None
    duration_ns: int | None


class StatisticsTable(NamedTuple):
    """Most interactions first. The bounds are those that were counted: asked ones, widened to whole hours or days."""

    groups: Sequence[Statistics]
    total: Statistics
    since_unix_nano: int | None
    until_unix_nano: int | None


STATISTICS_GROUPS = (
    "model",
    "provider",
    "service",
    "operation",
    "user",
    "feature",
    "variant",
    "day",
    "session",
    "conversation",
)


class Lag(NamedTuple):
    """What is stored and acknowledged, and waits: texts to be searchable, AI spans to be counted in statistics, chunks
    of recordings to be distilled."""

    texts: int
    interactions: int
    chunks: int


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

    def costs_of_traces(self, project: int, trace_ids: Iterable[str]) -> dict[tuple[str, str], Cost]:
        """By (trace id, span id) what prices said of AI spans that report no cost."""

    def session(self, project: int, session_id: str) -> Session | None: ...

    def sessions(
        self,
        project: int,
        wanted: SessionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
        skip: int = 0,
    ) -> SessionPage:
        """Newest first, from behind ``after``, without the first ``skip`` of those."""

    def streams(self, project: int, session_id: str) -> list[str]: ...

    def chunk_infos(self, project: int, session_id: str, stream_id: str) -> list[ChunkInfo]: ...

    def chunks(
        self, project: int, session_id: str, stream_id: str, *, from_seq: int = 0, to_seq: int | None = None
    ) -> Iterator[Chunk]:
        """In sequence order; bounds inclusive."""

    def damaged_chunks(self, project: int, session_id: str, stream_id: str) -> frozenset[int]:
        """Numbers of chunks that are stored and cannot be read any more; all of them are read for it."""

    def dom_events(self, project: int, session_id: str, stream_id: str) -> list[DomEvent]:
        """Distilled so far, in sequence order."""

    def undistilled(self, project: int, session_id: str) -> int:
        """Chunks of the session that wait for distillation."""

    def search_traces(
        self, project: int, wanted: SpanFilter, *, limit: int, after: tuple[int, str] | None = None
    ) -> TracePage:
        """Traces with a matching span, AI or not. Only winning versions of spans match."""

    def services(self, project: int) -> list[str]:
        """Names of the services that sent spans, sorted."""

    def operations(self, project: int, service: str) -> list[str]:
        """Span names of a service, sorted; of one with very many only the first :data:`KEPT_OPERATIONS` to arrive."""

    def search(
        self,
        project: int,
        text: str,
        wanted: InteractionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
    ) -> SearchPage:
        """What was said in prompts, answers, tool arguments and results; every word of ``text`` has to occur."""

    def statistics(self, project: int, by: str, wanted: InteractionFilter, *, limit: int) -> StatisticsTable:
        """Interactions in groups by one of :data:`STATISTICS_GROUPS`, each counted once (``timeline/counted.py``)."""

    def lag(self, project: int | None = None) -> Lag:
        """How far what follows the acknowledgement is behind it; None: over all projects."""

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

    def compact(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Sorts what has gone cold, so that it is found faster; changes no answer. Called again and again, anytime.

        Works a share of the time and returns when nothing is due, or between two steps once ``stopping()`` is true.
        """

    def close(self) -> None:
        """Finishes what was committed and lets go of every file; safe to repeat."""
