"""Full text: the JSON of the interface out."""

from __future__ import annotations

from typing import Any

from otel_replay.query.sessions import encode_cursor
from otel_replay.store.base import SearchHit, SearchPage


def search_page_dict(page: SearchPage, waiting: int) -> dict[str, Any]:
    """Hits as JSON; times are strings of Unix nanoseconds.

    ::

        {"hits": [{"trace_id", "span_id", "start_unix_nano", "session_id", "conversation_id", "service", "model",
                   "user", "snippet", "highlights": [[start, end], ...]}],
         "next_cursor": null, "waiting": 0}

    A text that only a log record tells, as some libraries send messages, has that record's time; of one whose span is
    not stored (yet) only the ids are known. ``highlights`` count characters of ``snippet``. ``waiting`` texts are
    stored and not searchable yet. A filter that rejects very much ends a page early: it may have few hits, or none, and
    yet a ``next_cursor``.
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
