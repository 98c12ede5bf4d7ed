"""Sessions as rows: folded from what mentions them, with facets to list them by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from operator import itemgetter
from typing import Any

from otel_replay.model import MAX_UNIX_NANO
from otel_replay.store.base import AttributeValue, SessionSighting
from otel_replay.store.folding import dump_attributes, fold_sightings, load_attributes, merge_attributes
from otel_replay.store.managed import TAGS, listed_tags
from otel_replay.store.sqlite.identifiers import pack_id

SERVICE, MODEL, USER, FEATURE, LABEL, TAG = range(6)
"""Kinds of facets; the trigger ``sessions_start`` knows them too."""

STATES = ("active", "paused", "ended")

KINDS_TOLD = (USER, FEATURE, LABEL)
_TOLD_AS = {USER: "user.id", FEATURE: "feature", LABEL: "label"}
_TOLD = frozenset(_TOLD_AS.values())
_AT_ONCE = 500
_NEW = (None, 0, MAX_UNIX_NANO, None, 0, 0, 0)

_WIDEN = (
    "ON CONFLICT DO UPDATE SET start_unix_nano = min(start_unix_nano, excluded.start_unix_nano),"
    " end_unix_nano = max(end_unix_nano, excluded.end_unix_nano)"
)
_TELL = (
    "INSERT INTO sessions (project, session_id, start_unix_nano, end_unix_nano, attributes, flags, tags, user, feature,"
    f" label) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {_WIDEN}, attributes = excluded.attributes, flags = excluded.flags,"
    " tags = excluded.tags, user = excluded.user, feature = excluded.feature, label = excluded.label"
)

Attributes = Mapping[str, AttributeValue]
Facet = tuple[int, int, bytes | str]
"""(kind, id of the name, packed session id)."""


def fold_sessions(
    connection: Any, ids: Mapping[str, int], project: int, sightings: Iterable[SessionSighting]
) -> dict[bytes | str, int]:
    """Folds what was said of sessions into their rows; ``ids`` has those of :func:`listed_names`.

    Gives the starts of the sessions that something was told of: those with AI spans are among them.
    """
    folded = fold_sightings(sightings)
    plain, telling = [], []
    for name in sorted(folded):
        one = folded[name]
        if one.attributes:
            telling.append((pack_id(name), one))
        else:
            plain.append((project, pack_id(name), one.start_unix_nano, one.end_unix_nano))
    _fold_times(connection, project, plain)
    starts: dict[bytes | str, int] = {}
    for at in range(0, len(telling), _AT_ONCE):
        starts |= _fold_attributes(connection, ids, project, telling[at : at + _AT_ONCE])
    return starts


_Times = tuple[int, bytes | str, int, int]
"""(project, packed session id, start, end)."""

_SEE = "INSERT INTO sessions (project, session_id, start_unix_nano, end_unix_nano) VALUES (?, ?, ?, ?)"
_PROLONG = (
    f"{_SEE} ON CONFLICT DO UPDATE SET end_unix_nano = max(end_unix_nano, excluded.end_unix_nano)"
    " WHERE excluded.start_unix_nano >= start_unix_nano"
)


def _fold_times(connection: Any, project: int, rows: Sequence[_Times]) -> None:
    """A statement that might fire the trigger ``sessions_start`` costs 60 % more, new row or not: only for the few."""
    if connection.executemany(_PROLONG, rows).rowcount == len(rows):
        return
    for at in range(0, len(rows), _AT_ONCE):
        part = rows[at : at + _AT_ONCE]
        stored = _stored(connection, project, [session for _, session, *_ in part])
        connection.executemany(f"{_SEE} {_WIDEN}", [row for row in part if row[2] < stored[row[1]][2]])


def listed_names(sightings: Iterable[SessionSighting]) -> set[str]:
    """Users, features, labels and tags that are told of."""
    telling = [one.attributes for one in sightings if one.attributes]
    names = {str(told[name].value) for told in telling for name in _TOLD & told.keys()}
    return names.union(*(_tags(told) for told in telling if TAGS in told))


def _tags(attributes: Attributes) -> list[str]:
    return listed_tags({TAGS: attributes[TAGS].value}) if TAGS in attributes else []


def _fold_attributes(
    connection: Any, ids: Mapping[str, int], project: int, telling: Sequence[tuple[bytes | str, SessionSighting]]
) -> dict[bytes | str, int]:
    stored = _stored(connection, project, [session for session, _ in telling])
    starts, rows = {}, []
    removed: list[Facet] = []
    added: list[Facet] = []
    for session, one in telling:
        text, flags, start, tags, *old = stored.get(session, _NEW)
        starts[session] = min(one.start_unix_nano, start)
        known: Attributes = load_attributes(text) if text else {}
        merged = merge_attributes(known, one.attributes)
        if merged != known:
            text, flags = dump_attributes(merged), _flags(merged, flags)
        new = [_name_id(kind, merged, ids, before) for kind, before in zip(KINDS_TOLD, old, strict=True)]
        if new != old:
            moved = [pair for pair in zip(KINDS_TOLD, old, new, strict=True) if pair[1] != pair[2]]
            removed += [(kind, before, session) for kind, before, _ in moved if before]
            added += [(kind, after, session) for kind, _, after in moved if after]
        if merged.get(TAGS) != known.get(TAGS):
            before, tags = tag_ids(tags), json.dumps(sorted({ids[tag] for tag in _tags(merged)}))
            removed += [(TAG, tag, session) for tag in before - tag_ids(tags)]
            added += [(TAG, tag, session) for tag in tag_ids(tags) - before]
        rows.append((project, session, one.start_unix_nano, one.end_unix_nano, text, flags, tags, *new))
    connection.executemany(_TELL, rows)
    remove_facets(connection, project, removed)
    add_facets(connection, added, starts)
    return starts


def _stored(connection: Any, project: int, sessions: Sequence[bytes | str]) -> dict[bytes | str, tuple[Any, ...]]:
    query = (
        "SELECT session_id, attributes, flags, start_unix_nano, tags, user, feature, label FROM sessions"
        f" WHERE project = ? AND session_id IN ({', '.join('?' * len(sessions))})"
    )
    return {row[0]: row[1:] for row in connection.execute(query, (project, *sessions))}


def tag_ids(tags: str | None) -> set[int]:
    """Of the column of that name."""
    return set(json.loads(tags or "[]"))


def _name_id(kind: int, attributes: Attributes, ids: Mapping[str, int], before: int) -> int:
    """Of a value that was not told just now the row has the id already."""
    name = _TOLD_AS[kind]
    return ids.get(str(attributes[name].value), before) if name in attributes else 0


def _flags(attributes: Attributes, before: int) -> int:
    state = attributes["state"].value if "state" in attributes else STATES[0]
    return 2 * (STATES.index(state) if state in STATES else 0) + before % 2


def facets_of_call(session: bytes | str, service: int, models: Iterable[int]) -> set[Facet]:
    """Of an AI span that names the session, or takes it."""
    return {(SERVICE, service, session), *((MODEL, model, session) for model in models)}


def add_facets(connection: Any, facets: Iterable[Facet], starts: Mapping[bytes | str, int]) -> None:
    """``starts`` are those of the sessions; of others there is no row to list."""
    rows = sorted(
        ((kind, name, starts[session], session) for kind, name, session in facets if name and session in starts),
        key=itemgetter(0, 1, 2),
    )
    connection.executemany("INSERT OR IGNORE INTO facets VALUES (?, ?, ?, ?)", rows)


def starts_of(
    connection: Any, project: int, sessions: Set[bytes | str], known: Mapping[bytes | str, int]
) -> Mapping[bytes | str, int]:
    """``known`` with the starts of sessions that are missing there: of some nothing is told."""
    missing = list(sessions - known.keys())
    found = dict(known)
    for at in range(0, len(missing), _AT_ONCE):
        stored = _stored(connection, project, missing[at : at + _AT_ONCE])
        found.update((session, row[2]) for session, row in stored.items())
    return found


def remove_facets(connection: Any, project: int, facets: Iterable[Facet]) -> None:
    connection.executemany(
        "DELETE FROM facets WHERE kind = ? AND name = ? AND session_id = ? AND start_unix_nano ="
        " (SELECT start_unix_nano FROM sessions WHERE project = ? AND session_id = ?)",
        [(kind, name, session, project, session) for kind, name, session in facets],
    )


def note_failed(connection: Any, project: int, sessions: Iterable[bytes | str]) -> None:
    """Marks sessions in which something failed."""
    connection.executemany(
        "UPDATE sessions SET flags = flags | 1 WHERE project = ? AND session_id = ? AND NOT flags & 1",
        [(project, session) for session in sessions],
    )


def refresh(connection: Any, project: int, sessions: Iterable[bytes | str]) -> None:
    """Makes facets and marks again from the AI spans and errors that are left; ``sessions`` had some others."""
    named = "FROM interactions WHERE project = ? AND session_id = ?"
    keys = [(project, session) for session in sessions]
    connection.executemany(
        f"UPDATE sessions SET flags = (flags & ~1) | (EXISTS (SELECT 1 {named} AND status = 2)"
        " OR EXISTS (SELECT 1 FROM errors WHERE project = ? AND session_id = ?)) WHERE project = ? AND session_id = ?",
        [key * 3 for key in keys],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO facets SELECT kind, name, start_unix_nano, session_id FROM sessions, ("
        f"SELECT {SERVICE} AS kind, service AS name {named} UNION SELECT {MODEL}, request_model {named}"
        f" UNION SELECT {MODEL}, response_model {named}) WHERE name > 0 AND project = ? AND session_id = ?",
        [key * 4 for key in keys],
    )
