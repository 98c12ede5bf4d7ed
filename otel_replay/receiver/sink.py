"""Storing without a server: the sink behind ``OTelReplaySpanExporter("sqlite:///replay.db")``."""

from __future__ import annotations

import time

from otel_replay.model import DEFAULT_PROJECT, Signal, Source
from otel_replay.privacy.policy import Policies
from otel_replay.privacy.redaction import ProjectRedaction
from otel_replay.receiver.handler import Handler, Sender
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.erasure import Subject


class SqliteSink:
    """Writes what an application exports into a file, of which it is the one writer meanwhile."""

    def __init__(self, path: str) -> None:
        self._store = SqliteStore(path)
        # Pieces of recordings do not come from applications; a server that opens the file would distill them.
        self._handler = Handler(self._store, time.time_ns, lambda: None, _usual_redaction(self._store))

    def export_traces(self, body: bytes) -> None:
        """Stores a serialised ``ExportTraceServiceRequest``; on disk when it returns."""
        self._handler.export(Signal.TRACES, body, Sender(DEFAULT_PROJECT, Source.SERVER))

    def export_logs(self, body: bytes) -> None:
        """Stores a serialised ``ExportLogsServiceRequest``, likewise."""
        self._handler.export(Signal.LOGS, body, Sender(DEFAULT_PROJECT, Source.SERVER))

    def erase_session(self, session_id: str) -> None:
        """Erases everything that is stored of a session, down to the bytes."""
        self._store.privacy.erase(DEFAULT_PROJECT, Subject("session", session_id))

    def close(self) -> None:
        self._store.close()


def _usual_redaction(store: SqliteStore) -> ProjectRedaction:
    """The rules by default: there is no server to configure, and nobody who asks for counts."""
    return ProjectRedaction(Policies(), store.redaction_key, lambda _project: "default", lambda _rule, _values: None)
