"""``otel-replay bench``: how fast a server takes a workload, on this machine or another."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from otel_replay.errors import ReplayError

from . import machine
from .client import BUSIEST_CLIENT, Address, Client, Load, Protocol, build_client
from .measure import Bench, Round, load_for, sync_p50_ms
from .workload import Stream, Workload

SERVER_CORE, CLIENT_CORE = 0, 1
REQUESTED_ITEMS = {Workload.W1: 307_200, Workload.W2: 153_600, Workload.W2C: 25_600, Workload.RECORDINGS: 1_200}
"""How much is sent where nobody asks for another amount: some seconds' worth."""


@dataclass(frozen=True)
class Options:
    """What the command was asked for; None and 0: what is usual."""

    workload: str
    protocol: str
    target: str | None
    api: str | None
    spans_per_request: int | None
    requests: int | None
    seconds: float | None
    connections: int
    in_flight: int
    repeat: int
    seed: str | None
    work_dir: Path | None


def run(options: Options, form: str) -> None:
    """Measures and prints. Raises :class:`ReplayError` where that is not possible or not valid."""
    if not sys.platform.startswith("linux"):
        raise ReplayError("bench runs on Linux only: it reads /proc", hint="from elsewhere, run it in a container")
    with tempfile.TemporaryDirectory(dir=options.work_dir, prefix="otel-replay-bench-") as name:
        directory = Path(name)
        cores = os.cpu_count() or 1
        client = Client(build_client(directory), CLIENT_CORE if cores > 1 else None)
        bench = Bench(client, directory, SERVER_CORE if cores > 1 else None)
        under = conditions(options, bench)
        rounds = measure(options, bench)
    (print_json if form == "json" else print_text)(under, rounds)
    if not all(one.answers.valid for one in rounds):
        raise ReplayError(
            f"invalid: the client used more than {BUSIEST_CLIENT:.0%} of its core, so this did not measure the server",
            hint="use a faster machine for the client, or larger requests (--spans-per-request)",
        )


def measure(options: Options, bench: Bench) -> list[Round]:
    seed = options.seed or str(time.time_ns())
    workload = Workload(options.workload)
    given = Load(Protocol(options.protocol), options.connections, options.in_flight, options.seconds or 0)
    load = load_for(workload, given)
    rounds: list[Round] = []
    count = options.requests or usual_requests(options)
    for number in range(options.repeat):
        stream = Stream(workload, f"{seed}:{number}", options.spans_per_request or 0, time.time_ns())
        once = partial(measure_once, options, bench, stream)
        if options.seconds and not rounds:
            probe = Stream(workload, f"{seed}:probe", options.spans_per_request or 0, time.time_ns())
            count = bench.requests_for(options.seconds, partial(measure_once, options, bench, probe), load)
        rounds.append(once(load, count))
        print(f"round {number + 1} of {options.repeat}: {rate(rounds[-1])}", file=sys.stderr)
    return rounds


def measure_once(options: Options, bench: Bench, stream: Stream, load: Load, count: int) -> Round:
    if not options.target:
        return bench.replay(stream, load, count)
    return bench.target(
        Address.parse(options.target), Address.parse(options.api) if options.api else None, stream, load, count
    )


def usual_requests(options: Options) -> int:
    workload = Workload(options.workload)
    return max(1, REQUESTED_ITEMS[workload] // (options.spans_per_request or workload.usual_items))


def rate(one: Round) -> str:
    return f"{one.items_per_second:,.0f}/s, {one.megabytes_per_second:.1f} MB/s"


def conditions(options: Options, bench: Bench) -> dict[str, str]:
    """What the figures depend on; taken first, so that the load average is not the benchmark's own."""
    items = options.spans_per_request or Workload(options.workload).usual_items
    load = load_for(Workload(options.workload), Load(Protocol(options.protocol)))
    where = options.target or "a server of its own on core 0, the client on core 1"
    return machine.describe() | {
        "Workload": f"{options.workload} over {load.protocol}, {items} to a request, {options.in_flight} in flight",
        "Server": f"{where}; medians of {options.repeat}",
        **({} if options.target else machine.store_settings()),
        "Disk": f"write and fdatasync of 256 KiB p50 {sync_p50_ms(bench.directory):.2f} ms",
    }


def summary(rounds: Sequence[Round]) -> dict[str, float]:
    """The medians of some rounds, and what was checked over all of them."""

    def median(values: Sequence[float]) -> float:
        return statistics.median(values)

    return {
        "items_per_second": median([one.items_per_second for one in rounds]),
        "megabytes_per_second": median([one.megabytes_per_second for one in rounds]),
        "p50_ms": median([one.answers.p50_ms for one in rounds]),
        "p99_ms": median([one.answers.p99_ms for one in rounds]),
        "client_busy": max(one.answers.busy for one in rounds),
        "server_cpu_us_per_item": median([one.server_cpu_seconds / one.items * 1e6 for one in rounds]),
        "stored_bytes_per_item": median([one.stored_bytes / one.items for one in rounds]),
        "items": sum(one.items for one in rounds),
        "compared": sum(one.compared for one in rounds),
    }


def print_json(under: dict[str, str], rounds: Sequence[Round]) -> None:
    document = {"conditions": under, "medians": summary(rounds), "rounds": [asdict(one) for one in rounds]}
    print(json.dumps(document, indent=2))


def print_text(under: dict[str, str], rounds: Sequence[Round]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for key, value in under.items():
        console.print(f"{key}: {value}", markup=False)
    table = Table(box=None, pad_edge=False)
    for name, figure in summary(rounds).items():
        table.add_row(name.replace("_", " "), f"{figure:,.3g}" if figure < 100 else f"{figure:,.0f}")
    console.print(table)
