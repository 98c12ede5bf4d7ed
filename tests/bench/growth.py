"""How a file behaves as it grows: W1 into one file, asked at 0.1, 1, 10 and 30 million spans; W2 to a million calls."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import requests
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_replay.model import DEFAULT_PROJECT
from otel_replay.store.base import AttributeTest, SessionFilter, SpanFilter
from otel_replay.store.sqlite import SqliteReader

from .load.client import Load
from .load.measure import Bench, entries_file, size_of
from .load.metrics import waiting
from .load.servers import RunningServer, replay_server, started
from .load.words import vocabulary
from .load.workload import TEMPLATE_SPANS, Entry, Stream, Workload, write_entries
from .queries import Timings, beside, get
from .rows import Row
from .setup import Setup, say

SIZES_M = (0.1, 1.0, 10.0, 30.0)
"""Million spans."""
PART_REQUESTS = 2_000
"""Written, sent and forgotten at a time: a million spans, half a gigabyte."""
LOOKUPS = 400
CALLS_SPANS_M = 10.4
"""Of W2, for a million calls of models: a little less than one span in ten."""
QUESTIONS = 100
RARE = SpanFilter(attributes=(AttributeTest("span", "http.route", "/nowhere"),))


@dataclass
class Growing:
    """One file, its server, and how much of a stream is in it."""

    bench: Bench
    scratch: Path
    stream: Stream
    requests: int = 0
    rate: float = 0
    peak_bytes: int = 0
    raw_bytes: int = 0
    parts: ExitStack = field(default_factory=ExitStack)

    @property
    def database(self) -> Path:
        return self.scratch / "replay.db"

    @property
    def spans(self) -> int:
        return self.requests * self.stream.workload.usual_items

    def open(self) -> RunningServer:
        """A server on the file, until :meth:`close`."""
        launch = replay_server(self.database)
        log = self.scratch / "server.log"
        return self.parts.enter_context(started(launch, core=self.bench.server_core, log=log))

    def close(self) -> None:
        self.parts.close()

    def grow(self, server: RunningServer, to_spans: float) -> None:
        """Sends until the file holds so much; the rate is that of the last part."""
        goal = round(to_spans / self.stream.workload.usual_items)
        entries = self.stream.entries(self.requests)
        while self.requests < goal:
            part = min(PART_REQUESTS, goal - self.requests)
            spans = write_entries(entries_file(self.scratch), islice(entries, part))
            with watching_memory(server) as peak:
                answers = self.bench.client.send(server.grpc, entries_file(self.scratch), Load())
            self.requests += part
            self.raw_bytes += answers.bytes
            self.rate, self.peak_bytes = spans / answers.seconds, max(peak)

    def samples(self, count: int) -> Iterator[tuple[str, str]]:
        """(trace id, session id) of spans from anywhere in what was sent."""
        rng = random.Random(0)
        for _ in range(count):
            entry = next(self.stream.entries(rng.randrange(self.requests)))
            yield rng.choice([(trace_id.hex(), told) for trace_id, told in told_in(entry, "session.id")])

    def users(self, count: int) -> list[str]:
        """Of users who have calls in what was sent, some at random: of 5,000 names it has about 1,800."""
        one_pass = TEMPLATE_SPANS // self.stream.workload.usual_items  # later ones have the same users: load/fresh.py
        found = {user for entry in islice(self.stream.entries(0), one_pass) for _, user in told_in(entry, "user.id")}
        return random.Random(0).sample(sorted(found), count)


def told_in(entry: Entry, key: str) -> list[tuple[bytes, str]]:
    """(trace id, value) of each span of a request that has an attribute."""
    groups = TracesData.FromString(entry.body).resource_spans[0].scope_spans
    spans = [span for group in groups for span in group.spans]
    return [(s.trace_id, a.value.string_value) for s in spans for a in s.attributes if a.key == key]


@contextmanager
def watching_memory(server: RunningServer) -> Iterator[list[int]]:
    """Resident bytes, sampled five times a second while something else goes on."""
    sampled, stopping = [server.resident_bytes()], threading.Event()

    def watch() -> None:
        while not stopping.wait(0.2):
            sampled.append(server.resident_bytes())

    with beside(watch, stopping):
        yield sampled


def growth(setup: Setup) -> Iterator[Row]:
    """A row for each size, while one file grows: two hours, and 14 GB of requests, half a gigabyte at a time."""
    with setup.bench.scratch() as scratch:
        file = Growing(setup.bench, scratch, setup.stream(Workload.W1, "growth"))
        try:
            for millions in SIZES_M:
                server = file.open()
                file.grow(server, millions * 1e6 * setup.scale)
                server.wait_until_idle()
                file.close()
                bytes_per_span = size_of(file.database) / file.spans
                server = file.open()
                values = {
                    "spans/s": file.rate,
                    "bytes/span": bytes_per_span,
                    "memory MB": file.peak_bytes / 1e6,
                    "ready s": server.ready_seconds,
                    **lookups(file, server),
                }
                file.close()
                say(f"{file.spans:,} spans: {values}")
                yield Row("growth", f"{millions * setup.scale:g} M", Workload.W1, values)
        finally:
            file.close()


def lookups(file: Growing, server: RunningServer) -> dict[str, float]:
    """Traces, sessions and a scan, asked of the file in this process, and traces over HTTP."""
    samples = list(file.samples(LOOKUPS))
    timings = Timings()
    reader = SqliteReader(file.database)
    try:
        for trace_id, session_id in samples:
            found = timings.timed("trace", partial(reader.spans_of_trace, DEFAULT_PROJECT, trace_id))
            assert found, f"trace {trace_id} was stored and is not found"
            timings.timed("session", partial(reader.spans_of_session, DEFAULT_PROJECT, session_id))
        for _ in range(QUESTIONS):
            timings.timed("sessions", lambda: reader.sessions(DEFAULT_PROJECT, SessionFilter(), limit=50))
        began = time.perf_counter()
        absent = reader.search_traces(DEFAULT_PROJECT, RARE, limit=20)
        scanned = file.raw_bytes / (time.perf_counter() - began) / 1e9
        assert not absent.traces
    finally:
        reader.close()
    with requests.Session() as session:
        for trace_id, _ in samples:
            timings.timed("trace HTTP", partial(get, server.http, f"/api/v1/traces/{trace_id}", session))
    return {
        f"{kind} {name.replace('_', ' ')}": value
        for kind in timings.taken
        for name, value in timings.percentiles_ms(kind).items()
        if name != "p95_ms"
    } | {"scan GB/s": scanned}


def questions(setup: Setup) -> Iterator[Row]:
    """The page's questions over HTTP, at a million calls of models."""
    with setup.bench.scratch() as scratch:
        file = Growing(setup.bench, scratch, setup.stream(Workload.W2, "questions"))
        try:
            server = file.open()
            file.grow(server, CALLS_SPANS_M * 1e6 * setup.scale)
            while waiting(server.http, "texts") or waiting(server.http, "interactions"):
                time.sleep(0.1)
            timings = asked(server, file.users(QUESTIONS))
            for kind in timings.taken:
                yield Row("questions", f"{kind} at {setup.scale:g} M calls", Workload.W2, timings.percentiles_ms(kind))
        finally:
            file.close()


def asked(server: RunningServer, users: Sequence[str]) -> Timings:
    """Each question :data:`QUESTIONS` times, with other words and filters each time, after one that is not counted."""
    words: Sequence[str] = vocabulary()
    kinds: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
        "sessions": ("/api/v1/sessions", lambda n: {"limit": 50, "user": users[n]} if n % 2 else {"limit": 50}),
        "search": ("/api/v1/search", lambda n: {"q": f"{words[n * 30]} {words[n]}", "limit": 20}),
        "stats": ("/api/v1/stats", lambda n: {"by": ("model", "service", "user", "day")[n % 4]}),
        "stats of a user": ("/api/v1/stats", lambda n: {"by": "session", "user": users[n]}),
    }
    timings = Timings()
    with requests.Session() as session:
        for kind, (path, parameters) in kinds.items():
            get(server.http, path, session, **parameters(0))
            for number in range(QUESTIONS):
                given = parameters(number)
                timings.timed(kind, partial(get, server.http, path, session, **given))
    return timings
