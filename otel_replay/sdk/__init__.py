"""What runs in the user's process: the session context, span and log processors, the exporter.

The session context needs the OpenTelemetry API only. Processors and exporter load the SDK, so they are imported when
they are first used; no gRPC, web framework or transport is loaded before an exporter is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from otel_replay.sdk.session import Chat, Session, chat, session

if TYPE_CHECKING:
    from otel_replay.sdk.exporter import OTelReplaySpanExporter
    from otel_replay.sdk.processor import SessionLogProcessor, SessionSpanProcessor
    from otel_replay.sdk.sink import Sink

__all__ = [
    "Chat",
    "OTelReplaySpanExporter",
    "Session",
    "SessionLogProcessor",
    "SessionSpanProcessor",
    "Sink",
    "chat",
    "session",
]

_LAZY = {
    "OTelReplaySpanExporter": "exporter",
    "SessionLogProcessor": "processor",
    "SessionSpanProcessor": "processor",
    "Sink": "sink",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
