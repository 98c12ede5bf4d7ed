"""Rows as they stand in one file, for who puts the answers of several files together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from otel_replay.genai.prices import COST_SOURCES, usd_text
from otel_replay.model import MAX_UNIX_NANO, Usage
from otel_replay.store.base import (
    ActionRow,
    ErrorRow,
    InteractionFilter,
    InteractionRow,
    SessionSighting,
    SpanVersion,
)
from otel_replay.store.folding import load_attributes
from otel_replay.store.sketch import Sketch
from otel_replay.store.sqlite.deciding import SESSION, USER
from otel_replay.store.sqlite.identifiers import pack_id, texts_of, unpack_id
from otel_replay.store.sqlite.queries import Queries
from otel_replay.store.sqlite.rollups import COUNTS, DIMENSIONS
from otel_replay.store.sqlite.rows import KINDS, STATUSES
from otel_replay.store.sqlite.session_queries import edges_of_sessions, with_recordings
from otel_replay.store.sqlite.statistics import RolledUp, conditions_of
from otel_replay.store.statistics import plan

_AT_ONCE = 500
_KINDS = {number: kind for kind, number in KINDS.items()}
_STATUSES = {number: status for status, number in STATUSES.items()}
_USER_OF_ITS_OWN = f"iif(inherited & {USER}, 0, user)"
_NAMES = ("service", _USER_OF_ITS_OWN, "feature", "variant", "operation", "provider", "request_model", "response_model")
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_INTERACTION = (
    "trace_id, span_id, end_unix_nano, length, digest, start_unix_nano, kind, status,"
    f" iif(inherited & {SESSION}, NULL, session_id), conversation_id,"
    f" {', '.join(_NAMES)}, {', '.join(_TOKENS)}, cost_pico_usd, cost_source, time_to_first_token_ns, parent_span_id,"
    " teller, response_id"
)
_FIRST_NAME, _FIRST_TOKENS = 10, 10 + len(_NAMES)
_ACTION = "trace_id, span_id, end_unix_nano, length, digest, start_unix_nano, name, target, session_id"

_Item = TypeVar("_Item")


class SessionRows(NamedTuple):
    """Of some sessions: how they were told, their (session id, trace id) edges, what failed, and who has streams."""

    sightings: list[SessionSighting]
    traces: list[tuple[str, str]]
    errors: list[ErrorRow]
    recorded: list[str]


class TraceRows(NamedTuple):
    """The AI spans and user actions of some traces, and which sessions the traces have edges to.

    ``named`` are (session id, trace id); AI spans have the sessions and users that they name themselves. ``scope`` and
    ``response_id`` of an interaction are digests of them: equal where they are equal.
    """

    interactions: list[InteractionRow]
    actions: list[ActionRow]
    named: tuple[tuple[str, str], ...] = ()


class RolledUpGroup(NamedTuple):
    """One line of statistics before percentiles are taken of it; the sketches are packed."""

    group: str
    counts: dict[str, int]
    latency: bytes
    first_token: bytes


class SharedRows(Queries):
    """Questions for rows; those about ids answer for as many as they are given."""

    def rows_of_sessions(self, project: int, session_ids: Sequence[str]) -> SessionRows:
        found = SessionRows([], [], [], [])
        with self._connections.snapshot() as connection:
            for part in _parts(session_ids):
                ids = [pack_id(one) for one in part]
                found.sightings.extend(_sightings(connection, project, ids))
                found.traces.extend(
                    (unpack_id(one), trace.hex()) for one, trace in edges_of_sessions(connection, project, ids)
                )
                found.errors.extend(_errors(connection, project, ids))
                found.recorded.extend(with_recordings(connection, project, ids))
        return found

    def rows_of_traces(self, project: int, trace_ids: Sequence[str]) -> TraceRows:
        found, named = TraceRows([], []), set[tuple[str, str]]()
        with self._connections.snapshot() as connection:
            for part in _parts(trace_ids):
                traces = [bytes.fromhex(one) for one in part]
                where = f"project = ? AND trace_id IN ({', '.join('?' * len(traces))})"
                rows = connection.execute(f"SELECT {_INTERACTION} FROM interactions WHERE {where}", (project, *traces))
                found.interactions.extend(_interactions(connection, rows.fetchall()))
                rows = connection.execute(f"SELECT {_ACTION} FROM actions WHERE {where}", (project, *traces))
                found.actions.extend(map(_action, rows))
                edges = f"SELECT session_id, trace_id FROM session_traces WHERE {where}"
                rows = connection.execute(edges, (project, *traces))
                named.update((unpack_id(session), trace.hex()) for session, trace in rows)
        return found._replace(named=tuple(sorted(named)))

    def traces_of_calls(self, project: int, wanted: InteractionFilter, limit: int) -> list[str]:
        """Traces that have, or may have elsewhere, an AI span that is meant, ``limit`` of them at most."""
        with self._connections.snapshot() as connection:
            where, values = conditions_of(connection, project, wanted)
            query = f"SELECT DISTINCT trace_id FROM interactions WHERE {where} LIMIT ?"
            found = [trace.hex() for (trace,) in connection.execute(query, (*values, limit))]
            if wanted.session_id is None or len(found) == limit:
                return found
            # The calls that take this session from their trace may be at another receiver.
            edges = edges_of_sessions(connection, project, [pack_id(wanted.session_id)])
            return [*dict.fromkeys([*found, *(trace.hex() for _, trace in edges)])][:limit]

    def sessions_with_errors(self, project: int, wanted: InteractionFilter, limit: int) -> list[str]:
        """Sessions in which something failed in a time that is no AI span, ``limit`` of them at most."""
        since = -MAX_UNIX_NANO if wanted.since_unix_nano is None else wanted.since_unix_nano
        until = MAX_UNIX_NANO if wanted.until_unix_nano is None else wanted.until_unix_nano - 1
        session = None if wanted.session_id is None else pack_id(wanted.session_id)
        query = (
            "SELECT DISTINCT session_id FROM errors WHERE project = ?1 AND start_unix_nano BETWEEN ?2 AND ?3"
            " AND (?4 IS NULL OR session_id = ?4) LIMIT ?5"
        )
        return [unpack_id(row[0]) for row in self._rows(query, (project, since, until, session, limit))]

    def rolled_up(self, project: int, by: str, wanted: InteractionFilter, limit: int) -> list[RolledUpGroup]:
        """The first lines of statistics that roll-ups answer, behind their total, whose group is empty."""
        with self._connections.snapshot() as connection:
            return [*_Lines(connection, project, plan(by, wanted), by_day=by == "day").lines(limit)]


class _Lines(RolledUp):
    """The roll-ups of a table, each group's summed."""

    def lines(self, limit: int) -> Iterator[RolledUpGroup]:
        of_one, everything = self._how.name is not None, DIMENSIONS[""]
        total = self._sums(self._dimension if of_one else everything, "0", "1" if of_one else "name = 0")
        yield _group("", total.get(0, []))
        shown = self._most(limit)
        names = self._names(shown)
        groups = self._sums(self._dimension, self._group, f"{self._group} IN ({', '.join(map(str, shown))})")
        yield from (_group(names[number], rollups) for number, rollups in groups.items())


def _parts(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE))


def _sightings(connection: Any, project: int, ids: Sequence[bytes | str]) -> Iterator[SessionSighting]:
    query = (
        "SELECT session_id, start_unix_nano, end_unix_nano, attributes FROM sessions"
        f" WHERE project = ? AND session_id IN ({', '.join('?' * len(ids))})"
    )
    for session, start, end, told in connection.execute(query, (project, *ids)):
        yield SessionSighting(unpack_id(session), start, end, load_attributes(told))


def _errors(connection: Any, project: int, ids: Sequence[bytes | str]) -> Iterator[ErrorRow]:
    """Those of pages get a place that tells their stream, too."""
    query = (
        "SELECT session_id, stream, seq, place, trace_id, start_unix_nano, span_id FROM errors"
        f" WHERE project = ? AND session_id IN ({', '.join('?' * len(ids))})"
    )
    for session, stream, seq, place, trace, start, span in connection.execute(query, (project, *ids)):
        whole = place if isinstance(place, bytes) else f"{stream}\0{seq}\0{place}".encode(errors="surrogatepass")
        yield ErrorRow(unpack_id(session), whole, trace or b"", start, span or b"")


def _interactions(connection: Any, rows: Sequence[Sequence[Any]]) -> Iterator[InteractionRow]:
    names = slice(_FIRST_NAME, _FIRST_TOKENS)
    texts = texts_of(connection, {name for row in rows for name in row[names]})
    for row in rows:
        trace, span, end, length, digest, start, kind, status, session, conversation = row[:_FIRST_NAME]
        service, user, feature, variant, *optional = (texts[name] for name in row[names])
        operation, provider, asked, answered = (text or None for text in optional)
        tokens = row[_FIRST_TOKENS : _FIRST_TOKENS + len(_TOKENS)]
        cost, source, first_token, parent, teller, response = row[_FIRST_TOKENS + len(_TOKENS) :]
        yield InteractionRow(
            trace.hex(),
            span.hex(),
            SpanVersion(end, length, digest),
            start,
            _KINDS[kind],
            _STATUSES[status],
            service,
            unpack_id(session or ""),
            unpack_id(conversation or ""),
            user,
            feature,
            variant,
            operation,
            provider,
            asked,
            answered,
            Usage(*tokens),
            None if cost is None else usd_text(cost),
            first_token,
            parent_span_id=(parent or b"").hex(),
            scope=str(teller),
            response_id=None if response is None else str(response),
            cost_source=COST_SOURCES[source - 1],
        )


def _action(row: Sequence[Any]) -> ActionRow:
    trace, span, end, length, digest, start, name, target, session = row
    version = SpanVersion(end, length, digest)
    return ActionRow(trace.hex(), span.hex(), version, start, name, target, unpack_id(session or ""))


def _group(name: str, rollups: Sequence[Any]) -> RolledUpGroup:
    columns = zip(*(row[: len(COUNTS)] for row in rollups), strict=True)
    counts = dict(zip(COUNTS, [sum(column) for column in columns] or [0] * len(COUNTS), strict=True))
    latency, first_token = Sketch(), Sketch()
    for row in rollups:
        for place, sketch in ((0, latency), (2, first_token)):
            packed, samples = row[len(COUNTS) + place :][:2]
            sketch.add_packed(packed)
            sketch.add_samples(samples)
    return RolledUpGroup(name, counts, latency.pack(), first_token.pack())
