"""Erasing and forgetting that is not finished: the next process, or the next try, goes on with it.

What names the rest (contents, rows, operations) goes with the records, so it is noted in the transaction that takes
them out of a block. Only erasing itself can then lose it, at its end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from otel_replay.store.erasing import Gone, Removed

_BYTES = ("traces", "loose_traces")


class Unfinished(NamedTuple):
    """An erasure; ``gone`` is None when all is taken out, and only the file is to be scrubbed."""

    number: int
    project: int
    gone: Gone | None
    vacuum: bool | None


class ErasureNotes:
    """The tables ``erasures`` and ``erased_records``: written inside the writer's transactions, read by anybody."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def begin(self, project: int, gone: Gone, vacuum: bool | None) -> int:
        """Notes that this is to be erased; gives the erasure's number."""
        told = {name: sorted(one.hex() for one in ids) if name in _BYTES else ids for name, ids in asdict(gone).items()}
        begun = "INSERT INTO erasures (project, gone, vacuum) VALUES (?, ?, ?)"
        row = (project, json.dumps(told, default=sorted), vacuum)
        number: int = self._connection.execute(begun, row).lastrowid
        return number

    @staticmethod
    def unfinished(connection: Any) -> list[Unfinished]:
        """In the order in which they were asked for."""
        rows = connection.execute("SELECT id, project, gone, vacuum FROM erasures ORDER BY id").fetchall()
        return [
            Unfinished(number, project, _gone(told) if told else None, None if vacuum is None else bool(vacuum))
            for number, project, told, vacuum in rows
        ]

    def note(self, number: int, removed: Sequence[Removed]) -> None:
        """Notes what an erasure takes out of a block; below zero, what the retention of a project does."""
        told = [[one.trace_id.hex(), one.item_id.hex(), *one[2:]] for one in removed]
        self._connection.execute("INSERT INTO erased_records VALUES (?, ?)", (number, json.dumps(told)))

    @staticmethod
    def removed(connection: Any, number: int) -> list[Removed]:
        """All that an erasure has taken out of blocks."""
        rows = connection.execute("SELECT records FROM erased_records WHERE erasure = ?", (number,)).fetchall()
        return [
            Removed(bytes.fromhex(trace_id), bytes.fromhex(item_id), session_id, service, name, tuple(contents))
            for (told,) in rows
            for trace_id, item_id, session_id, service, name, contents in json.loads(told)
        ]

    def forget(self, number: int) -> None:
        """All that was noted is followed up."""
        self._connection.execute("DELETE FROM erased_records WHERE erasure = ?", (number,))

    @staticmethod
    def retentions(connection: Any) -> list[int]:
        """Projects whose retention took records out of blocks, and was cut off before it followed that up."""
        rows = connection.execute("SELECT DISTINCT -erasure FROM erased_records WHERE erasure < 0 ORDER BY 1")
        return [project for (project,) in rows]

    def taken_out(self, number: int) -> None:
        """Forgets what it was: nothing of it may stay when the file is scrubbed."""
        self.forget(number)
        self._connection.execute("UPDATE erasures SET gone = NULL WHERE id = ?", (number,))

    def end(self, number: int) -> None:
        self._connection.execute("DELETE FROM erasures WHERE id = ?", (number,))


def _gone(told: str) -> Gone:
    document: dict[str, Any] = json.loads(told)
    user = document.pop("user")
    sets: dict[str, Any] = {
        name: {bytes.fromhex(one) for one in ids} if name in _BYTES else set(ids) for name, ids in document.items()
    }
    return Gone(**sets, user=user)
