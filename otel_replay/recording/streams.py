"""The chunks of one stream in sequence order: joining, gaps, and where a player can start."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, replace

from otel_replay.errors import InvalidRequest
from otel_replay.model import Chunk, Gap
from otel_replay.recording.events import Event, parse_events

DEFAULT_STREAM = "main"
"""The stream of a sender that does not tell its tabs apart."""

EARLIER = " (before)"
"""Behind the name of a stream: what was counted before its count began (:attr:`Chunk.counted_anew`)."""
MILLISECOND = 1_000_000
"""In nanoseconds. What is finer tells no order: events are stamped in milliseconds, and slices by their record, whose
nanoseconds HyperDX writes as a double, up to 128 off."""


@dataclass(frozen=True, slots=True)
class ChunkInfo:
    """What finding gaps and seeking need of a chunk: its metadata row without the payload."""

    seq: int
    start_unix_nano: int
    end_unix_nano: int
    has_full_snapshot: bool
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Events that came in one chunk, or one event that came in the slices ``first_seq`` to ``last_seq``."""

    first_seq: int
    last_seq: int
    events: Iterable[Event]


def join_pieces(chunks: Iterable[Chunk], read: Callable[[bytes], Iterable[Event]] = parse_events) -> Iterator[Piece]:
    """The events of one stream's chunks, which come in sequence order, as ``read`` gives them; slices are joined.

    An event with a missing slice is left out, and so is what cannot be read; the pieces' numbers show what is missing.
    """
    slices: list[Chunk] = []
    for chunk in chunks:
        if chunk.slice_count == 1:
            slices = [chunk]
        elif slices and _continues(slices[-1], chunk):
            slices.append(chunk)
        else:
            slices = [chunk] if chunk.slice_index == 1 else []
        if slices and len(slices) == chunk.slice_count:
            yield from _joined(slices, read)
            slices = []


def counted_before(chunk: Chunk, known: Iterable[tuple[int, int]]) -> bool:
    """Whether a chunk that is :attr:`~Chunk.counted_anew` is of the count before.

    ``known`` are number and start (ns) of what its stream has. Of the count before is what is older than number 0, or
    than another chunk of its own number: so whichever comes first, the same ones are told apart.
    """
    time = _milliseconds(chunk.start_unix_nano)
    return any(seq in (0, chunk.seq) and time < _milliseconds(start) for seq, start in known)


def outdated_by(chunk: Chunk, known: Iterable[tuple[int, int]]) -> list[int]:
    """Which of the ``known`` numbers a chunk that is :attr:`~Chunk.counted_anew` shows to be of the count before."""
    time = _milliseconds(chunk.start_unix_nano)
    return [seq for seq, start in known if chunk.seq in (0, seq) and _milliseconds(start) < time]


def _milliseconds(unix_nano: int) -> int:
    return (unix_nano + MILLISECOND // 2) // MILLISECOND


def of_earlier(chunk: Chunk) -> Chunk:
    """The same chunk in the stream of what was counted before, where it gets the next number."""
    return replace(chunk, stream_id=chunk.stream_id + EARLIER, seq=None, counted_anew=False)


def find_gaps(stream_id: str, infos: Iterable[ChunkInfo], damaged: Container[int] = ()) -> list[Gap]:
    """The holes in a stream's sequence numbers, in order; ``infos`` come in sequence order.

    A first number above 0 is a gap after -1. What is missing lies between the end of the chunk before (for a missing
    beginning: the start of the chunk after) and the start of the chunk after. Chunks that are stored and cannot be read
    any more, whose numbers are ``damaged``, are gaps of their own.
    """
    infos = list(infos)
    full = [info.seq for info in infos if info.has_full_snapshot and info.seq not in damaged]
    gaps: list[Gap] = []

    def add(reason: str, after_seq: int, last_seq: int, from_unix_nano: int, to_unix_nano: int) -> None:
        resumes_at = next(iter(full[bisect_right(full, last_seq) :]), None)
        missing = last_seq - after_seq
        gaps.append(Gap(stream_id, after_seq, missing, reason, from_unix_nano, to_unix_nano, resumes_at))

    after_seq, end = -1, infos[0].start_unix_nano if infos else 0
    for info in infos:
        if info.seq > after_seq + 1:
            add("missing", after_seq, info.seq - 1, end, info.start_unix_nano)
        if info.seq in damaged:
            add("damaged", info.seq - 1, info.seq, info.start_unix_nano, info.end_unix_nano)
        after_seq, end = info.seq, info.end_unix_nano
    return gaps


def snapshot_before(infos: Iterable[ChunkInfo], unix_nano: int) -> int | None:
    """The sequence number to play from to see ``unix_nano``: the last chunk with a full snapshot that starts by then.

    None where there is none: everything before the first full snapshot cannot be played.
    """
    found = [info.seq for info in infos if info.has_full_snapshot and info.start_unix_nano <= unix_nano]
    return max(found, default=None)


def repeated(infos: Iterable[ChunkInfo], first: int, last: int) -> frozenset[int]:
    """Numbers of the chunks that a player does not need which plays those from ``first`` to ``last``.

    They repeat what a full snapshot before and the changes since, all of which are there, have told.
    """
    found = set()
    previous, is_told = first, False
    for info in infos:
        if not first <= info.seq <= last:
            continue
        is_told = is_told and info.seq == previous + 1
        if info.repeats and is_told:
            found.add(info.seq)
        previous, is_told = info.seq, is_told or info.has_full_snapshot
    return frozenset(found)


def _continues(before: Chunk, chunk: Chunk) -> bool:
    return (
        before.seq is not None
        and chunk.seq == before.seq + 1
        and chunk.slice_index == before.slice_index + 1
        and chunk.slice_count == before.slice_count
    )


def _joined(slices: list[Chunk], read: Callable[[bytes], Iterable[Event]]) -> Iterator[Piece]:
    first, last = slices[0].seq, slices[-1].seq
    if first is None or last is None:
        return  # not numbered yet, so not part of the order
    try:
        events = read(b"".join(one.payload for one in slices))
    except InvalidRequest:
        return  # slices are stored unparsed, and of other chunks only as much was read as storing them takes
    yield Piece(first, last, events)
