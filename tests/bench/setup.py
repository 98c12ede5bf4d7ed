"""What every part of a benchmark run is measured with."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .load.client import Load
from .load.measure import Bench
from .load.servers import RunningServer, replay_server, started
from .load.workload import Stream, Workload

SERVER_CORE, CLIENT_CORE = 0, 1
USUAL = Load()


@dataclass(frozen=True)
class Setup:
    """The client and the cores, how often, which share of the usual amount, and what makes this run's ids its own."""

    bench: Bench
    repeat: int
    scale: float
    seed: str

    def stream(self, workload: Workload, label: object, spans: int = 0) -> Stream:
        """Entries that no other label of this run, and no other run, sends."""
        return Stream(workload, f"{self.seed}:{label}", spans, time.time_ns())

    def scaled(self, count: int) -> int:
        return max(1, round(count * self.scale))

    @contextmanager
    def replay(self) -> Iterator[tuple[RunningServer, Path]]:
        """A server of this project on an empty file, replay.db in the directory that comes with it."""
        with (
            self.bench.scratch() as scratch,
            started(replay_server(scratch / "replay.db"), core=SERVER_CORE, log=scratch / "log") as server,
        ):
            yield server, scratch


def say(what: str) -> None:
    """Progress, beside the answer."""
    print(what, file=sys.stderr, flush=True)
