"""Providers that keep what they are given in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_replay.sdk import Session, SessionLogProcessor, SessionSpanProcessor, session


class Recorded:
    """A tracer and a logger provider as an application has them, with the processors of this package."""

    def __init__(self) -> None:
        self.tracer_provider, self.logger_provider = TracerProvider(), LoggerProvider()
        self._spans, self._logs = InMemorySpanExporter(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.tracer_provider.add_span_processor(SessionSpanProcessor())
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.logger_provider.add_log_record_processor(SessionLogProcessor())
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.tracer = self.tracer_provider.get_tracer("test")

    @property
    def providers(self) -> dict[str, Any]:
        return {"tracer_provider": self.tracer_provider, "logger_provider": self.logger_provider}

    def session(self, session_id: str | None = None, **facts: Any) -> Session:
        return session(session_id, **facts, **self.providers)

    def span(self, name: str) -> None:
        self.tracer.start_span(name).end()

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._spans.get_finished_spans()}

    @property
    def logs(self) -> list[ReadableLogRecord]:
        return list(self._logs.get_finished_logs())

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and attributes of every event, in order."""
        return [(one.log_record.event_name or "", dict(one.log_record.attributes or {})) for one in self.logs]

    def said(self, name: str) -> dict[str, Any]:
        """The attributes of a span."""
        return dict(self.spans[name].attributes or {})


@contextmanager
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    try:
        yield made
    finally:
        made.tracer_provider.shutdown()
        made.logger_provider.shutdown()
