"""``make bench``: spans a second on one core, against the no-op gRPC server as the ceiling, in one run.

Server on core 0, load generator on core 1; the two servers alternate and each figure is the median of its rounds.
After each round the database is opened and must hold exactly the spans that were sent. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.bench import machine
from tests.bench.servers import started
from tests.bench.workload import SPANS_PER_REQUEST, Workload, write_workload

SERVER_CORE, CLIENT_CORE = 0, 1
REQUESTS = {Workload.W1: 600, Workload.W2: 300}
BUSIEST_CLIENT = 0.85
"""Above this share of its core the load generator, not the server, may be what is measured."""

NOOP, REPLAY = "no-op", "otel-replay"
HEADINGS = ("", "server", "spans/s", "of ceiling", "CPU s per M spans", "ack p50", "ack p99", "client busy", "B/span")

NOTES = """\
W1 is infrastructure spans, W2 has 10 % chat spans with messages (tests/bench/workload.py). The ceiling is grpcio's
synchronous server doing nothing. Acknowledged means committed with an fsync. Server CPU is counted until the server is
idle again, so it includes what is done after the answers. B/span is the size of the database files after the server has
stopped. After each round the database held every span that was sent.
"""


@dataclass(frozen=True)
class Round:
    """One server, one workload, once. Bytes are 0 for the server that stores nothing."""

    spans: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_cpu_seconds: float
    server_cpu_seconds: float
    stored_bytes: int


@dataclass(frozen=True)
class Figures:
    """The medians of some rounds."""

    spans_per_second: float
    cpu_seconds_per_million: float
    p50_ms: float
    p99_ms: float
    client_busy: float
    bytes_per_span: float

    @classmethod
    def of(cls, rounds: Sequence[Round]) -> Figures:
        return cls(
            spans_per_second=statistics.median(r.spans / r.seconds for r in rounds),
            cpu_seconds_per_million=statistics.median(r.server_cpu_seconds / r.spans * 1e6 for r in rounds),
            p50_ms=statistics.median(r.p50_ms for r in rounds),
            p99_ms=statistics.median(r.p99_ms for r in rounds),
            client_busy=statistics.median(r.client_cpu_seconds / r.seconds for r in rounds),
            bytes_per_span=statistics.median(r.stored_bytes / r.spans for r in rounds),
        )

    @property
    def valid(self) -> bool:
        return self.client_busy <= BUSIEST_CLIENT


@dataclass(frozen=True)
class Bench:
    """How to measure: the load generator, where files may go, and its number of connections and open requests."""

    client: Path
    directory: Path
    connections: int
    in_flight: int

    def measure(self, server: str, requests: Path, spans: int) -> Round:
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            scratch = Path(name)
            database = scratch / "replay.db"
            with started(command(server, database), core=SERVER_CORE, log=scratch / "server.log") as running:
                cpu_before = running.cpu_seconds()
                answers = self.send(running.port, requests)
                running.wait_until_idle()
                cpu = running.cpu_seconds() - cpu_before
            expect("answered with status 0", answers["succeeded"] * SPANS_PER_REQUEST, spans)
            stored_bytes = checked_size(database, spans) if server == REPLAY else 0
        return Round(
            spans, answers["seconds"], answers["p50_ms"], answers["p99_ms"], answers["cpu_seconds"], cpu, stored_bytes
        )

    def send(self, port: int, requests: Path) -> dict[str, float]:
        client = [str(self.client), str(port), str(requests), str(self.connections), str(self.in_flight)]
        done = subprocess.run(["taskset", "-c", str(CLIENT_CORE), *client], check=True, stdout=subprocess.PIPE)
        answers: dict[str, float] = json.loads(done.stdout)
        return answers


def command(server: str, database: Path) -> list[str]:
    if server == NOOP:
        return [sys.executable, "-m", "tests.bench.noop_server"]
    ports = ["--grpc-port", "0", "--http-port", "0"]
    return [sys.executable, "-m", "otel_replay", "serve", "--db", str(database), *ports]


def checked_size(database: Path, spans: int) -> int:
    """Bytes on disk of a database that holds exactly `spans` spans; the server has stopped."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (stored,) = connection.execute("SELECT coalesce(sum(items), 0) FROM blocks WHERE signal = 1").fetchone()
    expect("found in the database", stored, spans)
    return sum(file.stat().st_size for file in database.parent.glob(f"{database.name}*"))


def expect(what: str, spans: float, sent: int) -> None:
    if spans != sent:
        raise SystemExit(f"bench: {spans:,.0f} spans {what}, but {sent:,} were sent")


def fsync_p50_ms(directory: Path, size: int = 256 << 10, times: int = 50) -> float:
    """Median time of a write and fdatasync of `size` bytes in `directory`: what an acknowledgement must wait for."""
    block, took = os.urandom(size), []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(times):
            before = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - before)
    return statistics.median(took) * 1e3


def measure_all(bench: Bench, repeat: int, scale: float) -> dict[Workload, dict[str, Figures]]:
    results = {}
    for workload, requests in REQUESTS.items():
        count = max(1, round(requests * scale))
        file = write_workload(bench.directory, workload, count)
        rounds: dict[str, list[Round]] = {NOOP: [], REPLAY: []}
        for number in range(1, repeat + 1):
            for server, so_far in rounds.items():
                so_far.append(bench.measure(server, file, count * SPANS_PER_REQUEST))
                rate = so_far[-1].spans / so_far[-1].seconds
                print(f"{workload.upper()} round {number} of {repeat}: {server} {rate:,.0f} spans/s", file=sys.stderr)
        results[workload] = {server: Figures.of(measured) for server, measured in rounds.items()}
    return results


def table(results: dict[Workload, dict[str, Figures]]) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|" + "---:|" * (len(HEADINGS) - 2)]
    for workload, servers in results.items():
        for server, figures in servers.items():
            share = figures.spans_per_second / servers[NOOP].spans_per_second
            lines.append("| " + " | ".join((workload.upper(), server, *cells(figures, share))) + " |")
    return "\n".join(lines)


def cells(figures: Figures, share: float) -> tuple[str, ...]:
    return (
        f"{figures.spans_per_second:,.0f}",
        f"{share:.0%}",
        f"{figures.cpu_seconds_per_million:.2f}",
        f"{figures.p50_ms:.1f} ms",
        f"{figures.p99_ms:.1f} ms",
        f"{figures.client_busy:.0%}" + ("" if figures.valid else " (INVALID)"),
        f"{figures.bytes_per_span:.0f}" if figures.bytes_per_span else "-",
    )


def conditions(bench: Bench, repeat: int) -> str:
    """What the figures depend on; taken before anything is measured, so that the load is not the benchmark's own."""
    load = f"{SPANS_PER_REQUEST} spans a request, {bench.in_flight} in flight, connections: {bench.connections}"
    facts = machine.describe() | {
        "Disk": f"write and fdatasync of 256 KiB p50 {fsync_p50_ms(bench.directory):.2f} ms, in the same directory",
        "Load": f"{load}; server on one core, client on another, medians of {repeat}",
    }
    return "\n".join(f"- {key}: {value}" for key, value in facts.items())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--client", type=Path, required=True, help="the built load_client")
    parser.add_argument(
        "--work-dir", type=Path, required=True, help="for workloads (0.3 GB, kept) and databases (removed)"
    )
    parser.add_argument("--results", type=Path, default=machine.ROOT / "docs" / "results")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of requests")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=16)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if (os.cpu_count() or 1) < 2 or not shutil.which("taskset"):
        raise SystemExit("bench: needs Linux with two cores and taskset (util-linux)")
    args.work_dir.mkdir(parents=True, exist_ok=True)
    bench = Bench(args.client.resolve(), args.work_dir.resolve(), args.connections, args.in_flight)
    under = conditions(bench, args.repeat)
    results = measure_all(bench, args.repeat, args.scale)
    text = f"# Benchmark\n\n{under}\n\n{table(results)}\n\n{NOTES}"
    args.results.mkdir(parents=True, exist_ok=True)
    path = args.results / f"bench-{machine.today()}.md"
    path.write_text(text)
    print(text)
    print(f"Written to {path}", file=sys.stderr)
    if not all(figures.valid for servers in results.values() for figures in servers.values()):
        raise SystemExit(
            f"bench: the client used more than {BUSIEST_CLIENT:.0%} of its core: not a measurement of the server"
        )


if __name__ == "__main__":
    main()
