"""Erasing a session, a trace, a user, or what a key wrote, from every table, index and page of the file.

First it is noted what is gone, so that nothing of it can come in any more; then blocks are written again without it,
and after them rows, contents and full text. A kill at any point leaves some of it behind, and erasing again goes on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import xxhash
import zstandard
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.errors import InvalidRequest
from otel_replay.model import MAX_UNIX_NANO, Signal
from otel_replay.otlp import thin
from otel_replay.store import bodies
from otel_replay.store.erasing import Gone, Removed, carriers, without
from otel_replay.store.merging import Block
from otel_replay.store.records import Contents, StoredBlock
from otel_replay.store.sqlite.bodies import BodyReader, BodyWriter, Origin, version_number
from otel_replay.store.sqlite.compaction import Rewriter
from otel_replay.store.sqlite.forgetting import ContentRemover, in_steps
from otel_replay.store.sqlite.identifiers import find_string, pack_id, unpack_id
from otel_replay.store.sqlite.index import SESSIONS, TRACES
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.row_removal import RowRemover, SpanKey
from otel_replay.store.sqlite.segments import RunTask
from otel_replay.store.sqlite.tombstones import TombstoneKind, Tombstones, key_bytes

logger = logging.getLogger(__name__)

SUBJECTS = ("session", "trace", "user", "key")
_STEP_ROWS = 200


class Subject(NamedTuple):
    """What is to be erased: one of :data:`SUBJECTS`, and its id. A key's is its number as a string."""

    kind: str
    id: str


@dataclass(slots=True)
class Erased:
    """How much was erased, by kind."""

    records: int = 0
    chunks: int = 0
    sessions: int = 0
    contents: int = 0
    scrubbed: bool = True
    """False when a reader kept the write-ahead log, so that some of it is still there until that ends."""


@dataclass(frozen=True, slots=True)
class WriterParts:
    """What erasing shares with the writer: its connection, and what it remembers of the file."""

    connection: Any
    bodies: BodyWriter
    contents: ContentRemover
    tombstones: Tombstones
    forget_names: Callable[[], None]
    run: RunTask
    run_durable: RunTask


class Eraser:
    """Erases on behalf of one :class:`~otel_replay.store.sqlite.SqliteStore`, one subject at a time."""

    def __init__(self, reader: SqliteReader, rewriter: Rewriter, parts: WriterParts, clock: Callable[[], int]) -> None:
        self._reader = reader
        self._rewriter = rewriter
        self._parts = parts
        self._clock = clock

    def erase(self, project: int, subject: Subject) -> Erased:
        """Erases everything of the subject. Raises :class:`InvalidRequest` for an id that cannot be one."""
        gone = self._gone(project, subject)
        self._parts.run_durable(partial(self._entomb, project, gone))
        return self.remove(project, gone)

    def remove(self, project: int, gone: Gone) -> Erased:
        """Deletes what is gone, without a note of it."""
        erased, removed = Erased(), list(self._from_blocks(project, gone))
        touched = self._rows(project, gone, removed, erased)
        erased.records = len(removed)
        self._contents(project, removed, erased)
        self._empty_sessions(project, touched | {one.session_id for one in removed} - gone.sessions - {""})
        self._names(project, gone, removed)
        self._quarantine(project, gone)
        self._parts.run(partial(self._links, project, gone))
        return erased

    def forget_sessions(self, project: int, sessions: set[str]) -> Erased:
        """Deletes whole sessions, without a note of them."""
        traces = {trace for session in sessions for trace in self._traces_of(project, session)}
        return self.remove(project, Gone(sessions=sessions, loose_traces=traces))

    def remove_blocks(self, project: int, numbers: Sequence[int]) -> bool:
        """Deletes whole blocks, and contents that nothing else refers to; False when none could be."""
        removed: list[Removed] = []
        done = [self._remove_block(number, removed) for number in numbers]
        self._contents(project, removed, Erased())
        return any(done)

    def _remove_block(self, number: int, removed: list[Removed]) -> bool:
        went: list[Removed] = []

        def transform(blocks: Sequence[StoredBlock], contents: Contents) -> Sequence[Block]:
            went.extend(carriers(blocks[0], contents))
            return []

        def release() -> None:
            self._parts.bodies.release(Counter(body for one in went for body in one.contents))

        is_done = self._rewriter.rewrite([number], transform, release)
        removed += went if is_done else []
        return is_done

    # What it is

    def _gone(self, project: int, subject: Subject) -> Gone:
        if subject.kind == "trace":
            return Gone(traces={_trace_id(subject.id)})
        if subject.kind == "key":
            if not subject.id.isdigit():
                raise InvalidRequest(f"{subject.id[:40]!r} is no number of a key")
            return Gone(keys={int(subject.id)})
        sessions = {subject.id} if subject.kind == "session" else self._sessions_of(project, subject.id)
        traces = {trace for session in sessions for trace in self._traces_of(project, session)}
        return Gone(sessions=sessions, loose_traces=traces, user=subject.id if subject.kind == "user" else "")

    def _sessions_of(self, project: int, user: str) -> set[str]:
        with self._reader.reading() as connection:
            name = find_string(connection, project, user)
            query = "SELECT session_id FROM facets WHERE kind = 2 AND name = ?"
            return {unpack_id(session) for (session,) in connection.execute(query, (name,))} if name else set()

    def _traces_of(self, project: int, session: str) -> set[bytes]:
        named = {one.span.trace_id for one in self._reader.spans_of_session(project, session)}
        return named | {bytes.fromhex(trace) for trace in self._reader.traces_of_session(project, session)}

    def _entomb(self, project: int, gone: Gone) -> None:
        add, now = self._parts.tombstones.add, self._clock()
        add(project, TombstoneKind.TRACE, gone.traces, now)
        add(project, TombstoneKind.LOOSE_TRACE, gone.loose_traces, now)
        add(project, TombstoneKind.SESSION, (session.encode() for session in gone.sessions), now)
        add(project, TombstoneKind.KEY, map(key_bytes, gone.keys), now)
        add(project, TombstoneKind.USER, [gone.user.encode()] if gone.user else [], now)
        self._parts.tombstones.load()

    # Blocks

    def _from_blocks(self, project: int, gone: Gone) -> Iterator[Removed]:
        """Writes blocks again without what is gone, until none is left that was not looked at."""
        seen: set[int] = set()
        while unseen := self._candidates(project, gone).keys() - seen:
            for number, is_listed in self._candidates(project, gone).items():
                if number in unseen:
                    yield from self._from_block(project, number, gone, is_listed)
            seen |= unseen

    def _candidates(self, project: int, gone: Gone) -> dict[int, bool]:
        """Blocks that may hold something of it, and whether an index says so: metrics, users and keys are in none."""
        ids = [(TRACES, trace) for trace in (*gone.traces, *gone.loose_traces)]
        ids += [(SESSIONS, session.encode()) for session in gone.sessions]
        signals = "> 0" if gone.user or gone.keys else f"= {Signal.METRICS:d}"
        query = f"SELECT id FROM blocks WHERE project = ? AND signal {signals}"
        with self._reader.reading() as connection:
            found = {number: False for (number,) in connection.execute(query, (project,))}
            for kind, one in ids:
                found.update(dict.fromkeys(self._reader.blocks_of(connection, project, kind, one), True))
        return found

    def _from_block(self, project: int, number: int, gone: Gone, is_listed: bool) -> list[Removed]:
        removed: list[Removed] = []

        def transform(blocks: Sequence[StoredBlock], contents: Contents) -> Sequence[Block] | None:
            removed.clear()
            block = blocks[0]
            if block.project != project or not (is_listed or gone.may_touch(block)):
                return None
            left, went = without(block, gone, contents)
            removed.extend(went)
            return None if not went else [left] if left else []

        def release() -> None:
            self._parts.bodies.release(Counter(body for one in removed for body in one.contents))

        return removed if self._rewriter.rewrite([number], transform, release) else []

    # Rows

    def _rows(self, project: int, gone: Gone, removed: Sequence[Removed], erased: Erased) -> set[str]:
        """Deletes rows; gives the sessions that lost some and are not gone."""
        rows = RowRemover(self._parts.connection)
        touched: set[bytes | str] = set()
        keys: list[SpanKey] = [(one.trace_id, one.span_id) for one in removed if one.span_id]
        for part in _steps(keys):
            touched |= self._parts.run(partial(rows.spans, project, part))
        for part in _steps(gone.traces):
            touched |= self._parts.run(partial(rows.traces, project, part))
        for part in _steps(gone.loose_traces):
            touched |= self._parts.run(partial(rows.traces, project, part, only_loose=True))
        for session in gone.sessions:
            run = partial(rows.sessions, project, [pack_id(session)], [session])
            erased.chunks += self._parts.run(run)
        for part in _steps(gone.keys):
            erased.chunks += self._parts.run(partial(self._chunks_of_keys, project, part))
        erased.sessions = len(gone.sessions)
        if gone.user:
            with self._reader.reading() as connection:
                rows.names.add(find_string(connection, project, gone.user))
        self._parts.run(partial(self._forget_strings, project, rows))
        return {unpack_id(session) for session in touched} - set(gone.sessions)

    def _chunks_of_keys(self, project: int, keys: Iterable[int]) -> int:
        chunks = 0
        for key in keys:
            of_key = "SELECT session_id, stream_id, seq FROM chunks WHERE project = ? AND key_id = ?"
            places = self._parts.connection.execute(of_key, (project, key)).fetchall()
            chunks += remove_chunks(self._parts.connection, project, places)
        return chunks

    def _empty_sessions(self, project: int, sessions: Iterable[str]) -> None:
        """Deletes those of the sessions of which nothing is left."""
        rows = RowRemover(self._parts.connection)
        for session in sorted(sessions):
            if not self._is_mentioned(project, session):
                self._parts.run(partial(rows.sessions, project, [pack_id(session)], [session]))
        self._parts.run(partial(self._forget_strings, project, rows))

    def _forget_strings(self, project: int, rows: RowRemover) -> None:
        rows.forget_names(project)
        self._parts.forget_names()

    def _is_mentioned(self, project: int, session: str) -> bool:
        reader = self._reader
        if reader.streams(project, session) or reader.spans_of_session(project, session):
            return True
        if reader.logs_of_session(project, session):
            return True
        traces = reader.traces_of_session(project, session)
        return any(reader.trace(project, trace) or reader.logs_of_trace(project, trace) for trace in traces)

    # Contents

    def _contents(self, project: int, removed: Sequence[Removed], erased: Erased) -> None:
        """Deletes contents that nothing refers to, and finds another origin for those that others carry."""
        spans = {(one.trace_id, one.span_id) for one in removed if one.contents}
        ids = {body for one in removed for body in one.contents}
        for part in in_steps(ids):
            erased.contents += self._parts.run(partial(self._parts.contents.remove, project, part))
        orphans = {body for part in in_steps(ids) for body in self._said_first_by(project, part, spans)}
        if orphans:
            origins = self._other_origins(project, orphans)
            for body in orphans:
                origin = origins.get(body, Origin(MAX_UNIX_NANO, bytes(16), bytes(8), 0))
                self._parts.run(partial(self._parts.contents.move_origin, project, body, origin))
            self._parts.run(self._parts.contents.follow)

    def _said_first_by(self, project: int, ids: Sequence[int], spans: set[SpanKey]) -> list[int]:
        query = f"SELECT id, trace_id, span_id FROM bodies WHERE project = ? AND id IN ({', '.join('?' * len(ids))})"
        with self._reader.reading() as connection:
            rows = connection.execute(query, (project, *ids)).fetchall()
        return [body for body, trace_id, span_id in rows if (trace_id, span_id) in spans]

    def _other_origins(self, project: int, wanted: set[int]) -> dict[int, Origin]:
        """The least span that carries each content; blocks are read in the order of their earliest record."""
        found: dict[int, Origin] = {}
        query = "SELECT id, start_unix_nano FROM blocks WHERE project = ? AND signal = ? ORDER BY start_unix_nano"
        with self._reader.reading() as connection:
            blocks = connection.execute(query, (project, Signal.TRACES)).fetchall()
            for number, start in blocks:
                if len(found) == len(wanted) and start > max(origin.start_unix_nano for origin in found.values()):
                    break
                for body, origin in _carried(connection, project, number, wanted):
                    found[body] = min(found.get(body, origin), origin)
        return found

    # What is left of names

    def _names(self, project: int, gone: Gone, removed: Sequence[Removed]) -> None:
        """Forgets names of operations that stand in no block any more."""
        names = {(one.service, one.name) for one in removed if one.name}
        with self._reader.reading() as connection:
            numbers = connection.execute(
                "SELECT id FROM blocks WHERE project = ? ORDER BY id DESC", (project,)
            ).fetchall()
            for (number,) in numbers:
                if not names:
                    return
                body = _body(connection, number)
                names = {(service, name) for service, name in names if name.encode() not in body}
        self._parts.run(partial(self._forget_operations, [(project, *name) for name in names]))

    def _forget_operations(self, names: Sequence[tuple[int, str, str]]) -> None:
        forget = "DELETE FROM operations WHERE project = ? AND service = ? AND name = ?"
        self._parts.connection.executemany(forget, names)
        self._parts.forget_names()

    def _quarantine(self, project: int, gone: Gone) -> None:
        """Deletes records that could not be read and name what is gone."""
        names = [name.encode() for name in (*gone.sessions, gone.user) if name]
        names += [trace for traces in (gone.traces, gone.loose_traces) for trace in traces]
        names += [trace.hex().encode() for traces in (gone.traces, gone.loose_traces) for trace in traces]
        for part in _steps(names):
            self._parts.run(partial(self._forget_unread, [(project, name, name) for name in part]))

    def _links(self, project: int, gone: Gone) -> None:
        """Deletes links that show what is gone: their rows name it. A server that knows them finds nothing there."""
        shown = [(project, "session", session) for session in gone.sessions]
        shown += [(project, "trace", trace.hex()) for trace in gone.traces]
        delete = "DELETE FROM tokens WHERE project = ? AND shared_kind = ? AND shared_id = ?"
        self._parts.connection.executemany(delete, shown)

    def _forget_unread(self, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
        query = "DELETE FROM quarantine WHERE project = ? AND (instr(raw, ?) OR instr(CAST(reason AS BLOB), ?))"
        self._parts.connection.executemany(query, rows)


def remove_chunks(connection: Any, project: int, places: Sequence[tuple[str, str, int]]) -> int:
    """Deletes chunks by (session, stream, number), what was distilled from them, and streams left without any."""
    for table in ("dom_chunks", "chunks"):
        connection.executemany(
            f"DELETE FROM {table} WHERE project = ? AND session_id = ? AND stream_id = ? AND seq = ?",
            [(project, *place) for place in places],
        )
    if places:
        _drop_empty_streams(connection, project)
    return len(places)


def _drop_empty_streams(connection: Any, project: int) -> None:
    """Deletes streams without a chunk; of others only chunks that are there are due for distillation."""
    same = "chunks.project = streams.project AND chunks.session_id = streams.session_id"
    same += " AND chunks.stream_id = streams.stream_id"
    connection.execute(
        f"DELETE FROM streams WHERE project = ? AND NOT EXISTS (SELECT 1 FROM chunks WHERE {same})", (project,)
    )
    connection.execute(
        f"UPDATE streams SET distill_from = (SELECT min(seq) FROM chunks WHERE {same} AND seq >= distill_from)"
        " WHERE project = ? AND distill_from IS NOT NULL",
        (project,),
    )


def _carried(connection: Any, project: int, number: int, wanted: set[int]) -> Iterator[tuple[int, Origin]]:
    """Which of the contents a block's spans carry."""
    contents = BodyReader(connection, project)
    for raw in thin.records_of(thin.parse(_body(connection, number))):
        if bodies.is_cut(raw) and (mine := wanted.intersection(bodies.body_ids(raw))):
            whole = contents.whole(raw)
            span = Span.FromString(whole)
            version = version_number(xxhash.xxh3_128_digest(whole))
            start = min(span.start_time_unix_nano, MAX_UNIX_NANO)
            for body in mine:
                yield body, Origin(start, span.trace_id, span.span_id, version)


def _body(connection: Any, number: int) -> bytes:
    row = connection.execute("SELECT data FROM blocks WHERE id = ?", (number,)).fetchone()
    try:
        return zstandard.ZstdDecompressor().decompress(row[0]) if row else b""
    except (zstandard.ZstdError, MemoryError) as error:
        logger.error("block %d cannot be read, nor searched for what is to be erased: %s", number, error)
        return b""


def _steps(items: Iterable[Any]) -> Iterator[list[Any]]:
    ordered = list(items)
    for at in range(0, len(ordered), _STEP_ROWS):
        yield ordered[at : at + _STEP_ROWS]


def _trace_id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise InvalidRequest(f"{text[:40]!r} is no trace id", hint="32 hexadecimal digits")
    return found
