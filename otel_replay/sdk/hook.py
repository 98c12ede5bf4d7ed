"""What ``opentelemetry-instrument`` calls before it switches instrumentors on, wherever otel-replay is installed."""

from __future__ import annotations

import os

EXPORTER_NAME = "otel_replay"
"""Of the entry points: ``--traces_exporter otel_replay``, ``--logs_exporter otel_replay``."""


def pre_instrument() -> None:
    """Does, and imports, nothing unless one of our exporters was asked for."""
    spans, logs = (_is_asked_for(f"OTEL_{signal}_EXPORTER") for signal in ("TRACES", "LOGS"))
    if spans or logs:
        from otel_replay.sdk.instrument import complete

        complete(spans=spans, logs=logs)


def _is_asked_for(variable: str) -> bool:
    return EXPORTER_NAME in (name.strip() for name in os.environ.get(variable, "").split(","))
