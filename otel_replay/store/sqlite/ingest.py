"""What one transaction writes: blocks with their index entries, typed rows, sessions, chunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from otel_replay.genai.prices import Prices
from otel_replay.model import Chunk
from otel_replay.store.base import ChunkReceipt, Receipt, Write
from otel_replay.store.merging import merge, mergeable
from otel_replay.store.sqlite.block_rows import BlockRows, compressor
from otel_replay.store.sqlite.bodies import BodyWriter
from otel_replay.store.sqlite.chunks import store_chunk
from otel_replay.store.sqlite.index import TAIL_BLOCKS, KeyedHash, flush_tail
from otel_replay.store.sqlite.names import OperationNotes
from otel_replay.store.sqlite.rows import RowWriter
from otel_replay.store.sqlite.tombstones import Tombstones

DIGEST_LIFETIME_NS = 3600 * 10**9


class Ingest:
    """Applies writes to the writer's connection. Every method runs inside the writer's transaction."""

    def __init__(
        self, connection: Any, index_hash: KeyedHash, bodies: BodyWriter, tombstones: Tombstones, prices: Prices
    ) -> None:
        self._connection = connection
        self._bodies = bodies
        self._tombstones = tombstones
        self._blocks = BlockRows(connection, index_hash)
        self._rows = RowWriter(connection, prices)
        self._operations = OperationNotes(connection)
        self._compressor = compressor(1)

    def apply(self, writes: Sequence[Write]) -> list[Receipt]:
        """Stores the writes in one transaction; receipts in the same order."""
        are_new = [self._is_new(write) for write in writes]
        left = [self._tombstones.left(write) for write in writes]
        fresh = [write for write, is_new in zip(left, are_new, strict=True) if is_new]
        for group in mergeable(fresh):
            self._add_block(group)
        for project, members in _by_project(fresh):
            self._rows.add(project, members)
            self._operations.note(project, frozenset().union(*[write.operations for write in members]))
        self._flush_when_full(writes)
        return [self._receipt(*each) for each in zip(writes, left, are_new, strict=True)]

    def forget_names(self) -> None:
        """Names were deleted from tables."""
        self._rows.strings.forget()
        self._operations.forget()

    def _receipt(self, write: Write, left: Write, is_new: bool) -> Receipt:
        kept = write.chunks if left is write else [chunk if chunk in left.chunks else None for chunk in write.chunks]
        stored = [self._store(chunk, write.key_id) for chunk in kept] if is_new else []
        return Receipt(not is_new, stored)

    def _store(self, chunk: Chunk | None, key_id: int) -> ChunkReceipt:
        """None stands for a chunk of an erased session: its sender is told that it was here before."""
        if chunk is None:
            return ChunkReceipt(0, True)
        return store_chunk(self._connection, self._compressor, chunk, key_id)

    def _is_new(self, write: Write) -> bool:
        """Whether no equal request is stored; then its digest is noted."""
        if not write.digest:
            return True
        rows = [(write.project, digest, write.received_unix_nano) for digest in (write.digest, *write.further_digests)]
        known = "SELECT 1 FROM requests WHERE project = ? AND digest = ?"
        if write.further_digests and any(self._connection.execute(known, row[:2]).fetchone() for row in rows):
            return False
        insert = "INSERT OR IGNORE INTO requests VALUES (?, ?, ?)"
        return bool(self._connection.executemany(insert, rows).rowcount)

    def _add_block(self, group: list[Write]) -> None:
        block = merge(group, self._bodies.detach(group[0].project, group))
        self._blocks.add(block, self._compressor.compress(block.body))

    def _flush_when_full(self, writes: Sequence[Write]) -> None:
        if self._connection.execute("SELECT count(*) FROM index_tail").fetchone()[0] < TAIL_BLOCKS:
            return
        flush_tail(self._connection)
        expired = max(write.received_unix_nano for write in writes) - DIGEST_LIFETIME_NS
        self._connection.execute("DELETE FROM requests WHERE received_unix_nano < ?", (expired,))
        self._tombstones.forget_expired(expired + DIGEST_LIFETIME_NS)


def _by_project(writes: Iterable[Write]) -> list[tuple[int, list[Write]]]:
    members: dict[int, list[Write]] = defaultdict(list)
    for write in writes:
        members[write.project].append(write)
    return list(members.items())
