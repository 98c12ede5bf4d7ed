"""What was said, each text stored once: taken out of the spans and log records that carry it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import zstandard

from otel_replay.model import Signal
from otel_replay.otlp import thin
from otel_replay.store import bodies
from otel_replay.store.base import InteractionRow, LogContents, Write
from otel_replay.store.sqlite.body_reading import BodyReader
from otel_replay.store.sqlite.digests import DigestIndex, Known

BLOCK_BYTES = 400_000
"""Contents are compressed together in blocks of about this size: 2 % smaller than half of it, and read in 0.5 ms."""

_LEVEL = 2
"""Of zstd: 2 to 4 % smaller than level 1 for 5 % of its time; level 3 takes 25 % more for as much again."""

RECENT_BYTES = 16 * 1024 * 1024
"""New contents kept in memory for full text, which follows soon."""

_DIGEST_BYTES = 16

_INSERT = (
    "INSERT INTO bodies (id, project, block, start, length, refs, start_unix_nano, trace_id, span_id, version)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_MOVE = (
    "UPDATE bodies SET start_unix_nano = ?1, trace_id = ?2, span_id = ?3, version = ?4"
    " WHERE id = ?5 AND (start_unix_nano, trace_id, span_id, version) > (?1, ?2, ?3, ?4)"
)


class Origin(NamedTuple):
    """Who carries a content; of several the least: an AI span, with its :func:`version_number`, or a log record that
    tells of one, with :data:`IN_A_LOG`."""

    start_unix_nano: int
    trace_id: bytes
    span_id: bytes
    version: int


IN_A_LOG = 1
"""In place of a version: log records have none. (A digest that begins like this is one of 2^64.)"""

Telling = InteractionRow | LogContents


def version_number(digest: bytes) -> int:
    """What tells the versions of a span apart, as a signed 64-bit integer."""
    return int.from_bytes(digest[:8], "little", signed=True)


class _Content:
    """One distinct content of the writes at hand."""

    __slots__ = ("origin", "piece", "refs")

    def __init__(self, piece: bytes, origin: Origin) -> None:
        self.piece, self.origin, self.refs = piece, origin, 1


class _Carrier(NamedTuple):
    """A record to be cut."""

    place: bodies.Place
    raw: bytes
    ranges: Sequence[tuple[int, int]]
    digests: Sequence[bytes]


class BodyWriter:
    """Takes contents out of writes, on the writer's connection and inside its transactions.

    ``recent`` holds new contents by id, as many as fit; an id is only good together with its row.
    """

    def __init__(self, connection: Any, key: bytes) -> None:
        self._connection = connection
        self._key = key
        self._index = DigestIndex(connection)
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self.recent: dict[int, bytes] = {}
        self._recent_bytes = 0

    def detach(self, project: int, writes: Sequence[Write]) -> list[bytes]:
        """The bodies of the writes, records cut where rows name contents; the contents are stored."""
        requests = [_parsed(write) for write in writes]
        contents: dict[bytes, _Content] = {}
        carriers = [
            self._sighted(project, place, row, contents)
            for write, request in zip(writes, requests, strict=True)
            if request is not None
            for row, place in _carriers(request, write)
        ]
        if carriers:
            ids = self._stored(project, contents)
            for one in carriers:
                one.place.put(bodies.cut(one.raw, one.ranges, [ids[digest] for digest in one.digests]))
        return [
            write.body if request is None else request.SerializeToString()
            for write, request in zip(writes, requests, strict=True)
        ]

    def release(self, counts: Mapping[int, int]) -> None:
        """Takes references away: id to how many. A content without any is nobody's, and may be deleted."""
        rows = [(count, body) for body, count in counts.items()]
        self._connection.executemany("UPDATE bodies SET refs = refs - ? WHERE id = ?", rows)

    def pieces(self, project: int, ids: Iterable[int]) -> dict[int, bytes]:
        """Contents by id, from the file; those that cannot be read are left out."""
        return BodyReader(self._connection, project).contents(ids)

    def forget(self, project: int, pieces: Mapping[int, bytes]) -> dict[int, bytes]:
        """Forgets what is known in memory of contents that change or go; gives their digests by id."""
        digests = {body: self._digest(project, piece) for body, piece in pieces.items()}
        self._index.forget(digests.values())
        for body in pieces:
            self.take_recent(body)
        return digests

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def _digest(self, project: int, piece: bytes) -> bytes:
        return hashlib.sha256(self._key + project.to_bytes(8, "little") + piece).digest()[:_DIGEST_BYTES]

    def take_recent(self, body: int) -> bytes | None:
        """A new content, once: it is forgotten here."""
        piece = self.recent.pop(body, None)
        if piece is not None:
            self._recent_bytes -= len(piece)
        return piece

    def _sighted(self, project: int, place: bodies.Place, row: Telling, contents: dict[bytes, _Content]) -> _Carrier:
        raw = place.raw
        # Where the processor knows SHA-256 it takes half the time of blake2b, of which Python has no vector code.
        secret, sha256 = self._key + project.to_bytes(8, "little"), hashlib.sha256
        origin = _origin(row)
        digests = []
        for start, end in row.contents:
            piece = raw[start:end]
            digest = sha256(secret + piece).digest()[:_DIGEST_BYTES]
            digests.append(digest)
            known = contents.get(digest)
            if known is None:
                contents[digest] = _Content(piece, origin)
            else:
                known.refs += 1
                known.origin = min(known.origin, origin)
        return _Carrier(place, raw, row.contents, digests)

    def _stored(self, project: int, contents: Mapping[bytes, _Content]) -> dict[bytes, int]:
        """The ids of the contents; new ones are stored, known ones gain references and perhaps an earlier origin."""
        if self._index.rolled_back():
            self.recent.clear()
            self._recent_bytes = 0
        known = self._index.find(contents)
        self._refer([(one, contents[digest]) for digest, one in known.items()])
        fresh = {digest: content for digest, content in contents.items() if digest not in known}
        if fresh:
            known |= self._insert(project, fresh)
        return {digest: one.body for digest, one in known.items()}

    def _refer(self, known: list[tuple[Known, _Content]]) -> None:
        known.sort(key=lambda one: one[0])
        refs = [(content.refs, one.body) for one, content in known]
        self._connection.executemany("UPDATE bodies SET refs = refs + ? WHERE id = ?", refs)
        earlier = [
            (*content.origin, one.body)
            for one, content in known
            if content.origin.start_unix_nano <= one.start_unix_nano
        ]
        self._connection.executemany(_MOVE, earlier)

    def _insert(self, project: int, fresh: Mapping[bytes, _Content]) -> dict[bytes, Known]:
        """Stores new contents in blocks of their own."""
        first = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM bodies").fetchone()[0]
        numbered = dict(enumerate(fresh.values(), first))
        for batch in _batches(numbered.items()):
            data = b"".join([content.piece for _, content in batch])
            insert = "INSERT INTO body_blocks (project, raw_bytes, data) VALUES (?, ?, ?)"
            row = (project, len(data), self._compressor.compress(data))
            block = self._connection.execute(insert, row).lastrowid
            starts = accumulate((len(content.piece) for _, content in batch), initial=0)
            self._connection.executemany(
                _INSERT,
                [
                    (body, project, block, start, len(content.piece), content.refs, *content.origin)
                    for start, (body, content) in zip(starts, batch, strict=False)
                ],
            )
        for body, content in numbered.items():
            self._keep_recent(body, content.piece)
        added = {
            digest: Known(body, content.origin.start_unix_nano)
            for body, (digest, content) in enumerate(fresh.items(), first)
        }
        self._index.add(added)
        return added

    def _keep_recent(self, body: int, piece: bytes) -> None:
        if self._recent_bytes + len(piece) <= RECENT_BYTES:
            self.recent[body] = piece
            self._recent_bytes += len(piece)


def _batches(contents: Iterable[tuple[int, _Content]]) -> Iterator[list[tuple[int, _Content]]]:
    """Contents in order, :data:`BLOCK_BYTES` or a little more at a time."""
    batch: list[tuple[int, _Content]] = []
    size = 0
    for body, content in contents:
        batch.append((body, content))
        size += len(content.piece)
        if size >= BLOCK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _parsed(write: Write) -> Any:
    """The request of a write with contents to take out; None for any other."""
    return thin.parse(write.body) if write.body and any(row.contents for row in _telling(write)) else None


def _telling(write: Write) -> Sequence[Telling]:
    return write.log_contents if write.signal is Signal.LOGS else write.interactions


def _carriers(request: Any, write: Write) -> Iterable[tuple[Telling, bodies.Place]]:
    rows = [row for row in _telling(write) if row.contents]
    return zip(rows, bodies.places(request, [row.record for row in rows]), strict=True)


def _origin(row: Telling) -> Origin:
    trace_id, span_id = bytes.fromhex(row.trace_id), bytes.fromhex(row.span_id)
    if isinstance(row, LogContents):
        return Origin(row.unix_nano, trace_id, span_id, IN_A_LOG)
    return Origin(row.start_unix_nano, trace_id, span_id, version_number(row.version.digest))
