"""The seam of the store: what is written, what can be asked, and the two protocols every backend fulfils.

Writing: :meth:`Store.commit` returns when the write is on disk, or raises :class:`RetryableError`, nothing stored.
Reading: a :class:`Reader` answers about one project at a time and never sees half of a commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from otel_replay.genai.prices import Cost
from otel_replay.model import Chunk, DomEvent, Session, StoredLog, StoredSpan
from otel_replay.recording.streams import ChunkInfo
from otel_replay.store.asked import (
    COUNTED_SESSIONS,
    STATISTICS_GROUPS,
    AttributeTest,
    InteractionFilter,
    Lag,
    SearchHit,
    SearchPage,
    SessionFilter,
    SessionPage,
    SessionSummary,
    SpanFilter,
    Statistics,
    StatisticsTable,
    Times,
    TracePage,
    TraceSummary,
)
from otel_replay.store.written import (
    ActionRow,
    AttributeValue,
    ChunkReceipt,
    ErrorRow,
    InteractionRow,
    LogContents,
    Quarantined,
    Receipt,
    SessionSighting,
    SpanVersion,
    Write,
)

__all__ = [
    "COUNTED_SESSIONS",
    "KEPT_OPERATIONS",
    "STATISTICS_GROUPS",
    "ActionRow",
    "AttributeTest",
    "AttributeValue",
    "ChunkReceipt",
    "ErrorRow",
    "InteractionFilter",
    "InteractionRow",
    "Lag",
    "LogContents",
    "Quarantined",
    "Reader",
    "Receipt",
    "SearchHit",
    "SearchPage",
    "SessionFilter",
    "SessionPage",
    "SessionSighting",
    "SessionSummary",
    "SpanFilter",
    "SpanVersion",
    "Statistics",
    "StatisticsTable",
    "Store",
    "Times",
    "TracePage",
    "TraceSummary",
    "Write",
]

KEPT_OPERATIONS = 1_000
"""Span names kept for each service: names made of ids must not fill the file."""


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

    def session_summary(self, project: int, session_id: str) -> SessionSummary | None:
        """One session as lists have it."""

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
