"""Logfire, with the application's exporter beside its own."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import logfire
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

INSTRUMENT = {
    "openai_chat": logfire.instrument_openai,
    "openai_responses": logfire.instrument_openai,
    "anthropic_messages": logfire.instrument_anthropic,
    "pydantic_agent": logfire.instrument_pydantic_ai,
    "pydantic_agent_nested": logfire.instrument_pydantic_ai,
}


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    os.environ["OTEL_RESOURCE_ATTRIBUTES"] = f"session.id={session}"
    logfire.configure(
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        scrubbing=False,
        additional_span_processors=[BatchSpanProcessor(OTLPSpanExporter())],
    )
    INSTRUMENT[client]()
    yield
    logfire.force_flush()
