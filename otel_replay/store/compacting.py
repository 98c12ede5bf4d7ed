"""Sorting blocks that have gone cold, so that what belongs together stands together. Pure.

As they arrive, the spans of a trace are spread over as many blocks as requests brought them. Compaction takes blocks of
equal :class:`Rank`, sorts their records by a key (a hash of the session that a record of the trace names, else of the
trace) and cuts them into one partition for each value of the key's next four bits, one level up: a tree, in which the
records of a trace are in at most :data:`FEW_BLOCKS` blocks a level and move once a level. Levels are few: each holds 16
times as much as the one below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from otel_replay.model import Signal, Source
from otel_replay.store.merging import BLOCK_BYTES, Block
from otel_replay.store.records import Contents, Place, Record, StoredBlock, all_records, build_block

FEW_BLOCKS = 16
"""So many blocks of equal rank are left as they are."""

STEP_BLOCKS, STEP_BYTES = 64, 16 * BLOCK_BYTES
"""At most this much goes into one step, in which it makes a block of each partition; it takes 50-100 ms and 30 MB."""

SPLIT_BYTES = 16 * BLOCK_BYTES // 4
"""Less than this is joined and not yet cut: sixteen partitions would be small blocks again."""

LAST_LEVEL = 15
"""Blocks of this level stay as they are: all bits of the key are used up, or only one key is left."""

DAY_NS = 86_400 * 10**9

_BITS = 4
_WINDOW_NS = 600 * 10**9

Hash = Callable[[bytes], int]
"""64 bits, keyed."""


class Rank(NamedTuple):
    """Blocks of equal rank are sorted together. ``day`` (of arrival, since 1970) keeps blocks narrow in time."""

    project: int
    signal: Signal
    source: Source
    level: int
    partition: int
    day: int


def compact(blocks: Sequence[StoredBlock], contents: Contents, hashed: Hash) -> list[Block]:
    """The blocks to store in place of these, which are of one rank: fewer, or a level up."""
    records = all_records(blocks, contents)
    keyed = _keyed(records, hashed)
    first = blocks[0]
    place = Place(*first[1:6], max(block.received_unix_nano for block in blocks))
    if sum(len(block.body) for block in blocks) < SPLIT_BYTES:
        return [_block(place, piece) for piece in _pieces(keyed)]
    up = place._replace(level=place.level + 1)
    parts: dict[int, list[_Keyed]] = {}
    for one in keyed:
        parts.setdefault(_next_bits(one.key, place.level), []).append(one)
    return [
        _block(up._replace(partition=place.partition << _BITS | part), piece)
        for part, members in parts.items()
        for piece in _pieces(members)
    ]


class _Keyed(NamedTuple):
    key: int
    record: Record


def _keyed(records: Sequence[Record], hashed: Hash) -> list[_Keyed]:
    """Sorted by key, trace and time."""
    sessions: dict[bytes, str] = {}
    for record in records:
        if record.session_id:
            sessions[record.trace_id] = min(record.session_id, sessions.get(record.trace_id, record.session_id))
    keys: dict[bytes, int] = {}

    def key(record: Record) -> int:
        name = _belongs_to(record, sessions)
        if name not in keys:
            keys[name] = hashed(name)
        return keys[name]

    keyed = [_Keyed(key(record), record) for record in records]
    keyed.sort(key=lambda one: (one.key, one.record.trace_id, one.record.start_unix_nano))
    return keyed


def _belongs_to(record: Record, sessions: dict[bytes, str]) -> bytes:
    """What decides where a record goes: its trace's session, its trace, its own session, or its time."""
    if record.trace_id:
        session = sessions.get(record.trace_id)
        return session.encode() if session else record.trace_id
    return record.session_id.encode() or (record.start_unix_nano // _WINDOW_NS).to_bytes(8, "big")


def _next_bits(key: int, level: int) -> int:
    return key >> (64 - _BITS * (level + 1)) & 15


def _pieces(keyed: Sequence[_Keyed]) -> Iterator[list[_Keyed]]:
    """Equal pieces of about a block, cut between two traces unless one is larger than that."""
    total = sum(len(one.record.raw) for one in keyed)
    enough = total / max(round(total / BLOCK_BYTES), 1)
    piece: list[_Keyed] = []
    size = 0
    for one in keyed:
        is_between = bool(piece) and (one.key, one.record.trace_id) != (piece[-1].key, piece[-1].record.trace_id)
        if (is_between and size >= enough) or size >= 2 * BLOCK_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(one)
        size += len(one.record.raw)
    if piece:
        yield piece


def _block(place: Place, piece: Sequence[_Keyed]) -> Block:
    block = build_block(place, [one.record for one in piece])
    is_sorted = piece[0].key == piece[-1].key and len(block.body) >= BLOCK_BYTES
    return block._replace(level=LAST_LEVEL) if is_sorted else block
