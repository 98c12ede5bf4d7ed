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
        self._has_chunks = False
        self._handler = Handler(self._store, time.time_ns, self._note_chunks, _usual_redaction(self._store))

    def export_traces(self, body: bytes) -> None:
        """Stores a serialised ``ExportTraceServiceRequest``; on disk when it returns."""
        self._handler.export(Signal.TRACES, body, Sender(DEFAULT_PROJECT, Source.SERVER))

    def export_logs(self, body: bytes) -> None:
        """Stores a serialised ``ExportLogsServiceRequest``, likewise."""
        self._handler.export(Signal.LOGS, body, Sender(DEFAULT_PROJECT, Source.SERVER))

    def upload(self, session_id: str, stream_id: str, payload: bytes) -> int:
        """Stores a chunk of a recording, JSON as the chunk route takes it; its number in the stream."""
        sender = Sender(DEFAULT_PROJECT, Source.SERVER)
        return self._handler.upload(session_id, stream_id, None, payload, None, sender).seq

    def erase_session(self, session_id: str) -> None:
        """Erases everything that is stored of a session, down to the bytes."""
        self._store.privacy.erase(DEFAULT_PROJECT, Subject("session", session_id))

    def close(self) -> None:
        """What came of recordings is distilled first."""
        if self._has_chunks:
            self._store.distill()
        self._store.close()

    def _note_chunks(self) -> None:
        self._has_chunks = True


def _usual_redaction(store: SqliteStore) -> ProjectRedaction:
    """The rules by default: there is no server to configure, and nobody who asks for counts."""
    return ProjectRedaction(Policies(), store.redaction_key, lambda _project: "default", lambda _rule, _values: None)
