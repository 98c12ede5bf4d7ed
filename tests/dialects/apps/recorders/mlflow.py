"""MLflow's autologging, on the application's provider instead of one of its own."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from mlflow import tracing

from tests.dialects.apps import telemetry

NOWHERE = "http://127.0.0.1:9"
"""No tracking server: everything leaves over OTLP."""

FLAVORS = {
    "openai_chat": "mlflow.openai",
    "openai_responses": "mlflow.openai",
    "anthropic_messages": "mlflow.anthropic",
}


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    os.environ |= {"MLFLOW_USE_DEFAULT_TRACER_PROVIDER": "false", "MLFLOW_TRACKING_URI": NOWHERE}
    telemetry.provider(session)
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT") + "/v1/traces"
    tracing.enable()  # it only knows traces that begin later
    import_module(FLAVORS[client]).autolog()
    yield
