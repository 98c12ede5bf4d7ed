"""A store in memory with the same answers as every other: for tests of what stands on a store, to compare with, and to
put together the rows of several receivers.

It keeps what it is given and searches all of it: no index, no compression, nothing to get wrong.
"""

from __future__ import annotations

from collections.abc import Callable

from otel_replay.model import Signal
from otel_replay.store.base import Lag
from otel_replay.store.memory.statistics import StatisticsInMemory
from otel_replay.store.memory.telemetry import TelemetryInMemory


class MemoryStore(TelemetryInMemory, StatisticsInMemory):
    """A :class:`~otel_replay.store.base.Store` that forgets everything when the process ends."""

    def compact(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Nothing to sort."""

    def close(self) -> None:
        """Nothing to let go of."""

    def lag(self, project: int | None = None) -> Lag:
        return Lag(texts=0, interactions=0, chunks=self._waiting_chunks(() if project is None else (project,)))

    def counts(self) -> dict[str, int]:
        items = {signal: sum(write.items for write in self._writes if write.signal == signal) for signal in Signal}
        return {
            "spans": items[Signal.TRACES],
            "log_records": items[Signal.LOGS],
            "metrics": items[Signal.METRICS],
            "blocks": sum(bool(write.body) for write in self._writes),
            "chunks": sum(len(stream) for stream in self._chunks.values()),
            "sessions": len(self._sightings),
            "interactions": len(self._interactions),
            "actions": len(self._actions),
            "quarantine": sum(len(write.quarantined) for write in self._writes),
        }
