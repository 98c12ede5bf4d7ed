"""What a library records by itself once it is told to."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import TracerProvider

from tests.dialects.apps import telemetry


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    provider = telemetry.provider(session)
    if client == "anthropic_messages":
        os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "true"
        os.environ["ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE"] = "content"
    elif client == "litellm_chat":
        _litellm(provider)
    else:
        _pydantic_ai(provider)
    yield


def _litellm(provider: TracerProvider) -> None:
    import litellm
    from litellm.integrations.opentelemetry import OpenTelemetry

    os.environ["USE_OTEL_LITELLM_REQUEST_SPAN"] = "true"  # or it writes onto the application's own span
    litellm.callbacks = [OpenTelemetry(tracer_provider=provider)]


def _pydantic_ai(provider: TracerProvider) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
