"""Rewriting blocks beside the writer: what is read and made anew outside its transactions is exchanged in one of them.

A reader sees the blocks before or the blocks after, and a kill at any point leaves either.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import zstandard

from otel_replay.model import Signal, Source
from otel_replay.store import bodies
from otel_replay.store.compacting import DAY_NS, FEW_BLOCKS, LAST_LEVEL, STEP_BLOCKS, STEP_BYTES, Rank, compact
from otel_replay.store.merging import Block, Run
from otel_replay.store.records import BLANK, Contents, StoredBlock
from otel_replay.store.sqlite.block_rows import BlockRows, compressor
from otel_replay.store.sqlite.body_reading import BodyReader
from otel_replay.store.sqlite.database import ReadConnections
from otel_replay.store.sqlite.index import KeyedHash
from otel_replay.store.sqlite.segments import RunTask

logger = logging.getLogger(__name__)

Transform = Callable[[Sequence[StoredBlock], Contents], "Sequence[Block] | None"]
"""The blocks to store in place of those given, which are of one project; None: they stay."""

COLD_LEVEL = 3
"""Of zstd, for blocks that stay."""

_QUERY_IDS = 500
_RANK = f"project, signal, source, level, partition, received_unix_nano / {DAY_NS}"
_DUE = (
    f"SELECT {_RANK} FROM blocks WHERE signal IN ({Signal.TRACES:d}, {Signal.LOGS:d}) AND level < {LAST_LEVEL}"
    f" AND received_unix_nano < ? GROUP BY {_RANK} HAVING count(*) >= ? ORDER BY level LIMIT 1"
)
_MEMBERS = (
    "SELECT id, raw_bytes FROM blocks WHERE project = ? AND signal = ? AND source = ? AND level = ? AND partition = ?"
    " AND received_unix_nano >= ? AND received_unix_nano < ? ORDER BY received_unix_nano, id"
)
_READ = (
    "SELECT id, project, signal, source, level, partition, received_unix_nano, requests, data FROM blocks WHERE id = ?"
)


class Rewriter:
    """Exchanges blocks for what a function makes of them."""

    def __init__(self, reading: ReadConnections, rows: BlockRows, run: RunTask) -> None:
        self._reading = reading
        self._rows = rows
        self._run = run
        self._compressor = compressor(COLD_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def rewrite(
        self, block_ids: Iterable[int], transform: Transform, beside: Callable[[], None] = lambda: None
    ) -> bool:
        """Reads the blocks (of one project and signal), and stores what ``transform`` makes of them in their place.

        ``beside`` is run in the transaction that does so. Damaged blocks stay as they are, out of compaction's way.
        False: nothing was done, because no block is left, or another rewriting took one of them in between.
        """
        damaged: list[int] = []
        with self._reading.snapshot() as connection:
            blocks = [block for block_id in block_ids if (block := self._read(connection, block_id, damaged))]
            made = transform(blocks, _StoredContents(connection, blocks[0].project, blocks[0].signal)) if blocks else ()
        if damaged:
            self._run(partial(self._rows.leave, damaged))
        if made is None:
            return False
        compressed = [(block, self._compressor.compress(block.body)) for block in made]
        return self._exchange([block.id for block in blocks], compressed, beside) or bool(damaged)

    def _read(self, connection: Any, block_id: int, damaged: list[int]) -> StoredBlock | None:
        row = connection.execute(_READ, (block_id,)).fetchone()
        if row is None:
            return None
        number, project, signal, source, level, partition, received, requests, data = row
        try:
            body = self._decompressor.decompress(data)
        except (zstandard.ZstdError, MemoryError) as error:  # a damaged header may claim any size
            logger.error("block %d cannot be read and stays as it is: %s", number, error)
            damaged.append(number)
            return None
        runs = tuple(Run(*run) for run in json.loads(requests))
        rank = (project, Signal(signal), Source(source), level, partition)
        return StoredBlock(number, *rank, received, runs, body)

    def _exchange(self, old: Sequence[int], new: Sequence[tuple[Block, bytes]], beside: Callable[[], None]) -> bool:
        def exchange() -> bool:
            if not self._rows.remove(old):
                return False
            beside()
            for block, data in new:
                self._rows.add(block, data)
            return True

        return bool(old and self._run(exchange))


class _StoredContents:
    """Contents of one project's records of a signal, inside a read transaction."""

    def __init__(self, connection: Any, project: int, signal: Signal = Signal.TRACES) -> None:
        self._connection = connection
        self._project = project
        self._lengths: dict[int, int] = {}
        self.whole = BodyReader(connection, project, signal).whole

    def outline(self, record: bytes) -> bytes:
        if not bodies.is_cut(record):
            return record
        ids = bodies.body_ids(record)
        unknown = [body for body in ids if body not in self._lengths]
        for at in range(0, len(unknown), _QUERY_IDS):
            self._measure(unknown[at : at + _QUERY_IDS])
        try:
            return bodies.whole(record, {body: BLANK * self._lengths[body] for body in ids})
        except KeyError:  # nothing is known of it
            return self.whole(record)

    def _measure(self, ids: Sequence[int]) -> None:
        query = f"SELECT id, length FROM bodies WHERE project = ? AND id IN ({', '.join('?' * len(ids))})"
        self._lengths.update(self._connection.execute(query, (self._project, *ids)))


class Compaction:
    """Sorts cold blocks, one step of bounded size at a time: see :mod:`otel_replay.store.compacting`."""

    def __init__(self, reading: ReadConnections, rewriter: Rewriter, index_hash: KeyedHash) -> None:
        self._reading = reading
        self._rewriter = rewriter
        self._hash = index_hash

    def step(self, cold_before_unix_nano: int) -> bool:
        """Sorts some blocks that arrived before that time; False when nothing was due."""
        with self._reading.snapshot() as connection:
            row = connection.execute(_DUE, (cold_before_unix_nano, FEW_BLOCKS)).fetchone()
            if row is None:
                return False
            rank = Rank(*row)
            chosen = self._members(connection, rank, cold_before_unix_nano)
        return self._rewriter.rewrite(chosen, partial(compact, hashed=partial(self._hash, rank.project)))

    def _members(self, connection: Any, rank: Rank, cold_before_unix_nano: int) -> list[int]:
        """As many of the rank's blocks as one step takes, the oldest."""
        chosen: list[int] = []
        size = 0
        bounds = (rank.day * DAY_NS, min((rank.day + 1) * DAY_NS, cold_before_unix_nano))
        for block_id, raw_bytes in connection.execute(_MEMBERS, (*rank[:5], *bounds)):
            chosen.append(block_id)
            size += raw_bytes
            if len(chosen) == STEP_BLOCKS or (len(chosen) >= FEW_BLOCKS and size >= STEP_BYTES):
                break
        return chosen
