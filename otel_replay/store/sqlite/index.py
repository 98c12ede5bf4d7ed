"""The two indexes, trace -> blocks and session -> blocks.

An entry is a keyed 64-bit hash of (project, whole id) and a block number. The newest entries stand in ``index_tail``,
a row for each block; every :data:`TAIL_BLOCKS` blocks they are sorted into 256 bucket rows per kind, in the transaction
that fills the tail, so that writing costs about 3 bytes a span and no B-tree row per trace. A hash of the whole id, and
never a prefix of it: X-Ray ids start with the time, 64-bit ids with zeros. Two ids with one hash cost a needless look
into a block and nothing else.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

TRACES, SESSIONS = 0, 1
TAIL_BLOCKS = 256
_HASH, _BLOCK = np.dtype("<u8"), np.dtype("<u4")
_BUCKETS = 256


class KeyedHash:
    """64-bit blake2b under the database's own key: nobody outside can aim at a bucket."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, project: int, item: bytes) -> int:
        digest = hashlib.blake2b(item, digest_size=8, key=self._key, salt=project.to_bytes(8, "little")).digest()
        return int.from_bytes(digest, "little")

    def pack(self, project: int, items: Iterable[bytes]) -> bytes:
        """The hashes of many ids, 8 bytes each."""
        key, salt, blake2b = self._key, project.to_bytes(8, "little"), hashlib.blake2b
        return b"".join([blake2b(item, digest_size=8, key=key, salt=salt).digest() for item in items])


def add_block(connection: Any, block_id: int, traces: bytes, sessions: bytes) -> None:
    connection.execute("INSERT INTO index_tail VALUES (?, ?, ?)", (block_id, traces, sessions))


def flush_tail(connection: Any) -> None:
    """Sorts the tail into a new segment of bucket rows; part of the caller's transaction."""
    tail = connection.execute("SELECT block_id, traces, sessions FROM index_tail ORDER BY block_id").fetchall()
    if not tail:
        return
    insert = "INSERT INTO index_segments (first_block, last_block) VALUES (?, ?)"
    segment = connection.execute(insert, (tail[0][0], tail[-1][0])).lastrowid
    for kind in (TRACES, SESSIONS):
        rows = [(kind, bucket, segment, data) for bucket, data in _buckets([(row[0], row[1 + kind]) for row in tail])]
        connection.executemany("INSERT INTO index_buckets VALUES (?, ?, ?, ?)", rows)
    connection.execute("DELETE FROM index_tail")


def _buckets(entries: list[tuple[int, bytes]]) -> Iterable[tuple[int, bytes]]:
    """(bucket, sorted hashes followed by their blocks) for each bucket that is not empty."""
    hashes = np.concatenate([np.frombuffer(packed, _HASH) for _, packed in entries])
    blocks = np.repeat(
        np.array([block for block, _ in entries], _BLOCK), [len(packed) // _HASH.itemsize for _, packed in entries]
    )
    order = np.argsort(hashes, kind="stable")
    hashes, blocks = hashes[order], blocks[order]
    edges = np.searchsorted(hashes >> np.uint64(56), np.arange(_BUCKETS + 1, dtype=np.uint64))
    for bucket in range(_BUCKETS):
        first, last = edges[bucket], edges[bucket + 1]
        if last > first:
            yield bucket, hashes[first:last].tobytes() + blocks[first:last].tobytes()


def _search(data: bytes, wanted: int) -> list[int]:
    """The blocks of a hash in one bucket row."""
    count = len(data) // (_HASH.itemsize + _BLOCK.itemsize)
    hashes = np.frombuffer(data, _HASH, count)
    blocks = np.frombuffer(data, _BLOCK, count, _HASH.itemsize * count)
    first, last = (
        np.searchsorted(hashes, np.uint64(wanted), "left"),
        np.searchsorted(hashes, np.uint64(wanted), "right"),
    )
    found: list[int] = blocks[first:last].tolist()
    return found


_Hashes = tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]


class IndexReader:
    """Looks ids up; keeps the tail's rows, which never change, so that each is read once. Safe to share by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushed = 0
        self._tail: dict[int, _Hashes] = {}

    def blocks(self, connection: sqlite3.Connection, kind: int, wanted: int) -> list[int]:
        """Numbers of the blocks that may hold the id, ascending. Call inside a read transaction."""
        query = "SELECT data FROM index_buckets WHERE kind = ? AND bucket = ?"
        found = {
            block for (data,) in connection.execute(query, (kind, wanted >> 56)) for block in _search(data, wanted)
        }
        found.update(block for block, hashes in self._current(connection).items() if np.uint64(wanted) in hashes[kind])
        return sorted(found)

    def _current(self, connection: sqlite3.Connection) -> dict[int, _Hashes]:
        """The tail as this transaction sees it. Segments and tail change in one commit, so no entry can be missed."""
        flushed = connection.execute("SELECT coalesce(max(last_block), 0) FROM index_segments").fetchone()[0]
        newest = connection.execute("SELECT coalesce(max(block_id), 0) FROM index_tail").fetchone()[0]
        with self._lock:
            if flushed < self._flushed:  # a transaction older than the flush that the kept rows follow
                return _read_tail(connection, flushed)
            known = {block: hashes for block, hashes in self._tail.items() if block > flushed}
            known |= _read_tail(connection, max(known, default=flushed))
            self._flushed, self._tail = flushed, known
        return {block: hashes for block, hashes in known.items() if block <= newest}


def _read_tail(connection: sqlite3.Connection, after: int) -> dict[int, _Hashes]:
    query = "SELECT block_id, traces, sessions FROM index_tail WHERE block_id > ?"
    return {
        block: (np.frombuffer(traces, _HASH), np.frombuffer(sessions, _HASH))
        for block, traces, sessions in connection.execute(query, (after,))
    }
