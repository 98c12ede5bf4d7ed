"""Typed rows: interactions, actions, conversations, edges, quarantine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import xxhash

from otel_replay.genai.prices import COST_SOURCES, Prices
from otel_replay.model import AiKind
from otel_replay.store.base import ActionRow, InteractionRow, Write
from otel_replay.store.pricing import cost_of
from otel_replay.store.sqlite.errors import add_errors
from otel_replay.store.sqlite.identifiers import Strings, pack_id
from otel_replay.store.sqlite.sessions import (
    MODEL,
    SERVICE,
    Facet,
    add_facets,
    fold_sessions,
    listed_names,
    note_failed,
    refresh,
    remove_facets,
    starts_of,
)
from otel_replay.timeline.counted import counts_alone

QUARANTINE_ROWS = 10_000

KINDS = {AiKind.INTERACTION: 0, AiKind.TOOL: 1, AiKind.AGENT: 2, AiKind.RETRIEVAL: 3}
STATUSES = {"unset": 0, "ok": 1, "error": 2}
SOURCES = {source: place for place, source in enumerate(COST_SOURCES, 1)}

_INTERACTION = (
    "project, trace_id, span_id, start_unix_nano, end_unix_nano, length, digest, kind, status, session_id,"
    " conversation_id, service, user, feature, variant, operation, provider, request_model, response_model,"
    " input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_pico_usd,"
    " time_to_first_token_ns, parent_span_id, teller, response_id, cost_source, counts"
)
_ACTION = "project, trace_id, span_id, start_unix_nano, end_unix_nano, length, digest, name, target, session_id"
_KEY, _VERSION, _SESSION = slice(0, 3), slice(4, 7), 9
"""Where both kinds of row hold (project, trace id, span id), (end, length, digest) and the session."""
_STATUS, _SERVICE, _REQUEST_MODEL, _RESPONSE_MODEL = 8, 11, 17, 18

_Flat = tuple[Any, ...]


class RowWriter:
    """Writes typed rows and folds sessions, on the writer's connection and inside its transactions."""

    def __init__(self, connection: Any, prices: Prices) -> None:
        self._connection = connection
        self._prices = prices
        self.strings = Strings(connection)

    def add(self, project: int, writes: Sequence[Write]) -> None:
        """Stores what these writes of one project tell beside their blocks. Once for each project in a transaction."""
        interactions = [row for write in writes for row in write.interactions]
        actions = [row for write in writes for row in write.actions]
        sightings = [one for write in writes for one in write.sessions]
        ids = self.strings.ids(project, _names(interactions) | listed_names(sightings))
        starts = fold_sessions(self._connection, ids, project, sightings)
        edges = {edge for write in writes for edge in write.session_traces}
        if interactions or actions:
            all_new = self._add_interactions(project, interactions, ids, starts) & self._add_actions(project, actions)
            if all_new:  # a row stands for its edge, unless it lost against another version
                edges -= {(row.session_id, row.trace_id) for row in interactions}
                edges -= {(row.session_id, row.trace_id) for row in actions}
        self._add_edges(project, edges)
        add_errors(self._connection, project, [row for write in writes for row in write.error_rows])
        self._quarantine(project, writes)

    def _add_interactions(
        self, project: int, rows: Sequence[InteractionRow], ids: Mapping[str, int], starts: Mapping[bytes | str, int]
    ) -> bool:
        """False when some were known already, in whatever version."""
        if not rows:
            return True
        flat = [_flat_interaction(project, row, ids, self._prices) for row in rows]
        self._note_conversations(flat)
        if _insert_new(self._connection, "interactions", _INTERACTION, flat):
            starts = starts_of(self._connection, project, {row[_SESSION] for row in flat} - {None}, starts)
            add_facets(self._connection, _facets(flat), starts)
            note_failed(self._connection, project, _failed_sessions(flat))
            return True
        sessions = {row[_SESSION] for row in flat}
        for row in flat:
            sessions |= self._replace_interaction(row)
        refresh(self._connection, project, sessions - {None})
        return False

    def _replace_interaction(self, row: _Flat) -> set[Any]:
        """Puts a greater version in the place of a smaller one; the session of what was replaced."""
        execute = self._connection.execute
        known = _replaced(self._connection, "interactions", f"id, inherited, {_INTERACTION}", row)
        if known is None:
            return set()
        number, inherited, *values = known
        old = tuple(values)
        next_id = execute("SELECT max(id) + 1 FROM interactions").fetchone()[0]
        execute("INSERT INTO retracted SELECT * FROM interactions WHERE id = ?", (number,))
        execute("DELETE FROM interactions WHERE id = ?", (number,))
        execute(f"INSERT INTO interactions (id, {_INTERACTION}) VALUES (?{', ?' * len(row)})", (next_id, *row))
        remove_facets(self._connection, old[0], _facets([old]))
        if not inherited:
            self._keep_edge_of(old)
        return {old[_SESSION]}

    def _add_actions(self, project: int, rows: Sequence[ActionRow]) -> bool:
        flat = [_flat_action(project, row) for row in rows]
        if not flat or _insert_new(self._connection, "actions", _ACTION, flat):
            return True
        for row in flat:
            old = _replaced(self._connection, "actions", _ACTION, row)
            if old is not None:
                values = ", ".join("?" * len(row))
                self._connection.execute(f"REPLACE INTO actions ({_ACTION}) VALUES ({values})", row)
                self._keep_edge_of(old)
        return False

    def _note_conversations(self, rows: Iterable[_Flat]) -> None:
        told = [(row[0], row[10], row[3], row[4]) for row in rows if row[10] is not None]
        self._connection.executemany(
            "INSERT INTO conversations (project, conversation_id, start_unix_nano, end_unix_nano) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET"
            " start_unix_nano = min(start_unix_nano, excluded.start_unix_nano),"
            " end_unix_nano = max(end_unix_nano, excluded.end_unix_nano)",
            told,
        )

    def _keep_edge_of(self, replaced: _Flat) -> None:
        if replaced[_SESSION] is not None:
            self._keep_edge(replaced[0], replaced[_SESSION], replaced[1])

    def _add_edges(self, project: int, edges: Iterable[tuple[str, str]]) -> None:
        """Edges that a row stands for are not stored again: they are most of them, and 60 bytes each."""
        for session, trace in edges:
            self._keep_edge(project, pack_id(session), bytes.fromhex(trace))

    def _keep_edge(self, project: int, session: bytes | str, trace: bytes) -> None:
        self._connection.execute("INSERT OR IGNORE INTO session_traces VALUES (?, ?, ?)", (project, session, trace))

    def _quarantine(self, project: int, writes: Sequence[Write]) -> None:
        bad = [
            (project, one.signal, write.received_unix_nano, one.reason, one.raw)
            for write in writes
            for one in write.quarantined
        ]
        if bad:
            columns = "project, signal, received_unix_nano, reason, raw"
            self._connection.executemany(f"INSERT INTO quarantine ({columns}) VALUES (?, ?, ?, ?, ?)", bad)
            oldest = f"(SELECT max(id) FROM quarantine) - {QUARANTINE_ROWS}"
            self._connection.execute(f"DELETE FROM quarantine WHERE id <= {oldest}")


def _insert_new(connection: Any, table: str, columns: str, rows: Sequence[_Flat]) -> bool:
    """Inserts those with a new identity; False when that were not all."""
    values = ", ".join("?" * len(rows[0]))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT (project, trace_id, span_id) DO NOTHING"
    return bool(connection.executemany(statement, rows).rowcount == len(rows))


def _replaced(connection: Any, table: str, columns: str, row: _Flat) -> _Flat | None:
    """The stored row that this one wins over; of equal identity the greatest (end, length, digest) wins."""
    query = (
        f"SELECT {columns} FROM {table} WHERE project = ? AND trace_id = ? AND span_id = ?"
        " AND (end_unix_nano, length, digest) < (?, ?, ?)"
    )
    found: _Flat | None = connection.execute(query, (*row[_KEY], *row[_VERSION])).fetchone()
    return found


def _names(rows: Iterable[InteractionRow]) -> set[str]:
    names: set[str] = set()
    for row in rows:
        names.update((row.service, row.user, row.feature, row.variant, row.operation or "", row.provider or ""))
        names.update((row.request_model or "", row.response_model or ""))
    return names


def _flat_interaction(project: int, row: InteractionRow, ids: Mapping[str, int], prices: Prices) -> _Flat:
    usage, priced = row.usage, cost_of(row, prices)
    tokens = (usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning)
    return (
        project,
        bytes.fromhex(row.trace_id),
        bytes.fromhex(row.span_id),
        row.start_unix_nano,
        *row.version,
        KINDS[row.kind],
        STATUSES[row.status],
        pack_id(row.session_id) or None,
        pack_id(row.conversation_id) or None,
        ids[row.service],
        ids[row.user],
        ids[row.feature],
        ids[row.variant],
        ids[row.operation or ""],
        ids[row.provider or ""],
        ids[row.request_model or ""],
        ids[row.response_model or ""],
        *tokens,
        priced.pico_usd if priced else None,
        row.time_to_first_token_ns,
        bytes.fromhex(row.parent_span_id) or None,
        _teller(row.service, row.scope),
        _response(row.response_id),
        SOURCES[priced.source] if priced else 0,
        counts_alone(row.kind, has_usage=tokens != _NO_TOKENS, has_cost=priced is not None),
    )


_NO_TOKENS = (None,) * 5


@lru_cache(4_096)
def _teller(service: str, scope: str) -> int:
    """Which instrumentation of which service tells, in 31 bits: only those of one trace are compared."""
    return xxhash.xxh32_intdigest(f"{len(service)} {service}{scope}".encode()) >> 1


def _response(response_id: str | None) -> int | None:
    """Which response of a provider, in 47 bits."""
    return xxhash.xxh3_64_intdigest(response_id.encode()) >> 17 if response_id else None


def _flat_action(project: int, row: ActionRow) -> _Flat:
    return (
        project,
        bytes.fromhex(row.trace_id),
        bytes.fromhex(row.span_id),
        row.start_unix_nano,
        *row.version,
        row.name,
        row.target,
        pack_id(row.session_id) or None,
    )


def _facets(rows: Iterable[_Flat]) -> set[Facet]:
    """The services and models of interactions."""
    named = [row for row in rows if row[_SESSION] is not None]
    return (
        {(SERVICE, row[_SERVICE], row[_SESSION]) for row in named}
        | {(MODEL, row[_REQUEST_MODEL], row[_SESSION]) for row in named}
        | {(MODEL, row[_RESPONSE_MODEL], row[_SESSION]) for row in named}
    )


def _failed_sessions(rows: Iterable[_Flat]) -> set[bytes | str]:
    return {row[_SESSION] for row in rows if row[_STATUS] == STATUSES["error"] and row[_SESSION] is not None}
