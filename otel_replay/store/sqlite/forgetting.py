"""Contents that nobody refers to any more: taken out of their blocks, of the full text and of the digests.

Runs inside the writer's transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import zstandard

from otel_replay.store.sqlite.bodies import BodyWriter, Origin
from otel_replay.store.sqlite.digests import GENERATION_BITS
from otel_replay.store.sqlite.fulltext import FullTextFollower

STEP_BODIES = 500
_FOLLOW_BYTES = 4 * 1024 * 1024


class _Place(NamedTuple):
    body: int
    start: int
    length: int


class ContentRemover:
    """Deletes contents, and moves origins; ``bodies`` is the writer's."""

    def __init__(self, connection: Any, bodies: BodyWriter, texts: FullTextFollower) -> None:
        self._connection = connection
        self._bodies = bodies
        self._texts = texts
        self._decompressor = zstandard.ZstdDecompressor()

    def remove(self, project: int, ids: Sequence[int]) -> int:
        """Deletes those of the contents (some hundreds) that nothing refers to; returns how many."""
        query = f"SELECT id, block FROM bodies WHERE project = ? AND refs <= 0 AND id IN ({_marks(ids)})"
        unused = dict(self._connection.execute(query, (project, *ids)).fetchall())
        if not unused:
            return 0
        pieces = self._bodies.pieces(project, unused)
        self._texts.remove(self._connection, list(unused))
        for block in set(unused.values()):
            self._shrink(project, block, {body for body, of in unused.items() if of == block})
        numbers = [(body,) for body in unused]
        digests = self._bodies.forget(project, pieces)
        rows = [(body >> GENERATION_BITS, digest) for body, digest in digests.items()]
        self._connection.executemany("DELETE FROM body_digests WHERE generation = ? AND digest = ?", rows)
        self._connection.executemany("DELETE FROM moved_texts WHERE id = ?", numbers)
        self._connection.executemany("DELETE FROM bodies WHERE id = ?", numbers)
        # The number of the last one may be given again: what follows must not take it for done.
        self._connection.execute(
            "UPDATE meta SET value = min(CAST(value AS INTEGER), (SELECT coalesce(max(id), 0) FROM bodies))"
            " WHERE key = 'texts_indexed'"
        )
        return len(unused)

    def move_origin(self, project: int, body: int, origin: Origin) -> None:
        """A content was first said by another span from now on."""
        self._bodies.forget(project, self._bodies.pieces(project, [body]))
        self._connection.execute(
            "UPDATE bodies SET start_unix_nano = ?, trace_id = ?, span_id = ?, version = ? WHERE id = ?",
            (*origin, body),
        )

    def follow(self) -> None:
        """Full text knows contents by the time of their origin."""
        while self._texts.step(self._connection, _FOLLOW_BYTES):
            pass

    def _shrink(self, project: int, block: int, gone: set[int]) -> None:
        """Writes a block again without some contents."""
        places = self._places(block, next(iter(gone)))
        left = [place for place in places if place.body not in gone]
        row = self._connection.execute("SELECT data FROM body_blocks WHERE id = ?", (block,)).fetchone()
        if not left or row is None:
            self._connection.execute("DELETE FROM body_blocks WHERE id = ?", (block,))
            return
        try:
            data = self._decompressor.decompress(row[0])
        except (zstandard.ZstdError, MemoryError):  # nobody can read it, what is to go is gone
            return
        pieces = [data[place.start : place.start + place.length] for place in left]
        self._connection.execute(
            "UPDATE body_blocks SET raw_bytes = ?, data = ? WHERE id = ?",
            (sum(map(len, pieces)), self._bodies.compress(b"".join(pieces)), block),
        )
        starts = accumulate(map(len, pieces), initial=0)
        self._connection.executemany(
            "UPDATE bodies SET start = ? WHERE id = ?",
            [(start, place.body) for start, place in zip(starts, left, strict=False)],
        )

    def _places(self, block: int, member: int) -> list[_Place]:
        """All contents of a block, of which one is given: their numbers are neighbours."""
        below = "SELECT id FROM bodies WHERE id < ? AND block <> ? ORDER BY id DESC LIMIT 1"
        above = "SELECT id FROM bodies WHERE id > ? AND block <> ? ORDER BY id LIMIT 1"
        first, last = (self._connection.execute(query, (member, block)).fetchone() for query in (below, above))
        query = "SELECT id, start, length FROM bodies WHERE id > ? AND id < ? AND block = ? ORDER BY id"
        bounds = (first[0] if first else 0, last[0] if last else 2**62, block)
        return [_Place(*row) for row in self._connection.execute(query, bounds)]


def in_steps(ids: Iterable[int], size: int = STEP_BODIES) -> list[list[int]]:
    """Numbers, ascending, some hundreds at a time."""
    ordered = sorted(set(ids))
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


def _marks(ids: Sequence[int]) -> str:
    return ", ".join("?" * len(ids))
