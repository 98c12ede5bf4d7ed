"""Search: the full text index says which contents may match, newest first; each is then read, checked and shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from otel_replay.genai.contents import content_ranges, text_of
from otel_replay.store.base import InteractionFilter, SearchHit, SearchPage
from otel_replay.store.searching import Position, rank_among_one_span
from otel_replay.store.sqlite.bodies import IN_A_LOG, version_number
from otel_replay.store.sqlite.body_reading import BodyReader
from otel_replay.store.sqlite.fulltext import SEQUENCE_BITS, first_document, match_expression, slot_of
from otel_replay.store.sqlite.identifiers import find_string, pack_id, texts_of, unpack_id
from otel_replay.store.sqlite.telemetry import TelemetryQueries
from otel_replay.store.text_query import Snippet, TextQuery

CANDIDATES = 2_000
"""Looked at for one page (20 to 40 ms): a filter that rejects nearly all of them must not read them all. The page is
what was found so far then, with a position to go on from."""

_COST_OF_READING = 20
"""Candidates that could be looked at in the time of reading one text for nothing (0.4 ms for a block of its own)."""

_VERSIONS_NS = 60 * 10**9
"""Versions of one span start within a minute of each other, and log records tell of it within a minute of its time."""

_QUERY = (
    "SELECT texts.rowid, bodies.id, bodies.start_unix_nano, bodies.trace_id, bodies.span_id, version, digest,"
    " session_id, conversation_id, coalesce(service, 0), coalesce(user, 0), coalesce(feature, 0),"
    " coalesce(provider, 0), coalesce(variant, 0), coalesce(request_model, 0), coalesce(response_model, 0)"
    " FROM texts CROSS JOIN bodies ON doc = texts.rowid LEFT JOIN interactions"
    " ON interactions.project = bodies.project AND interactions.trace_id = bodies.trace_id"
    " AND interactions.span_id = bodies.span_id"
    " WHERE texts MATCH ? AND texts.rowid BETWEEN ? AND ? AND bodies.project = ?"
    f" AND (interactions.id IS NOT NULL OR version = {IN_A_LOG}) ORDER BY texts.rowid DESC"
)


class _Candidate(NamedTuple):
    """A content that may match, with its origin's row; a log record may come without its span: the names are 0 then."""

    doc: int
    body: int
    start_unix_nano: int
    trace_id: bytes
    span_id: bytes
    version: int
    digest: bytes | None
    session_id: bytes | str | None
    conversation_id: bytes | str | None
    service: int
    user: int
    feature: int
    provider: int
    variant: int
    request_model: int
    response_model: int

    @property
    def slot(self) -> int:
        return self.doc >> SEQUENCE_BITS

    @property
    def origin(self) -> tuple[int, bytes, bytes]:
        return self.start_unix_nano, self.trace_id, self.span_id


class SearchQueries(TelemetryQueries):
    """Full text over what was said."""

    def search(
        self,
        project: int,
        text: str,
        wanted: InteractionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
    ) -> SearchPage:
        query = TextQuery(text)
        with self._connections.snapshot() as connection:
            asked = _Asked.of(connection, project, wanted)
            if asked is None:
                return SearchPage([], None)
            return _Search(self, connection, project, query, asked).page(limit, after)


class _Asked(NamedTuple):
    """A filter with names as ids; None asks for everything. Times are bounds of the origin's start, inclusive."""

    columns: dict[str, Any]
    model: int | None
    label: int | None
    first_unix_nano: int
    last_unix_nano: int

    @classmethod
    def of(cls, connection: Any, project: int, wanted: InteractionFilter) -> _Asked | None:
        """None when a name was never heard of."""
        names = {"user": wanted.user, "feature": wanted.feature, "service": wanted.service}
        names |= {"provider": wanted.provider, "variant": wanted.variant, "model": wanted.model, "label": wanted.label}
        ids = {key: find_string(connection, project, name) for key, name in names.items() if name is not None}
        if any(not number and names[key] for key, number in ids.items()):
            return None
        model, label = ids.pop("model", None), ids.pop("label", None)
        columns: dict[str, Any] = dict(ids)
        sets = {"session_id": wanted.session_id, "conversation_id": wanted.conversation_id}
        columns |= {key: pack_id(value) or None for key, value in sets.items() if value is not None}
        first = 0 if wanted.since_unix_nano is None else max(0, wanted.since_unix_nano)
        last = 2**63 - 1 if wanted.until_unix_nano is None else wanted.until_unix_nano - 1
        for key in sets.keys() & columns.keys():
            times = f"SELECT min(start_unix_nano), max(end_unix_nano) FROM interactions WHERE project = ? AND {key} = ?"
            earliest, latest = connection.execute(times, (project, columns[key])).fetchone()
            if earliest is None:
                return None
            first, last = max(first, earliest - _VERSIONS_NS), min(last, latest + _VERSIONS_NS)
        return cls(columns, model, label, first, last) if first <= last else None


def _digest(piece: bytes) -> bytes:
    return hashlib.blake2b(piece, digest_size=16).digest()


class _Search:
    """One page of hits."""

    def __init__(
        self, telemetry: TelemetryQueries, connection: Any, project: int, query: TextQuery, asked: _Asked
    ) -> None:
        self._telemetry = telemetry
        self._connection = connection
        self._project = project
        self._query = query
        self._asked = asked
        self._bodies = BodyReader(connection, project)
        self._carried: dict[bytes, frozenset[tuple[bytes, bytes]]] = {}

    def page(self, limit: int, after: Position | None) -> SearchPage:
        found: list[tuple[_Candidate, Snippet]] = []
        looked_at, last = 0, after
        for group in self._by_origin(after):
            looked_at += len(group)
            prefix = f"{group[0].start_unix_nano:019}{group[0].trace_id.hex()}{group[0].span_id.hex()}"
            if self._is_wanted(group[0]):
                for rank, candidate, piece in self._ranked(group):
                    place = (candidate.slot, prefix + rank)
                    if after is not None and place >= after:
                        continue
                    snippet = self._checked(candidate, piece)
                    if snippet is None:
                        looked_at += _COST_OF_READING
                        continue
                    if len(found) == limit:
                        return SearchPage(self._hits(found), last)
                    found.append((candidate, snippet))
                    last = place
            if looked_at >= CANDIDATES:
                return SearchPage(self._hits(found), (group[0].slot, prefix))
        return SearchPage(self._hits(found), None)

    def _by_origin(self, after: Position | None) -> Iterator[list[_Candidate]]:
        """The candidates, those of one origin together, newest first."""
        low = first_document(slot_of(self._asked.first_unix_nano))
        high = first_document(slot_of(self._asked.last_unix_nano) + 1) - 1
        if after is not None:
            high = min(high, first_document(max(0, after[0]) + 1) - 1)
        values = (match_expression(self._project, self._query), low, high, self._project)
        rows = map(_Candidate._make, self._connection.execute(_QUERY, values))
        for slot, members in groupby(rows, key=lambda row: row.slot):
            in_order = sorted(members, key=lambda row: row.origin, reverse=True)
            for (start, trace_id, span_id), group in groupby(in_order, key=lambda row: row.origin):
                place = (slot, f"{start:019}{trace_id.hex()}{span_id.hex()}")
                if after is None or place < after:
                    yield list(group)

    def _is_wanted(self, one: _Candidate) -> bool:
        asked = self._asked
        if not asked.first_unix_nano <= one.start_unix_nano <= asked.last_unix_nano:
            return False
        if any(getattr(one, column) != value for column, value in asked.columns.items()):
            return False
        if asked.model is not None and asked.model not in (one.request_model, one.response_model):
            return False
        return asked.label is None or asked.label == self._label(one.session_id)

    def _label(self, session_id: bytes | str | None) -> int | None:
        query = "SELECT label FROM sessions WHERE project = ? AND session_id = ?"
        row = self._connection.execute(query, (self._project, session_id)).fetchone()
        return row[0] if row else None

    def _ranked(self, group: list[_Candidate]) -> list[tuple[str, _Candidate, bytes]]:
        """The contents of one origin in order; what cannot be read is left out."""
        pieces = self._bodies.contents(candidate.body for candidate in group)
        ranked = [(rank_among_one_span(pieces[one.body]), one, pieces[one.body]) for one in group if one.body in pieces]
        return sorted(ranked, reverse=True)

    def _checked(self, candidate: _Candidate, piece: bytes) -> Snippet | None:
        """The match, if it is one and the winning version of the origin, or a log record of it, still carries it."""
        snippet = self._query.find(text_of(piece))
        if snippet is None or candidate.version == IN_A_LOG:
            return snippet
        is_same = candidate.digest is not None and candidate.version == version_number(candidate.digest)
        return snippet if is_same or self._carries(candidate, piece) else None

    def _carries(self, candidate: _Candidate, piece: bytes) -> bool:
        if (candidate.span_id, _digest(piece)) in self._carried_in(candidate.trace_id):
            return True
        where = (self._project, candidate.trace_id, candidate.span_id)
        return self._telemetry.is_in_a_log(*where, candidate.body)

    def _carried_in(self, trace_id: bytes) -> frozenset[tuple[bytes, bytes]]:
        """The contents of a trace as it is now, by (span id, digest): read once, whatever number of hits it has."""
        if trace_id not in self._carried:
            spans = [stored.span for stored in self._telemetry.spans_of_trace(self._project, trace_id.hex())]
            encoded = [(span.span_id, span.SerializeToString()) for span in spans]
            self._carried[trace_id] = frozenset(
                (span_id, _digest(raw[start:end])) for span_id, raw in encoded for start, end in content_ranges(raw)
            )
        return self._carried[trace_id]

    def _hits(self, found: list[tuple[_Candidate, Snippet]]) -> list[SearchHit]:
        numbers = {n for one, _ in found for n in (one.service, one.user, one.request_model, one.response_model)}
        texts = texts_of(self._connection, numbers)
        return [
            SearchHit(
                one.trace_id.hex(),
                one.span_id.hex(),
                one.start_unix_nano,
                unpack_id(one.session_id or ""),
                unpack_id(one.conversation_id or ""),
                texts[one.service],
                texts[one.response_model] or texts[one.request_model] or None,
                texts[one.user],
                snippet.text,
                snippet.highlights,
            )
            for one, snippet in found
        ]
