"""Lists of sessions, and the edges between sessions, conversations and traces."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

from otel_replay.model import Session
from otel_replay.store.base import COUNTED_SESSIONS, Reader, SessionFilter, SessionPage, SessionSummary
from otel_replay.store.folding import load_attributes, plain_attributes
from otel_replay.store.said import sessions_that_said
from otel_replay.store.sqlite.errors import OF_ITSELF
from otel_replay.store.sqlite.identifiers import ID_TEXT, find_string, pack_id, texts_of, unpack_id
from otel_replay.store.sqlite.queries import Queries
from otel_replay.store.sqlite.sessions import FEATURE, LABEL, MODEL, SERVICE, STATES, TAG, USER

_Position = tuple[int, str]
_ALL_FLAGS = 2 * len(STATES)
_EXAMINED = 100_000


class _Scan(NamedTuple):
    """A list of sessions in order of an index: SQL after FROM, with the column names of the index's table."""

    tables: str
    conditions: list[str]
    values: list[Any]

    def narrowed(self, condition: str, *values: Any) -> _Scan:
        return _Scan(self.tables, [*self.conditions, condition], [*self.values, *values])


class SessionQueries(Queries):
    """Lists of sessions, and the edges between sessions, conversations and traces."""

    def sessions_of_trace(self, project: int, trace_id: str) -> list[str]:
        where = "WHERE project = ? AND trace_id = ? AND session_id IS NOT NULL"
        tables = ("session_traces", "interactions", "actions")
        query = " UNION ".join(f"SELECT session_id FROM {table} {where}" for table in tables)
        rows = self._rows(query, (project, bytes.fromhex(trace_id)) * len(tables))
        return sorted(unpack_id(row[0]) for row in rows)

    def traces_of_session(self, project: int, session_id: str) -> list[str]:
        with self._connections.snapshot() as connection:
            return sorted(trace.hex() for _, trace in edges_of_sessions(connection, project, [pack_id(session_id)]))

    def traces_of_conversation(self, project: int, conversation_id: str) -> list[str]:
        query = "SELECT DISTINCT trace_id FROM interactions WHERE project = ? AND conversation_id = ?"
        return sorted(row[0].hex() for row in self._rows(query, (project, pack_id(conversation_id))))

    def session(self, project: int, session_id: str) -> Session | None:
        with self._connections.snapshot() as connection:
            found = _sessions(connection, project, [pack_id(session_id)])
        return found[0] if found else None

    def session_summary(self, project: int, session_id: str) -> SessionSummary | None:
        with self._connections.snapshot() as connection:
            packed = pack_id(session_id)
            is_there = _sessions(connection, project, [packed])
            return _summaries(connection, project, [packed])[0] if is_there else None

    def sessions(
        self,
        project: int,
        wanted: SessionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
        skip: int = 0,
    ) -> SessionPage:
        with self._connections.snapshot() as connection:
            said = sessions_that_said(cast(Reader, self), project, wanted.text) if wanted.text else None
            scans = _scans(connection, project, wanted, said.session_ids if said else None)
            total = sum(_count(connection, scan, COUNTED_SESSIONS + 1) for scan in scans)
            lists = [_listed(connection, scan, after, skip + limit + 1) for scan in scans]
            found = list(islice(heapq.merge(*lists, reverse=True), skip, skip + limit + 1))
            page = found[:limit]
            summaries = _summaries(connection, project, [pack_id(session) for _, session in page])
        last = page[-1] if len(found) > limit else None
        return SessionPage(
            summaries, min(total, COUNTED_SESSIONS), last, total > COUNTED_SESSIONS or (said is not None and said.more)
        )


def _scans(connection: Any, project: int, wanted: SessionFilter, among: Iterable[str] | None) -> list[_Scan]:
    """Lists that together, merged by start, hold the sessions asked for; None of ``among``: any."""
    names = (
        (SERVICE, wanted.service),
        (MODEL, wanted.model),
        (USER, wanted.user),
        (FEATURE, wanted.feature),
        (LABEL, wanted.label),
        (TAG, wanted.tag),
    )
    facets = [(kind, find_string(connection, project, name)) for kind, name in names if name is not None]
    flags = _flags(wanted)
    if among is None:
        scans = _rarest(connection, project, facets, flags)
    else:
        scans = [_among(scan, among) for scan in _by_flags(project, facets, flags)]
    if wanted.since_unix_nano is not None:
        scans = [scan.narrowed("start_unix_nano >= ?", wanted.since_unix_nano) for scan in scans]
    if wanted.until_unix_nano is not None:
        scans = [scan.narrowed("start_unix_nano < ?", wanted.until_unix_nano) for scan in scans]
    return scans


def _rarest(connection: Any, project: int, facets: list[tuple[int, int]], flags: list[int]) -> list[_Scan]:
    """Along the index that holds the fewest sessions; what else is asked for is looked up for each of them."""
    if not facets:
        return _by_flags(project, facets, flags)
    plain = [(_by_facet(project, facet, (), [*range(_ALL_FLAGS)]), facet) for facet in facets]
    frequency, facet = min((_count(connection, scan, _EXAMINED), facet) for scan, facet in plain)
    if len(flags) < _ALL_FLAGS:
        flagged = sum(_count(connection, scan, frequency + 1) for scan in _by_flags(project, (), flags))
        if flagged <= frequency:
            return _by_flags(project, facets, flags)
    return [_by_facet(project, facet, [one for one in facets if one != facet], flags)]


def _among(scan: _Scan, sessions: Iterable[str]) -> _Scan:
    ids = [pack_id(session) for session in sessions]
    return scan.narrowed(f"session_id IN ({_marks(ids)})", *ids)


def _flags(wanted: SessionFilter) -> list[int]:
    """The values of ``sessions.flags`` that are asked for."""
    states = range(len(STATES)) if wanted.state is None else [STATES.index(wanted.state)]
    return [2 * state + failed for state in states for failed in (0, 1) if wanted.has_error in (None, bool(failed))]


def _by_flags(project: int, facets: Sequence[tuple[int, int]], flags: Iterable[int]) -> list[_Scan]:
    scans = [_Scan("sessions AS listed", ["project = ?", "flags = ?"], [project, flag]) for flag in flags]
    return [_with_facets(scan, facets) for scan in scans]


def _by_facet(project: int, listed: tuple[int, int], others: Iterable[tuple[int, int]], flags: list[int]) -> _Scan:
    scan = _with_facets(_Scan("facets AS listed", ["kind = ?", "name = ?"], [*listed]), others)
    if len(flags) < _ALL_FLAGS:
        of_session = "SELECT flags FROM sessions WHERE project = ? AND session_id = listed.session_id"
        scan = scan.narrowed(f"({of_session}) IN ({', '.join(map(str, flags))})", project)
    return scan


def _with_facets(scan: _Scan, facets: Iterable[tuple[int, int]]) -> _Scan:
    same = "start_unix_nano = listed.start_unix_nano AND session_id = listed.session_id"
    for kind, name in facets:
        scan = scan.narrowed(f"EXISTS (SELECT 1 FROM facets WHERE kind = ? AND name = ? AND {same})", kind, name)
    return scan


def _count(connection: Any, scan: _Scan, upto: int) -> int:
    query = f"SELECT 1 FROM {scan.tables} WHERE {' AND '.join(scan.conditions)} LIMIT ?"
    found: int = connection.execute(f"SELECT count(*) FROM ({query})", (*scan.values, upto)).fetchone()[0]
    return found


def _listed(connection: Any, scan: _Scan, after: _Position | None, limit: int) -> list[_Position]:
    """Positions, newest first."""
    text = ID_TEXT.format("session_id")
    if after is not None:
        scan = scan.narrowed(
            f"start_unix_nano <= ? AND (start_unix_nano < ? OR {text} < ?)", after[0], after[0], after[1]
        )
    query = (
        f"SELECT start_unix_nano, {text} AS text FROM {scan.tables} WHERE {' AND '.join(scan.conditions)}"
        " ORDER BY start_unix_nano DESC, text DESC LIMIT ?"
    )
    return [(start, session) for start, session in connection.execute(query, (*scan.values, limit))]


def _sessions(connection: Any, project: int, ids: Sequence[bytes | str]) -> list[Session]:
    """In the order of their ids; unknown ones are left out."""
    columns = "session_id, start_unix_nano, end_unix_nano, attributes"
    query = f"SELECT {columns} FROM sessions WHERE project = ? AND session_id IN ({_marks(ids)})"
    found = {row[0]: row for row in connection.execute(query, (project, *ids))}
    sessions = []
    for session, start, end, text in (found[one] for one in ids if one in found):
        attributes = plain_attributes(load_attributes(text))
        state = attributes.pop("state", STATES[0])
        sessions.append(Session(project, unpack_id(session), start, end, state, attributes))
    return sessions


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def edges_of_sessions(connection: Any, project: int, ids: Sequence[bytes | str]) -> list[tuple[bytes | str, bytes]]:
    """(session, trace), each once: recorded ones, and those that a row stands for."""
    where = f"WHERE project = ? AND session_id IN ({_marks(ids)})"
    tables = ("session_traces", "interactions", "actions")
    query = " UNION ".join(f"SELECT session_id, trace_id FROM {table} {where}" for table in tables)
    found: list[tuple[bytes | str, bytes]] = connection.execute(query, (project, *ids) * len(tables)).fetchall()
    return found


def _summaries(connection: Any, project: int, ids: Sequence[bytes | str]) -> list[SessionSummary]:
    """Of the sessions of one page, counts each by one grouped query."""

    def grouped(columns: str, table: str, condition: str = "1") -> dict[Any, Any]:
        query = (
            f"SELECT session_id, {columns} FROM {table} WHERE project = ? AND session_id IN ({_marks(ids)})"
            f" AND {condition} GROUP BY session_id"
        )
        return {row[0]: row[1:] for row in connection.execute(query, (project, *ids))}

    calls = grouped(
        "sum(counts & 1), sum(status = 2 AND (kind <> 0 OR counts & 1)),"
        f" {_sums('input_tokens')}, {_sums('output_tokens')}",
        "interactions",
    )
    actions, others = grouped("count(*)", "actions"), grouped("count(*)", "errors", OF_ITSELF)
    models = _models(connection, project, ids)
    traces: dict[bytes | str, int] = {}
    for packed, _ in edges_of_sessions(connection, project, ids):
        traces[packed] = traces.get(packed, 0) + 1
    recorded = with_recordings(connection, project, ids)
    summaries = []
    for session_id, session in zip(ids, _sessions(connection, project, ids), strict=True):
        count, failed, *sums = calls.get(session_id, (0, 0, 0, 0, 0, 0))
        summaries.append(
            SessionSummary(
                session=session,
                interactions=count,
                actions=actions.get(session_id, (0,))[0],
                errors=failed + others.get(session_id, (0,))[0],
                traces=traces.get(session_id, 0),
                has_recording=session.session_id in recorded,
                models=sorted(models.get(session_id, ())),
                tokens=((sums[0] << 32) + sums[1], (sums[2] << 32) + sums[3]),
            )
        )
    return summaries


def _sums(column: str) -> str:
    """Two sums, of the upper and the lower halves: one of 64 bits would overflow, and fail the query."""
    told = f"iif(counts & 2, coalesce({column}, 0), 0)"
    return f"sum({told} >> 32), sum({told} & 4294967295)"


def _models(connection: Any, project: int, ids: Sequence[bytes | str]) -> dict[bytes | str, set[str]]:
    query = (
        "SELECT DISTINCT session_id, iif(response_model > 0, response_model, request_model) FROM interactions"
        f" WHERE project = ? AND session_id IN ({_marks(ids)})"
    )
    pairs = connection.execute(query, (project, *ids)).fetchall()
    texts = texts_of(connection, (model for _, model in pairs))
    models: dict[bytes | str, set[str]] = {}
    for session, model in pairs:
        if model:
            models.setdefault(session, set()).add(texts[model])
    return models


def with_recordings(connection: Any, project: int, ids: Sequence[bytes | str]) -> set[str]:
    query = f"SELECT DISTINCT session_id FROM streams WHERE project = ? AND session_id IN ({_marks(ids)})"
    return {row[0] for row in connection.execute(query, (project, *(unpack_id(one) for one in ids)))}
