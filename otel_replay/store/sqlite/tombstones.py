"""What was erased, as keyed hashes: senders that try again must not bring it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import IntEnum
from typing import Any

import numpy as np

from otel_replay.store import buckets
from otel_replay.store.base import Write
from otel_replay.store.erasing import Gone, write_without
from otel_replay.store.sqlite.index import KeyedHash

LIFETIME_NS = 7 * 86_400 * 10**9
"""Longer than any sender tries again: a Collector's queue on disk lives hours, a browser's tab days."""


class TombstoneKind(IntEnum):
    """What is known by the hash; of a trace of an erased session only what names no session of its own is refused."""

    TRACE = 1
    LOOSE_TRACE = 2
    SESSION = 3
    USER = 4
    KEY = 5


_NONE = np.empty(0, buckets.HASH)


class Tombstones:
    """For the writer: notes what is erased, and takes it out of writes that come later.

    ``dropped`` counts records and chunks that were taken out. A user may come back: only what is as old as the erasure
    is refused; of all others everything, for :data:`LIFETIME_NS`.
    """

    def __init__(self, connection: Any, index_hash: KeyedHash) -> None:
        self._connection = connection
        self._hash = index_hash
        self.dropped = 0
        self._known: dict[tuple[int, TombstoneKind], Any] = {}
        self._since: dict[tuple[int, int], int] = {}
        self.load()

    def load(self) -> None:
        """Reads the table again: after a change, and after a transaction that was rolled back."""
        hashes: dict[tuple[int, TombstoneKind], list[int]] = {}
        self._since = {}
        query = "SELECT project, kind, hash, erased_unix_nano FROM tombstones"
        for project, kind, hashed, erased in self._connection.execute(query):
            number = int.from_bytes(hashed, "little")
            hashes.setdefault((project, TombstoneKind(kind)), []).append(number)
            if kind == TombstoneKind.USER:
                self._since[project, number] = erased
        self._known = {key: np.array(members, buckets.HASH) for key, members in hashes.items()}

    def add(self, project: int, kind: TombstoneKind, ids: Iterable[bytes], now_unix_nano: int) -> None:
        """Notes ids; inside a transaction of the writer, after which :meth:`load` is to be called."""
        packed = self._hash.pack(project, list(ids))
        rows = [
            (project, kind, packed[at : at + 8], now_unix_nano, now_unix_nano + LIFETIME_NS)
            for at in range(0, len(packed), 8)
        ]
        self._connection.executemany("INSERT OR REPLACE INTO tombstones VALUES (?, ?, ?, ?, ?)", rows)

    def forget_expired(self, now_unix_nano: int) -> None:
        gone = self._connection.execute("DELETE FROM tombstones WHERE until_unix_nano <= ?", (now_unix_nano,)).rowcount
        if gone:
            self.load()

    def left(self, write: Write) -> Write:
        """What is left of a write; the same object when nothing of it was erased."""
        if not self._known:
            return write
        gone = self._gone(write)
        if gone is None:
            return write
        left, dropped = write_without(write, gone)
        self.dropped += dropped
        return left

    def _gone(self, write: Write) -> Gone | None:
        project = write.project
        sessions = {*write.session_ids, *(one.session_id for one in write.sessions)}
        sessions.update(chunk.session_id for chunk in write.chunks)
        traces = self._among(project, TombstoneKind.TRACE, list(write.trace_ids))
        loose = self._among(project, TombstoneKind.LOOSE_TRACE, list(write.trace_ids))
        named = self._among(project, TombstoneKind.SESSION, [session.encode() for session in sessions])
        keys = self._among(project, TombstoneKind.KEY, [key_bytes(write.key_id)] if write.key_id else [])
        if keys:
            return Gone(sessions=sessions, keys={write.key_id})
        gone = Gone(traces, {one.decode() for one in named}, loose)
        if (project, TombstoneKind.USER) in self._known:
            gone = self._with_users(write, gone)
        return gone if gone != Gone() else None

    def _with_users(self, write: Write, gone: Gone) -> Gone:
        """The sessions and traces by which a write names an erased user, as old as the erasure."""
        sessions = {
            one.session_id
            for one in write.sessions
            if "user.id" in one.attributes
            and self._is_erased(write.project, str(one.attributes["user.id"].value), one.start_unix_nano)
        }
        traces = {
            bytes.fromhex(row.trace_id)
            for row in write.interactions
            if row.user and self._is_erased(write.project, row.user, row.start_unix_nano)
        }
        return replace(gone, sessions={*gone.sessions, *sessions}, traces={*gone.traces, *traces})

    def _is_erased(self, project: int, user: str, unix_nano: int) -> bool:
        erased = self._since.get((project, self._hash(project, user.encode())))
        return erased is not None and unix_nano <= erased

    def _among(self, project: int, kind: TombstoneKind, ids: Sequence[bytes]) -> frozenset[bytes]:
        """Those of the ids that were erased."""
        known = self._known.get((project, kind), _NONE)
        if not known.size or not ids:
            return frozenset()
        found = np.isin(np.frombuffer(self._hash.pack(project, ids), buckets.HASH), known)
        return frozenset(ids[place] for place in np.flatnonzero(found).tolist())


def key_bytes(key_id: int) -> bytes:
    return key_id.to_bytes(8, "little")
