"""One line that records: providers, processors, exporters, propagation and instrumentors, set up together.

``instrument()`` is for code; ``complete()`` does the same for ``opentelemetry-instrument``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Protocol

from opentelemetry import _logs, propagate, trace
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_replay.errors import UnsupportedRequest
from otel_replay.sdk import content
from otel_replay.sdk import instrumentors as installed
from otel_replay.sdk.content import CONTENT, WITHOUT_CONTENT
from otel_replay.sdk.ending import millis_until, shut_down_at_the_end, within
from otel_replay.sdk.exporter import EXPORTERS, Exporter, OTelReplayLogExporter, OTelReplaySpanExporter, the_only
from otel_replay.sdk.processor import SessionLogProcessor, SessionSpanProcessor
from otel_replay.sdk.propagation import OwnHostsPropagator, own_hosts
from otel_replay.sdk.queues import CountingLogProcessor, CountingSpanProcessor
from otel_replay.sdk.redirects import guard_redirects

_log = logging.getLogger(__name__)

_DELAY_MS = 1_000.0
_QUEUE = 8_192
_ATTRIBUTES = 4_096
"""Instead of the SDK's 5 s, 2,048 items and 128 attributes, unless its variables say otherwise. A session of chats with
flattened messages has more than 128, and the first to be dropped is the oldest one: the session id."""


class _Pipeline(Protocol):
    """A batch processor of ours, or a provider that somebody else has set up."""

    def force_flush(self, timeout_millis: int = ..., /) -> bool: ...
    def shutdown(self) -> object: ...


class Instrumentation:
    """What ``instrument()`` has set up; the same object for the whole process until ``shutdown()``."""

    def __init__(self, pipelines: Collection[_Pipeline], exporters: Collection[Exporter], undo: ExitStack) -> None:
        self._pipelines = pipelines
        self._exporters = exporters
        self._undo = undo
        self._is_shut_down = False
        self._is_complete = True

    @property
    def spooled(self) -> int:
        """Spans and log records on disk that wait for the receiver; after ``shutdown`` those that were left there."""
        return sum(exporter.spooled for exporter in self._exporters)

    @property
    def lost(self) -> int:
        """Spans and log records that neither the receiver nor the disk has; the log says why."""
        return sum(exporter.lost for exporter in self._exporters)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """True when the receiver has everything recorded so far, and nothing was lost since the last call.

        False as well when some of it is on disk by then (``spooled``): it is sent when the receiver is back.
        """
        deadline = time.monotonic() + timeout_millis / 1_000
        in_time = self._empty_queues(timeout_millis, self._flush_pipelines)
        flushed = [exporter.force_flush(millis_until(deadline)) for exporter in self._exporters]
        return all(flushed) and in_time

    def shutdown(self, timeout_millis: int = 30_000) -> bool:
        """Sends what is left and switches off what was switched on; safe to repeat.

        True when nothing is lost: the receiver has everything, or the disk has what the receiver would not take just
        now (``spooled`` says how much), and the next process sends that.
        """
        global _active
        with _lock:
            if not self._is_shut_down:
                self._is_shut_down = True
                in_time = self._empty_queues(timeout_millis, self._end_pipelines)
                self._is_complete = in_time and not self.lost
                self._undo.close()
            if _active is self:
                _active = None
            return self._is_complete

    def _empty_queues(self, timeout_millis: int, work: Callable[[int], None]) -> bool:
        """Whether the work was done in time that does so; then what they have dropped is known."""
        entered = [(exporter, exporter.queue.entered) for exporter in self._exporters]
        in_time = within(timeout_millis / 1_000, lambda: work(timeout_millis))
        if in_time:
            for exporter, items in entered:
                exporter.note_emptied(items)
        return in_time

    def _flush_pipelines(self, timeout_millis: int) -> None:
        for one in self._pipelines:
            one.force_flush(timeout_millis)

    def _end_pipelines(self, timeout_millis: int) -> None:
        """All hand on what they have before the first one ends: an error in one brings back what another has kept."""
        self._flush_pipelines(timeout_millis)
        for one in self._pipelines:
            one.shutdown()


_active: Instrumentation | None = None
_lock = threading.RLock()


def _renew_lock() -> None:
    """In a forked child: the thread that held it may be no more."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def instrument(
    endpoint: str | None = None,
    service_name: str | None = None,
    capture_content: bool = True,
    *,
    headers: Mapping[str, str] | None = None,
    protocol: str | None = None,
    sample_rate: float | None = None,
    instrumentors: Collection[str] | None = None,
    spool: str | os.PathLike[str] | bool | None = None,
    propagate_to: Iterable[str] = (),
) -> Instrumentation:
    """Records LLM calls, and whatever else an installed instrumentor knows, and sends it to ``endpoint``.

    ``endpoint``, ``headers``, ``protocol``, ``spool`` and ``sample_rate`` are those of :class:`OTelReplaySpanExporter`.
    Providers that the application has set are used, others are made. ``capture_content=False`` leaves messages out;
    otherwise they are recorded unless ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` says no. ``instrumentors``
    are names of entry points; None: all that are installed, one for each library. Session and user ids go to hosts of
    one's own and to those in ``propagate_to``, as baggage.

    A second call changes nothing and gives the same object. With ``OTEL_SDK_DISABLED=true`` nothing is recorded.
    Raises ``UnsupportedRequest`` for an endpoint, or a provider, that cannot be used, ``InvalidRequest`` for a rate.
    """
    global _active
    with _lock, ExitStack() as undo, ExitStack() as opened:
        if _active is not None:
            _log.warning("instrument() was called before: this call changes nothing")
            return _active
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return Instrumentation((), (), undo.pop_all())
        _choose_content(capture_content, undo)
        spans = OTelReplaySpanExporter(endpoint, protocol, headers=headers, spool=spool, sample_rate=sample_rate)
        opened.callback(spans.shutdown)
        logs = OTelReplayLogExporter(endpoint, protocol, headers=headers, spool=spool)
        opened.callback(logs.shutdown)
        logs.sample_with(spans)
        pipelines = [*_record_spans(spans, service_name), *_record_logs(logs, service_name)]
        _propagate(propagate_to, undo)
        for instrumentor in installed.switch_on(instrumentors):
            undo.callback(instrumentor.uninstrument)
        opened.pop_all()
        _active = _running(pipelines, (spans, logs), undo)
        return _active


def complete(*, spans: bool, logs: bool) -> None:
    """Adds to what ``opentelemetry-instrument`` has set up whatever our exporters for these signals need.

    Its configuration (the stock distribution's, or another's) has made the providers with our exporters by then; where
    none is installed, they are made here.
    """
    global _active
    with _lock, ExitStack() as undo:
        if _active is not None:
            return
        _choose_content(True, undo)
        pipelines = [*(_configured_spans() if spans else ()), *(_configured_logs() if logs else ())]
        _sample_together(EXPORTERS)
        _propagate((), undo)
        installed.leave_off_duplicates()
        _active = _running(pipelines, list(EXPORTERS), undo)


def _running(pipelines: Collection[_Pipeline], exporters: Collection[Exporter], undo: ExitStack) -> Instrumentation:
    found = Instrumentation(pipelines, exporters, undo.pop_all())
    shut_down_at_the_end(found)
    return found


def _choose_content(is_wanted: bool, undo: ExitStack) -> None:
    """Before the instrumentors are made, which read the variables then."""
    is_wanted = is_wanted and content.is_wanted()
    chosen = {CONTENT: os.environ.get(CONTENT) or "SPAN_ONLY"} if is_wanted else WITHOUT_CONTENT
    for name, value in chosen.items():
        undo.callback(_set_variable, name, os.environ.get(name))
        os.environ[name] = value


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _record_spans(exporter: OTelReplaySpanExporter, service_name: str | None) -> list[_Pipeline]:
    provider: Any = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        wanted = _unless(_ATTRIBUTES, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT")
        limits = SpanLimits(max_span_attributes=wanted)
        provider = TracerProvider(resource=_resource(service_name), span_limits=limits)
        trace.set_tracer_provider(provider)
    elif not hasattr(provider, "add_span_processor"):
        raise UnsupportedRequest(
            f"the tracer provider that is set, {type(provider).__qualname__}, takes no processors",
            hint="set that of the OpenTelemetry SDK, or none: instrument() makes one",
        )
    elif service_name:
        _log.warning("the application has set a tracer provider: its service name stays, not %r", service_name)
    queue, delay_ms = _unless(_QUEUE, "OTEL_BSP_MAX_QUEUE_SIZE"), _unless(_DELAY_MS, "OTEL_BSP_SCHEDULE_DELAY")
    batches = BatchSpanProcessor(exporter, max_queue_size=queue, schedule_delay_millis=delay_ms)
    provider.add_span_processor(batches)
    provider.add_span_processor(CountingSpanProcessor(exporter.queue))
    return [batches]


def _record_logs(exporter: OTelReplayLogExporter, service_name: str | None) -> list[_Pipeline]:
    provider: Any = _logs.get_logger_provider()
    if isinstance(provider, ProxyLoggerProvider):
        provider = LoggerProvider(_resource(service_name))
        _logs.set_logger_provider(provider)
    elif not hasattr(provider, "add_log_record_processor"):
        _log.warning("%s takes no processors: log records and events are not recorded", type(provider).__qualname__)
        return []
    queue, delay_ms = _unless(_QUEUE, "OTEL_BLRP_MAX_QUEUE_SIZE"), _unless(_DELAY_MS, "OTEL_BLRP_SCHEDULE_DELAY")
    batches = BatchLogRecordProcessor(exporter, max_queue_size=queue, schedule_delay_millis=delay_ms)
    provider.add_log_record_processor(SessionLogProcessor())
    provider.add_log_record_processor(batches)
    provider.add_log_record_processor(CountingLogProcessor(exporter.queue))
    return [batches]


def _sample_together(exporters: Iterable[Exporter]) -> None:
    """One of each signal is what a configuration makes by their names."""
    found = sorted(exporters, key=lambda exporter: isinstance(exporter, OTelReplayLogExporter))
    if len(found) == 2 and type(found[0]) is not type(found[1]):
        found[1].sample_with(found[0])


def _configured_spans() -> list[_Pipeline]:
    provider: Any = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        return _record_spans(OTelReplaySpanExporter(), None)
    exporter = the_only(OTelReplaySpanExporter)
    provider.add_span_processor(CountingSpanProcessor(exporter.queue) if exporter else SessionSpanProcessor())
    return [provider]


def _configured_logs() -> list[_Pipeline]:
    """The exporting processor stands before ours then: a record that it takes away in between is found by its trace."""
    provider: Any = _logs.get_logger_provider()
    if isinstance(provider, ProxyLoggerProvider):
        return _record_logs(OTelReplayLogExporter(), None)
    provider.add_log_record_processor(SessionLogProcessor())
    if exporter := the_only(OTelReplayLogExporter):
        provider.add_log_record_processor(CountingLogProcessor(exporter.queue))
    return [provider]


def _propagate(named: Iterable[str], undo: ExitStack) -> None:
    before, hosts = propagate.get_global_textmap(), own_hosts(named)
    propagate.set_global_textmap(OwnHostsPropagator(before, hosts))
    undo.callback(propagate.set_global_textmap, before)
    guard_redirects(hosts, undo)


def _resource(service_name: str | None) -> Resource:
    return Resource.create({SERVICE_NAME: service_name} if service_name else None)


def _unless(value: Any, *variables: str) -> Any:
    """None, which is the SDK's word for its variables, where one of them is set."""
    return None if any(variable in os.environ for variable in variables) else value
