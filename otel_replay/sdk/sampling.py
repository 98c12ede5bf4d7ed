"""Recording a share of the sessions, whole ones, and of the others what led to an error and what came after.

Also where paused sessions end: what began while its session was paused goes nowhere.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags

from otel_replay.errors import InvalidRequest
from otel_replay.events import GAP_REASON, GAP_RECORDS, SAMPLED
from otel_replay.sdk.backlog import Backlog, Opened, Piece
from otel_replay.sdk.context import SESSION_ID, session_attributes
from otel_replay.sdk.destination import Signal
from otel_replay.sdk.emitting import SCOPE
from otel_replay.sdk.pausing import PAUSES

_log = logging.getLogger(__name__)

VARIABLE = "OTEL_REPLAY_SAMPLE_RATE"

KEPT_SECONDS = 60.0
KEPT_BYTES = 16 * 1024 * 1024
"""Of the sessions that are not recorded, all together."""

_MAX_TRACES = 10_000
"""Traces whose session is remembered, for spans that do not say it, such as a server span around its session."""

_OBJECT_BYTES = 1_000
"""A span or record without its texts, roughly."""

_SEVERITY_ERROR = 17


def rate_of(asked: float | None) -> float:
    """The share of sessions that is asked for, else that of ``OTEL_REPLAY_SAMPLE_RATE``, else 1.

    Raises ``InvalidRequest`` for an argument that is none. A variable that is none is logged and left aside, as the
    specification of the SDK wants it ("Environment Variables: Numeric value").
    """
    if asked is not None:
        return _checked(asked)
    told = os.environ.get(VARIABLE, "").strip()
    try:
        return _checked(float(told)) if told else 1.0
    except (ValueError, InvalidRequest) as error:
        _log.warning("%s is %r: all sessions are recorded; %s", VARIABLE, told, error)
        return 1.0


def _checked(rate: float) -> float:
    if not 0 <= rate <= 1:
        raise InvalidRequest(f"the sample rate is {rate}", hint="a number from 0 (none) to 1 (all)")
    return rate


class Sampling:
    """Sends what belongs to the share ``rate`` (0 to 1) of the sessions: see :mod:`.backlog`.

    A session that is not recorded keeps its last ``kept_s`` seconds in memory, up to ``kept_bytes`` for all together.
    At its first error (a span with status ERROR or an exception, a log record of that severity) these are sent, and
    everything from there on; one with the attribute ``otel_replay.gap.reason`` stands for what was thrown away before.
    Spans and log records have a lane each, with the same decisions. ``clock`` gives nanoseconds.
    """

    def __init__(
        self,
        rate: float,
        *,
        kept_s: float = KEPT_SECONDS,
        kept_bytes: int = KEPT_BYTES,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._records_all = _checked(rate) >= 1
        self._backlog = Backlog(rate, int(kept_s * 10**9), kept_bytes)
        self._clock = clock
        self._sessions: OrderedDict[int, str] = OrderedDict()
        self._ways_out: dict[Signal, Callable[[Sequence[Any]], Any]] = {}
        self._make_locks()
        if hasattr(os, "register_at_fork"):
            this = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _after_fork(this))

    @property
    def held_bytes(self) -> int:
        """What is kept in memory of sessions that are not recorded."""
        return self._backlog.bytes

    def send_with(self, lane: Signal, send: Callable[[Sequence[Any]], Any]) -> None:
        """What is sent on a lane goes to ``send``. Raises ``InvalidRequest`` where the lane has one already."""
        if lane in self._ways_out:
            raise InvalidRequest(f"this sampler has an exporter of {lane} already")
        self._ways_out[lane] = send

    def take(self, lane: Signal, items: Sequence[Any]) -> Any:
        """The result of sending what is to be sent on this lane, None for nothing; another lane gets its own, too."""
        if self._records_all and not PAUSES:
            return self._send(lane, items)
        with self._deciding:
            sifted = self._backlog.sift(lane, self._pieces(lane, items), self._clock())
        to_send = sifted.items
        if gaps := [gap for opened in sifted.opened if (gap := _gap_span(opened))]:
            to_send["traces"] = [*gaps, *to_send.get("traces", [])]
        for other in self._ways_out.keys() & to_send.keys() - {lane}:
            self._send_aside(other, to_send[other])
        return self._send(lane, to_send[lane]) if lane in to_send else None

    def _send(self, lane: Signal, items: Sequence[Any]) -> Any:
        """An exporter is never called by two threads at once (specification of the SDK, "Span Exporter")."""
        with self._sending[lane]:
            return self._ways_out[lane](items)

    def _send_aside(self, lane: Signal, items: Sequence[Any]) -> None:
        """What an error on another lane has brought up, whose exporter must not suffer from this one."""
        try:
            self._send(lane, items)
        except Exception:  # noqa: BLE001 - exporters of log records may raise
            _log.exception("%d %s before an error were not sent", len(items), lane)

    def _pieces(self, lane: Signal, items: Sequence[Any]) -> list[Piece]:
        of_item = self._of_span if lane == "traces" else self._of_record
        return [piece for item in items if (piece := of_item(item))]

    def _of_span(self, span: ReadableSpan) -> Piece | None:
        attributes, trace_id = span.attributes or {}, span.context.trace_id if span.context else 0
        start, end = span.start_time or 0, span.end_time or 0
        key = self._key(attributes, trace_id)
        if PAUSES.covers(key, start):
            return None
        is_error = span.status.status_code is StatusCode.ERROR or any(one.name == "exception" for one in span.events)
        weight = _weight(attributes) + sum(_weight(one.attributes or {}) for one in span.events)
        return Piece(key, span, weight, start, end, is_error)

    def _of_record(self, readable: ReadableLogRecord) -> Piece | None:
        record = readable.log_record
        # Where others have set up the providers, a record may come before its processor has put the session on it.
        known = session_attributes(record.context) if record.context else {}
        attributes: Mapping[str, Any] = {**known, **(record.attributes or {})}
        at = record.timestamp or record.observed_timestamp or 0
        key = self._key(attributes, record.trace_id or 0)
        if PAUSES.covers(key, at):
            return None
        severity = record.severity_number.value if record.severity_number else 0
        is_error = severity >= _SEVERITY_ERROR or "exception.type" in attributes
        return Piece(key, readable, _weight({**attributes, "": record.body}), at, at, is_error)

    def _key(self, attributes: Mapping[str, Any], trace_id: int) -> str:
        """The session that is named, the one that the trace was known to belong to, or the trace."""
        session = attributes.get(SESSION_ID)
        if isinstance(session, str) and session:
            if trace_id:
                self._sessions[trace_id] = session
                self._sessions.move_to_end(trace_id)
                if len(self._sessions) > _MAX_TRACES:
                    self._sessions.popitem(last=False)
            return session
        return self._sessions.get(trace_id) or f"{trace_id:032x}"

    def _make_locks(self) -> None:
        self._deciding = threading.Lock()
        self._sending: dict[Signal, threading.Lock] = {"traces": threading.Lock(), "logs": threading.Lock()}


class SessionSampler(SpanExporter):
    """Another exporter, with a ``Sampling`` before it, which takes ``options``: ours have one of their own.

    :meth:`logs` does the same for log records, with the same decisions.
    """

    def __init__(self, exporter: SpanExporter, rate: float, **options: Any) -> None:
        self._exporter = exporter
        self.sampling = Sampling(rate, **options)
        self.sampling.send_with("traces", exporter.export)

    def logs(self, exporter: LogRecordExporter) -> LogRecordExporter:
        """An exporter of log records that hands on to ``exporter`` by the decisions of this one. Once."""
        self.sampling.send_with("logs", exporter.export)
        return _LogSampler(self.sampling, exporter)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result: SpanExportResult | None = self.sampling.take("traces", spans)
        return SpanExportResult.SUCCESS if result is None else result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _LogSampler(LogRecordExporter):
    """The log records' side of a ``SessionSampler``."""

    def __init__(self, sampling: Sampling, exporter: LogRecordExporter) -> None:
        self._sampling = sampling
        self._exporter = exporter

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        result: LogRecordExportResult | None = self._sampling.take("logs", batch)
        return LogRecordExportResult.SUCCESS if result is None else result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _after_fork(this: weakref.ref[Sampling]) -> None:
    """The thread that held a lock may be no more."""
    if sampling := this():
        sampling._make_locks()


def _gap_span(opened: Opened) -> ReadableSpan | None:
    """Stands for what was thrown away: in a session in a trace of its own, else in the trace that it is about."""
    missing = opened.missing
    if missing is None:
        return None
    digest = hashlib.sha256(f"{opened.key}:{missing.start_unix_nano}".encode("utf-8", "replace")).digest()
    attributes: dict[str, str | int] = {GAP_REASON: SAMPLED, GAP_RECORDS: missing.records}
    trace_id = int.from_bytes(digest[:16])
    if _is_trace_id(opened):
        trace_id = int(opened.key, 16)
    else:
        attributes[SESSION_ID] = opened.key
    return ReadableSpan(
        name="not recorded",
        context=SpanContext(trace_id, int.from_bytes(digest[16:24]), False, TraceFlags(TraceFlags.SAMPLED)),
        resource=opened.by.resource,
        attributes=attributes,
        start_time=missing.start_unix_nano,
        end_time=missing.end_unix_nano,
        instrumentation_scope=InstrumentationScope(SCOPE),
    )


def _is_trace_id(opened: Opened) -> bool:
    """Whether what was opened is a trace without a session; session ids may look the same."""
    by = opened.by
    attributes = by.attributes if isinstance(by, ReadableSpan) else by.log_record.attributes
    trace_id = by.context.trace_id if isinstance(by, ReadableSpan) else by.log_record.trace_id
    return SESSION_ID not in (attributes or {}) and opened.key == f"{trace_id or 0:032x}"


def _weight(attributes: Mapping[str, Any]) -> int:
    return _OBJECT_BYTES + sum(sys.getsizeof(key) + _weight_of(value) for key, value in attributes.items())


def _weight_of(value: Any) -> int:
    if isinstance(value, Mapping):
        return sys.getsizeof(value) + sum(_weight_of(item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return sys.getsizeof(value) + sum(map(_weight_of, value))
    return sys.getsizeof(value)
