"""From an accepted request to a :class:`Write`: what is indexed, what becomes a row, what becomes a chunk. Pure.

Spans that hold none of the marker bytes cost no Python beyond their ids and times; the others are decoded one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

import xxhash
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.errors import InvalidRequest
from otel_replay.genai import ACTION_MARKERS, AI_MARKERS, interpret, user_action
from otel_replay.genai.identity import SESSION_MARKERS, session_id, user_id
from otel_replay.model import MAX_UNIX_NANO, Chunk, Interaction, Signal, Source, UserAction
from otel_replay.otlp import thin
from otel_replay.otlp.attributes import any_value, attribute_map
from otel_replay.otlp.requests import AcceptedRequest, groups, records, scopes
from otel_replay.receiver.markers import Hit, MarkerScan
from otel_replay.recording.announcements import announcements
from otel_replay.recording.logs import chunk_from_log, is_recording
from otel_replay.store.base import (
    ActionRow,
    AttributeValue,
    InteractionRow,
    Quarantined,
    SessionSighting,
    SpanVersion,
    Write,
)
from otel_replay.store.folding import merge_attributes

SESSION_ATTRIBUTES = ("user.id", "feature", "label", "variant", "session.name", "session.previous_id")
"""Attributes of an AI span or user action that describe its session."""

CHUNK_ATTRIBUTES = (*SESSION_ATTRIBUTES, "service.name")


class Origin(NamedTuple):
    """Who sent a request, and when it came."""

    project: int
    source: Source
    received_unix_nano: int
    key_id: int = 0


@dataclass(slots=True)
class _Findings:
    """What one pass over a request collects."""

    trace_ids: set[bytes] = field(default_factory=set)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    items: int = 0
    errors: int = 0
    services: set[str] = field(default_factory=set)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    told: dict[str, dict[str, AttributeValue]] = field(default_factory=dict)
    interactions: list[InteractionRow] = field(default_factory=list)
    actions: list[ActionRow] = field(default_factory=list)
    session_traces: set[tuple[str, str]] = field(default_factory=set)
    chunks: list[Chunk] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    def see(self, session: str, start: int, end: int) -> None:
        """A session was mentioned. Runs for every span that names one, so it makes no objects."""
        known = self.seen.get(session)
        if known is None:
            self.seen[session] = (start, end)
        elif start < known[0] or end > known[1]:
            self.seen[session] = (min(start, known[0]), max(end, known[1]))

    def tell(self, session: str, attributes: dict[str, AttributeValue]) -> None:
        """Something was said of a session."""
        self.told[session] = merge_attributes(self.told.get(session, {}), attributes)

    def sightings(self) -> list[SessionSighting]:
        return [
            SessionSighting(session, min(start, MAX_UNIX_NANO), min(end, MAX_UNIX_NANO), self.told.get(session, {}))
            for session, (start, end) in self.seen.items()
        ]

    def times(self) -> tuple[int, int]:
        start = min(self.starts, default=0)
        return min(start, MAX_UNIX_NANO), min(max(self.ends, default=0), MAX_UNIX_NANO)


def prepare(accepted: AcceptedRequest, origin: Origin, digest: bytes) -> Write:
    """The write for an accepted request; ``digest`` identifies the request as it was received."""
    found = _Findings()
    body = accepted.body
    if accepted.signal is Signal.TRACES:
        _scan_traces(accepted, found)
    elif accepted.signal is Signal.LOGS:
        body = _scan_logs(accepted, origin, found)
    else:
        _scan_metrics(accepted, found)
    found.quarantined += [Quarantined(accepted.signal, str(one), one.raw) for one in accepted.rejections]
    start, end = found.times()
    return Write(
        project=origin.project,
        signal=accepted.signal,
        source=origin.source,
        received_unix_nano=origin.received_unix_nano,
        key_id=origin.key_id,
        digest=digest,
        body=body if found.items else b"",
        items=found.items,
        errors=found.errors,
        start_unix_nano=start,
        end_unix_nano=end,
        services=frozenset(found.services),
        trace_ids=frozenset(found.trace_ids),
        session_ids=frozenset(found.seen),
        sessions=found.sightings(),
        interactions=found.interactions,
        actions=found.actions,
        session_traces=frozenset(found.session_traces),
        chunks=found.chunks,
        quarantined=found.quarantined,
    )


def prepare_chunk(chunk: Chunk, origin: Origin) -> Write:
    """The write for one uploaded chunk of a recording."""
    found = _Findings()
    _note_chunk(chunk, found)
    return Write(
        project=origin.project,
        signal=Signal.LOGS,
        source=origin.source,
        received_unix_nano=origin.received_unix_nano,
        key_id=origin.key_id,
        sessions=found.sightings(),
        session_traces=frozenset(found.session_traces),
        chunks=found.chunks,
    )


# Traces


_TELLING = frozenset((*AI_MARKERS, *ACTION_MARKERS))
_MARKERS = MarkerScan((*AI_MARKERS, *ACTION_MARKERS, *SESSION_MARKERS))


def _scan_traces(accepted: AcceptedRequest, found: _Findings) -> None:
    envelopes = thin.parse(accepted.body).resources
    for group, envelope in zip(accepted.message.resource_spans, envelopes, strict=True):
        resource = _Resource(group.resource)
        found.services.add(resource.service)
        for scope_group, slices in zip(group.scope_spans, envelope.scopes, strict=True):
            spans = scope_group.spans
            if spans:
                _summarise(spans, found)
                _scan_spans(spans, list(slices.records), resource, scope_group.scope.name, found)


def _summarise(spans: Any, found: _Findings) -> None:
    found.items += len(spans)
    found.trace_ids.update([span.trace_id for span in spans])
    found.starts.append(min([span.start_time_unix_nano for span in spans]))
    found.ends.append(max([span.end_time_unix_nano for span in spans]))
    found.errors += [span.status.code for span in spans].count(Status.STATUS_CODE_ERROR)


class _Resource:
    """What the records of a resource share."""

    def __init__(self, resource: Any) -> None:
        self.attributes = attribute_map(resource.attributes)
        service = self.attributes.get("service.name")
        self.service = service if isinstance(service, str) else ""
        self.session = session_id({}, self.attributes)


def _scan_spans(
    spans: Sequence[Span], raws: Sequence[bytes], resource: _Resource, scope_name: str, found: _Findings
) -> None:
    """Decodes the spans that tell something; of the others it takes the session that they or their resource name."""
    telling: set[int] = set()
    naming: dict[int, Hit] = {}
    for hit in _MARKERS.find(raws):
        if hit.marker in _TELLING:
            telling.add(hit.record)
        else:
            naming.setdefault(hit.record, hit)
    for record in telling:
        _scan_span(spans[record], raws[record], resource, scope_name, found)
    for record in range(len(spans)) if resource.session else naming.keys() - telling:
        if record not in telling:
            span, place = spans[record], naming.get(record)
            if session := _named_session(span, raws[record], place, resource) if place else resource.session:
                found.see(session, span.start_time_unix_nano, span.end_time_unix_nano)


def _named_session(span: Span, raw: bytes, hit: Hit, resource: _Resource) -> str | None:
    return _plain_session_id(raw, hit) or session_id(attribute_map(span.attributes), resource.attributes)


_PLAIN_SESSION = b"\x0a\x0asession.id\x12"
"""``KeyValue.key`` (field 1, 10 bytes) and the tag of ``KeyValue.value``, as every encoder writes them."""

_SPAN_ATTRIBUTE = 0x4A
"""The tag of ``Span.attributes`` (field 9): those of events and links have other tags."""


def _plain_session_id(raw: bytes, hit: Hit) -> str:
    """The session id of a span that names it in the usual encoding; empty: decode the attributes to know."""
    value = hit.end + 1
    at = value - len(_PLAIN_SESSION)
    if at < 2 or raw[at - 2] != _SPAN_ATTRIBUTE or raw[at:value] != _PLAIN_SESSION or len(raw) < value + 3:
        return ""
    length = raw[value]
    if raw[at - 1] != length + 14 or raw[value + 1] != 0x0A or raw[value + 2] != length - 2:
        return ""
    session = raw[value + 3 : value + 1 + length].decode()
    return session if session.strip() else ""


def _scan_span(span: Span, raw: bytes, resource: _Resource, scope_name: str, found: _Findings) -> None:
    attributes = attribute_map(span.attributes)
    session = session_id(attributes, resource.attributes) or ""
    version = SpanVersion(min(span.end_time_unix_nano, MAX_UNIX_NANO), len(raw), xxhash.xxh3_128_digest(raw))
    interaction = interpret(span, scope_name, attributes=attributes, with_content=False)
    action = None if interaction else user_action(span, scope_name)
    if interaction:
        found.interactions.append(_interaction_row(span, version, session, resource.service, interaction))
    if action:
        found.actions.append(_action_row(span, version, session, action))
    if session:
        found.see(session, span.start_time_unix_nano, span.end_time_unix_nano)
        if interaction or action:
            found.tell(session, _session_attributes(attributes, resource, span.end_time_unix_nano, version))
            found.session_traces.add((session, span.trace_id.hex()))


def _session_attributes(
    attributes: dict[str, Any], resource: _Resource, event_unix_nano: int, version: SpanVersion
) -> dict[str, AttributeValue]:
    told = {name: attributes[name] for name in SESSION_ATTRIBUTES if name in attributes}
    if user := user_id(attributes, resource.attributes):
        told["user.id"] = user
    if resource.service:
        told["service.name"] = resource.service
    return _scalars(told, min(event_unix_nano, MAX_UNIX_NANO), version.digest.hex())


def _scalars(told: dict[str, Any], event_unix_nano: int, digest: str) -> dict[str, AttributeValue]:
    """What a session can be described by and JSON can say: no arrays, maps, bytes, NaN or infinity."""
    return {
        name: AttributeValue(event_unix_nano, digest, value)
        for name, value in told.items()
        if isinstance(value, str | bool | int) or (isinstance(value, float) and isfinite(value))
    }


def _interaction_row(
    span: Span, version: SpanVersion, session: str, service: str, interaction: Interaction
) -> InteractionRow:
    return InteractionRow(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        version=version,
        start_unix_nano=min(span.start_time_unix_nano, MAX_UNIX_NANO),
        kind=interaction.kind,
        status={Status.STATUS_CODE_OK: "ok", Status.STATUS_CODE_ERROR: "error"}.get(span.status.code, "unset"),
        service=service,
        session_id=session,
        conversation_id=interaction.conversation_id or "",
        operation=interaction.operation,
        provider=interaction.provider,
        request_model=interaction.request_model,
        response_model=interaction.response_model,
        input_tokens=_stored(interaction.usage.input),
        output_tokens=_stored(interaction.usage.output),
        cost_usd=interaction.cost_usd,
    )


def _stored(count: int | None) -> int | None:
    """A token count as far as a signed 64-bit column can hold it."""
    return None if count is None else min(count, MAX_UNIX_NANO)


def _action_row(span: Span, version: SpanVersion, session: str, action: UserAction) -> ActionRow:
    return ActionRow(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        version=version,
        start_unix_nano=min(span.start_time_unix_nano, MAX_UNIX_NANO),
        name=action.name,
        target=action.target or "",
        session_id=session,
    )


# Logs


def _scan_logs(accepted: AcceptedRequest, origin: Origin, found: _Findings) -> bytes:
    """Collects; returns the request without the records that are pieces of a recording."""
    is_plain: list[bool] = []
    for group in accepted.message.resource_logs:
        resource = _Resource(group.resource)
        for scope_group in group.scope_logs:
            for record in scope_group.log_records:
                recording = is_recording(record, scope_group.scope.name)
                is_plain.append(not recording)
                if recording:
                    _scan_recording_log(record, resource, origin, found)
                else:
                    found.services.add(resource.service)
                    _scan_log(record, resource, found)
    if all(is_plain):
        return accepted.body
    plain = iter(is_plain)
    return thin.select(accepted.body, lambda _piece: next(plain))


def _scan_log(record: Any, resource: _Resource, found: _Findings) -> None:
    time = record.time_unix_nano or record.observed_time_unix_nano
    found.items += 1
    found.starts.append(time)
    found.ends.append(time)
    found.errors += record.severity_number >= 17  # SEVERITY_NUMBER_ERROR
    if len(record.trace_id) == 16:
        found.trace_ids.add(record.trace_id)
    attributes = attribute_map(record.attributes)
    if session := session_id(attributes, resource.attributes):
        found.see(session, time, time)
        if record.event_name.startswith("session."):
            found.tell(session, _session_events(record, attributes))
        if len(record.trace_id) == 16:
            found.session_traces.add((session, record.trace_id.hex()))


_SESSION_STATES = {
    "session.start": "active",
    "session.resume": "active",
    "session.pause": "paused",
    "session.end": "ended",
}


def _session_events(record: Any, attributes: dict[str, Any]) -> dict[str, AttributeValue]:
    """What a session event (semantic conventions, session.md) says of its session."""
    time = min(record.time_unix_nano or record.observed_time_unix_nano, MAX_UNIX_NANO)
    digest = xxhash.xxh3_128_hexdigest(record.SerializeToString())
    told = {name: attributes[name] for name in SESSION_ATTRIBUTES if name in attributes}
    if state := _SESSION_STATES.get(record.event_name):
        told["state"] = state
    return _scalars(told, time, digest)


def _scan_recording_log(record: Any, resource: _Resource, origin: Origin, found: _Findings) -> None:
    try:
        chunk = chunk_from_log(
            project=origin.project,
            resource_attributes=resource.attributes,
            record_attributes=attribute_map(record.attributes),
            body=any_value(record.body),
            time_unix_nano=record.time_unix_nano,
            received_unix_nano=origin.received_unix_nano,
        )
    except InvalidRequest as error:
        found.quarantined.append(Quarantined(Signal.LOGS, error.message, record.SerializeToString()))
    else:
        _note_chunk(chunk, found)


def _note_chunk(chunk: Chunk, found: _Findings) -> None:
    found.chunks.append(chunk)
    said = announcements(chunk)
    digest = xxhash.xxh3_128_hexdigest(chunk.payload)
    told = {
        name: AttributeValue(chunk.end_unix_nano, digest, value)
        for name, value in said.attributes.items()
        if name in CHUNK_ATTRIBUTES
    }
    found.see(chunk.session_id, chunk.start_unix_nano, chunk.end_unix_nano)
    found.tell(chunk.session_id, told)
    found.session_traces.update((chunk.session_id, trace_id) for trace_id in said.trace_ids)


# Metrics


def _scan_metrics(accepted: AcceptedRequest, found: _Findings) -> None:
    for group in groups(Signal.METRICS, accepted.message):
        resource = _Resource(group.resource)
        found.services.add(resource.service)
        for scope_group in scopes(Signal.METRICS, group):
            metrics = records(Signal.METRICS, scope_group)
            found.items += len(metrics)
            times = [point.time_unix_nano for metric in metrics for point in _points(metric)]
            found.starts += times
            found.ends += times
            if resource.session and times:
                found.see(resource.session, min(times), max(times))


def _points(metric: Any) -> Iterator[Any]:
    kind = metric.WhichOneof("data")
    return iter(getattr(metric, kind).data_points) if kind else iter(())
