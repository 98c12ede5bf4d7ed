"""Spans a second: every server with every workload that it can take, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import peers
from .load.client import Load, Protocol
from .load.measure import Round, address, entries_file, limited
from .load.servers import RunningServer, started
from .load.workload import Workload, write_entries
from .promises import OWN
from .rows import Row
from .setup import SERVER_CORE, USUAL, Setup, say

FEW_SPANS = 10
POLL_S = 0.05
VISIBLE_WITHIN_S = 600.0


@dataclass(frozen=True)
class Case:
    """One line of the table; without a peer it is this project's server."""

    server: str
    workload: Workload
    requests: int
    peer: peers.Peer | None = None
    load: Load = USUAL
    spans: int = 0
    note: str = ""

    @property
    def name(self) -> str:
        spans = f", {self.spans} spans a request" if self.spans else ""
        return f"{self.server}{spans}{self.note}"


def cases() -> Iterator[Case]:
    noop, parse = peers.noop(), peers.noop("--parse")
    storing_nothing = [peer for peer in peers.installed() if peer.visible is None]
    http = Load(Protocol.HTTP)
    for workload, count in ((Workload.W1, 600), (Workload.W2, 300)):
        for peer in (noop, parse, *storing_nothing):
            yield Case(peer.name, workload, count, peer, peer.load)
        yield Case(OWN, workload, count)
        yield Case(f"{OWN} HTTP", workload, count, load=http)
    yield Case(OWN, Workload.W2C, 200)
    yield Case(OWN, Workload.W1, 600, load=Load(connections=4), note=", 4 connections")
    yield Case(noop.name, Workload.W1, 20_000, noop, spans=FEW_SPANS)
    yield Case(OWN, Workload.W1, 20_000, spans=FEW_SPANS)
    yield Case(f"{OWN} HTTP", Workload.W1, 20_000, load=http, spans=FEW_SPANS)


def ingest(setup: Setup) -> Iterator[Row]:
    """What is acknowledged. Own servers' files are counted and compared after every round."""
    rounds: dict[Case, list[Round]] = {case: [] for case in cases()}
    for number in range(setup.repeat):
        for case, so_far in rounds.items():
            so_far.append(measure(setup, case, number))
            say(f"{case.workload} {case.name}: {so_far[-1].items_per_second:,.0f}/s")
    for case, measured in rounds.items():
        yield Row("ingest", case.name, case.workload, medians(measured))


def measure(setup: Setup, case: Case, label: object) -> Round:
    stream = setup.stream(case.workload, f"{case.name}:{label}", case.spans)
    count = setup.scaled(case.requests)
    if not case.peer:
        return setup.bench.replay(stream, case.load, count)
    with (
        setup.bench.scratch() as scratch,
        started(case.peer.launch(scratch), core=SERVER_CORE, log=scratch / "server.log") as server,
    ):
        return setup.bench.watched(server, stream, case.load, count, scratch)


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    def median(of: Callable[[Round], float]) -> float:
        return statistics.median(map(of, rounds))

    return {
        "spans/s": median(lambda one: one.items_per_second),
        "requests/s": median(lambda one: one.answers.succeeded / one.answers.seconds),
        "spans per CPU s": median(lambda one: one.items_per_cpu_second),
        "ack p50 ms": median(lambda one: one.answers.p50_ms),
        "ack p99 ms": median(lambda one: one.answers.p99_ms),
        "client busy": max(one.answers.busy for one in rounds),
        "bytes/span": median(lambda one: one.stored_bytes / one.items),
        "memory MB": median(lambda one: one.peak_bytes / 1e6),
    }


def compared(setup: Setup) -> Iterator[Row]:
    """Receivers that store: spans a second until a query counts them all, with as many cores as they like."""
    for peer in peers.installed():
        if peer.visible is None:
            continue
        for workload in (Workload.W1, Workload.W2):
            rates = [visible_rate(setup, peer, peer.visible, workload, number) for number in range(setup.repeat)]
            yield Row("compared", peer.name, workload, {"visible spans/s": statistics.median(rates)})


def visible_rate(
    setup: Setup, peer: peers.Peer, visible: Callable[[RunningServer, Path], int], workload: Workload, label: object
) -> float:
    stream = setup.stream(workload, f"{peer.name}:{label}")
    with (
        setup.bench.scratch() as scratch,
        started(peer.launch(scratch), core=None, log=scratch / "server.log") as server,
    ):
        file = entries_file(scratch)
        spans = write_entries(file, limited(stream, peer.requests))
        before = visible(server, scratch)
        began = time.monotonic()
        setup.bench.client.send(address(server, peer.load), file, peer.load)
        while (found := visible(server, scratch) - before) < spans:
            if time.monotonic() - began > VISIBLE_WITHIN_S:
                raise TimeoutError(f"{peer.name} shows {found} of {spans} spans")
            time.sleep(POLL_S)
        rate = spans / (time.monotonic() - began)
    say(f"{workload} {peer.name}: {rate:,.0f} visible spans/s")
    return rate
