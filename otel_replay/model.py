"""The words of the domain as data: what the pure parts, the store and the queries hand to each other.

Ids are lower-case hex strings, times are ``int`` Unix nanoseconds named ``*_unix_nano``, durations ``*_ns``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

DEFAULT_PROJECT = 1
"""The project of everything while there are no keys."""


MAX_UNIX_NANO = 2**63 - 1
"""OTLP's times are unsigned 64-bit, those of databases signed: rows and summaries are capped here, records never."""


class Signal(enum.IntEnum):
    """OTLP's signals, as stored with each block."""

    TRACES = 1
    LOGS = 2
    METRICS = 3


class Source(enum.IntEnum):
    """Who sent a request: requests of different source classes are never merged into one block."""

    SERVER = 1
    BROWSER = 2


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span as received, with the resource and scope it came under."""

    resource: Resource
    scope: InstrumentationScope
    span: Span

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()

    @property
    def span_id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent_span_id(self) -> str:
        return self.span.parent_span_id.hex()


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A plain log record as received; ``digest`` (32 hex digits) is its identity."""

    resource: Resource
    scope: InstrumentationScope
    record: LogRecord
    digest: str


class AiKind(enum.StrEnum):
    """What an AI span stands for; the values are the timeline's kinds."""

    INTERACTION = "interaction"
    TOOL = "tool"
    AGENT = "agent"
    RETRIEVAL = "retrieval"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call; ``input`` includes the cache buckets, ``output`` includes reasoning. None: not said."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class Interaction(NamedTuple):
    """One AI span, whatever dialect it was written in. None where the dialect carries nothing.

    A tuple, as one is made of every AI span that arrives: a frozen dataclass of as many fields takes 3 us longer.
    """

    kind: AiKind
    operation: str | None = None
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    conversation_id: str | None = None
    agent: str | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    tool_arguments: Any = None
    tool_result: Any = None
    input_messages: Sequence[Any] | None = None
    output_messages: Sequence[Any] | None = None
    system_instructions: Any = None
    tool_calls: Sequence[Any] | None = None
    usage: Usage = Usage()
    cost_usd: str | None = None
    finish_reasons: Sequence[str] | None = None
    time_to_first_token_ns: int | None = None
    parameters: Mapping[str, Any] = MappingProxyType({})
    tool_definitions: Sequence[Any] | None = None
    """The tools that the model was offered: ``{"type", "name", "description", "parameters"}`` each."""
    documents: Sequence[Any] | None = None
    """What a retrieval found: ``{"id", "content", "score", "metadata"}`` each."""
    evaluations: Sequence[Any] | None = None
    """What was judged of the answer: ``{"name", "score", "label", "explanation"}`` each."""
    usage_details: Mapping[str, int] | None = None
    """Tokens by modality and way, such as ``audio.input``: parts of those in ``usage``."""
    previous_response_id: str | None = None
    failed: bool = False
    """Whether its status, an error type or a mark of its dialect says so."""
    error: str | None = None
    """What went wrong: ``type: message``, or what of it is told."""
    warnings: Sequence[str] = ()
    unreadable: Sequence[str] = ()
    """What the attribute keys begin with whose values could not be read, which the warnings are about."""


@dataclass(frozen=True, slots=True)
class UserAction:
    """What a person did, as a span or span event said it: click, navigation, form submit, page view."""

    name: str
    """One word for the act: ``click``, ``submit``, ``navigation``, ``page_view``, ``input``, or the span's own name."""
    target: str | None = None
    """What was acted on: a widget id or name, a selector, or an address."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored piece of a recording's stream.

    ``payload`` is UTF-8 JSON as it was sent: an array of rrweb events, an object with an ``events`` array, one
    event, or (``slice_count`` > 1) a slice of one event's text whose neighbours hold the rest.
    """

    project: int
    session_id: str
    stream_id: str
    seq: int | None
    """0-based position in the stream; None asks the store to number it in the order of arrival."""
    payload: bytes
    received_unix_nano: int
    start_unix_nano: int
    end_unix_nano: int
    events: int
    has_full_snapshot: bool
    repeats: bool = False
    """Nothing but a full snapshot, and of a page of which everything is told: players that start before need it not."""
    sent_at_unix_nano: int | None = None
    slice_index: int = 1
    slice_count: int = 1
    counted_anew: bool = False
    """Whether its sender counts from 0 with each session, so that what is older than number 0 was counted before it.

    HyperDX's recorder does, and stamps what waits to be sent of the session before with the new one: a computer that
    wakes up sends up to 5 s so, whose numbers come again. The store tells them apart.
    """


@dataclass(frozen=True, slots=True)
class DomEvent:
    """One thing that happened on the page, distilled from a recording.

    ``kind`` is a timeline kind: ``dom`` (click, input, text added, custom), ``navigation``, ``console``, ``network``
    or ``error``. ``type`` in ``detail`` says which (``click``, ``input``, ``text``, ``custom``, ...). ``trace_id`` and
    ``span_id`` are set where the recorded event itself carried them (an rrweb custom event): such links are exact.
    """

    seq: int
    index: int
    """Position of the rrweb event in its chunk times 1,000, plus the place among what was distilled from it."""
    kind: str
    time_unix_nano: int
    title: str
    detail: Mapping[str, Any]
    trace_id: str = ""
    span_id: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Chunks of a stream that are not there: ``missing`` numbers after ``after_seq`` (-1: from the very start).

    ``reason`` is ``missing`` where they never came, ``damaged`` where they are stored and cannot be read any more.
    """

    stream_id: str
    after_seq: int
    missing: int
    reason: str
    from_unix_nano: int
    to_unix_nano: int
    resumes_at: int | None
    """Sequence number of the next chunk with a full snapshot, where playing goes on; None while there is none."""


@dataclass(frozen=True, slots=True)
class Session:
    """One user's visit, folded from everything that named it."""

    project: int
    session_id: str
    start_unix_nano: int
    end_unix_nano: int
    state: str = "active"
    """``active``, ``paused`` or ``ended``."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Merged attributes by OTel name: ``user.id``, ``feature``, ``label``, ``service.name``, ..."""
