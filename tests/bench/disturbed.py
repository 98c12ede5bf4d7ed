"""Writes beside readers: a process that scans on the other core, and questions that the server itself answers."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from subprocess import Popen

from .load.client import Load, pinned
from .load.measure import entries_file, limited
from .load.servers import RunningServer
from .load.workload import Workload, write_entries
from .promises import ALONE, QUERIES, READER
from .queries import Timings, asking
from .rows import Row
from .setup import CLIENT_CORE, USUAL, Setup, say

BESIDE_S = 10.0
STORED_BEFORE = 1_000
"""Requests: half a million spans to scan and to ask about."""
QUERIES_PER_SECOND = 20.0

Disturbance = Callable[[RunningServer, Path], AbstractContextManager[Timings | None]]


def beside(setup: Setup) -> Iterator[Row]:
    """Writes alone, beside a reader process on the other core, and while the server answers queries."""
    disturbances: dict[str, Disturbance] = {ALONE: undisturbed, READER: scanning, QUERIES: questioned}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in disturbances}
    for number in range(setup.repeat):
        for name, disturbance in disturbances.items():
            found[name].append(disturbed_round(setup, disturbance, f"{name}:{number}"))
    for name, rounds in found.items():
        medians = {figure: statistics.median(one[figure] for one in rounds) for figure in rounds[0]}
        yield Row("beside", name, Workload.W1, medians)


def disturbed_round(setup: Setup, disturbance: Disturbance, label: str) -> dict[str, float]:
    """Spans/s and the p99 of acknowledgements while something else goes on."""
    count = setup.scaled(STORED_BEFORE)
    with setup.replay() as (server, scratch):
        file = entries_file(scratch)
        write_entries(file, limited(setup.stream(Workload.W1, f"{label}:before"), count))
        setup.bench.client.send(server.grpc, file, USUAL)
        write_entries(file, limited(setup.stream(Workload.W1, label), 8 * count))
        with disturbance(server, scratch / "replay.db") as asked:
            answers = setup.bench.client.send(server.grpc, file, Load(seconds=BESIDE_S * setup.scale))
    rate = answers.succeeded * Workload.W1.usual_items / answers.seconds
    say(f"{label}: {rate:,.0f} spans/s, p99 {answers.p99_ms:.0f} ms")
    questions = asked.count / answers.seconds if asked else 0.0
    return {
        "spans/s": rate,
        "ack p99 ms": answers.p99_ms,
        "queries/s answered": questions,
        "client busy": answers.busy,
    }


def undisturbed(_server: RunningServer, _database: Path) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def scanning(_server: RunningServer, database: Path) -> Iterator[None]:
    """A reader process that scans without a pause, on the client's core."""
    process = Popen([*pinned(CLIENT_CORE), sys.executable, "-m", "tests.bench.scanner", str(database)])
    try:
        yield
        if process.poll() is not None:
            raise ChildProcessError(f"the reader process ended by itself ({process.returncode}): nothing was disturbed")
    finally:
        process.kill()
        process.wait()


def questioned(server: RunningServer, _database: Path) -> AbstractContextManager[Timings]:
    return asking(server.http, QUERIES_PER_SECOND)
