"""Uploading recordings: events cut into chunks, and those written into a file, or through the server that writes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from otel_replay.errors import DatabaseInUse, InvalidRequest
from otel_replay.recording.events import MAX_TIMESTAMP_MS, Event, parse_events
from otel_replay.sdk.sinks import SINKS
from otel_replay.store.sqlite.database import writer_of

PART_BYTES = 4 * 1024 * 1024
"""Of a chunk: far below what a server takes at once, and a player that seeks reads a few of them."""

WriteChunks = Callable[[str, str, Sequence[bytes]], int]
"""Stores the bodies of chunks of a session's stream, in order; the number of the last one."""


def chunk_bodies(stream: str, events: Iterable[Event], part_bytes: int = PART_BYTES) -> list[bytes]:
    """Bodies of the chunk route of about this size, at least one event in each.

    Raises :class:`InvalidRequest` that says which event is none, or where there are none at all.
    """
    parts: list[list[str]] = []
    size = part_bytes
    for number, event in enumerate(events):
        text = _text(event, number)
        if size + len(text) > part_bytes:
            parts.append([])
            size = 0
        parts[-1].append(text)
        size += len(text)
    if not parts:
        raise InvalidRequest("events: there are none", hint="upload a recording when there is one")
    start = f'{{"stream_id": {json.dumps(stream)}, "events": ['
    return [f"{start}{','.join(part)}]}}".encode() for part in parts]


def _text(event: Event, number: int) -> str:
    """ASCII: lone surrogates stay what they are."""
    try:
        text = json.dumps(event, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"events[{number}]: {error}") from error
    if not _is_usual(event):
        try:
            parse_events(f"[{text}]".encode())
        except InvalidRequest as error:
            raise InvalidRequest(error.message.replace("events[0]", f"events[{number}]"), hint=error.hint) from error
    return text


def _is_usual(event: Any) -> bool:
    if not isinstance(event, dict) or type(event.get("type")) is not int:
        return False
    timestamp = event.get("timestamp")
    return type(timestamp) is int and 0 <= timestamp <= MAX_TIMESTAMP_MS


def into_file(path: Path, through: Callable[[str], WriteChunks]) -> WriteChunks:
    """Writes into the file at ``path``, beside what this process records into it.

    While a server writes it, ``through`` gives what writes at its address.
    """

    def write(session_id: str, stream: str, bodies: Sequence[bytes]) -> int:
        try:
            with SINKS.borrowed(f"sqlite:///{path}") as sink:
                return [int(sink.upload(session_id, stream, body)) for body in bodies][-1]
        except DatabaseInUse:
            url = writer_of(path).get("url")
            if not url:
                raise
        return through(url)(session_id, stream, bodies)

    return write
