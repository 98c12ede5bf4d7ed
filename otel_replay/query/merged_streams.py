"""Streams of a recording whose chunks are spread over several receivers, in sequence as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge

from otel_replay.model import Chunk, DomEvent
from otel_replay.query.facts import StreamInfos
from otel_replay.query.parts import Asking, Part
from otel_replay.recording.distill import distill_stream
from otel_replay.recording.events import MAX_SEQ
from otel_replay.recording.streams import ChunkInfo


@dataclass(frozen=True, slots=True)
class _Place:
    """A chunk: its number in the whole stream, where it is stored, and its number there."""

    info: ChunkInfo
    part: Part
    seq_there: int


class MergedStream:
    """One stream. Chunks of equal number and time are one chunk.

    Where receivers numbered different chunks alike, as they do with chunks that come without a number, all of them are
    numbered anew in the order of their times: that of their arrival, had one receiver got them all.
    """

    def __init__(self, stream_id: str, told: Iterable[tuple[Part, ChunkInfo]]) -> None:
        self._stream_id = stream_id
        found: dict[ChunkInfo, Part] = {}
        for part, info in told:
            found.setdefault(info, part)
        ordered = sorted(found, key=lambda info: (info.seq, info.start_unix_nano, info.end_unix_nano))
        if len({info.seq for info in ordered}) < len(ordered):
            ordered.sort(key=lambda info: (info.start_unix_nano, info.end_unix_nano, info.seq))
            numbers: Iterable[int] = range(len(ordered))
        else:
            numbers = (info.seq for info in ordered)
        pairs = zip(numbers, ordered, strict=True)
        self._places = [_Place(replace(info, seq=number), found[info], info.seq) for number, info in pairs]
        self._names = list(dict.fromkeys(place.part.name for place in self._places))

    @property
    def infos(self) -> list[ChunkInfo]:
        return [place.info for place in self._places]

    def chunks(self, asking: Asking, session_id: str, from_seq: int, to_seq: int | None) -> Iterator[Chunk]:
        """In sequence order; bounds inclusive."""
        last = MAX_SEQ if to_seq is None else to_seq
        within = [place for place in self._places if from_seq <= place.info.seq <= last]
        parts = {place.part.name: place.part for place in within}
        each = [
            self._of_part(asking, session_id, part, [place for place in within if place.part is part])
            for part in parts.values()
        ]
        yield from merge(*each, key=lambda chunk: chunk.seq or 0)

    def _of_part(self, asking: Asking, session_id: str, part: Part, places: Sequence[_Place]) -> Iterator[Chunk]:
        numbers = {place.seq_there: place.info.seq for place in places}
        next_seq: int | None = min(numbers)
        while next_seq is not None:
            found = asking.ask_one(part, "chunk_part", session_id, self._stream_id, next_seq, max(numbers))
            if found is None:
                return
            yield from (replace(one, seq=numbers[one.seq]) for one in found.chunks if one.seq in numbers)
            next_seq = found.next_seq

    def damaged(self, asking: Asking, session_id: str) -> frozenset[int]:
        """Numbers of chunks that cannot be read any more where they are stored."""
        bad: dict[str, frozenset[int]] = {}
        for part in {place.part.name: place.part for place in self._places}.values():
            bad[part.name] = asking.ask_one(part, "damaged_chunks", session_id, self._stream_id) or frozenset()
        return frozenset(place.info.seq for place in self._places if place.seq_there in bad[place.part.name])

    def dom_events(self, asking: Asking, session_id: str) -> list[DomEvent]:
        """As the one receiver that has all of it distilled them; else they are distilled from all of it here."""
        if len(self._names) == 1 and all(place.info.seq == place.seq_there for place in self._places):
            return asking.ask_one(self._places[0].part, "dom_events", session_id, self._stream_id) or []
        return list(distill_stream(self.chunks(asking, session_id, 0, None)))


def merged_streams(told: Iterable[tuple[Part, Sequence[StreamInfos]]]) -> dict[str, MergedStream]:
    """By stream id."""
    found: dict[str, list[tuple[Part, ChunkInfo]]] = {}
    for part, streams in told:
        for stream in streams:
            found.setdefault(stream.stream_id, []).extend((part, info) for info in stream.infos)
    return {name: MergedStream(name, infos) for name, infos in found.items() if infos}
