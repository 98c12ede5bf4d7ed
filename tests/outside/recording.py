"""An application that records into a receiver or a file, as ``instrument()`` sets it up, but for one test alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_replay.sdk import (
    OTelReplayLogExporter,
    OTelReplaySpanExporter,
    Session,
    SessionLogProcessor,
    SessionManager,
    SessionSpanProcessor,
    session,
)


@dataclass(frozen=True, slots=True)
class Recording:
    """What is recorded is acknowledged when the call returns."""

    endpoint: str
    tracer_provider: TracerProvider
    logger_provider: LoggerProvider

    @property
    def providers(self) -> dict[str, Any]:
        return {"tracer_provider": self.tracer_provider, "logger_provider": self.logger_provider}

    def session(self, session_id: str | None = None, **facts: Any) -> Session:
        return session(session_id, **facts, **self.providers)

    def manager(self, **options: Any) -> SessionManager:
        return SessionManager(self.endpoint, **self.providers, **options)


@contextmanager
def recording(endpoint: str, rate: float = 1.0) -> Iterator[Recording]:
    spans = OTelReplaySpanExporter(endpoint, spool=False, sample_rate=rate)
    logs = OTelReplayLogExporter(endpoint, spool=False)
    logs.sample_with(spans)
    tracer_provider, logger_provider = TracerProvider(), LoggerProvider()
    tracer_provider.add_span_processor(SessionSpanProcessor())
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    logger_provider.add_log_record_processor(SessionLogProcessor())
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    try:
        yield Recording(endpoint, tracer_provider, logger_provider)
    finally:
        tracer_provider.shutdown()
        logger_provider.shutdown()
