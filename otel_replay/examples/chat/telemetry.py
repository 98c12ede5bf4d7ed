"""OpenTelemetry as an application sets it up: a provider, an exporter, and two instrumentations.

The session processor is what puts the session id of the browser (W3C baggage) on every span. No HTTP client is
instrumented, so neither baggage nor trace ids leave for the model's vendor.
"""

from __future__ import annotations

import os

from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from starlette.applications import Starlette

from otel_replay.errors import ReplayError
from otel_replay.sdk import SessionSpanProcessor

_FLUSH_MS = 1_000  # The SDK's 5 s is long for somebody who waits to see the answer in the timeline.


def configure(exporter: SpanExporter, service_name: str = "chat-example") -> TracerProvider:
    """A provider that exports every second, with calls of the ``openai`` client recorded, messages included.

    Raises ``ReplayError`` when calls of the client are recorded already: there is one instrumentation per process.
    """
    if OpenAIInstrumentor().is_instrumented_by_opentelemetry:
        raise ReplayError("calls of the openai client are recorded already in this process", hint="stop() that first")
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_FLUSH_MS))
    os.environ.setdefault("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    return provider


def instrument_app(app: Starlette, provider: TracerProvider) -> None:
    """One server span per request to the API; without the exclusion a streamed answer has one more per token."""
    app.add_middleware(
        OpenTelemetryMiddleware,
        tracer_provider=provider,
        exclude_spans=["send", "receive"],
        excluded_urls="/$,/static/",
    )


def shut_down(provider: TracerProvider) -> None:
    """Send what is left and take the instrumentation of the client back."""
    OpenAIInstrumentor().uninstrument()
    provider.shutdown()
