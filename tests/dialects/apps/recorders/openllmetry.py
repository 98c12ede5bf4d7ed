"""OpenLLMetry's instrumentors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from tests.dialects.apps import telemetry

INSTRUMENTORS = {
    "openai_chat": ("openai", "OpenAIInstrumentor"),
    "openai_responses": ("openai", "OpenAIInstrumentor"),
    "anthropic_messages": ("anthropic", "AnthropicInstrumentor"),
}


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    module, name = INSTRUMENTORS[client]
    instrumentor = getattr(import_module(f"opentelemetry.instrumentation.{module}"), name)()
    instrumentor.instrument(tracer_provider=telemetry.provider(session))
    yield
