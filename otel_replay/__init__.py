"""otel-replay: session replay, traces and LLM calls in one small OpenTelemetry receiver.

Importing this package loads neither gRPC nor a web framework nor numpy: every name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_replay.errors import ReplayError as ReplayError
    from otel_replay.query.opening import open_replay as open
    from otel_replay.sdk.exporter import OTelReplayLogExporter as OTelReplayLogExporter
    from otel_replay.sdk.exporter import OTelReplaySpanExporter as OTelReplaySpanExporter
    from otel_replay.sdk.instrument import instrument as instrument
    from otel_replay.sdk.processor import SessionSpanProcessor as SessionSpanProcessor
    from otel_replay.sdk.session import session as session

__version__ = "0.1.0"

__all__ = [
    "OTelReplayLogExporter",
    "OTelReplaySpanExporter",
    "ReplayError",
    "SessionSpanProcessor",
    "__version__",
    "instrument",
    "open",
    "session",
]

_HOMES = {
    "instrument": ("otel_replay.sdk.instrument", "instrument"),
    "open": ("otel_replay.query.opening", "open_replay"),
    "OTelReplayLogExporter": ("otel_replay.sdk.exporter", "OTelReplayLogExporter"),
    "OTelReplaySpanExporter": ("otel_replay.sdk.exporter", "OTelReplaySpanExporter"),
    "ReplayError": ("otel_replay.errors", "ReplayError"),
    "SessionSpanProcessor": ("otel_replay.sdk.processor", "SessionSpanProcessor"),
    "session": ("otel_replay.sdk.session", "session"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
