"""OpenTelemetry as an application sets it up, for recorders that bring no set-up of their own."""

from __future__ import annotations

from opentelemetry import _logs, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def provider(session: str = "") -> TracerProvider:
    """The global tracer provider, made by the first call.

    Its resource names the session, for recorders that have no way of their own to say it.
    """
    made = trace.get_tracer_provider()
    if isinstance(made, TracerProvider):
        return made
    resource = Resource.create({"service.name": "conversation", **({"session.id": session} if session else {})})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    _logs.set_logger_provider(loggers)
    return tracers


def shut_down() -> None:
    """Sends what is left."""
    for made in (trace.get_tracer_provider(), _logs.get_logger_provider()):
        if isinstance(made, TracerProvider | LoggerProvider):
            made.force_flush()
            made.shutdown()
