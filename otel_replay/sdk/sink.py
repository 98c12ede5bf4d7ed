"""Where an exporter without a server writes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Sink(Protocol):
    """Takes what the SDK exports and keeps it, in this process.

    Implementations are found by the name of a URL's scheme (``sqlite``) in the entry point group
    ``otel_replay.sinks``, which holds factories: see ``SinkFactory``.
    """

    def export_traces(self, body: bytes) -> None:
        """Keep one serialised ``ExportTraceServiceRequest``; returns when it is kept, raises when it is not."""

    def export_logs(self, body: bytes) -> None:
        """Keep one serialised ``ExportLogsServiceRequest``, likewise; a sink without this method keeps spans only."""

    def upload(self, session_id: str, stream_id: str, payload: bytes) -> int:
        """Keep a chunk of a recording, JSON as the chunk route takes it; its number in the stream. A sink without
        this method keeps no recordings."""

    def erase_session(self, session_id: str) -> None:
        """Forget everything of a session, for good."""

    def close(self) -> None:
        """Let go of everything that is held; safe to repeat."""


SinkFactory = Callable[[str], Sink]
"""From the path of a URL (``replay.db`` of ``sqlite:///replay.db``) to an open sink."""
