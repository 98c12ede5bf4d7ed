"""Chunks of recordings as rows: stored as they were sent, read back exactly, distilled in sequence order."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import xxhash
import zstandard

from otel_replay.model import Chunk, DomEvent
from otel_replay.recording.streams import EARLIER, ChunkInfo, counted_before, of_earlier, outdated_by
from otel_replay.store.base import ChunkReceipt
from otel_replay.store.distillation import Due, StreamKey
from otel_replay.store.sqlite.errors import remove_errors
from otel_replay.store.sqlite.identifiers import pack_id

logger = logging.getLogger(__name__)

DomRow = tuple[int, str, str, int, int, int, int, bytes]
"""A row of ``dom_chunks``."""

_STREAM = "project = ? AND session_id = ? AND stream_id = ?"
_COLUMNS = (
    "project, session_id, stream_id, seq, start_unix_nano, end_unix_nano, received_unix_nano, sent_at_unix_nano,"
    " events, has_full_snapshot, slice_index, slice_count, raw_bytes, digest, payload"
)
_REPEATS = 2
"""``has_full_snapshot`` of a chunk that is nothing else, and repeats; 1: of any other that has one."""
_STORED = f"{_COLUMNS}, key_id"


def store_chunk(connection: Any, compressor: zstandard.ZstdCompressor, chunk: Chunk, key_id: int = 0) -> ChunkReceipt:
    """Inserts a chunk unless it is there: by its number, or, without one, by the bytes of its payload."""
    stream = (chunk.project, chunk.session_id, chunk.stream_id)
    if chunk.counted_anew:
        known = _starts(connection, stream, chunk)
        if counted_before(chunk, known):
            return store_chunk(connection, compressor, of_earlier(chunk), key_id)
        for older in outdated_by(chunk, known):
            _move_to_earlier(connection, stream, older, chunk.received_unix_nano)
    digest = xxhash.xxh3_128_digest(chunk.payload)
    seq = chunk.seq
    if seq is None:
        query = f"SELECT seq FROM chunks WHERE {_STREAM} AND digest = ? AND slice_index = ?"
        if known := connection.execute(query, (*stream, digest, chunk.slice_index)).fetchone():
            return ChunkReceipt(known[0], True)
        query = f"SELECT coalesce(max(next_seq), 0) FROM streams WHERE {_STREAM}"
        seq = connection.execute(query, stream).fetchone()[0]
    row = (
        *stream,
        seq,
        chunk.start_unix_nano,
        chunk.end_unix_nano,
        chunk.received_unix_nano,
        chunk.sent_at_unix_nano,
        chunk.events,
        chunk.has_full_snapshot + chunk.repeats,
        chunk.slice_index,
        chunk.slice_count,
        len(chunk.payload),
        digest,
        compressor.compress(chunk.payload),
        key_id,
    )
    insert = f"INSERT OR IGNORE INTO chunks ({_STORED}) VALUES ({', '.join('?' * len(row))})"
    if not connection.execute(insert, row).rowcount:
        if chunk.counted_anew and _holds_other(connection, stream, seq, digest):
            return store_chunk(connection, compressor, of_earlier(chunk), key_id)
        return ChunkReceipt(seq, True)
    _note_stream(connection, stream, seq, chunk.received_unix_nano)
    return ChunkReceipt(seq, False)


def _note_stream(connection: Any, stream: StreamKey, seq: int, received_unix_nano: int) -> None:
    """A stream has got a chunk, which is to be distilled."""
    connection.execute(
        "INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " next_seq = max(next_seq, excluded.next_seq),"
        " turn = iif(distill_from IS NULL, excluded.turn, turn),"
        " distill_from = min(coalesce(distill_from, excluded.distill_from), excluded.distill_from)",
        (*stream, seq + 1, seq, received_unix_nano),
    )


def _starts(connection: Any, stream: StreamKey, chunk: Chunk) -> list[tuple[int, int]]:
    """Number and start of what tells a chunk from the count before: the whole stream, where it is the first of one."""
    numbers = () if chunk.seq == 0 else (0, chunk.seq)
    condition = " AND seq IN (?, ?)" if numbers else ""
    query = f"SELECT seq, start_unix_nano FROM chunks WHERE {_STREAM}{condition} ORDER BY seq"
    found: list[tuple[int, int]] = connection.execute(query, (*stream, *numbers)).fetchall()
    return found


def _holds_other(connection: Any, stream: StreamKey, seq: int, digest: bytes) -> bool:
    """Whether a number is taken by another payload: two pages that do not say which they are count alike."""
    query = f"SELECT 1 FROM chunks WHERE {_STREAM} AND seq = ? AND digest <> ?"
    return connection.execute(query, (*stream, seq, digest)).fetchone() is not None


def _move_to_earlier(connection: Any, stream: StreamKey, seq: int, received_unix_nano: int) -> None:
    """Gives a chunk the next number of the stream of what was counted before."""
    earlier = (*stream[:2], stream[2] + EARLIER)
    query = f"SELECT coalesce(max(next_seq), 0) FROM streams WHERE {_STREAM}"
    free = connection.execute(query, earlier).fetchone()[0]
    moved = f"UPDATE chunks SET stream_id = ?, seq = ? WHERE {_STREAM} AND seq = ?"
    connection.execute(moved, (earlier[2], free, *stream, seq))
    connection.execute(f"DELETE FROM dom_chunks WHERE {_STREAM} AND seq = ?", (*stream, seq))
    remove_errors(
        connection, stream[0], "session_id = ? AND stream = ? AND seq = ?", [(pack_id(stream[1]), stream[2], seq)]
    )
    _note_stream(connection, earlier, free, received_unix_nano)


def read_chunks(connection: Any, stream: StreamKey, from_seq: int = 0, to_seq: int | None = None) -> Iterator[Chunk]:
    """In sequence order; bounds inclusive. A damaged chunk is left out: a gap, as if it had never come."""
    query = f"SELECT {_COLUMNS} FROM chunks WHERE {_STREAM} AND seq BETWEEN ? AND ? ORDER BY seq"
    rows = connection.execute(query, (*stream, from_seq, 2**62 if to_seq is None else to_seq))
    for row in _readable(rows, "chunk", at=3):
        yield Chunk(
            project=row[0],
            session_id=row[1],
            stream_id=row[2],
            seq=row[3],
            start_unix_nano=row[4],
            end_unix_nano=row[5],
            received_unix_nano=row[6],
            sent_at_unix_nano=row[7],
            events=row[8],
            has_full_snapshot=bool(row[9]),
            repeats=row[9] == _REPEATS,
            slice_index=row[10],
            slice_count=row[11],
            payload=row[14],
        )


def read_infos(connection: Any, stream: StreamKey) -> list[ChunkInfo]:
    query = f"SELECT seq, start_unix_nano, end_unix_nano, has_full_snapshot FROM chunks WHERE {_STREAM} ORDER BY seq"
    rows = connection.execute(query, stream)
    return [ChunkInfo(seq, start, end, bool(full), full == _REPEATS) for seq, start, end, full in rows]


def damaged_chunks(connection: Any, stream: StreamKey) -> frozenset[int]:
    """Numbers of the chunks that cannot be read: 1.5 ms for a recording of ten minutes (300 chunks, 1.5 MB)."""
    decompressor = zstandard.ZstdDecompressor()
    rows = connection.execute(f"SELECT seq, payload FROM chunks WHERE {_STREAM}", stream)
    return frozenset(seq for seq, payload in rows if isinstance(unpacked(decompressor, payload), Exception))


def snapshot_before(connection: Any, stream: StreamKey, seq: int) -> int:
    """The last chunk before ``seq`` that holds a full snapshot; 0 when there is none."""
    query = f"SELECT coalesce(max(seq), 0) FROM chunks WHERE {_STREAM} AND seq < ? AND has_full_snapshot"
    found: int = connection.execute(query, (*stream, seq)).fetchone()[0]
    return found


def address_before(connection: Any, stream: StreamKey, seq: int) -> str | None:
    """The page's address as the chunks before ``seq`` told it; None when they did not."""
    query = f"SELECT seq, data FROM dom_chunks WHERE {_STREAM} AND seq < ? ORDER BY seq DESC"
    for number, data in _readable(connection.execute(query, (*stream, seq)), "DOM events of chunk"):
        if b'"navigation"' in data:  # before any parsing
            told = [event.detail["href"] for event in _load(number, data) if event.detail["type"] == "navigation"]
            if told:
                return str(told[-1])
    return None


def next_due(connection: Any) -> tuple[StreamKey, int] | None:
    """The stream whose turn it is, and the lowest sequence number that is due in it; None when nothing is due."""
    query = (
        "SELECT project, session_id, stream_id, distill_from FROM streams WHERE distill_from IS NOT NULL"
        " ORDER BY turn LIMIT 1"
    )
    row = connection.execute(query).fetchone()
    return None if row is None else ((row[0], row[1], row[2]), row[3])


def due_chunks(connection: Any, stream: StreamKey, from_seq: int, count: int) -> Due:
    """The next ``count`` chunks from ``from_seq`` on, of which there is at least one."""
    query = f"SELECT seq, slice_index FROM chunks WHERE {_STREAM} AND seq >= ? ORDER BY seq LIMIT ?"
    rows = connection.execute(query, (*stream, from_seq, count)).fetchall()
    first_seq, slice_index = rows[0]
    return Due(max(first_seq - slice_index + 1, 0), rows[-1][0])


def count_chunks(connection: Any, stream: StreamKey, due: Due) -> int:
    query = f"SELECT count(*) FROM chunks WHERE {_STREAM} AND seq BETWEEN ? AND ?"
    found: int = connection.execute(query, (*stream, *due)).fetchone()[0]
    return found


def end_turn(connection: Any, stream: StreamKey, from_seq: int, done: int | None) -> None:
    """Moves the cursor from ``from_seq`` behind ``done``, unless something earlier is due by now (``done`` is None
    where the sender of a late chunk was faster). A stream that is not done takes its place behind all that wait."""
    if done is not None:
        connection.execute(
            f"UPDATE streams SET distill_from = (SELECT min(seq) FROM chunks WHERE {_STREAM} AND seq > ?)"
            f" WHERE {_STREAM} AND distill_from = ?",
            (*stream, done, *stream, from_seq),
        )
    last = "SELECT max(turn) + 1 FROM streams WHERE distill_from IS NOT NULL"
    connection.execute(f"UPDATE streams SET turn = ({last}) WHERE {_STREAM} AND distill_from IS NOT NULL", stream)


def dom_rows(stream: StreamKey, events: Iterable[DomEvent]) -> list[DomRow]:
    """Events as rows, one for each chunk: made before the writer is asked to store them."""
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
    by_seq: dict[int, list[DomEvent]] = {}
    for event in events:
        by_seq.setdefault(event.seq, []).append(event)
    rows = []
    for seq, members in by_seq.items():
        times = [event.time_unix_nano for event in members]
        rows.append((*stream, seq, min(times), max(times), len(members), compressor.compress(_dump(members))))
    return rows


def replace_dom_events(connection: Any, stream: StreamKey, due: Due, rows: list[DomRow]) -> None:
    """Puts the rows in place of all that was distilled from the due chunks before, unless these were erased."""
    connection.execute(f"DELETE FROM dom_chunks WHERE {_STREAM} AND seq BETWEEN ? AND ?", (*stream, *due))
    query = f"SELECT seq FROM chunks WHERE {_STREAM} AND seq BETWEEN ? AND ?"
    there = {seq for (seq,) in connection.execute(query, (*stream, *due))}
    kept = [row for row in rows if row[3] in there]
    connection.executemany("INSERT INTO dom_chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)


def read_dom_events(connection: Any, stream: StreamKey) -> list[DomEvent]:
    query = f"SELECT seq, data FROM dom_chunks WHERE {_STREAM} ORDER BY seq"
    rows = _readable(connection.execute(query, stream), "DOM events of chunk")
    return [event for seq, data in rows for event in _load(seq, data)]


def _load(seq: int, data: bytes) -> list[DomEvent]:
    return [DomEvent(seq, *fields) for fields in json.loads(data)]


def _dump(events: list[DomEvent]) -> bytes:
    rows = [
        [event.index, event.kind, event.time_unix_nano, event.title, event.detail, event.trace_id, event.span_id]
        for event in events
    ]
    try:
        return orjson.dumps(rows)
    except orjson.JSONEncodeError:  # what a page says of itself may nest deeper than orjson's 254 levels
        return json.dumps(rows, separators=(",", ":")).encode()


def _readable(rows: Iterable[Any], what: str, at: int = 0) -> Iterator[tuple[Any, ...]]:
    """The rows with their last column decompressed, without those where that fails; column ``at`` is the number."""
    decompressor = zstandard.ZstdDecompressor()
    for row in rows:
        data = unpacked(decompressor, row[-1])
        if isinstance(data, Exception):
            logger.error("%s %d cannot be read and is left out: %s", what, row[at], data)
        else:
            yield (*row[:-1], data)


def unpacked(decompressor: zstandard.ZstdDecompressor, data: bytes) -> bytes | Exception:
    """What was compressed, or why that cannot be said: zstd checks it by a sum of 32 bits that stands behind it."""
    try:
        return decompressor.decompress(data)
    except (zstandard.ZstdError, MemoryError) as error:  # a damaged header may claim any size
        return error
