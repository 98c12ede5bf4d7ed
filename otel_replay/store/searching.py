"""What a search finds: every distinct content at its origin, newest first. Pure.

The origin of a content is the least (start, trace id, span id) of the AI spans that carry it, in whatever version, and
of the log records that tell of a span, with their own time. It is a hit while the winning version of that span, or a
log record that tells of it, carries it. A log record counts before its span is there, too; then nothing is known of it
but its ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import xxhash

from otel_replay.genai.contents import text_of
from otel_replay.model import AiKind, Usage
from otel_replay.otlp import thin
from otel_replay.store.base import InteractionFilter, InteractionRow, SearchHit, SearchPage, SpanVersion, Write
from otel_replay.store.text_query import Snippet, TextQuery

Position = tuple[int, str]


class Origin(NamedTuple):
    """Where a content was said first: at which span, and when it or the log record began to say so."""

    start_unix_nano: int
    trace_id: str
    span_id: str


def rank_among_one_span(piece: bytes) -> str:
    """Orders the contents of one span, the same in every store."""
    return xxhash.xxh3_128_hexdigest(piece)


def _hit(row: InteractionRow, origin: Origin, snippet: Snippet) -> SearchHit:
    return SearchHit(
        origin.trace_id,
        origin.span_id,
        origin.start_unix_nano,
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
    carried: set[tuple[bytes | tuple[str, str], bytes]] = set()  # by the version of a span, or in a log of a span
    for origin, carrier, piece in _contents(writes):
        origins[piece] = min(origin, origins.get(piece, origin))
        carried.add((carrier, piece))
    hits: list[tuple[Position, SearchHit]] = []
    for piece, origin in origins.items():
        row_now = winner(origin)
        is_logged = (origin[1:], piece) in carried
        if not is_logged and (row_now is None or (row_now.version.digest, piece) not in carried):
            continue
        row = row_now or _UNKNOWN
        place = (origin.start_unix_nano, f"{origin.trace_id}{origin.span_id}{rank_among_one_span(piece)}")
        snippet = query.find(text_of(piece))
        if snippet and is_wanted(row, origin.start_unix_nano) and (after is None or place < after):
            hits.append((place, _hit(row, origin, snippet)))
    hits.sort(key=lambda found: found[0], reverse=True)
    page = hits[:limit]
    return SearchPage([one for _, one in page], page[-1][0] if len(hits) > limit else None)


def _contents(writes: Iterable[Write]) -> Iterable[tuple[Origin, bytes | tuple[str, str], bytes]]:
    """(origin, who carries it, content)."""
    for write in writes:
        raws = [piece.raw for piece in thin.slices(write.body)] if write.interactions or write.log_contents else []
        for row in write.interactions:
            origin = Origin(row.start_unix_nano, row.trace_id, row.span_id)
            yield from ((origin, row.version.digest, raws[row.record][start:end]) for start, end in row.contents)
        for log in write.log_contents:
            origin = Origin(log.unix_nano, log.trace_id, log.span_id)
            yield from ((origin, origin[1:], raws[log.record][start:end]) for start, end in log.contents)


_UNKNOWN = InteractionRow(
    trace_id="",
    span_id="",
    version=SpanVersion(0, 0, b""),
    start_unix_nano=0,
    kind=AiKind.INTERACTION,
    status="unset",
    service="",
    session_id="",
    conversation_id="",
    user="",
    feature="",
    variant="",
    operation=None,
    provider=None,
    request_model=None,
    response_model=None,
    usage=Usage(),
    cost_usd=None,
    time_to_first_token_ns=None,
)
"""Stands for a span that is not there."""


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
