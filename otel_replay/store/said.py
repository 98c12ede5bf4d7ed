"""Which sessions said something: the same in every backend. Pure."""

from __future__ import annotations

from typing import NamedTuple

from otel_replay.store.base import InteractionFilter, Reader

MOST_HITS = 1_000
_A_PAGE = 100


class Found(NamedTuple):
    """Sessions with a text; with ``more`` there are others, of older texts."""

    session_ids: frozenset[str]
    more: bool


def sessions_that_said(reader: Reader, project: int, text: str) -> Found:
    """Those of the newest :data:`MOST_HITS` texts that a search finds."""
    found: set[str] = set()
    after, hits = None, 0
    while hits < MOST_HITS:
        page = reader.search(project, text, InteractionFilter(), limit=_A_PAGE, after=after)
        found |= {hit.session_id for hit in page.hits if hit.session_id}
        hits += len(page.hits)
        after = page.next_position
        if after is None:
            break
    return Found(frozenset(found), after is not None)
