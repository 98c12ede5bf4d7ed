"""The OTel-owned instrumentations, with content on their spans."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from tests.dialects.apps import telemetry

GENAI = "opentelemetry.instrumentation.genai"
OPENAI = (f"{GENAI}.openai", "OpenAIInstrumentor")
AGENTS = (f"{GENAI}.openai_agents", "OpenAIAgentsInstrumentor")
INSTRUMENTORS = {
    "openai_chat": (OPENAI,),
    "openai_responses": (OPENAI,),
    "openai_agents": (AGENTS, OPENAI),  # the former leaves the calls of the model to the latter
    "openai_agents_nested": (AGENTS, OPENAI),
    "pydantic_agent_nested": (OPENAI,),
    "anthropic_messages": ((f"{GENAI}.anthropic", "AnthropicInstrumentor"),),
    "gemini": (("opentelemetry.instrumentation.google_genai", "GoogleGenAiSdkInstrumentor"),),
    "langchain_chat": ((f"{GENAI}.langchain", "LangChainInstrumentor"),),
    "litellm_chat": (OPENAI,),  # it asks through OpenAI's client
}


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    os.environ.setdefault("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    for module, name in INSTRUMENTORS[client]:
        getattr(import_module(module), name)().instrument(tracer_provider=telemetry.provider(session))
    yield
