"""Inputs of timelines: spans, logs and recordings with incremental ids and a stepped clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.model import DomEvent, Session, StoredLog, StoredSpan
from otel_replay.timeline import StreamView, Subject, Timeline, build_timeline
from tests.genai.spans import key_values

START = 1_763_600_000_123_456_789
"""Not a multiple of 256 ns: a double cannot hold it."""

MS = 1_000_000
TRACE = "0000000000000000000000000000000a"
INTERNAL, SERVER, CLIENT = Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}


def at(milliseconds: int) -> int:
    return START + milliseconds * MS


def span_id(number: int) -> str:
    return f"{number:016x}"


def span(
    number: int,
    parent: int = 0,
    *,
    name: str = "work",
    kind: Span.SpanKind.ValueType = INTERNAL,
    start: int | None = None,
    end: int | None = None,
    attributes: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
    events: Sequence[Span.Event] = (),
    status: Status | None = None,
    trace_id: str = TRACE,
) -> StoredSpan:
    """Span ``number`` starts ``number`` ms after the first and takes 10 ms, where no times (ns) are given."""
    starts = at(number) if start is None else start
    return StoredSpan(
        Resource(attributes=key_values({"service.name": "api", **(resource or {})})),
        InstrumentationScope(name="test"),
        Span(
            trace_id=bytes.fromhex(trace_id),
            span_id=bytes.fromhex(span_id(number)),
            parent_span_id=bytes.fromhex(span_id(parent)) if parent else b"",
            name=name,
            kind=kind,
            start_time_unix_nano=starts,
            end_time_unix_nano=starts + 10 * MS if end is None else end,
            attributes=key_values(attributes or {}),
            events=events,
            status=status,
        ),
    )


def log(number: int, *, session: str = "", span_number: int = 0, **fields: Any) -> StoredLog:
    """Log record ``number``, ``number`` ms after the first span; ``fields`` are LogRecord's."""
    attributes = {**fields.pop("attributes", {}), **({"session.id": session} if session else {})}
    fields.setdefault("time_unix_nano", at(number))
    if span_number:
        fields |= {"trace_id": bytes.fromhex(TRACE), "span_id": bytes.fromhex(span_id(span_number))}
    record = LogRecord(attributes=key_values(attributes), **fields)
    return StoredLog(Resource(), InstrumentationScope(name="test"), record, f"{number:032x}")


def click(index: int, milliseconds: int, selector: str = "#send") -> DomEvent:
    return DomEvent(0, index, "dom", at(milliseconds), f"click {selector}", {"type": "click", "selector": selector})


def announced(index: int, milliseconds: int, span_number: int, target: str = "#send") -> DomEvent:
    """The custom event in which the recorder names the action span it has started."""
    payload = {"trace_id": TRACE, "span_id": span_id(span_number), "name": "click", "target": target}
    detail = {"type": "custom", "tag": "otel.action", "payload": payload}
    return DomEvent(0, index, "dom", at(milliseconds), "otel.action", detail, TRACE, span_id(span_number))


def build(
    spans: Sequence[StoredSpan] = (),
    logs: Sequence[StoredLog] = (),
    dom: Sequence[DomEvent] = (),
    *,
    streams: Sequence[StreamView] = (),
    sessions: Sequence[Session] = (),
    subject: Subject | None = None,
) -> Timeline:
    """A timeline of trace ``TRACE``; ``dom`` are the events of stream ``tab`` of session ``s1``."""
    tabs = [StreamView("s1", "tab", dom)] if dom else []
    return build_timeline(
        subject=subject or Subject("trace", TRACE),
        sessions=sessions,
        spans=spans,
        logs=logs,
        streams=[*streams, *tabs],
    )


def links(timeline: Timeline, rel: str) -> dict[str, str]:
    """Source to target of the links of one rel, both shortened to what tells them apart."""
    return {
        _short(entry.id): _short(link.target) for entry in timeline.entries for link in entry.links if link.rel == rel
    }


def _short(entry_id: str) -> str:
    kind, _, rest = entry_id.partition(":")
    return f"span {int(rest.rpartition(':')[2], 16)}" if kind == "span" else entry_id
