"""OpenInference's instrumentors, with the session in their own context."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from openinference.instrumentation import using_session

from tests.dialects.apps import telemetry

INSTRUMENTORS = {
    "openai_chat": ("openai", "OpenAIInstrumentor"),
    "openai_responses": ("openai", "OpenAIInstrumentor"),
    "openai_agents_nested": ("openai", "OpenAIInstrumentor"),
    "pydantic_agent_nested": ("openai", "OpenAIInstrumentor"),
    "anthropic_messages": ("anthropic", "AnthropicInstrumentor"),
    "langchain_chat": ("langchain", "LangChainInstrumentor"),
    "litellm_chat": ("litellm", "LiteLLMInstrumentor"),
}


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    module, name = INSTRUMENTORS[client]
    instrumentor = getattr(import_module(f"openinference.instrumentation.{module}"), name)()
    instrumentor.instrument(tracer_provider=telemetry.provider())
    with using_session(session):
        yield
