"""Blocks without what is gone: which of them may hold it, and what is stored in their place."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import zstandard

from otel_replay.model import Signal
from otel_replay.store.erasing import Gone, Removed, carriers, without
from otel_replay.store.merging import Block
from otel_replay.store.records import Contents, StoredBlock
from otel_replay.store.sqlite.bodies import BodyWriter
from otel_replay.store.sqlite.compaction import Rewriter
from otel_replay.store.sqlite.index import SESSIONS, TRACES
from otel_replay.store.sqlite.reader import SqliteReader

logger = logging.getLogger(__name__)

Note = Callable[[Sequence[Removed]], None]


class BlockEraser:
    """Writes blocks again; references to contents are released in the same transaction."""

    def __init__(self, reader: SqliteReader, rewriter: Rewriter, bodies: BodyWriter) -> None:
        self._reader = reader
        self._rewriter = rewriter
        self._bodies = bodies

    def remove(self, project: int, gone: Gone, note: Note) -> Iterator[Removed]:
        """Writes blocks again without what is gone, until none is left that was not looked at.

        ``note`` is told what goes, in the transaction in which it does.
        """
        seen: set[int] = set()
        while unseen := self._candidates(project, gone).keys() - seen:
            for number, is_listed in self._candidates(project, gone).items():
                if number in unseen:
                    yield from self._from_block(project, number, gone, is_listed, note)
            seen |= unseen

    def remove_whole(self, number: int, note: Note) -> bool:
        """Deletes one block, and notes what carried contents; False where it stays: it cannot be read."""
        removed: list[Removed] = []
        read: list[int] = []

        def transform(blocks: Sequence[StoredBlock], contents: Contents) -> Sequence[Block]:
            read.append(blocks[0].id)
            removed.extend(carriers(blocks[0], contents))
            return []

        return self._rewriter.rewrite([number], transform, partial(self._release, removed, note)) and bool(read)

    def names_nowhere(self, project: int, names: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Of names of operations, (service, name), those that stand in no block."""
        query = "SELECT id FROM blocks WHERE project = ? ORDER BY id DESC"
        with self._reader.reading() as connection:
            numbers = connection.execute(query, (project,)).fetchall()
            for (number,) in numbers:
                if not names:
                    break
                body = body_of(connection, number)
                names = {(service, name) for service, name in names if name.encode() not in body}
        return names

    def _candidates(self, project: int, gone: Gone) -> dict[int, bool]:
        """Blocks that may hold something of it, and whether an index says so: metrics, users and keys are in none."""
        ids = [(TRACES, trace) for trace in (*gone.traces, *gone.loose_traces)]
        ids += [(SESSIONS, session.encode()) for session in gone.sessions]
        signals = "> 0" if gone.user or gone.keys else f"= {Signal.METRICS:d}"
        query = f"SELECT id FROM blocks WHERE project = ? AND signal {signals}"
        with self._reader.reading() as connection:
            found = {number: False for (number,) in connection.execute(query, (project,))}
            for kind, one in ids:
                found.update(dict.fromkeys(self._reader.blocks_of(connection, project, kind, one), True))
        return found

    def _from_block(self, project: int, number: int, gone: Gone, is_listed: bool, note: Note) -> list[Removed]:
        removed: list[Removed] = []

        def transform(blocks: Sequence[StoredBlock], contents: Contents) -> Sequence[Block] | None:
            block = blocks[0]
            if block.project != project or not (is_listed or gone.may_touch(block)):
                return None
            left, went = without(block, gone, contents)
            removed.extend(went)
            return None if not went else [left] if left else []

        return removed if self._rewriter.rewrite([number], transform, partial(self._release, removed, note)) else []

    def _release(self, removed: Sequence[Removed], note: Note) -> None:
        self._bodies.release(Counter(body for one in removed for body in one.contents))
        if removed:
            note(removed)


def body_of(connection: Any, number: int) -> bytes:
    """A block's records; nothing where they cannot be read."""
    row = connection.execute("SELECT data FROM blocks WHERE id = ?", (number,)).fetchone()
    try:
        return zstandard.ZstdDecompressor().decompress(row[0]) if row else b""
    except (zstandard.ZstdError, MemoryError) as error:
        logger.error("block %d cannot be read, nor searched for what is to be erased: %s", number, error)
        return b""
