"""Rows that go: of AI spans, actions, sessions and recordings, with all that was derived from them.

Runs inside the writer's transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from otel_replay.store.distillation import StreamKey
from otel_replay.store.sqlite.errors import remove_errors, remove_old_errors
from otel_replay.store.sqlite.identifiers import pack_id
from otel_replay.store.sqlite.rollups import ALL, DIMENSIONS, RollupFollower
from otel_replay.store.sqlite.sessions import (
    FEATURE,
    LABEL,
    TAG,
    USER,
    Facet,
    facets_of_call,
    refresh,
    remove_facets,
    tag_ids,
)

_FOLLOW_BYTES = 4 * 1024 * 1024
_NAMES = "service, request_model, response_model, user, feature, variant, operation, provider"
_ROW = f"id, session_id, conversation_id, {_NAMES}"
_IN_USE = (
    f"SELECT EXISTS (SELECT 1 FROM facets WHERE kind IN ({', '.join(map(str, range(TAG + 1)))}) AND name = ?2)"
    " OR EXISTS (SELECT 1 FROM rollups WHERE project = ?1 AND name = ?2 AND start_hour = 0"
    f" AND level = {ALL} AND dimension IN ({', '.join(map(str, DIMENSIONS.values()))}))"
    " OR EXISTS (SELECT 1 FROM interactions WHERE id > (SELECT counted FROM rollups_progress)"
    f" AND +project = ?1 AND ?2 IN ({_NAMES}))"  # with the plus sign not by an index of projects, which are large
)
"""Whether a row has a name: a facet tells, a roll-up, or one of the few AI spans that are not rolled up yet."""

SpanKey = tuple[bytes, bytes]
"""(trace id, span id)."""

SessionId = bytes | str
"""As stored."""


class _Interaction(NamedTuple):
    id: int
    session_id: SessionId | None
    conversation_id: SessionId | None
    service: int
    request_model: int
    response_model: int
    user: int
    feature: int
    variant: int
    operation: int
    provider: int

    @property
    def names(self) -> tuple[int, ...]:
        """Ids of strings."""
        models = (self.request_model, self.response_model)
        return (self.service, *models, self.user, self.feature, self.variant, self.operation, self.provider)


class RowRemover:
    """Deletes rows of one project at a time. ``names`` are the ids of strings that rows had which went."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.names: set[int] = set()

    def spans(self, project: int, keys: Iterable[SpanKey]) -> set[SessionId]:
        """The rows of spans; gives the sessions that had some."""
        sessions: set[SessionId] = set()
        found: list[_Interaction] = []
        of_span = "project = ? AND trace_id = ? AND span_id = ?"
        for key in dict.fromkeys(keys):  # a span may have come in several versions
            found += self._interactions(of_span, (project, *key))
            sessions |= self._delete("actions", of_span, (project, *key))
        return (sessions | self._forget(project, found)) - {None}

    def traces(self, project: int, traces: Iterable[bytes], *, only_loose: bool = False) -> set[SessionId]:
        """All rows of traces, ``only_loose`` those that name no session; gives the sessions that had some."""
        sessions: set[SessionId] = set()
        of_trace = "project = ? AND trace_id = ?"
        is_loose = " AND (session_id IS NULL OR inherited > 0)" if only_loose else ""
        found: list[_Interaction] = []
        for trace in traces:
            found += self._interactions(of_trace + is_loose, (project, trace))
            if only_loose:
                sessions |= self._delete("actions", f"{of_trace} AND session_id IS NULL", (project, trace))
                continue
            for table in ("actions", "session_traces"):
                sessions |= self._delete(table, of_trace, (project, trace))
            self._delete_links(project, "trace", trace.hex())
            sessions |= remove_errors(self._connection, project, "trace_id = ?", [(trace,)])
        return (sessions | self._forget(project, found)) - {None}

    def errors(self, project: int, records: Iterable[tuple[str, bytes]]) -> set[SessionId]:
        """The errors that records were, by (session, place); gives the sessions that had some."""
        keys = [(pack_id(session), place) for session, place in records]
        of_record = "session_id = ? AND stream = '' AND seq = 0 AND place = ?"
        return remove_errors(self._connection, project, of_record, keys)

    def sessions(self, project: int, sessions: Iterable[SessionId], texts: Iterable[str]) -> tuple[int, int]:
        """Sessions with all their rows and recordings; ``texts`` are their ids as text.

        Gives how many sessions and how many chunks were there.
        """
        execute, removed, chunks = self._connection.execute, 0, 0
        of_session = "project = ? AND session_id = ?"
        for session in sessions:
            self._forget(project, self._interactions(f"{of_session} AND inherited = 0", (project, session)))
            query = f"SELECT tags, user, feature, label FROM sessions WHERE {of_session}"
            if row := execute(query, (project, session)).fetchone():
                removed += 1
                told = [*zip((USER, FEATURE, LABEL), row[1:], strict=True), *((TAG, tag) for tag in tag_ids(row[0]))]
                self.names.update(name for _, name in told)
                remove_facets(self._connection, project, [(kind, name, session) for kind, name in told])
            for table in ("actions", "session_traces"):
                execute(f"DELETE FROM {table} WHERE {of_session}", (project, session))
            self._take_back()  # what took this session from its trace has none now
            for table in ("errors", "sessions"):
                execute(f"DELETE FROM {table} WHERE {of_session}", (project, session))
        for text in texts:
            self._delete_links(project, "session", text)
            for table in ("streams", "dom_chunks"):
                execute(f"DELETE FROM {table} WHERE {of_session}", (project, text))
            chunks += execute(f"DELETE FROM chunks WHERE {of_session}", (project, text)).rowcount
        return removed, chunks

    def _delete_links(self, project: int, kind: str, shown: str) -> None:
        """Deletes links that show what goes: their rows name it."""
        delete = "DELETE FROM tokens WHERE project = ? AND shared_kind = ? AND shared_id = ?"
        self._connection.execute(delete, (project, kind, shown))

    def older(self, project: int, before_unix_nano: int, limit: int) -> int:
        """Some rows of AI spans, actions and errors that started before a time; how many went."""
        where = f"project = ? AND start_unix_nano < ? ORDER BY start_unix_nano LIMIT {limit}"
        found = self._interactions(where, (project, before_unix_nano))
        query = f"SELECT trace_id, span_id FROM actions WHERE project = ? AND start_unix_nano < ? LIMIT {limit}"
        actions = self._connection.execute(query, (project, before_unix_nano)).fetchall()
        self._connection.executemany(
            "DELETE FROM actions WHERE project = ? AND trace_id = ? AND span_id = ?",
            [(project, *key) for key in actions],
        )
        self._forget(project, found)
        return len(found) + len(actions) + remove_old_errors(self._connection, project, before_unix_nano, limit)

    def forget_names(self, project: int) -> None:
        """Deletes those of :attr:`names` that no row has any more."""
        for key in ((project, name) for name in self.names - {0}):
            if not self._connection.execute(_IN_USE, key).fetchone()[0]:
                self._connection.execute("DELETE FROM strings WHERE project = ? AND id = ?", key)
        self.names.clear()

    def _delete(self, table: str, where: str, values: Sequence[Any]) -> set[SessionId]:
        """Deletes rows; gives the sessions that they named."""
        rows = self._connection.execute(f"SELECT session_id FROM {table} WHERE {where}", values).fetchall()
        if rows:
            self._connection.execute(f"DELETE FROM {table} WHERE {where}", values)
        return {session for (session,) in rows}

    def _interactions(self, where: str, values: Sequence[Any]) -> list[_Interaction]:
        query = f"SELECT {_ROW} FROM interactions WHERE {where}"
        return [_Interaction(*row) for row in self._connection.execute(query, values)]

    def _forget(self, project: int, rows: Sequence[_Interaction]) -> set[SessionId]:
        """Deletes rows of AI spans, and takes them out of statistics, facets and conversations.

        After other rows of their traces: what these named may be what is left there had from them.
        """
        if not rows:
            self._take_back()
            return set()
        ids = [(row.id,) for row in rows]
        self._connection.executemany("INSERT INTO retracted SELECT * FROM interactions WHERE id = ?", ids)
        self._connection.executemany("DELETE FROM interactions WHERE id = ?", ids)
        self._take_back()
        self.names.update(name for row in rows for name in row.names)
        facets: set[Facet] = set()
        for row in rows:
            if row.session_id is not None:
                facets |= facets_of_call(row.session_id, row.service, (row.request_model, row.response_model))
        remove_facets(self._connection, project, facets)
        sessions = {session for _, _, session in facets}
        refresh(self._connection, project, sessions)
        self._connection.executemany(
            "DELETE FROM conversations WHERE project = ?1 AND conversation_id = ?2 AND NOT EXISTS"
            " (SELECT 1 FROM interactions WHERE project = ?1 AND conversation_id = ?2)",
            [(project, one) for one in {row.conversation_id for row in rows} - {None}],
        )
        return sessions

    def _take_back(self) -> None:
        """Statistics without what was deleted, and sessions of those alone that still name them. The number of the last
        row may be given again: it is not counted yet."""
        follower = RollupFollower()
        changed = "SELECT EXISTS (SELECT 1 FROM retracted) OR EXISTS (SELECT 1 FROM retold)"
        while self._connection.execute(changed).fetchone()[0]:
            follower.step(self._connection, _FOLLOW_BYTES)
        newest = "SELECT coalesce(max(id), 0) FROM interactions"
        self._connection.execute(f"UPDATE rollups_progress SET counted = min(counted, ({newest}))")


def remove_chunks(connection: Any, project: int, places: Sequence[tuple[str, str, int]]) -> int:
    """Deletes chunks by (session, stream, number), what was distilled from them, and streams left without any."""
    for table in ("dom_chunks", "chunks"):
        connection.executemany(
            f"DELETE FROM {table} WHERE project = ? AND session_id = ? AND stream_id = ? AND seq = ?",
            [(project, *place) for place in places],
        )
    of_chunk = "session_id = ? AND stream = ? AND seq = ?"
    remove_errors(connection, project, of_chunk, [(pack_id(session), *place) for session, *place in places])
    for stream in {(session, stream) for session, stream, _ in places}:
        _drop_if_empty(connection, (project, *stream))
    return len(places)


def _drop_if_empty(connection: Any, stream: StreamKey) -> None:
    """Deletes a stream without a chunk; of another only chunks that are there are due for distillation."""
    of_stream = "project = ?1 AND session_id = ?2 AND stream_id = ?3"
    chunks = f"FROM chunks WHERE {of_stream}"
    connection.execute(f"DELETE FROM streams WHERE {of_stream} AND NOT EXISTS (SELECT 1 {chunks})", stream)
    connection.execute(
        f"UPDATE streams SET distill_from = (SELECT min(seq) {chunks} AND seq >= distill_from)"
        f" WHERE {of_stream} AND distill_from IS NOT NULL",
        stream,
    )
