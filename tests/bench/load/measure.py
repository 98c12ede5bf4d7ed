"""One measurement: entries written to a file, sent to a server, counted and compared afterwards."""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from otel_replay.errors import ReplayError
from otel_replay.store.sqlite import SqliteReader

from .client import Address, Answers, Client, Load, Protocol
from .metrics import stored
from .samples import compare_recordings, compare_traces
from .servers import RunningServer, replay_server, started
from .workload import Entry, Stream, Workload, read_entries, write_entries

PROBE_REQUESTS = 64
"""Sent before a measurement that is bounded by time, to know how many requests that takes."""
SPARE = 1.5


@dataclass(frozen=True)
class Round:
    """What was measured once; ``items`` are spans, or chunks of recordings.

    ``server_cpu_seconds`` includes the work after the last answer. Of a server that is
    not ours to watch it is 0, and so are ``stored_bytes`` and ``peak_bytes``.
    """

    items: int
    answers: Answers
    compared: int = 0
    server_cpu_seconds: float = 0
    stored_bytes: int = 0
    peak_bytes: int = 0
    ready_seconds: float = 0

    @property
    def items_per_second(self) -> float:
        return self.items / self.answers.seconds

    @property
    def megabytes_per_second(self) -> float:
        return self.answers.bytes / self.answers.seconds / 1e6

    @property
    def items_per_cpu_second(self) -> float:
        return self.items / self.server_cpu_seconds if self.server_cpu_seconds else 0.0


@dataclass(frozen=True)
class Bench:
    """Where to put files, the built client, and the core of the servers it starts."""

    client: Client
    directory: Path
    server_core: int | None

    def replay(self, stream: Stream, load: Load, count: int) -> Round:
        """`count` entries to a server of our own on an empty file; counted in the file, samples compared over HTTP."""
        with self.scratch() as scratch:
            database = scratch / "replay.db"
            with started(replay_server(database), core=self.server_core, log=scratch / "server.log") as server:
                measured = self.watched(server, stream, load, count, scratch)
                measured = replace(measured, compared=self.compare(server.http, stream, scratch, measured))
            expect(measured.items, stored_in(database, stream.workload))
            return replace(measured, stored_bytes=size_of(database))

    def watched(self, server: RunningServer, stream: Stream, load: Load, count: int, scratch: Path) -> Round:
        """`count` entries to a running server, its CPU time counted until it is idle again."""
        items = write_entries(entries_file(scratch), limited(stream, count))
        before = server.cpu_seconds()
        answers = self.client.send(address(server, load), entries_file(scratch), load)
        peak = server.resident_bytes()
        server.wait_until_idle()
        items = items * answers.succeeded // count
        cpu = server.cpu_seconds() - before
        return Round(items, answers, 0, cpu, peak_bytes=peak, ready_seconds=server.ready_seconds)

    def compare(self, server: Address, stream: Stream, scratch: Path, measured: Round) -> int:
        """How many spans or chunks were read back and are what was sent; raises where one is not."""
        if stream.workload is Workload.RECORDINGS:
            return compare_recordings(server, read_entries(entries_file(scratch)), measured.answers.succeeded)
        return compare_traces(server, entries_file(scratch), measured.answers.succeeded)

    def target(self, receiver: Address, api: Address | None, stream: Stream, load: Load, count: int) -> Round:
        """`count` entries to somebody else's server; counted and compared where `api`, its HTTP port, is known."""
        with self.scratch() as scratch:
            items = write_entries(entries_file(scratch), limited(stream, count))
            before = stored(api, stream.workload) if api else 0
            answers = self.client.send(receiver, entries_file(scratch), load)
            measured = Round(items * answers.succeeded // count, answers)
            if not api:
                return measured
            expect(measured.items, stored(api, stream.workload) - before)
            return replace(measured, compared=self.compare(api, stream, scratch, measured))

    def requests_for(self, seconds: float, measure: Callable[[Load, int], Round], load: Load) -> int:
        """How many requests a measurement of `seconds` can use, with some to spare."""
        probe = measure(replace(load, seconds=0), PROBE_REQUESTS)
        return max(PROBE_REQUESTS, round(PROBE_REQUESTS / probe.answers.seconds * seconds * SPARE))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            yield Path(name)


def entries_file(scratch: Path) -> Path:
    return scratch / "entries.bin"


def address(server: RunningServer, load: Load) -> Address:
    return server.http if load.protocol is Protocol.HTTP else server.grpc


def load_for(workload: Workload, load: Load) -> Load:
    """Recordings are JSON, and there is no OTLP/gRPC for chunks."""
    if workload is not Workload.RECORDINGS:
        return load
    return replace(load, protocol=Protocol.HTTP, content_type="application/json")


def stored_in(database: Path, workload: Workload) -> int:
    """Spans or chunks in the file of a stopped server."""
    reader = SqliteReader(database)
    try:
        return reader.counts()["chunks" if workload is Workload.RECORDINGS else "spans"]
    finally:
        reader.close()


def expect(sent: int, found: int) -> None:
    """Raises :class:`ReplayError` unless exactly what was sent is there."""
    if found != sent:
        raise ReplayError(f"{sent:,} were sent and acknowledged, and {found:,} are stored")


def size_of(database: Path) -> int:
    """Bytes of the database's files once nobody writes it."""
    return sum(file.stat().st_size for file in database.parent.glob(f"{database.name}*"))


def sync_p50_ms(directory: Path, size: int = 256 << 10, times: int = 50) -> float:
    """Median time of a write and fdatasync of `size` bytes in `directory`: what an acknowledgement must wait for."""
    block, took = os.urandom(size), []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(times):
            before = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - before)
    return statistics.median(took) * 1e3


def limited(stream: Stream, count: int) -> Iterator[Entry]:
    """The first `count` entries."""
    return itertools.islice(stream.entries(), count)
