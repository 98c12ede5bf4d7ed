"""Langfuse's SDK on the application's provider; its own exporter is given nothing to send."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from langfuse import Langfuse, propagate_attributes

from tests.dialects.apps import telemetry


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    """Importing ``langfuse.openai`` patches the client."""
    Langfuse(
        public_key="pk",
        secret_key="sk",
        host="http://127.0.0.1:9",
        tracer_provider=telemetry.provider(),
        should_export_span=lambda _: False,
    )
    import_module("langfuse.openai")
    with propagate_attributes(session_id=session):
        yield
