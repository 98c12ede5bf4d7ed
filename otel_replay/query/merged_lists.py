"""Lists of several receivers, merged: sessions, traces, and what was said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from otel_replay.model import DEFAULT_PROJECT
from otel_replay.query.facts import Question
from otel_replay.query.merged_rows import MergedRows, add_traces, merged_rows
from otel_replay.query.parts import Asking, Part
from otel_replay.store import blocks
from otel_replay.store.base import (
    COUNTED_SESSIONS,
    InteractionFilter,
    InteractionRow,
    Reader,
    SearchHit,
    SearchPage,
    SessionFilter,
    SessionSummary,
    SpanFilter,
    TracePage,
)
from otel_replay.store.said import Found, sessions_that_said
from otel_replay.store.sqlite.fulltext import slot_of
from otel_replay.store.trace_search import RankedTrace, rank_trace

Position = tuple[int, str]

_A_PAGE = 100
"""Sessions that each receiver is asked for at a time."""

_SPAN_CHARACTERS = 19 + 32 + 16
"""Of a position in a search: time, trace id and span id; what follows orders the texts of one span."""

_TRACES_AT_ONCE = 50

_LISTED_BY = ("user", "tag", "label", "feature", "model", "service", "state")


class After(NamedTuple):
    """Where a list goes on.

    What stands at ``shown`` or before was shown. Receivers are asked again from ``listed`` on (None: from ``shown``):
    a session is older than each of them knows that did not see its beginning, so that some were listed and not shown.
    """

    shown: Position
    listed: Position | None = None


class Listed(NamedTuple):
    """A page of sessions; ``go_on`` is None behind the last."""

    sessions: Sequence[SessionSummary]
    total: int
    total_at_least: bool
    go_on: After | None


def list_sessions(asking: Asking, wanted: SessionFilter, limit: int, after: After | None, skip: int) -> Listed:
    """Newest first. A session at several receivers is one, and whether it is wanted is asked of the whole.

    ``total`` is exact where all that there is has been looked at; else there are at least as many.
    """
    listing = _Listing(asking, wanted, after)
    while len(listing.certain()) <= skip + limit and listing.more():
        pass
    certain = listing.certain()
    shown = certain[skip : skip + limit]
    is_all = after is None and listing.is_whole
    total = len(listing.matching) if is_all else max(len(listing.matching), listing.least_total)
    go_on = listing.after(shown[-1]) if len(certain) > skip + limit else None
    summaries = [cast(SessionSummary, listing.summary(session)) for _, session in shown]
    return Listed(summaries, min(total, COUNTED_SESSIONS), not is_all or total > COUNTED_SESSIONS, go_on)


class _Listing:
    """Sessions as they are found, those that are certain first: nothing newer can come any more."""

    def __init__(self, asking: Asking, wanted: SessionFilter, after: After | None) -> None:
        self._asking = asking
        self._wanted = wanted
        self._after = after
        self._first = (after.listed or after.shown) if after else None
        self._frontiers: dict[str, Position | None] = {}  # how far each receiver was listed; None: to its end
        self._rows: dict[str, MergedRows] = {}
        self._listed_at: dict[str, Position] = {}
        self.matching: dict[str, Position] = {}
        self.least_total = 0
        self._said: Found | None = None
        if wanted.text is not None:
            self._said = sessions_that_said(cast(Reader, asking), DEFAULT_PROJECT, wanted.text)

    @property
    def is_whole(self) -> bool:
        if self._said is not None and self._said.more:
            return False
        return bool(self._frontiers) and all(frontier is None for frontier in self._frontiers.values())

    def more(self) -> bool:
        """Lists further where that has come least far; False at the end."""
        if self._said is not None:
            return self._all_that_said(self._said.session_ids)
        if not self._frontiers:
            told = self._asking.ask("listed_sessions", _listed_by(self._wanted), _A_PAGE, self._first)
            self._take([(part, page) for part, page in told])
            return True
        left = [frontier for frontier in self._frontiers.values() if frontier is not None]
        if not left:
            return False
        newest = max(left)
        told = [
            (part, self._asking.ask_one(part, "listed_sessions", _listed_by(self._wanted), _A_PAGE, newest))
            for part in self._parts
            if self._frontiers[part.name] == newest
        ]
        self._take(told)
        return True

    def _all_that_said(self, said: frozenset[str]) -> bool:
        """Those in which a text was said are few, and are looked at at once."""
        if self._frontiers:
            return False
        self._frontiers[""] = None
        self._look_at(sorted(said))
        return True

    def _take(self, told: Iterable[tuple[Part, Any]]) -> None:
        pages = list(told)
        if not self._frontiers:
            self._parts = [part for part, _ in pages]
        new = []
        for part, page in pages:
            self._frontiers[part.name] = page.next_position if page else None
            self.least_total = max(self.least_total, page.total if page and _is_listed_alone(self._wanted) else 0)
            for summary in page.sessions if page else ():
                session = summary.session
                at = (session.start_unix_nano, session.session_id)
                if session.session_id not in self._listed_at:
                    new.append(session.session_id)
                self._listed_at[session.session_id] = min(at, self._listed_at.get(session.session_id, at))
        self._look_at(new)

    def _look_at(self, session_ids: Sequence[str]) -> None:
        rows = merged_rows(self._asking, session_ids)
        page = rows.sessions(DEFAULT_PROJECT, self._wanted._replace(text=None), limit=len(session_ids) + 1)
        for summary in page.sessions:
            session = summary.session
            position = (session.start_unix_nano, session.session_id)
            if self._after is None or position < self._after.shown:
                self.matching[session.session_id] = position
                self._rows[session.session_id] = rows

    def certain(self) -> list[Position]:
        """In order; what is not listed yet is older than all of them."""
        left = [frontier for frontier in self._frontiers.values() if frontier is not None]
        found = sorted(self.matching.values(), reverse=True)
        return [one for one in found if not left or one > max(left)] if self._frontiers else []

    def summary(self, session_id: str) -> SessionSummary | None:
        return self._rows[session_id].session_summary(DEFAULT_PROJECT, session_id)

    def after(self, last: Position) -> After:
        """Behind what was shown last."""
        listed = [self._listed_at.get(name, at) for name, at in self.matching.items() if at < last]
        start, session_id = max(listed, default=last)
        return After(last, (start, f"{session_id}\0") if (start, session_id) > last else None)


def _listed_by(wanted: SessionFilter) -> SessionFilter:
    """What receivers can be asked, so that each session that is wanted is listed by one of them.

    One attribute alone: the receiver that told the value which holds for the whole lists it by that, but another value
    may be told elsewhere. And no end of the time beside it: the beginning may be elsewhere, too.
    """
    name = next((one for one in _LISTED_BY if getattr(wanted, one) is not None), None)
    if name is not None:
        return SessionFilter(since_unix_nano=wanted.since_unix_nano, **{name: getattr(wanted, name)})
    if wanted.has_error:
        return SessionFilter(since_unix_nano=wanted.since_unix_nano, has_error=True)
    return SessionFilter(since_unix_nano=wanted.since_unix_nano, until_unix_nano=wanted.until_unix_nano)


def _is_listed_alone(wanted: SessionFilter) -> bool:
    """Whether receivers count no more than what is wanted: without any filter, nothing can be told otherwise."""
    return wanted == SessionFilter()


def find_traces(asking: Asking, wanted: SpanFilter, limit: int, after: Position | None) -> TracePage:
    """Newest first. A trace at several receivers is one, and its summary is of all its spans."""
    told = asking.ask("found_traces", wanted, limit, after)
    frontier = max((page.next_position for _, page in told if page.next_position), default=None)
    names = list({summary.trace_id: None for _, page in told for summary in page.traces})
    for at in range(0, len(names), _TRACES_AT_ONCE):
        asking.ahead([Question("trace", (name,)) for name in names[at : at + _TRACES_AT_ONCE]])
    ranked = [one for one in (_ranked(asking, name, wanted) for name in names) if one]
    ranked = sorted((one for one in ranked if after is None or one.position < after), reverse=True)
    certain = [one for one in ranked if frontier is None or one.position >= frontier]
    shown = certain[:limit]
    if len(certain) > limit:
        return TracePage([one.summary for one in shown], shown[-1].position)
    return TracePage([one.summary for one in shown], frontier)


def _ranked(asking: Asking, trace_id: str, wanted: SpanFilter) -> RankedTrace | None:
    bodies = asking.answers("trace", trace_id)
    return rank_trace(trace_id, blocks.spans_of_trace(bodies, bytes.fromhex(trace_id)), wanted)


def find_texts(asking: Asking, text: str, wanted: InteractionFilter, limit: int, after: Position | None) -> SearchPage:
    """Newest first. What one span says is shown once, wherever it is stored; a page may end a few hits later than
    asked for, with the last of a span."""
    told = asking.ask("found_texts", text, wanted._replace(label=None), limit, after)
    frontier = max((page.next_position for _, page in told if page.next_position), default=None)
    hits = {(hit.trace_id, hit.span_id, hit.snippet): hit for _, page in told for hit in page.hits}
    ordered = sorted(hits.values(), key=lambda hit: (_place(hit), hit.snippet), reverse=True)
    edge = None if frontier is None else (frontier[0], frontier[1][:_SPAN_CHARACTERS])
    certain = [hit for hit in ordered if edge is None or _place(hit) >= edge]
    cut = limit
    while 0 < cut < len(certain) and _place(certain[cut]) == _place(certain[cut - 1]):
        cut += 1
    go_on = _place(certain[cut - 1]) if cut < len(certain) else frontier
    meant = [hit for hit in _as_of_all(asking, certain[:cut]) if _is_meant(hit, wanted)]
    return SearchPage(_labelled(asking, meant, wanted.label), go_on)


def _is_meant(hit: SearchHit, wanted: InteractionFilter) -> bool:
    """By what a call takes from its trace: a receiver that has but a part of the trace may take it otherwise."""
    return wanted.user in (None, hit.user) and wanted.session_id in (None, hit.session_id)


def _place(hit: SearchHit) -> Position:
    """Of its span, as the positions of a receiver begin."""
    return slot_of(hit.start_unix_nano), f"{hit.start_unix_nano:019}{hit.trace_id}{hit.span_id}"


def _as_of_all(asking: Asking, hits: Sequence[SearchHit]) -> list[SearchHit]:
    """With what the winning version of their spans says, which another receiver may have."""
    rows = MergedRows()
    add_traces(asking, rows, {hit.trace_id for hit in hits})
    return [_as_told_by(rows.call(hit.trace_id, hit.span_id), hit) for hit in hits]


def _as_told_by(row: InteractionRow | None, hit: SearchHit) -> SearchHit:
    if row is None:
        return hit
    return hit._replace(
        session_id=row.session_id,
        conversation_id=row.conversation_id,
        service=row.service,
        model=row.response_model or row.request_model,
        user=row.user,
    )


def _labelled(asking: Asking, hits: Sequence[SearchHit], label: str | None) -> Sequence[SearchHit]:
    """Those in sessions of a label, which another receiver may have been told."""
    if label is None:
        return hits
    rows = merged_rows(asking, sorted({hit.session_id for hit in hits if hit.session_id}), with_calls=False)
    labelled = set()
    for hit in hits:
        session = rows.session(DEFAULT_PROJECT, hit.session_id)
        if session and str(session.attributes.get("label")) == label:
            labelled.add(hit.session_id)
    return [hit for hit in hits if hit.session_id in labelled]
