"""Lists of sessions: cursors in, the JSON of the interface out."""

from __future__ import annotations

import base64
import json
from typing import Any

from otel_replay.errors import InvalidRequest
from otel_replay.model import MAX_UNIX_NANO
from otel_replay.store.base import COUNTED_SESSIONS, SessionPage, SessionSummary
from otel_replay.store.managed import METADATA, PREFERENCES, expires_of, object_of, tags_of
from otel_replay.texts import storable

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000


def skipped(page: int | None, limit: int, cursor: str | None) -> int:
    """How many sessions stand before a page, counted from 1; pages by number end where counting does."""
    if page is None:
        return 0
    if cursor:
        raise InvalidRequest("page and cursor are two ways to go on", hint="give one of them")
    if page < 1 or page * limit > COUNTED_SESSIONS:
        raise InvalidRequest(
            f"page is {str(page)[:40]}", hint=f"1 to {COUNTED_SESSIONS // limit}; cursors reach further"
        )
    return (page - 1) * limit


def session_dict(summary: SessionSummary) -> dict[str, Any]:
    """One session as JSON; times as strings of Unix nanoseconds.

    ``errors`` is how much failed in it: calls (each once), other spans, log records, exceptions, what the page's
    recording tells of. ``name``, ``tags``, ``metadata``, ``preferences`` and ``expires_unix_nano`` are what a session
    manager said.
    """
    session = summary.session
    attributes = session.attributes
    expires = expires_of(attributes)
    return {
        "session_id": session.session_id,
        "state": session.state,
        "start_unix_nano": str(session.start_unix_nano),
        "end_unix_nano": str(session.end_unix_nano),
        "user": attributes.get("user.id"),
        "feature": attributes.get("feature"),
        "label": attributes.get("label"),
        "service": attributes.get("service.name"),
        "name": attributes.get("session.name") or None,
        "tags": tags_of(attributes),
        "metadata": object_of(attributes, METADATA),
        "preferences": object_of(attributes, PREFERENCES),
        "expires_unix_nano": None if expires is None else str(expires),
        "attributes": dict(attributes),
        "interactions": summary.interactions,
        "actions": summary.actions,
        "errors": summary.errors,
        "traces": summary.traces,
        "has_recording": summary.has_recording,
        "models": list(summary.models),
        "tokens": {"input": summary.tokens[0], "output": summary.tokens[1]},
    }


def page_dict(page: SessionPage) -> dict[str, Any]:
    """``{"sessions", "total", "total_at_least", "next_cursor"}``."""
    return {
        "sessions": [session_dict(summary) for summary in page.sessions],
        "total": page.total,
        "total_at_least": page.total_at_least,
        "next_cursor": encode_cursor(page.next_position),
    }


def encode_cursor(position: tuple[int, str] | None) -> str | None:
    return None if position is None else base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def decode_cursor(cursor: str | None) -> tuple[int, str] | None:
    """The position in a cursor; raises :class:`InvalidRequest` for one that was not given out."""
    if not cursor:
        return None
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):
        position = None
    match position:
        case [int(start), str(session_id)] if abs(start) <= MAX_UNIX_NANO and storable(session_id) == session_id:
            return start, session_id
    raise InvalidRequest("the cursor is not one that was given out", hint="leave it out to start at the first page")


def check_limit(limit: int) -> int:
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"limit is {limit}", hint=f"ask for 1 to {MAX_LIMIT}")
    return limit
