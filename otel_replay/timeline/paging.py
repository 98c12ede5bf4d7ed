"""Parts of a timeline: some kinds, some time around one span, one page after the other."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from typing import Any

from otel_replay.errors import InvalidRequest, NotFound
from otel_replay.timeline.entry import KINDS, Entry, Timeline
from otel_replay.timeline.spans import SpanKey, entry_id

DEFAULT_LIMIT = 5_000
"""Entries on a page."""

DEFAULT_WINDOW_NS = 10_000_000_000
"""10 s before and after the span asked about."""

OrderKey = tuple[int, int, str, str]


def page(
    timeline: Timeline,
    *,
    kinds: Collection[str] | None = None,
    around: SpanKey | None = None,
    window_ns: int | None = None,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
) -> dict[str, Any]:
    """The JSON form of a timeline with some of its entries, in order.

    ``kinds`` (None: all) filters; ``around`` (trace id, span id) keeps what overlaps the span, widened by
    ``window_ns`` on both sides; ``cursor`` is the ``next_cursor`` of the page before. Totals stay those of the whole
    timeline, and links may lead to entries of other pages.

    Raises :class:`InvalidRequest` for a bad cursor, kind, limit or window, :class:`NotFound` for a span that is not
    in the timeline.
    """
    if limit < 1:
        raise InvalidRequest(f"limit is {limit}", hint="ask for at least one entry")
    entries = _of_kinds(timeline.entries, kinds)
    if around is not None:
        entries = _around(entries, timeline, around, DEFAULT_WINDOW_NS if window_ns is None else window_ns)
    if cursor:
        after = _decode(cursor)
        entries = [entry for entry in entries if entry.order_key > after]
    shown = entries[:limit]
    return timeline.to_dict_of(shown, _encode(shown[-1].order_key) if len(shown) < len(entries) else None)


def _of_kinds(entries: Collection[Entry], kinds: Collection[str] | None) -> list[Entry]:
    if kinds is None:
        return list(entries)
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise InvalidRequest(f"no such kind: {', '.join(unknown)}", hint=f"kinds are {', '.join(KINDS)}")
    return [entry for entry in entries if entry.kind in kinds]


def _around(entries: Collection[Entry], timeline: Timeline, around: SpanKey, window_ns: int) -> list[Entry]:
    if window_ns < 0:
        raise InvalidRequest(f"window is {window_ns} ns", hint="it reaches that far to both sides")
    centre = next((entry for entry in timeline.entries if entry.id == entry_id(around)), None)
    if centre is None:
        raise NotFound(f"no span {around[1]} of trace {around[0]} in this timeline", hint="around is TRACE_ID:SPAN_ID")
    start, end = centre.start_unix_nano - window_ns, centre.end_unix_nano + window_ns
    return [entry for entry in entries if entry.start_unix_nano <= end and entry.end_unix_nano >= start]


def _encode(key: OrderKey) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _decode(cursor: str) -> OrderKey:
    """The order key in a cursor, which anybody may have written."""
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        key = None
    match key:
        case [int(start), int(rank), str(entry), str(session)]:
            return start, rank, entry, session
    raise InvalidRequest("the cursor is not one that was given out", hint="leave it out to start at the first page")
