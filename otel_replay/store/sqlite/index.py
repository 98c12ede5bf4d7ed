"""The two indexes, trace -> blocks and session -> blocks.

An entry is a keyed 64-bit hash of (project, whole id) and a block number. The newest entries stand in ``index_tail``,
a row for each block; every :data:`TAIL_BLOCKS` blocks they are sorted into a segment of bucket rows, in the transaction
that fills the tail, so that writing costs about 3 bytes a span and no B-tree row per trace. Behind the writer's back
:mod:`otel_replay.store.sqlite.segments` makes few large segments of many small ones: a lookup reads a row of each.

A hash of the whole id, and never a prefix of it: X-Ray ids start with the time, 64-bit ids with zeros. Two ids with one
hash cost a needless look into a block and nothing else.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from otel_replay.store import buckets

_REMEMBERED = 256
"""Multipliers kept, for so many pairs of project and length."""

TRACES, SESSIONS = 0, 1
TAIL_BLOCKS = 256
BUILDING, VISIBLE, RETIRED = 0, 1, 2
"""``index_segments.visible``."""


_UPPER_HALF = np.uint64(32)
_LONGEST = 64
"""Ids up to here, in bytes, are hashed many at a time."""


class KeyedHash:
    """64 bits under the database's own key: nobody outside can aim at a bucket.

    Of an id up to 64 bytes, two sums of its 32-bit words, each times a secret 64-bit number, and of one such number
    more; the upper halves of the sums. The numbers are SHAKE256 of key, project and length. Two ids of
    one length have equal upper halves with a probability of 2**-32 for each sum (multilinear hashing: Lemire and Kaser,
    "Strongly universal string hashing is fast", 2014). Longer ids: blake2b. Files hold these hashes.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._multipliers = lru_cache(_REMEMBERED)(self._derive)

    def __call__(self, project: int, item: bytes) -> int:
        return int.from_bytes(self.pack(project, (item,)), "little")

    def pack(self, project: int, items: Iterable[bytes]) -> bytes:
        """The hashes of many ids, 8 bytes each."""
        ids = list(items)
        sizes = list(map(len, ids))
        if len(set(sizes)) == 1:
            return self._of_size(project, sizes[0], ids).tobytes()
        hashes = np.empty(len(ids), buckets.HASH)
        for size in set(sizes):
            alike = [at for at, one in enumerate(sizes) if one == size]
            hashes[alike] = self._of_size(project, size, [ids[at] for at in alike])
        return hashes.tobytes()

    def _of_size(self, project: int, size: int, ids: Sequence[bytes]) -> NDArray[np.uint64]:
        if size > _LONGEST:
            salt = project.to_bytes(8, "little")
            digests = [hashlib.blake2b(one, digest_size=8, key=self.key, salt=salt).digest() for one in ids]
            return np.frombuffer(b"".join(digests), buckets.HASH)
        whole = 4 * -(-size // 4)
        text = b"".join(ids if size == whole else [one.ljust(whole, b"\0") for one in ids])
        words = np.frombuffer(text, "<u4").reshape(len(ids), -1).astype(np.uint64)
        numbers = self._multipliers(project, size)
        sums = (words @ numbers[:-1] + numbers[-1]) >> _UPPER_HALF  # modulo 2**64
        hashes: NDArray[np.uint64] = sums[:, 0] | sums[:, 1] << _UPPER_HALF
        return hashes

    def _derive(self, project: int, size: int) -> NDArray[np.uint64]:
        """A row of two numbers for each word, and one more."""
        words = -(-size // 4)
        seed = self.key + project.to_bytes(8, "little") + size.to_bytes(8, "little")
        return np.frombuffer(hashlib.shake_256(seed).digest(16 * (words + 1)), buckets.HASH).reshape(words + 1, 2)


class TailRow(NamedTuple):
    """The entries of one block, packed hashes, and the time its records span."""

    block_id: int
    start_unix_nano: int
    end_unix_nano: int
    traces: bytes
    sessions: bytes

    def packed(self, kind: int) -> bytes:
        return self.sessions if kind else self.traces


class Segment(NamedTuple):
    """A row of ``index_segments``; ``blocks`` are those it had live when it was made."""

    id: int
    visible: int
    tier: int
    first_block: int
    last_block: int
    blocks: int
    trace_bits: int
    session_bits: int
    start_unix_nano: int
    end_unix_nano: int

    def bits(self, kind: int) -> int:
        return self.session_bits if kind else self.trace_bits

    def row_id(self, kind: int, bucket: int) -> int:
        """Where ``index_buckets`` has a bucket."""
        return ((self.id << 1 | kind) << 31) + bucket


def add_block(connection: Any, row: TailRow) -> None:
    connection.execute("INSERT INTO index_tail VALUES (?, ?, ?, ?, ?)", row)


def flush_tail(connection: Any) -> None:
    """Sorts the tail into a new segment; part of the caller's transaction."""
    tail = [TailRow(*row) for row in connection.execute("SELECT * FROM index_tail ORDER BY block_id")]
    if not tail:
        return
    removed = removed_blocks(connection, tail[0].block_id, tail[-1].block_id)
    live = [row for row in tail if row.block_id not in removed]
    entries = [buckets.gather((row.block_id, row.packed(kind)) for row in live) for kind in (TRACES, SESSIONS)]
    segment = Segment(
        id=0,
        visible=VISIBLE,
        tier=0,
        first_block=tail[0].block_id,
        last_block=tail[-1].block_id,
        blocks=len(live),
        trace_bits=buckets.bits_for(len(entries[TRACES][0])),
        session_bits=buckets.bits_for(len(entries[SESSIONS][0])),
        start_unix_nano=min((row.start_unix_nano for row in live), default=0),
        end_unix_nano=max((row.end_unix_nano for row in live), default=0),
    )
    segment = add_segment(connection, segment)
    for kind in (TRACES, SESSIONS):
        add_entries(connection, segment, kind, entries[kind])
    connection.execute("DELETE FROM index_tail")
    forget_removed(connection, removed)


def add_segment(connection: Any, segment: Segment) -> Segment:
    """Inserts it under the next id; returns it with that id."""
    values = ", ".join("?" * len(segment))
    row = (None, *segment[1:])
    return segment._replace(id=connection.execute(f"INSERT INTO index_segments VALUES ({values})", row).lastrowid)


def add_entries(connection: Any, segment: Segment, kind: int, entries: buckets.Entries) -> None:
    """Bucket rows for these entries. Of no bucket are there entries in two calls."""
    if len(entries[0]):
        rows = ((segment.row_id(kind, at), row) for at, row in buckets.rows(entries, segment.bits(kind)))
        connection.executemany("INSERT INTO index_buckets VALUES (?, ?)", rows)


def note_removed(connection: Any, block_ids: Iterable[int]) -> None:
    """Notes that blocks are gone, in the transaction that deletes them: their entries go when segments are merged.

    Rows of the tail stay as they are: readers keep them.
    """
    connection.executemany("INSERT INTO removed_blocks VALUES (?)", [(block_id,) for block_id in block_ids])


def removed_blocks(connection: Any, first_block: int, last_block: int) -> set[int]:
    query = "SELECT id FROM removed_blocks WHERE id BETWEEN ? AND ?"
    return {block_id for (block_id,) in connection.execute(query, (first_block, last_block))}


def forget_removed(connection: Any, block_ids: Iterable[int]) -> None:
    """Once no entry of them is left."""
    connection.executemany("DELETE FROM removed_blocks WHERE id = ?", [(block_id,) for block_id in block_ids])


_SELECT_VISIBLE = f"SELECT * FROM index_segments WHERE visible = {VISIBLE}"


class _Tail:
    """The entries of the tail's rows up to ``last``, which never change: every row is read once."""

    def __init__(self, after: int) -> None:
        self.last = after
        self._blocks: tuple[dict[int, int | tuple[int, ...]], ...] = ({}, {})

    def extend(self, connection: Any) -> None:
        """Adds the rows that are new."""
        query = "SELECT * FROM index_tail WHERE block_id > ? ORDER BY block_id"
        for row in connection.execute(query, (self.last,)):
            self._add(TailRow(*row))

    def _add(self, row: TailRow) -> None:
        for kind, known in enumerate(self._blocks):
            # Most ids are in one block: no Python runs for each of them.
            new: dict[int, Any] = dict.fromkeys(np.frombuffer(row.packed(kind), buckets.HASH).tolist(), row.block_id)
            for hashed in known.keys() & new.keys():
                new[hashed] = (*self.find(kind, hashed), row.block_id)
            known.update(new)
        self.last = row.block_id

    def find(self, kind: int, wanted: int) -> tuple[int, ...]:
        found = self._blocks[kind].get(wanted, ())
        return found if isinstance(found, tuple) else (found,)


class IndexReader:
    """Looks ids up, and keeps the tail. Safe to share by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushed = 0
        self._tail = _Tail(0)

    def blocks(
        self,
        connection: Any,
        kind: int,
        wanted: int,
        *,
        since_unix_nano: int | None = None,
        until_unix_nano: int | None = None,
    ) -> list[int]:
        """Numbers of the blocks that may hold the id, ascending; some may be gone. Call inside a read transaction.

        With bounds, blocks certain to have no record that starts or ends within them may be left out.
        """
        segments = [Segment(*row) for row in connection.execute(_SELECT_VISIBLE)]
        found: set[int] = set()
        for segment in segments:
            if segment.bits(kind) >= 0 and _overlaps(segment, since_unix_nano, until_unix_nano):
                row_id = segment.row_id(kind, buckets.bucket(wanted, segment.bits(kind)))
                row = connection.execute("SELECT data FROM index_buckets WHERE id = ?", (row_id,)).fetchone()
                if row:
                    found.update(buckets.find(row[0], wanted))
        flushed = max((segment.last_block for segment in segments), default=0)
        found.update(self._in_tail(connection, flushed, kind, wanted))
        return sorted(found)

    def _in_tail(self, connection: Any, flushed: int, kind: int, wanted: int) -> tuple[int, ...]:
        """Blocks of the tail as this transaction sees it, perhaps with newer ones, which it does not see.

        Segments and tail change in one commit, so that no entry can be missed.
        """
        with self._lock:
            if flushed < self._flushed:  # a transaction older than the flush that the kept rows follow
                tail = _Tail(flushed)
            elif flushed > self._flushed:
                tail = self._tail = _Tail(flushed)
                self._flushed = flushed
            else:
                tail = self._tail
            tail.extend(connection)
            return tail.find(kind, wanted)


def _overlaps(segment: Segment, since: int | None, until: int | None) -> bool:
    return (since is None or segment.end_unix_nano >= since) and (until is None or segment.start_unix_nano < until)
