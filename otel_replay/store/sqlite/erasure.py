"""Erasing a session, a trace, a user, or what a key wrote, from every table, index and page of the file.

First it is noted what is gone, so that nothing of it can come in any more; then blocks are written again without it,
and after them rows, contents and full text. After a kill at any point the next process goes on: unfinished.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from otel_replay.errors import InvalidRequest
from otel_replay.store.erasing import SPAN_ID_BYTES, Gone, Removed
from otel_replay.store.sqlite.bodies import BodyWriter
from otel_replay.store.sqlite.compaction import Rewriter
from otel_replay.store.sqlite.erasing_blocks import BlockEraser
from otel_replay.store.sqlite.erasing_contents import ContentEraser
from otel_replay.store.sqlite.forgetting import ContentRemover
from otel_replay.store.sqlite.identifiers import find_string, pack_id, unpack_id
from otel_replay.store.sqlite.reader import SqliteReader
from otel_replay.store.sqlite.row_removal import RowRemover, SpanKey, remove_chunks
from otel_replay.store.sqlite.segments import RunTask
from otel_replay.store.sqlite.tombstones import TombstoneKind, Tombstones, key_bytes
from otel_replay.store.sqlite.unfinished import ErasureNotes, Unfinished

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

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was there."""
        return not (self.records or self.chunks or self.sessions or self.contents)


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
        self._blocks = BlockEraser(reader, rewriter, parts.bodies)
        self._contents = ContentEraser(reader, parts.contents, parts.run)
        self._parts = parts
        self._clock = clock
        self._notes = ErasureNotes(parts.connection)

    def begin(self, project: int, subject: Subject, vacuum: bool | None) -> int:
        """Commits that everything of the subject is to go, and that nothing of it may come any more.

        Gives the erasure's number. Raises :class:`InvalidRequest` for an id that cannot be one.
        """
        gone = self._gone(project, subject)

        def note() -> int:
            self._entomb(project, gone)
            return self._notes.begin(project, gone, vacuum)

        number: int = self._parts.run_durable(note)
        return number

    def unfinished(self) -> list[Unfinished]:
        """What was begun and did not end, by this process or an earlier one."""
        with self._reader.reading() as connection:
            return self._notes.unfinished(connection)

    def take_out(self, begun: Unfinished) -> Erased:
        """Deletes what an erasure has not deleted yet; then the file is to be scrubbed."""
        if begun.gone is None:
            return Erased()
        for _ in self._blocks.remove(begun.project, begun.gone, partial(self._notes.note, begun.number)):
            pass
        with self._reader.reading() as connection:
            removed = self._notes.removed(connection, begun.number)  # by an earlier process, too
        erased = self._follow(begun.project, begun.gone, removed)
        self._parts.run_durable(partial(self._notes.taken_out, begun.number))
        return erased

    def end(self, begun: Unfinished) -> None:
        """Forgets an erasure, once the file is scrubbed."""
        self._parts.run(partial(self._notes.end, begun.number))

    def _follow(self, project: int, gone: Gone, removed: Sequence[Removed]) -> Erased:
        """Deletes what goes beside, or because of, records that were taken out of blocks; again does no harm."""
        erased = Erased()
        touched = self._rows(project, gone, removed, erased)
        erased.records = len(removed)
        erased.contents = self._contents.remove(project, removed)
        left = touched | {one.session_id for one in removed} - gone.sessions - {""}
        erased.sessions += self._empty_sessions(project, left)
        self._names(project, gone, removed)
        self._quarantine(project, gone)
        return erased

    # What retention takes out

    def forget_sessions(self, project: int, sessions: set[str]) -> Erased:
        """Deletes whole sessions; they may come again."""
        traces = {trace for session in sessions for trace in self._traces_of(project, session)}
        gone = Gone(sessions=sessions, loose_traces=traces)
        for _ in self._blocks.remove(project, gone, partial(self._notes.note, -project)):
            pass
        return self._follow_retention(project, gone)

    def remove_blocks(self, project: int, numbers: Sequence[int]) -> bool:
        """Deletes whole blocks, and contents that nothing else refers to; False when none could be."""
        note = partial(self._notes.note, -project)
        done = [self._blocks.remove_whole(number, note) for number in numbers]
        self._follow_retention(project, Gone())
        return any(done)

    def finish_retention(self) -> None:
        """Deletes what belongs to records that were taken out before a kill."""
        with self._reader.reading() as connection:
            projects = self._notes.retentions(connection)
        for project in projects:
            self._follow_retention(project, Gone())

    def _follow_retention(self, project: int, gone: Gone) -> Erased:
        with self._reader.reading() as connection:
            removed = self._notes.removed(connection, -project)
        erased = self._follow(project, gone, removed) if gone != Gone() or removed else Erased()
        self._parts.run(partial(self._notes.forget, -project))
        return erased

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

    # Rows

    def _rows(self, project: int, gone: Gone, removed: Sequence[Removed], erased: Erased) -> set[str]:
        """Deletes rows; gives the sessions that lost some and are not gone."""
        rows = RowRemover(self._parts.connection)
        touched: set[bytes | str] = set()
        keys: list[SpanKey] = [(one.trace_id, one.item_id) for one in removed if len(one.item_id) == SPAN_ID_BYTES]
        for part in _steps(keys):
            touched |= self._with_names(project, rows, partial(rows.spans, project, part))
        failed = [(one.session_id, one.place) for one in removed if one.session_id and one.item_id]
        for part in _steps(failed):
            touched |= self._parts.run(partial(rows.errors, project, part))
        for part in _steps(gone.traces):
            touched |= self._with_names(project, rows, partial(rows.traces, project, part))
        for part in _steps(gone.loose_traces):
            touched |= self._with_names(project, rows, partial(rows.traces, project, part, only_loose=True))
        for session in gone.sessions:
            of_session = partial(rows.sessions, project, [pack_id(session)], [session])
            sessions, chunks = self._with_names(project, rows, of_session)
            erased.sessions += sessions
            erased.chunks += chunks
        for part in _steps(gone.keys):
            erased.chunks += self._parts.run(partial(self._chunks_of_keys, project, part))
        if gone.user:
            with self._reader.reading() as connection:
                rows.names.add(find_string(connection, project, gone.user))
            self._with_names(project, rows, lambda: None)
        return {unpack_id(session) for session in touched} - set(gone.sessions)

    def _chunks_of_keys(self, project: int, keys: Iterable[int]) -> int:
        chunks = 0
        for key in keys:
            of_key = "SELECT session_id, stream_id, seq FROM chunks WHERE project = ? AND key_id = ?"
            places = self._parts.connection.execute(of_key, (project, key)).fetchall()
            chunks += remove_chunks(self._parts.connection, project, places)
        return chunks

    def _empty_sessions(self, project: int, sessions: Iterable[str]) -> int:
        """Deletes those of the sessions of which nothing is left; how many went."""
        rows, count = RowRemover(self._parts.connection), 0
        for session in sorted(sessions):
            if not self._is_mentioned(project, session):
                of_session = partial(rows.sessions, project, [pack_id(session)], [session])
                count += self._with_names(project, rows, of_session)[0]
        return count

    def _with_names(self, project: int, rows: RowRemover, remove: Callable[[], Any]) -> Any:
        """Deletes rows, and in the same transaction names that no row has any more: a kill would leave them."""

        def run() -> Any:
            found = remove()
            rows.forget_names(project)
            self._parts.forget_names()
            return found

        return self._parts.run(run)

    def _is_mentioned(self, project: int, session: str) -> bool:
        reader = self._reader
        if reader.streams(project, session) or reader.spans_of_session(project, session):
            return True
        if reader.logs_of_session(project, session):
            return True
        traces = reader.traces_of_session(project, session)
        return any(reader.trace(project, trace) or reader.logs_of_trace(project, trace) for trace in traces)

    # What is left of names

    def _names(self, project: int, gone: Gone, removed: Sequence[Removed]) -> None:
        """Forgets names of operations that stand in no block any more."""
        names = self._blocks.names_nowhere(project, {(one.service, one.name) for one in removed if one.name})
        if names:
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

    def _forget_unread(self, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
        query = "DELETE FROM quarantine WHERE project = ? AND (instr(raw, ?) OR instr(CAST(reason AS BLOB), ?))"
        self._parts.connection.executemany(query, rows)


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
