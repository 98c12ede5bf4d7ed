"""What failed in a session and is no AI span: a row each, once, however often it was sent.

Runs inside the writer's transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from otel_replay.model import MAX_UNIX_NANO
from otel_replay.store.base import ErrorRow, InteractionFilter
from otel_replay.store.distillation import Due, StreamKey
from otel_replay.store.page_errors import PageError
from otel_replay.store.sqlite.identifiers import find_string, pack_id
from otel_replay.store.sqlite.sessions import FEATURE, LABEL, USER, note_failed, refresh

SessionId = bytes | str
"""As stored."""

_INSERT = "INSERT OR IGNORE INTO errors VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

OF_ITSELF = (
    "(errors.span_id IS NULL OR NOT EXISTS (SELECT 1 FROM interactions AS call WHERE call.project = errors.project"
    " AND call.trace_id = errors.trace_id AND call.span_id = errors.span_id AND call.status = 2"
    " AND call.session_id = errors.session_id))"
)
"""SQL for errors that count: what a failed AI span logged is its own error, told twice."""


def add_errors(connection: Any, project: int, rows: Sequence[ErrorRow]) -> None:
    """Spans and log records that failed, and marks at their sessions."""
    flat = [
        (project, pack_id(row.session_id), "", 0, row.place, row.trace_id or None, row.unix_nano, row.span_id or None)
        for row in rows
    ]
    connection.executemany(_INSERT, flat)
    note_failed(connection, project, {session for _, session, *_ in flat})


def replace_page_errors(connection: Any, stream: StreamKey, due: Due, errors: Iterable[PageError]) -> None:
    """Puts the errors of chunks in place of those that were found in them before; of chunks that are there."""
    project, session, name = stream
    packed, bounds = pack_id(session), (due.first, due.last)
    query = "SELECT seq FROM chunks WHERE project = ? AND session_id = ? AND stream_id = ? AND seq BETWEEN ? AND ?"
    there = {seq for (seq,) in connection.execute(query, (*stream, *bounds))}
    of_chunks = "project = ? AND session_id = ? AND stream = ? AND seq BETWEEN ? AND ?"
    gone = connection.execute(f"DELETE FROM errors WHERE {of_chunks}", (project, packed, name, *bounds)).rowcount
    rows = [
        (project, packed, name, one.seq, one.place, None, one.unix_nano, None) for one in errors if one.seq in there
    ]
    connection.executemany(_INSERT, rows)
    if gone or rows:
        refresh(connection, project, [packed])


def remove_errors(connection: Any, project: int, where: str, keys: Iterable[Sequence[Any]]) -> set[SessionId]:
    """Deletes errors of a project by ``where`` for each of the keys; gives the sessions that had some."""
    sessions: set[SessionId] = set()
    for key in keys:
        found = connection.execute(f"SELECT session_id FROM errors WHERE project = ? AND {where}", (project, *key))
        if mine := {session for (session,) in found}:
            connection.execute(f"DELETE FROM errors WHERE project = ? AND {where}", (project, *key))
            sessions |= mine
    refresh(connection, project, sessions)
    return sessions


def remove_old_errors(connection: Any, project: int, before_unix_nano: int, limit: int) -> int:
    """Deletes some errors of before a time; how many went."""
    query = (
        "SELECT session_id, stream, seq, place FROM errors WHERE project = ? AND start_unix_nano < ?"
        f" ORDER BY start_unix_nano LIMIT {limit}"
    )
    keys = connection.execute(query, (project, before_unix_nano)).fetchall()
    remove_errors(connection, project, "session_id = ? AND stream = ? AND seq = ? AND place = ?", keys)
    return len(keys)


class OtherErrors:
    """How many errors sessions have beside their calls, of those that a question about calls is about."""

    def __init__(self, connection: Any, project: int, wanted: InteractionFilter) -> None:
        self._connection = connection
        self._project = project
        since = -MAX_UNIX_NANO if wanted.since_unix_nano is None else wanted.since_unix_nano
        self._bounds = (since, MAX_UNIX_NANO if wanted.until_unix_nano is None else wanted.until_unix_nano - 1)
        self._session = None if wanted.session_id is None else pack_id(wanted.session_id)
        told = ((USER, wanted.user), (FEATURE, wanted.feature), (LABEL, wanted.label))
        self._facets = [(kind, find_string(connection, project, name)) for kind, name in told if name is not None]

    def total(self) -> int:
        """Of all the sessions that are meant."""
        if self._session is not None:
            return self._of(self._session)
        return sum(self._by_session.values()) if self._facets else self._count()

    def of_session(self, session_id: str) -> int:
        """Of one of them; 0 for another: calls may name a user that their session does not."""
        return self._of(pack_id(session_id))

    def _of(self, session: SessionId) -> int:
        """Once for many sessions: for 48 groups a query each takes 1.8 ms, one for all 0.07."""
        if self._facets and self._session is None:
            return self._by_session.get(session, 0)
        return self._count(session)

    @cached_property
    def _by_session(self) -> dict[SessionId, int]:
        where, values = self._condition()
        query = f"SELECT session_id, count(*) FROM errors WHERE {where} GROUP BY session_id"
        return dict(self._connection.execute(query, values).fetchall())

    def _count(self, *session: SessionId) -> int:
        """In this one alone, where one is given."""
        where, values = self._condition(*session)
        found: int = self._connection.execute(f"SELECT count(*) FROM errors WHERE {where}", values).fetchone()[0]
        return found

    def _condition(self, *session: SessionId) -> tuple[str, list[Any]]:
        facets = ["session_id IN (SELECT session_id FROM facets WHERE kind = ? AND name = ?)"] * len(self._facets)
        # The + keeps SQLite from the index of times, which every error of the project is in: at a million calls no
        # answer came in time.
        time = "+start_unix_nano" if self._facets or session else "start_unix_nano"
        clauses = ["project = ?", f"{time} BETWEEN ? AND ?", OF_ITSELF, *facets, *["session_id = ?"] * len(session)]
        values = [self._project, *self._bounds, *(value for facet in self._facets for value in facet), *session]
        return " AND ".join(clauses), values
