"""Distilling a stream piece by piece: what to read again when a late chunk came, and what to go on from.

DOM events need the page's mirror, which only exists in sequence: a stream is distilled in sequence order, going on
from where it stands, or from the last full snapshot before the first chunk that is due.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from otel_replay.model import Chunk, DomEvent
from otel_replay.recording.distill import StreamDistiller, distill_stream
from otel_replay.recording.events import EventType

StreamKey = tuple[int, str, str]
"""(project, session id, stream id)."""

KEPT_MIRRORS = 64
KEPT_BYTES = 256 * 1024 * 1024
"""Of all mirrors but the last: 64 pages of 10,000 nodes fit, and 500,000 nodes come in a request of 1 MB."""


class Due(NamedTuple):
    """Chunks to distill, both ends included; ``first`` is the first slice of its event."""

    first: int
    last: int


class Distillation:
    """Distills due chunks; keeps the mirrors of the streams used last, so that live ones need no reading again."""

    def __init__(self) -> None:
        self._at: OrderedDict[StreamKey, tuple[int, StreamDistiller]] = OrderedDict()

    def run(
        self,
        stream: StreamKey,
        due: Due,
        snapshot_before: Callable[[int], int],
        address_before: Callable[[int], str | None],
        read: Callable[[int, int], Iterable[Chunk]],
    ) -> list[DomEvent]:
        """The DOM events of the due chunks, whatever was distilled before."""
        done, distiller = self._at.pop(stream, (-2, StreamDistiller()))
        start = due.first
        if distiller.next_seq is None or done + 1 != due.first:
            start, distiller = snapshot_before(due.first), StreamDistiller()
            if (address := address_before(start)) is not None:
                # An address is told once: the distiller has to know the one that was told before the snapshot.
                distiller.feed(start, [{"type": EventType.META, "timestamp": 0, "data": {"href": address}}])
        events = list(distill_stream(read(start, due.last), distiller))
        self._at[stream] = (due.last, distiller)
        self._make_room()
        return [event for event in events if event.seq >= due.first]

    def _make_room(self) -> None:
        """Lets go the mirrors that were not used for longest; the last one stays in any case."""
        size = sum(distiller.size for _, distiller in self._at.values())
        while len(self._at) > 1 and (len(self._at) > KEPT_MIRRORS or size > KEPT_BYTES):
            _, (_, distiller) = self._at.popitem(last=False)
            size -= distiller.size
