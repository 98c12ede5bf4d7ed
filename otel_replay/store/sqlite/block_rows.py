"""Blocks as rows, together with their index entries. Every function runs inside the writer's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import zstandard

from otel_replay.store.compacting import LAST_LEVEL
from otel_replay.store.merging import Block
from otel_replay.store.sqlite.index import KeyedHash, TailRow, add_block, note_removed

_COLUMNS = (
    "project, signal, source, level, partition, received_unix_nano, start_unix_nano, last_start_unix_nano,"
    " end_unix_nano, items, errors, services, requests, raw_bytes, data"
)
_INSERT = f"INSERT INTO blocks ({_COLUMNS}) VALUES ({', '.join('?' * 15)})"


def compressor(level: int) -> zstandard.ZstdCompressor:
    """With a checksum: a damaged block is noticed when it is read."""
    return zstandard.ZstdCompressor(level=level, write_checksum=True)


class BlockRows:
    """Inserts and deletes blocks, indexed."""

    def __init__(self, connection: Any, index_hash: KeyedHash) -> None:
        self._connection = connection
        self._hash = index_hash

    def add(self, block: Block, data: bytes) -> int:
        """The number of the new block; ``data`` is its body, compressed."""
        services = json.dumps(sorted(block.services))
        row = (*block[:11], services, json.dumps(block.runs), len(block.body), data)
        block_id: int = self._connection.execute(_INSERT, row).lastrowid
        traces = self._hash.pack(block.project, block.trace_ids)
        sessions = self._hash.pack(block.project, (session.encode() for session in block.session_ids))
        times = (block.start_unix_nano, block.end_unix_nano)
        add_block(self._connection, TailRow(block_id, *times, traces, sessions))
        return block_id

    def remove(self, block_ids: Iterable[int]) -> bool:
        """Deletes the blocks; False, and nothing is done, when one of them is gone already."""
        numbers = [(block_id,) for block_id in block_ids]
        if any(not self._connection.execute(_EXISTS, number).fetchone()[0] for number in numbers):
            return False
        self._connection.executemany("DELETE FROM blocks WHERE id = ?", numbers)
        note_removed(self._connection, (number for (number,) in numbers))
        return True

    def leave(self, block_ids: Iterable[int]) -> None:
        """Keeps compaction off these blocks."""
        numbers = [(LAST_LEVEL, block_id) for block_id in block_ids]
        self._connection.executemany("UPDATE blocks SET level = ? WHERE id = ?", numbers)


_EXISTS = "SELECT EXISTS (SELECT 1 FROM blocks WHERE id = ?)"
