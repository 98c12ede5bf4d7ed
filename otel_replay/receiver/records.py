"""Bodies that start a session or bring a whole recording, read as far as routing takes."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from otel_replay.errors import InvalidRequest
from otel_replay.receiver.telling import load_told


class NewSession(msgspec.Struct):
    project_id: int | str
    metadata: dict[str, Any] | None = None


class Record(NamedTuple):
    """What a recording says of itself beside its events."""

    session_id: str
    metadata: dict[str, Any]


class _Record(msgspec.Struct, rename="camel", gc=False):
    """Nothing is made of the events: they are a part of the body as it came."""

    session_id: Any = None
    events: msgspec.Raw = msgspec.Raw(b"")
    metadata: Any = None


_DECODER = msgspec.json.Decoder(_Record)
_NOTHING = (b"", b"null", b"false", b"0", b'""')


def read_record(body: bytes) -> Record:
    """Of ``{"sessionId", "events", "metadata"?}``. Raises :class:`InvalidRequest`: "Missing data" without the two."""
    try:
        found = _DECODER.decode(body)
        session_id, metadata = found.session_id, found.metadata
        has_events = bytes(memoryview(found.events)[:8]) not in _NOTHING
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        session_id, metadata, has_events = _whole(load_told(body))
    missing = [name for name, there in (("sessionId", session_id), ("events", has_events)) if not there]
    if missing:
        raise InvalidRequest(f"Missing data: {' and '.join(missing)}", hint='send {"sessionId": ..., "events": [...]}')
    if not isinstance(session_id, str | int):
        raise InvalidRequest("sessionId is no text")
    if not isinstance(metadata, dict | None):
        raise InvalidRequest("metadata is no object")
    return Record(str(session_id), metadata or {})


def _whole(document: Any) -> tuple[Any, Any, bool]:
    """The same of a body that only the standard library reads."""
    if not isinstance(document, dict):
        raise InvalidRequest("Missing data: the body is no object", hint='send {"sessionId": ..., "events": [...]}')
    return document.get("sessionId"), document.get("metadata"), bool(document.get("events"))
