"""What runs in the user's process: ``instrument()``, the session context, processors, exporters.

The session context needs the OpenTelemetry API only. Processors and exporters load the SDK, so they are imported when
they are first used; no gRPC, web framework or transport is loaded before an exporter is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from otel_replay.sdk.session import Chat, Session, chat, current_session, session

if TYPE_CHECKING:
    from otel_replay.sdk.exporter import OTelReplayLogExporter, OTelReplaySpanExporter
    from otel_replay.sdk.limits import LimitReached
    from otel_replay.sdk.manager import SessionManager
    from otel_replay.sdk.middleware import SessionMiddleware, WsgiSessionMiddleware
    from otel_replay.sdk.processor import SessionLogProcessor, SessionSpanProcessor
    from otel_replay.sdk.propagation import OwnHosts, OwnHostsPropagator
    from otel_replay.sdk.sampling import SessionSampler
    from otel_replay.sdk.sink import Sink

__all__ = [
    "Chat",
    "LimitReached",
    "OTelReplayLogExporter",
    "OTelReplaySpanExporter",
    "OwnHosts",
    "OwnHostsPropagator",
    "Session",
    "SessionLogProcessor",
    "SessionManager",
    "SessionMiddleware",
    "SessionSampler",
    "SessionSpanProcessor",
    "Sink",
    "WsgiSessionMiddleware",
    "chat",
    "current_session",
    "session",
]

_LAZY = {
    "LimitReached": "limits",
    "OTelReplayLogExporter": "exporter",
    "OTelReplaySpanExporter": "exporter",
    "OwnHosts": "propagation",
    "OwnHostsPropagator": "propagation",
    "SessionLogProcessor": "processor",
    "SessionManager": "manager",
    "SessionMiddleware": "middleware",
    "SessionSampler": "sampling",
    "SessionSpanProcessor": "processor",
    "Sink": "sink",
    "WsgiSessionMiddleware": "middleware",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
