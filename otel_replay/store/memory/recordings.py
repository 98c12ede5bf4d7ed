"""Recordings, distilled whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from otel_replay.model import Chunk, DomEvent
from otel_replay.recording.distill import distill_stream
from otel_replay.recording.streams import ChunkInfo
from otel_replay.store.memory.held import Held


class RecordingsInMemory(Held):
    """Chunks by their numbers; a stream is distilled again when it got one."""

    def distill(self, stopping: Callable[[], bool] = lambda: False) -> None:
        with self._lock:
            while self._due and not stopping():
                stream, _ = self._due.popitem()
                self._distilled[stream] = list(distill_stream(self.chunks(*stream)))

    def streams(self, project: int, session_id: str) -> list[str]:
        starts = {
            stream: min(chunk.start_unix_nano for chunk in chunks.values())
            for (owner, session, stream), chunks in self._chunks.items()
            if (owner, session) == (project, session_id)
        }
        return sorted(starts, key=lambda stream: (starts[stream], stream))

    def chunk_infos(self, project: int, session_id: str, stream_id: str) -> list[ChunkInfo]:
        return [
            ChunkInfo(
                chunk.seq or 0, chunk.start_unix_nano, chunk.end_unix_nano, chunk.has_full_snapshot, chunk.repeats
            )
            for chunk in self.chunks(project, session_id, stream_id)
        ]

    def chunks(
        self, project: int, session_id: str, stream_id: str, *, from_seq: int = 0, to_seq: int | None = None
    ) -> Iterator[Chunk]:
        stream = self._chunks.get((project, session_id, stream_id), {})
        for seq in sorted(stream):
            if from_seq <= seq and (to_seq is None or seq <= to_seq):
                yield stream[seq]

    def damaged_chunks(self, project: int, session_id: str, stream_id: str) -> frozenset[int]:
        return frozenset()

    def dom_events(self, project: int, session_id: str, stream_id: str) -> list[DomEvent]:
        return self._distilled.get((project, session_id, stream_id), [])

    def undistilled(self, project: int, session_id: str) -> int:
        return self._waiting_chunks((project, session_id))

    def _waiting_chunks(self, of: tuple[int | str, ...]) -> int:
        """Chunks to be distilled of the streams whose keys begin so."""
        due = [(self._chunks[stream], first) for stream, first in self._due.items() if stream[: len(of)] == of]
        return sum(seq >= first for chunks, first in due for seq in chunks)
