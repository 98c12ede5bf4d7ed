"""The figures that this project promises, and where a report has them. Ratios are within one run."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from .rows import Rows

OWN, CEILING, FEW = "otel-replay", "gRPC no-op", ", 10 spans a request"
ALONE, READER, QUERIES = "alone", "reader process", "20 queries/s"
BY_RECORDER, EVERY_5_MINUTES = "full snapshots by the recorder's rule", "a full snapshot every 300 s"
PLAIN_RRWEB, HYPERDX, VISIT = "rrweb", "HyperDX", "visit of {} s"

SUSTAINED_S = 20

Found = float | None


@dataclass(frozen=True)
class Promise:
    """A figure that has to be reached; `found` is None where this run did not measure it."""

    figure: str
    must: float
    goal: float
    found: Found
    at_least: bool = True

    @property
    def verdict(self) -> str:
        if self.found is None:
            return "not measured"
        reaches: Callable[[float, float], bool] = operator.ge if self.at_least else operator.le
        if reaches(self.found, self.goal):
            return "goal"
        return "must" if reaches(self.found, self.must) else "MISSED"


def promises(rows: Rows) -> list[Promise]:
    """All of them, in the order of the documentation."""
    return [
        *ingest(rows),
        *stored_bytes(rows),
        *beside(rows),
        *recordings(rows),
        *sought(rows),
        *collected(rows),
        *grown(rows),
        *recorded(rows),
    ]


def ingest(rows: Rows) -> Iterator[Promise]:
    w1, w2 = rows.value("ingest", OWN, "w1", "spans/s"), rows.value("ingest", OWN, "w2", "spans/s")
    for name, own, must, goal in (("w1", w1, 0.16, 0.25), ("w2", w2, 0.06, 0.10)):
        ceiling = rows.value("ingest", CEILING, name, "spans/s")
        yield Promise(f"{name.upper()} against no-op gRPC", must, goal, ratio(own, ceiling))
    long_enough = (rows.value("sustained", OWN, "w2", "seconds") or 0) >= SUSTAINED_S
    lag = rows.value("sustained", OWN, "w2", "search lag max s") if long_enough else None
    yield Promise("search lag while W2 is sustained, s", 2, 2, lag, at_least=False)
    mine, theirs = (rows.value("ingest", name, "w1", "spans per CPU s") for name in (OWN, "rotel"))
    yield Promise("W1 per CPU second against rotel", 0.6, 0.9, ratio(mine, theirs))
    for name, own, must, goal in (("w1", w1, 1_000, 1_500), ("w2", w2, 300, 400)):
        phoenix = rows.value("compared", "phoenix", name, "visible spans/s")
        yield Promise(f"{name.upper()} against Phoenix, visible", must, goal, ratio(own, phoenix))
    few, ceiling = (rows.value("ingest", name + FEW, "w1", "spans/s") for name in (OWN, CEILING))
    yield Promise("10-span requests against no-op gRPC", 0.65, 0.75, ratio(few, ceiling))
    http = rows.value("ingest", f"{OWN} HTTP", "w1", "spans/s")
    yield Promise("OTLP/HTTP W1 against gRPC W1", 1.0, 1.3, ratio(http, w1))


def stored_bytes(rows: Rows) -> Iterator[Promise]:
    for name, must, goal in (("w1", 80, 65), ("w2", 360, 320)):
        found = rows.value("ingest", OWN, name, "bytes/span")
        yield Promise(f"bytes a span {name.upper()}", must, goal, found, at_least=False)
    shared = rows.value("bodies", OWN, "w2c", "ratio")
    yield Promise("W2c bytes against W2c without shared bodies", 0.3, 0.15, shared, at_least=False)


def beside(rows: Rows) -> Iterator[Promise]:
    alone, reader, asked = (rows.value("beside", name, "w1", "spans/s") for name in (ALONE, READER, QUERIES))
    yield Promise("writes beside a reader process", 0.9, 0.9, ratio(reader, alone))
    yield Promise("writes beside 20 queries/s", 0.75, 0.75, ratio(asked, alone))
    before, after = (rows.value("beside", name, "w1", "ack p99 ms") for name in (ALONE, QUERIES))
    yield Promise("acknowledgement p99 beside 20 queries/s, times", 4, 4, ratio(after, before), at_least=False)


def recordings(rows: Rows) -> Iterator[Promise]:
    for name, must, goal in (("acknowledged", 60, 100), ("distilled", 10, 20)):
        found = rows.value("recordings", OWN, "recordings", f"{name} MB/s")
        yield Promise(f"recordings {name}, MB/s", must, goal, found)


def sought(rows: Rows) -> Iterator[Promise]:
    """In 100,000 events of ten minutes, with full snapshots as this project's recorder makes them, and as others do."""
    for subject in (BY_RECORDER, EVERY_5_MINUTES):
        found = [rows.value("recording", subject, "100,000 events", name) for name in ("p95_ms", "read p50 %")]
        yield Promise(f"20 s around a trace, {subject}, p95 ms", 50, 25, found[0], at_least=False)
        yield Promise(f"read for it, {subject}, % of the recording", 5, 5, found[1], at_least=False)


def collected(rows: Rows) -> Iterator[Promise]:
    """The Collector is the bound where the receiver takes more spans a second without it."""
    for preset, workload in product(("local", "local, gzip", "gateway", "redact"), ("w1", "w2")):
        found = rows.value("collected", preset, workload, "straight / through")
        yield Promise(f"spans/s straight / through the Collector, {preset}, {workload.upper()}", 1, 1.2, found)


def grown(rows: Rows) -> Iterator[Promise]:
    """At ten million spans, and at a million interactions."""
    at_most = (
        ("trace p50 ms", "spans of a trace in process, p50 ms", 1, 1),
        ("trace p99 ms", "spans of a trace in process, p99 ms", 5, 5),
        ("trace HTTP p50 ms", "spans of a trace over HTTP, p50 ms", 5, 5),
        ("trace HTTP p99 ms", "spans of a trace over HTTP, p99 ms", 15, 15),
        ("memory MB", "resident memory under load, MB", 400, 300),
        ("ready s", "ready, s", 1, 0.5),
    )
    for name, figure, must, goal in at_most:
        found = rows.value("growth", "10 M", "w1", name)
        yield Promise(f"{figure}, at 10 M spans", must, goal, found, at_least=False)
    yield Promise("attribute scan, GB/s", 0.6, 0.9, rows.value("growth", "10 M", "w1", "scan GB/s"))
    for question in ("sessions", "search", "stats", "stats of a user"):
        found = rows.value("questions", f"{question} at 1 M calls", "w2", "p95_ms")
        yield Promise(f"{question} at 1 M interactions, p95 ms", 50, 20, found, at_least=False)


def recorded(rows: Rows) -> Iterator[Promise]:
    """What recording adds to the main thread of a page, and what it sends, in visits of a minute."""
    found = [rows.value("recorder", name, VISIT.format(60), "added ms") for name in (OWN, PLAIN_RRWEB)]
    yield Promise("recorder: time added to the page, times rrweb's", 1.1, 1, ratio(*found), at_least=False)
    for other, goal in ((PLAIN_RRWEB, 0.8), (HYPERDX, 0.5)):
        found = [rows.value("recorder", name, VISIT.format(60), "sent KB") for name in (OWN, other)]
        yield Promise(f"recorder: bytes sent, times {other}'s", 1, goal, ratio(*found), at_least=False)


def ratio(of: Found, to: Found) -> Found:
    return of / to if of is not None and to else None
