"""What is done in the background of a file, in a share of the time: merging its index, sorting its cold blocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from otel_replay.store.sqlite.compaction import Compaction
from otel_replay.store.sqlite.pauses import Pauses
from otel_replay.store.sqlite.segments import SegmentMerger

COLD_AFTER_NS = 600 * 10**9
"""Blocks are sorted when they have been there for so long: most traces are complete then."""

LOOK_S = 30.0
"""How often it looks for cold blocks, and what is to be forgotten of them, once there were none."""


class Maintenance:
    """Merges segments first, since every lookup waits for them; then sorts what has gone cold; then forgets."""

    def __init__(
        self,
        merger: SegmentMerger,
        compaction: Compaction,
        clock: Callable[[], int],
        writer_seconds: Callable[[], float],
    ) -> None:
        self._merger = merger
        self._compaction = compaction
        self._clock = clock
        # It works a fifth of the time, a twentieth while the writer is busy.
        self._pauses = Pauses(writer_seconds, idle=4.0, busy=19.0, busy_share=0.5)
        self._lock = threading.Lock()
        self._look_at = 0.0

    def run(self, stopping: Callable[[], bool], forget: Callable[[], bool]) -> None:
        """Does what is due, step by step, with rests between; returns early once ``stopping()`` is true.

        ``forget`` is a step that takes records out of blocks once these are sorted; False when nothing was due.
        """
        with self._lock:
            while not stopping():
                with self._pauses.after(stopping):
                    if not self._merger.step(stopping) and not self._look(forget):
                        return

    def run_now(self) -> None:
        """Does all of it at once, however new the blocks are."""
        with self._lock:
            while self._merger.step() or self._compaction.step(2**63 - 1):
                pass

    def _look(self, forget: Callable[[], bool]) -> bool:
        if time.monotonic() < self._look_at:
            return False
        if self._compaction.step(self._clock() - COLD_AFTER_NS) or forget():
            return True
        self._look_at = time.monotonic() + LOOK_S
        return False
