"""AI spans that name no session take that of their trace (``store/of_trace.py``), whichever of them comes first.

Who tells it is another AI span of the trace, a user action, or an edge (of a log record, of a recording). A row takes
it in the columns that it would name it in, so that every question finds it there; ``inherited`` says that it does not
name it itself. Part of the follower of roll-ups, in its transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from otel_replay.store.of_trace import inherited
from otel_replay.store.sqlite.deciding import SESSION, USER, Change, Decisions, Row, Trace
from otel_replay.store.sqlite.sessions import Facet, facets_of_call, refresh, remove_facets
from otel_replay.timeline.counted import MOST_SPANS

RETOLD_A_STEP = 32
"""Traces whose edges have changed that are looked at in one step: they may be large."""

_LACKS = "session_id IS NULL OR inherited > 0"
_NAMED_BY_EDGES = (
    f"SELECT DISTINCT project, trace_id FROM interactions AS came WHERE id > ? AND id <= ? AND ({_LACKS}) AND (EXISTS"
    " (SELECT 1 FROM session_traces WHERE project = came.project AND trace_id = came.trace_id) OR EXISTS"
    " (SELECT 1 FROM actions WHERE project = came.project AND trace_id = came.trace_id AND session_id IS NOT NULL))"
)
_EDGES = (
    "SELECT session_id FROM session_traces WHERE project = ?1 AND trace_id = ?2"
    " UNION SELECT session_id FROM actions WHERE project = ?1 AND trace_id = ?2 AND session_id IS NOT NULL"
)


def retold(connection: Any) -> list[Trace]:
    """Some of the traces whose edges to sessions have changed since their AI spans were looked at."""
    query = f"SELECT project, trace_id FROM retold LIMIT {RETOLD_A_STEP}"
    return [(project, trace) for project, trace in connection.execute(query)]


def forget_retold(connection: Any, traces: Iterable[Trace]) -> None:
    connection.executemany("DELETE FROM retold WHERE project = ? AND trace_id = ?", traces)


def inherit(connection: Any, decisions: Decisions, changed: Iterable[Trace]) -> list[Change]:
    """Gives AI spans the session of their trace, or takes it from them; ``changed`` are traces that lost a row, or
    whose edges are others.

    Gives what is counted otherwise from now on, of rows that were counted before; ``decisions`` knows all rows as they
    are then.
    """
    moved: list[tuple[Row, Row]] = []
    for trace in dict.fromkeys([*_due(connection, decisions), *changed]):
        rows = decisions.rows_of(trace)
        if len(rows) <= MOST_SPANS:  # of more each stands for itself, as when they are counted
            moved += _settled(rows, _edges(connection, trace, rows))
    for old, new in moved:
        decisions.replace(old, new)
    _store(connection, moved)
    counted = [(old, new) for old, new in moved if old.id <= decisions.upto]
    return [change for old, new in counted for change in ((old, old.counts, True), (new, new.counts, False))]


def _due(connection: Any, decisions: Decisions) -> list[Trace]:
    """Traces that got rows in this step, and have some that lack a session while something names one."""
    lacking = [trace for trace in decisions.touched if any(map(_lacks, decisions.rows_of(trace)))]
    if not lacking:
        return []
    named = set(map(tuple, connection.execute(_NAMED_BY_EDGES, (decisions.upto, decisions.last))))
    return [trace for trace in lacking if trace in named or any(row.session_id for row in decisions.rows_of(trace))]


def _lacks(row: Row) -> bool:
    return row.session_id is None or row.inherited > 0


def _edges(connection: Any, trace: Trace, rows: Sequence[Row]) -> list[Any]:
    """Sessions that name the trace and are no AI span's; not asked for where none would take them."""
    return [session for (session,) in connection.execute(_EDGES, trace)] if any(map(_lacks, rows)) else []


def _settled(rows: Sequence[Row], edges: Iterable[Any]) -> list[tuple[Row, Row]]:
    """The rows of a trace that take another session than they have, or another user, as they were and as they are."""
    telling = [row for row in rows if not _lacks(row)]
    told = inherited([*edges, *(row.session_id for row in telling)], [row.user for row in telling if row.user])
    found = []
    for row in filter(_lacks, rows):
        own_user = 0 if row.inherited & USER else row.user
        user = own_user or told.user or 0
        bits = SESSION * (told.session is not None) | USER * (user != own_user)
        new = row._replace(session_id=told.session, user=user, inherited=bits)
        if new != row:
            found.append((row, new))
    return found


def _store(connection: Any, moved: Sequence[tuple[Row, Row]]) -> None:
    """Writes the rows, and the facets and marks of the sessions that lost or got them."""
    facets: dict[int, set[Facet]] = defaultdict(set)
    sessions: dict[int, set[Any]] = defaultdict(set)
    for old, new in moved:
        if old.session_id is not None:
            models = (old.request_model, old.response_model)
            facets[old.project] |= facets_of_call(old.session_id, old.service, models)
        sessions[old.project] |= {old.session_id, new.session_id} - {None}
    for project, lost in facets.items():
        remove_facets(connection, project, lost)
    columns = [(new.session_id, new.user, new.inherited, new.id) for _, new in moved]
    connection.executemany("UPDATE interactions SET session_id = ?, user = ?, inherited = ? WHERE id = ?", columns)
    for project, named in sessions.items():
        refresh(connection, project, named)
