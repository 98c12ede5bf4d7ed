"""Reading recordings back: the rrweb events of each stream in sequence order, whole, in part or page by page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from otel_replay.errors import InvalidRequest, NotFound, StoreError
from otel_replay.model import Chunk, Gap
from otel_replay.query.uploads import PART_BYTES, WriteChunks, chunk_bodies
from otel_replay.recording.events import MAX_SEQ, Event, parse_events
from otel_replay.recording.streams import ChunkInfo, find_gaps, join_pieces, repeated, snapshot_before
from otel_replay.store.base import Reader
from otel_replay.timeline.entry import gap_dict

MAX_PAGE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StreamRecording:
    """Part of one stream: the events of the chunks ``from_seq`` to ``to_seq``, and the holes among them."""

    stream_id: str
    from_seq: int
    to_seq: int
    gaps: Sequence[Gap]
    events: list[Any]
    """rrweb events, or whatever ``read`` made of them."""
    playable: bool = True
    """False for a stream without any full snapshot: a format that is only kept, or what came before the first one."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "stream_id": self.stream_id,
            "from_seq": self.from_seq,
            "to_seq": self.to_seq,
            "gaps": [gap_dict(gap) for gap in self.gaps],
            "playable": self.playable,
            "events": self.events,
        }


class RecordingPage(NamedTuple):
    """As much as fits; ``next_cursor`` goes on after it."""

    streams: list[StreamRecording]
    next_cursor: str | None

    def to_dict(self) -> dict[str, Any]:
        return {"streams": [stream.to_dict() for stream in self.streams], "next_cursor": self.next_cursor}


class LocalRecordings:
    """Recordings of one project."""

    def __init__(self, reader: Reader, project: int, write: WriteChunks | None = None) -> None:
        self._reader = reader
        self._project = project
        self._write = write

    def download(
        self,
        session_id: str,
        stream: str | None = None,
        *,
        from_unix_nano: int | None = None,
        to_unix_nano: int | None = None,
    ) -> list[StreamRecording]:
        """Every stream of a session (or the one named), each with its rrweb events exactly as they were sent.

        With ``from_unix_nano`` from the nearest earlier full snapshot on.
        """
        return self.page(
            session_id, stream=stream, from_unix_nano=from_unix_nano, to_unix_nano=to_unix_nano, max_bytes=2**62
        ).streams

    def page(
        self,
        session_id: str,
        *,
        stream: str | None = None,
        from_unix_nano: int | None = None,
        to_unix_nano: int | None = None,
        max_bytes: int = MAX_PAGE_BYTES,
        cursor: str | None = None,
        read: Callable[[bytes], Iterable[Any]] = parse_events,
    ) -> RecordingPage:
        """Part of a recording; with ``from_unix_nano`` from the nearest earlier full snapshot on.

        ``read`` gives the events of a chunk: :func:`event_texts` for whoever only hands them on.
        """
        return read_recording(
            self._reader,
            self._project,
            session_id,
            stream=stream,
            from_unix_nano=from_unix_nano,
            to_unix_nano=to_unix_nano,
            max_bytes=max_bytes,
            cursor=cursor,
            read=read,
        )

    def pages(self, session_id: str, *, stream: str | None = None) -> Iterator[RecordingPage]:
        """A whole recording, a page at a time, the first one read at once; none for a session without one."""
        if not self._reader.streams(self._project, session_id):
            return iter(())

        def read(cursor: str | None) -> RecordingPage:
            return self.page(session_id, stream=stream, max_bytes=PART_BYTES, cursor=cursor)

        return _followed(read(None), read)

    def upload(self, session_id: str, events: Iterable[Event], *, stream: str = "main") -> int:
        """Stores rrweb events behind those of the stream; the number of the last chunk that they are.

        Large recordings go in several chunks. The same events again are the same chunks: what broke off can be sent
        again. While a server writes the file they go through it. Raises :class:`InvalidRequest` that says which event
        is none, before anything is stored.
        """
        if self._write is None:
            raise StoreError("this takes no recordings", hint="upload to what otel_replay.open() opens")
        return self._write(session_id, stream, chunk_bodies(stream, events))


def _followed(page: RecordingPage, read: Callable[[str], RecordingPage]) -> Iterator[RecordingPage]:
    """A page and all that come after it."""
    yield page
    while page.next_cursor is not None:
        page = read(page.next_cursor)
        yield page


class _Position(NamedTuple):
    stream_id: str
    seq: int


def read_recording(
    reader: Reader,
    project: int,
    session_id: str,
    *,
    stream: str | None = None,
    from_unix_nano: int | None = None,
    to_unix_nano: int | None = None,
    max_bytes: int = MAX_PAGE_BYTES,
    cursor: str | None = None,
    read: Callable[[bytes], Iterable[Any]] = parse_events,
) -> RecordingPage:
    """One page of a session's recording.

    With ``from_unix_nano`` each stream starts at the nearest earlier full snapshot, so that it can be played, and later
    ones that only repeat what is told are left out: in 20 s of a busy page they are a quarter of the bytes. (Not behind
    a cursor: they are where a player resumes after damage, and that may lie on the page before.) Raises
    :class:`NotFound` for a session without a recording, or without that stream.
    """
    wanted = _streams(reader, project, session_id, stream)
    position = _decode(cursor) if cursor else None
    if position is not None:
        if position.stream_id not in wanted:
            raise InvalidRequest("the cursor is not one of this recording", hint="start again without a cursor")
        wanted = wanted[wanted.index(position.stream_id) :]
    page: list[StreamRecording] = []
    left = max_bytes
    for stream_id in wanted:
        infos = reader.chunk_infos(project, session_id, stream_id)
        first, last = _bounds(infos, from_unix_nano, to_unix_nano)
        if position is not None and position.stream_id == stream_id:
            first = position.seq
        if left <= 0:
            return RecordingPage(page, _encode(_Position(stream_id, first)))
        is_part = from_unix_nano is not None and cursor is None
        left_out = repeated(infos, first, last) if is_part else frozenset()
        part = _read_part(reader, (project, session_id, stream_id), first, last, left, read, left_out)
        if left_out and _damaged(infos, first, last, part):  # then players resume at the next full snapshot
            part = _read_part(reader, (project, session_id, stream_id), first, last, left, read, frozenset())
        page.append(_recording(stream_id, infos, first, last, part))
        if part.next_seq is not None:
            return RecordingPage(page, _encode(_Position(stream_id, part.next_seq)))
        left -= part.size
    return RecordingPage(page, None)


def _streams(reader: Reader, project: int, session_id: str, stream: str | None) -> list[str]:
    streams = reader.streams(project, session_id)
    if not streams:
        raise NotFound(f"session {session_id} has no recording", hint="otel-replay sessions lists what there is")
    if stream is None:
        return streams
    if stream not in streams:
        raise NotFound(f"session {session_id} has no stream {stream}", hint=f"it has: {', '.join(streams)}")
    return [stream]


def _bounds(infos: Sequence[ChunkInfo], from_unix_nano: int | None, to_unix_nano: int | None) -> tuple[int, int]:
    """First and last sequence number to read."""
    first = infos[0].seq
    if from_unix_nano is not None:
        first = snapshot_before(infos, from_unix_nano) or first
    if to_unix_nano is None:
        return first, infos[-1].seq
    return first, max((info.seq for info in infos if info.start_unix_nano <= to_unix_nano), default=first)


class _Part(NamedTuple):
    """``read`` are the numbers of the chunks that were read for it, perhaps of the next piece's, too, or left out."""

    events: list[Any]
    last_seq: int
    size: int
    next_seq: int | None
    read: Set[int]


def _read_part(
    reader: Reader,
    stream: tuple[int, str, str],
    first: int,
    last: int,
    max_bytes: int,
    read: Callable[[bytes], Iterable[Any]],
    left_out: Set[int],
) -> _Part:
    """Whole pieces until ``max_bytes`` are passed, at least one; a sliced event is never cut."""
    sizes: dict[int, int] = {}
    chunks = _measured(_chunks(reader, stream, first, last, left_out), sizes)
    part = _Part([], first, 0, None, frozenset())
    for piece in join_pieces(chunks, read):
        if part.events and part.size >= max_bytes:
            part = part._replace(next_seq=piece.first_seq)
            break
        part.events.extend(piece.events)
        part = part._replace(last_seq=piece.last_seq, size=sum(sizes.values()))
    return part._replace(read=left_out | sizes.keys())


def _chunks(reader: Reader, stream: tuple[int, str, str], first: int, last: int, left_out: Set[int]) -> Iterator[Chunk]:
    """In sequence order. Those that are left out are not read from the file either."""
    for skipped in sorted(left_out):
        yield from reader.chunks(*stream, from_seq=first, to_seq=skipped - 1)
        first = skipped + 1
    yield from reader.chunks(*stream, from_seq=first, to_seq=last)


def _measured(chunks: Iterator[Chunk], sizes: dict[int, int]) -> Iterator[Chunk]:
    """The same chunks; their sizes by number."""
    for chunk in chunks:
        sizes[chunk.seq or 0] = len(chunk.payload)
        yield chunk


def _recording(stream_id: str, infos: Sequence[ChunkInfo], first: int, last: int, part: _Part) -> StreamRecording:
    """Holes that lie between two pages belong to the earlier one."""
    end = _end(last, part)
    damaged = _damaged(infos, first, last, part)
    within = [gap for gap in find_gaps(stream_id, infos, damaged) if first - 1 <= gap.after_seq < end]
    playable = any(info.has_full_snapshot for info in infos)
    return StreamRecording(stream_id, first, part.last_seq, within, part.events, playable)


def _damaged(infos: Sequence[ChunkInfo], first: int, last: int, part: _Part) -> Set[int]:
    """Numbers of the chunks of a part that are stored and could not be read."""
    return {info.seq for info in infos if first <= info.seq <= _end(last, part)} - part.read


def _end(last: int, part: _Part) -> int:
    return last if part.next_seq is None else part.next_seq - 1


def _encode(position: _Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _decode(cursor: str) -> _Position:
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):
        position = None
    match position:
        case [str(stream_id), int(seq)] if 0 <= seq <= MAX_SEQ and not isinstance(seq, bool):
            return _Position(stream_id, seq)
    raise InvalidRequest("the cursor is not one that was given out", hint="leave it out to start at the beginning")
