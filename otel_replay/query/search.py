"""Full text: the JSON of the interface out."""

from __future__ import annotations

import time
from typing import Any

from otel_replay.errors import InvalidRequest
from otel_replay.query.sessions import encode_cursor
from otel_replay.query.statistics import MAX_WAIT_NS
from otel_replay.store.base import Reader, SearchHit, SearchPage

_POLL_S = 0.01


def wait_until_searchable(reader: Reader, wait_ns: int) -> int:
    """Texts that are stored and not searchable, once there are none, or after ``wait_ns``."""
    if not 0 <= wait_ns <= MAX_WAIT_NS:
        raise InvalidRequest(f"cannot wait {str(wait_ns)[:40]} ns", hint="wait for 0s to 10s")
    deadline = time.monotonic_ns() + wait_ns
    while (waiting := reader.lag().texts) and time.monotonic_ns() < deadline:
        time.sleep(_POLL_S)
    return waiting


def search_page_dict(page: SearchPage, waiting: int) -> dict[str, Any]:
    """Hits as JSON; times are strings of Unix nanoseconds.

    ::

        {"hits": [{"trace_id", "span_id", "start_unix_nano", "session_id", "conversation_id", "service", "model",
                   "user", "snippet", "highlights": [[start, end], ...]}],
         "next_cursor": null, "waiting": 0}

    ``highlights`` count characters of ``snippet``. ``waiting`` texts are stored and not searchable yet. A filter that
    rejects very much ends a page early: it may have few hits, or none, and yet a ``next_cursor``.
    """
    return {
        "hits": [_hit_dict(hit) for hit in page.hits],
        "next_cursor": encode_cursor(page.next_position),
        "waiting": waiting,
    }


def _hit_dict(hit: SearchHit) -> dict[str, Any]:
    return {
        "trace_id": hit.trace_id,
        "span_id": hit.span_id,
        "start_unix_nano": str(hit.start_unix_nano),
        "session_id": hit.session_id,
        "conversation_id": hit.conversation_id,
        "service": hit.service,
        "model": hit.model,
        "user": hit.user,
        "snippet": hit.snippet,
        "highlights": [list(place) for place in hit.highlights],
    }
