"""Rows of an index: sorted arrays of (64-bit hash, block number), cut into 2 ** bits buckets by the hash's first bits.

Pure. A row is all hashes of a bucket, ascending, 8 bytes each, then the block of each, 4 bytes; both little-endian.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

HASH, BLOCK = np.dtype("<u8"), np.dtype("<u4")
ENTRY_BYTES = HASH.itemsize + BLOCK.itemsize

ROW_BYTES = 1_600
"""At most this much in an average row: five to ten of them fill a page of 8 KiB well, one or two would not."""

Entries = tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]
"""Hashes, and the block of each."""


def bits_for(entries: int) -> int:
    """Of how many bits buckets should be made for so many entries; -1 for none."""
    return (entries * ENTRY_BYTES // ROW_BYTES).bit_length() if entries else -1


def bucket(hashed: int, bits: int) -> int:
    return hashed >> (64 - bits)


def gather(packed: Iterable[tuple[int, bytes]]) -> Entries:
    """Entries of (block, its hashes of 8 bytes each)."""
    counted = [(block, hashes, len(hashes) // HASH.itemsize) for block, hashes in packed]
    blocks = np.array([block for block, _, _ in counted], BLOCK)
    hashes = np.frombuffer(b"".join([hashes for _, hashes, _ in counted]), HASH)
    return hashes, np.repeat(blocks, [count for _, _, count in counted])


def join(rows: Iterable[bytes]) -> Entries:
    """The entries of several rows, row by row."""
    counted = [(row, len(row) // ENTRY_BYTES) for row in rows]
    hashes = b"".join([row[: count * HASH.itemsize] for row, count in counted])
    blocks = b"".join([row[count * HASH.itemsize :] for row, count in counted])
    return np.frombuffer(hashes, HASH), np.frombuffer(blocks, BLOCK)


def without(entries: Entries, removed: Iterable[int]) -> Entries:
    """Without the entries of these blocks."""
    hashes, blocks = entries
    kept = ~np.isin(blocks, np.fromiter(removed, BLOCK))
    return hashes[kept], blocks[kept]


def within(entries: Entries, part: int, bits: int) -> Entries:
    """The entries whose hash starts with the ``bits`` bits of ``part``."""
    hashes, blocks = entries
    kept = _first_bits(hashes, bits) == part
    return hashes[kept], blocks[kept]


def rows(entries: Entries, bits: int) -> Iterator[tuple[int, bytes]]:
    """(bucket, row) of every bucket that is not empty, ascending; entries of one hash stay in order."""
    hashes, blocks = entries
    order = np.argsort(hashes, kind="stable")  # timsort: what was sorted in pieces is merged
    hashes, blocks = hashes[order], blocks[order]
    buckets, starts = np.unique(_first_bits(hashes, bits), return_index=True)
    edges = [*starts.tolist(), len(hashes)]
    for index, number in enumerate(buckets.tolist()):
        first, last = edges[index], edges[index + 1]
        yield number, hashes[first:last].tobytes() + blocks[first:last].tobytes()


def _first_bits(hashes: Any, bits: int) -> Any:
    # A shift by all 64 bits is undefined for machine integers.
    return hashes >> np.uint64(64 - bits) if bits else np.zeros_like(hashes)


def find(row: bytes, hashed: int) -> list[int]:
    """The blocks of a hash in a row. A substring search: 0.3 us, a tenth of what an array takes to make."""
    wanted = hashed.to_bytes(HASH.itemsize, "little")
    count = len(row) // ENTRY_BYTES
    end = count * HASH.itemsize
    at = row.find(wanted, 0, end)
    while at % HASH.itemsize and at >= 0:  # across two hashes
        at = row.find(wanted, at + 1, end)
    if at < 0:
        return []
    found = []
    for index in range(at // HASH.itemsize, count):
        if row[index * HASH.itemsize : (index + 1) * HASH.itemsize] != wanted:
            break
        found.append(int.from_bytes(row[end + index * BLOCK.itemsize : end + (index + 1) * BLOCK.itemsize], "little"))
    return found
