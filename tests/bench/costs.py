"""What a span costs in this process, stage by stage, in CPU time: no transport, no client, no second core.

Stages of the store are told apart from outside: by how much more it takes to commit a write with its index entries, its
rows, its message bodies than without them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import zstandard

from otel_replay.model import DEFAULT_PROJECT, Signal, Source
from otel_replay.otlp.requests import accept
from otel_replay.receiver.handler import Handler, Sender
from otel_replay.store.base import Receipt, Write
from otel_replay.store.sqlite import SqliteStore

from .load.measure import limited, size_of
from .load.workload import Stream, Workload
from .promises import OWN
from .rows import Row
from .setup import Setup

IN_FLIGHT = 16
SENDER = Sender(DEFAULT_PROJECT, Source.SERVER)
FOLLOWS_WITHIN_S = 120

Timed = tuple[float, Any]


@dataclass
class Kept:
    """Stands where the handler has its store, and keeps what it is given."""

    writes: list[Write] = field(default_factory=list)

    def commit(self, write: Write) -> Receipt:
        self.writes.append(write)
        return Receipt(duplicate=False)


@dataclass(frozen=True)
class Stored:
    """What committing took, until everything that follows the acknowledgement had caught up, and what it left."""

    cpu_seconds: float
    bytes: int


def costs(setup: Setup) -> Iterator[Row]:
    """Stages of W1 and W2, and what sharing message bodies saves of W2c."""
    for workload, count in ((Workload.W1, 96), (Workload.W2, 48)):
        yield Row("costs", "us a span", workload, stages(workload, count, setup.repeat))
    shared, unshared = shared_bodies(200)
    values = {"bytes": shared, "bytes without shared bodies": unshared, "ratio": shared / unshared}
    yield Row("bodies", OWN, Workload.W2C, values)


def requests_of(workload: Workload, count: int) -> tuple[list[bytes], int]:
    """`count` request bodies and the number of their spans."""
    entries = list(limited(Stream(workload, "costs"), count))
    return [entry.body for entry in entries], sum(entry.items for entry in entries)


def cpu(work: Callable[[], Any]) -> Timed:
    """CPU seconds of the whole process, and what `work` returned."""
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def prepared(bodies: Sequence[bytes]) -> list[Write]:
    """All that happens to requests before they are committed."""
    kept = Kept()
    handler = Handler(kept, time.time_ns, lambda: None)
    for body in bodies:
        handler.export(Signal.TRACES, body, SENDER)
    return kept.writes


def stored(writes: Sequence[Write]) -> Stored:
    """Commits to a new file, 16 at a time as a server would."""
    with tempfile.TemporaryDirectory() as name:
        database = Path(name) / "replay.db"
        store = SqliteStore(database)
        took, _ = cpu(lambda: commit_all(store, writes))
        store.close()
        return Stored(took, size_of(database))


def commit_all(store: SqliteStore, writes: Sequence[Write]) -> None:
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for receipt in pool.map(store.commit, writes):
            assert not receipt.duplicate
    deadline = time.monotonic() + FOLLOWS_WITHIN_S
    while any(store.lag()):
        assert time.monotonic() < deadline, f"what follows is behind: {store.lag()}"
        time.sleep(0.01)


def stages(workload: Workload, count: int, repeat: int = 3) -> dict[str, float]:
    """Microseconds of CPU a span, the least of `repeat`, and bytes a span under the name ``bytes``."""
    bodies, spans = requests_of(workload, count)
    compressor = zstandard.ZstdCompressor(level=1)
    writes = prepared(bodies)
    unshared = [without_contents(write) for write in writes]
    indexed = [without_rows(write) for write in writes]
    plain = [replace(write, trace_ids=frozenset(), session_ids=frozenset()) for write in indexed]

    def least(work: Callable[[], Any]) -> float:
        return min(cpu(work)[0] for _ in range(repeat)) / spans * 1e6

    def stored_us(what: Sequence[Write]) -> float:
        return min(stored(what).cpu_seconds for _ in range(repeat)) / spans * 1e6

    accepted = least(lambda: [accept(Signal.TRACES, body) for body in bodies])
    compressed = least(lambda: [compressor.compress(body) for body in bodies])
    block, index, rows, whole = map(stored_us, (plain, indexed, unshared, writes))
    return {
        "accept": accepted,
        "prepare": least(lambda: prepared(bodies)) - accepted,
        "zstd": compressed,
        "block and commit": block - compressed,
        "index": index - block,
        "rows and roll-ups": rows - index,
        "bodies and search": whole - rows,
        "bytes": stored(writes).bytes / spans,
    }


def shared_bodies(count: int) -> tuple[float, float]:
    """Bytes a span of W2c: as stored, and with each span keeping what it repeats."""
    bodies, spans = requests_of(Workload.W2C, count)
    writes = prepared(bodies)
    unshared = [without_contents(write) for write in writes]
    return stored(writes).bytes / spans, stored(unshared).bytes / spans


def without_contents(write: Write) -> Write:
    """As if nothing had been said: bodies stay in their spans and are not searchable."""
    return replace(write, interactions=[row._replace(contents=()) for row in write.interactions])


def without_rows(write: Write) -> Write:
    return replace(write, interactions=(), actions=(), sessions=(), session_traces=frozenset(), operations=frozenset())
