"""Whether a file is whole, every byte of it read. What a start looks at: :mod:`otel_replay.store.sqlite.first_look`.

SQLite itself checks no sums, so a damaged page shows only where its structure breaks. What is stored in blocks,
contents and chunks is compressed with zstd's own checksum of what went in: a flipped bit is found when it is read.
Nothing here changes the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash
import zstandard
from google.protobuf.message import DecodeError
from sqlite_utils.utils import sqlite3

from otel_replay.model import Signal
from otel_replay.otlp import thin
from otel_replay.store import bodies, buckets
from otel_replay.store.sqlite.chunks import unpacked
from otel_replay.store.sqlite.database import open_reading
from otel_replay.store.sqlite.index import SESSIONS, TRACES, VISIBLE, Segment

PIECE_ROWS = 64
"""Rows read in one snapshot, 16 MB of blocks: a check of hours must not keep the writer's log from starting again."""

Progress = Callable[[str, int, int], None]
"""Is told what is being checked, how much of it is done, and how much there is (0: nobody knows)."""


class Damage(NamedTuple):
    """Something that is not as it was written; ``place`` is the row's number, or empty."""

    what: str
    place: str
    reason: str


@dataclass
class Findings:
    """What was checked, by name, and what of it is damaged."""

    checked: dict[str, int] = field(default_factory=dict)
    damaged: list[Damage] = field(default_factory=list)

    def add(self, what: str, place: object, reason: object) -> None:
        self.damaged.append(Damage(what, str(place), str(reason)))

    def document(self, path: Path) -> dict[str, Any]:
        """``{"database", "ok", "checked", "damaged": [{"what", "place", "reason"}], "advice": [...]}``."""
        return {
            "database": str(path),
            "ok": not self.damaged,
            "checked": self.checked,
            "damaged": [one._asdict() for one in self.damaged],
            "advice": [text for what, text in _ADVICE.items() if any(one.what == what for one in self.damaged)],
        }


_ADVICE = {
    "file": "the file's structure is damaged: stop its server, keep a copy, and go on from a backup; without one, the"
    " SQLite shell's .recover saves what can be read. Look after the disk it stands on.",
    "block": "the spans or logs of a damaged block are left out of every answer; all others are there. A backup from"
    " before has them.",
    "contents": "spans whose contents are damaged are shown with blanks in their place. A backup from before has them.",
    "content": "spans whose contents are damaged are shown with blanks in their place. A backup from before has them.",
    "chunk": "a damaged chunk is a gap in its recording; playing goes on at the next full snapshot.",
    "page events": "damaged page events are left out of timelines; the recording itself plays.",
    "index": "traces of blocks that the index does not know are not found by their id, but by searching.",
}
"""What damage means, and what to do."""


def check(path: Path, progress: Progress = lambda _what, _done, _total: None, *, alone: bool = False) -> Findings:
    """Checks all of a file, also while a server writes it. Raises :class:`StoreError` for one that cannot be opened.

    ``alone`` says that nobody writes it, as nobody does a fresh copy: then nothing is made beside it, either.
    """
    with closing(open_reading(path, alone=alone)) as connection:
        return _Check(connection, progress).run()


class _Check:
    """One run over one file. What SQLite cannot read ends the part that asked for it, and no other."""

    def __init__(self, connection: Any, progress: Progress) -> None:
        self._connection = connection
        self._progress = progress
        self._decompressor = zstandard.ZstdDecompressor()
        self.found = Findings()

    def run(self) -> Findings:
        parts = (self._structure, self._blocks, self._contents, self._chunks, self._dom_events, self._index)
        for part in parts:
            try:
                part()
            except sqlite3.DatabaseError as error:
                self.found.add("file", "", f"SQLite cannot read on: {error}")
        return self.found

    def _structure(self) -> None:
        """Pages, B-trees, and what every index says of its table."""
        self._progress("structure", 0, 0)
        for (said,) in self._connection.execute("PRAGMA integrity_check(100)"):
            if said != "ok":
                self.found.add("file", "", said)
        self.found.checked["pages"] = self._connection.execute("PRAGMA page_count").fetchone()[0]

    def _blocks(self) -> None:
        columns = "id, project, signal, items, raw_bytes, data"
        for number, project, signal, items, raw_bytes, data in self._rows("blocks", "id", columns):
            body = self._unpacked("block", number, data, raw_bytes)
            if body is not None and signal != Signal.METRICS:
                self._records(number, project, items, body)

    def _records(self, number: int, project: int, items: int, body: bytes) -> None:
        """That a block holds as many records as it says, and that the contents they name are there."""
        try:
            records = [piece.raw for piece in thin.slices(body)]
        except DecodeError as error:
            self.found.add("block", number, f"is not what was received: {error}")
            return
        if len(records) != items:
            self.found.add("block", number, f"holds {len(records)} records instead of {items}")
        named = {body for record in records for body in bodies.body_ids(record)}
        if gone := named - self._known(project, sorted(named)):
            self.found.add("block", number, f"names contents that are not there: {sorted(gone)[:10]}")

    def _known(self, project: int, ids: Sequence[int]) -> set[int]:
        known: set[int] = set()
        for at in range(0, len(ids), 500):
            part = ids[at : at + 500]
            query = f"SELECT id FROM bodies WHERE project = ? AND id IN ({', '.join('?' * len(part))})"
            known.update(body for (body,) in self._connection.execute(query, (project, *part)))
        return known

    def _contents(self) -> None:
        for number, raw_bytes, data in self._rows("body_blocks", "id", "id, raw_bytes, data", "contents"):
            self._unpacked("contents", number, data, raw_bytes)
        outside = (
            "SELECT bodies.id FROM bodies LEFT JOIN body_blocks ON body_blocks.id = bodies.block"
            " WHERE body_blocks.id IS NULL OR bodies.start + bodies.length > body_blocks.raw_bytes"
        )
        self._each("content", outside, "stands in no block of contents")

    def _chunks(self) -> None:
        columns = "id, session_id, stream_id, seq, raw_bytes, digest, payload"
        for number, session, stream, seq, raw_bytes, digest, data in self._rows("chunks", "id", columns):
            payload = self._unpacked("chunk", f"{number} ({session} {stream} {seq})", data, raw_bytes)
            if payload is not None and xxhash.xxh3_128_digest(payload) != digest:
                self.found.add("chunk", f"{number} ({session} {stream} {seq})", "is not what was received")
        astray = (
            "SELECT chunks.id FROM chunks LEFT JOIN streams USING (project, session_id, stream_id)"
            " WHERE streams.next_seq IS NULL OR streams.next_seq <= chunks.seq"
        )
        self._each("chunk", astray, "its stream does not know of it")

    def _dom_events(self) -> None:
        for number, data in self._rows("dom_chunks", "rowid", "rowid, data", "page events"):
            self._unpacked("page events", number, data)

    def _index(self) -> None:
        """That every block with ids stands in the index, and every entry for a block that is, or was, there."""
        with self._snapshot():
            indexed = {kind: self._indexed(kind) for kind in (TRACES, SESSIONS)}
            blocks = dict(self._connection.execute("SELECT id, signal = ? AND items > 0 FROM blocks", (Signal.TRACES,)))
            removed = {number for (number,) in self._connection.execute("SELECT id FROM removed_blocks")}
        self.found.checked["index entries"] = sum(count for _, count in indexed.values())
        for number in sorted({number for number, has_spans in blocks.items() if has_spans} - indexed[TRACES][0]):
            self.found.add("index", number, "the traces of this block are not in it")
        for number in sorted((indexed[TRACES][0] | indexed[SESSIONS][0]) - blocks.keys() - removed):
            self.found.add("index", number, "it names a block that is not there")

    def _indexed(self, kind: int) -> tuple[set[int], int]:
        """Blocks that the index names by their traces or sessions, and the number of entries."""
        column = "sessions" if kind == SESSIONS else "traces"
        tail = f"SELECT block_id, length({column}) / 8 FROM index_tail WHERE length({column}) > 0"
        counts = dict(self._connection.execute(tail))
        named, total = set(counts), sum(counts.values())
        query = "SELECT * FROM index_segments WHERE visible = ?"
        segments = [Segment(*row) for row in self._connection.execute(query, (VISIBLE,))]
        for segment in segments:
            bounds = (segment.row_id(kind, 0), segment.row_id(kind, 1 << 31) - 1)
            rows = self._connection.execute("SELECT id, data FROM index_buckets WHERE id BETWEEN ? AND ?", bounds)
            for row_id, row in rows:
                hashes, blocks = buckets.join([row])
                if len(row) % buckets.ENTRY_BYTES or np.any(hashes[1:] < hashes[:-1]):
                    self.found.add("index", f"row {row_id}", "is not sorted")
                named.update(np.unique(blocks).tolist())
                total += len(hashes)
        return named, total

    def _each(self, what: str, query: str, reason: str) -> None:
        with self._snapshot():
            for (number,) in self._connection.execute(query):
                self.found.add(what, number, reason)

    def _rows(self, table: str, key: str, columns: str, name: str = "") -> Iterator[Any]:
        """All rows, some in each snapshot; the caller's own questions see the same state."""
        name = name or table
        total = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        query = f"SELECT {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {PIECE_ROWS}"
        last, done = -(2**63), 0
        while True:
            self._progress(name, done, max(done, total))
            with self._snapshot():
                rows = self._connection.execute(query, (last,)).fetchall()
                yield from rows
            done += len(rows)
            if len(rows) < PIECE_ROWS:
                break
            last = rows[-1][0]
        self.found.checked[name] = done

    def _unpacked(self, what: str, place: object, data: bytes, raw_bytes: int | None = None) -> bytes | None:
        found = unpacked(self._decompressor, data)
        if isinstance(found, Exception):
            self.found.add(what, place, found)
            return None
        if raw_bytes is not None and len(found) != raw_bytes:
            self.found.add(what, place, f"is {len(found)} bytes long instead of {raw_bytes}")
        return found

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()
