"""What a search finds: every distinct content at its origin, newest first. Pure.

The origin of a content is the least (start, trace id, span id) of the AI spans that carry it, in whatever version. It
is a hit while the winning version of that span still carries it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import xxhash

from otel_replay.genai.contents import text_of
from otel_replay.model import Signal
from otel_replay.otlp import thin
from otel_replay.store.base import InteractionFilter, InteractionRow, SearchHit, SearchPage, Write
from otel_replay.store.text_query import Snippet, TextQuery

Position = tuple[int, str]


class Origin(NamedTuple):
    """Where a content was said first."""

    start_unix_nano: int
    trace_id: str
    span_id: str


def rank_among_one_span(piece: bytes) -> str:
    """Orders the contents of one span, the same in every store."""
    return xxhash.xxh3_128_hexdigest(piece)


def hit(row: InteractionRow, start_unix_nano: int, snippet: Snippet) -> SearchHit:
    return SearchHit(
        row.trace_id,
        row.span_id,
        start_unix_nano,
        row.session_id,
        row.conversation_id,
        row.service,
        row.response_model or row.request_model,
        row.user,
        snippet.text,
        snippet.highlights,
    )


def search_writes(
    writes: Iterable[Write],
    winner: Callable[[Origin], InteractionRow | None],
    is_wanted: Callable[[InteractionRow, int], bool],
    query: TextQuery,
    limit: int,
    after: Position | None,
) -> SearchPage:
    """A page of hits in the writes of one project, found by looking at everything."""
    origins: dict[bytes, Origin] = {}
    carried: set[tuple[bytes, bytes]] = set()
    for row, piece in _contents(writes):
        origin = Origin(row.start_unix_nano, row.trace_id, row.span_id)
        origins[piece] = min(origin, origins.get(piece, origin))
        carried.add((row.version.digest, piece))
    hits: list[tuple[Position, SearchHit]] = []
    for piece, origin in origins.items():
        row_now = winner(origin)
        if row_now is None or (row_now.version.digest, piece) not in carried:
            continue
        place = (origin.start_unix_nano, f"{origin.trace_id}{origin.span_id}{rank_among_one_span(piece)}")
        snippet = query.find(text_of(piece))
        if snippet and is_wanted(row_now, origin.start_unix_nano) and (after is None or place < after):
            hits.append((place, hit(row_now, origin.start_unix_nano, snippet)))
    hits.sort(key=lambda found: found[0], reverse=True)
    page = hits[:limit]
    return SearchPage([one for _, one in page], page[-1][0] if len(hits) > limit else None)


def _contents(writes: Iterable[Write]) -> Iterable[tuple[InteractionRow, bytes]]:
    for write in writes:
        if write.signal is Signal.TRACES and any(row.contents for row in write.interactions):
            raws = [piece.raw for piece in thin.slices(write.body)]
            for row in write.interactions:
                for start, end in row.contents:
                    yield row, raws[row.record][start:end]


def wants(wanted: InteractionFilter, row: InteractionRow, start_unix_nano: int, label: str | None) -> bool:
    """Whether a filter accepts a span; ``label`` is that of its session."""
    asked = (
        (wanted.session_id, row.session_id),
        (wanted.conversation_id, row.conversation_id),
        (wanted.user, row.user),
        (wanted.feature, row.feature),
        (wanted.label, label),
        (wanted.service, row.service),
        (wanted.provider, row.provider),
        (wanted.variant, row.variant),
    )
    if any(value is not None and value != found for value, found in asked):
        return False
    if wanted.model is not None and wanted.model not in (row.request_model, row.response_model):
        return False
    if wanted.since_unix_nano is not None and start_unix_nano < wanted.since_unix_nano:
        return False
    return wanted.until_unix_nano is None or start_unix_nano < wanted.until_unix_nano
