"""What a store can be asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from otel_replay.genai.prices import CostSource
from otel_replay.model import Session, Usage


class SessionFilter(NamedTuple):
    """What to list; None asks for everything. Times bound the session's start, half open.

    ``service`` and ``model`` ask for sessions with an AI span of that service, or request or response model;
    ``has_error`` for sessions in which something failed (or nothing did). ``text`` is looked for in what was said, like
    a search; ``tag`` is one of those that a session manager gave it.
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
    tag: str | None = None


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
    """A text that was said, at the earliest AI span, or log record of one, that carries it.

    ``start_unix_nano`` is when that was. ``highlights`` are (start, end) in characters of ``snippet``. Of a log record
    whose span is not stored only the ids are known, and the other texts are empty.
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

    ``errors`` are those that failed; of one session, and in groups of sessions, everything else that did, too.
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
