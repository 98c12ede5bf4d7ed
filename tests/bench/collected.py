"""Spans a second through a Collector and straight into the receiver, the same requests in the same run.

Throughput through the Collector is bounded by the Collector where the receiver takes more when it is asked straight:
``straight / through`` is over 1. Seconds count until the receiver has stored everything.

The receiver has one core to itself; the Collector shares the other with the client, which needs a tenth of it. Where
the two cores are hyperthreads of one, each is slower while the other works: through the Collector more of the time than
straight. CPU seconds of both, until they are idle again, say the same without the clock: behind whichever needs more of
them for a span, the other one waits.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .load import machine
from .load.client import Address
from .load.measure import entries_file, limited
from .load.metrics import stored
from .load.servers import Launch, RunningServer, answering, free_port, started
from .load.workload import Stream, Workload, write_entries
from .rows import Row
from .setup import CLIENT_CORE, USUAL, Setup, say

PROGRAM = machine.ROOT / ".build" / "collector" / "otelcol"
PRESETS = ("local", "local, gzip", "gateway", "redact")
"""`local` does not compress, which no other preset and no exporter of the Collector by default does."""
SILENT = "service: {telemetry: {metrics: {level: none}}}\n"
GZIP = "exporters: {otlp_grpc: {compression: gzip}}\n"
REQUESTS = {Workload.W1: 200, Workload.W2: 80}
POLL_S = 0.05
STORED_WITHIN_S = 300.0


class Passed(NamedTuple):
    """Requests until they were stored: seconds of wall clock, and of CPU of the Collector and of the receiver."""

    spans: int
    seconds: float
    collecting: float
    receiving: float


def collected(setup: Setup) -> Iterator[Row]:
    """Nothing where ``make collector`` has built none."""
    if not PROGRAM.exists():
        return
    rounds: dict[tuple[str, Workload], list[dict[str, float]]] = {}
    for number in range(setup.repeat):
        for workload in REQUESTS:
            stream = setup.stream(workload, f"collected:{number}")
            straight = passed(setup, stream, None)
            for preset in PRESETS:
                through = passed(setup, stream, preset)
                rounds.setdefault((preset, workload), []).append(compared(through, straight))
    for (preset, workload), measured in rounds.items():
        yield Row(
            "collected", preset, workload, {name: statistics.median(m[name] for m in measured) for name in measured[0]}
        )


def compared(through: Passed, straight: Passed) -> dict[str, float]:
    return {
        "through, spans/s": through.spans / through.seconds,
        "straight, spans/s": straight.spans / straight.seconds,
        "straight / through": through.seconds / straight.seconds,
        "Collector, CPU s": through.collecting,
        "receiver behind it, CPU s": through.receiving,
        "receiver straight, CPU s": straight.receiving,
        "Collector, busy": through.collecting / through.seconds,
        "receiver behind it, busy": through.receiving / through.seconds,
    }


def passed(setup: Setup, stream: Stream, preset: str | None) -> Passed:
    """The first requests of a stream through a preset, or straight; into an empty file."""
    count = setup.scaled(REQUESTS[stream.workload])
    with setup.replay() as (receiver, scratch), in_front_of(receiver, preset, scratch) as (target, front):
        spans = write_entries(entries_file(scratch), limited(stream, count))
        before = cpu_seconds(front), receiver.cpu_seconds()
        began = time.monotonic()
        setup.bench.client.send(target, entries_file(scratch), USUAL)
        wait_for(receiver, stream.workload, spans)
        seconds = time.monotonic() - began
        receiver.wait_until_idle()
        found = Passed(spans, seconds, cpu_seconds(front) - before[0], receiver.cpu_seconds() - before[1])
    say(f"{stream.workload} {f'through {preset}' if preset else 'straight'}: {spans / seconds:,.0f} spans/s")
    return found


@contextmanager
def in_front_of(
    receiver: RunningServer, preset: str | None, scratch: Path
) -> Iterator[tuple[Address, RunningServer | None]]:
    """Where to send to, and the Collector that listens there."""
    if preset is None:
        yield receiver.grpc, None
        return
    launch = collector(preset, receiver, scratch)
    with started(launch, core=CLIENT_CORE, log=scratch / "collector.log") as running:
        yield running.grpc, running


def cpu_seconds(of: RunningServer | None) -> float:
    return of.cpu_seconds() if of else 0.0


def collector(preset: str, receiver: RunningServer, scratch: Path) -> Launch:
    """The preset as it is but for its compression, with ports of its own, and silent about itself."""
    grpc, http = free_port(), free_port()
    name, _, compression = preset.partition(", ")
    config = str(machine.ROOT / "collector_config" / f"{name}.yaml")
    changes = scratch / "changes.yaml"
    changes.write_text(SILENT + (GZIP if compression else ""))
    command = [str(PROGRAM), "--config", config, "--config", str(changes)]
    environment = {
        "COLLECTOR_GRPC": f"127.0.0.1:{grpc}",
        "COLLECTOR_HTTP": f"127.0.0.1:{http}",
        "COLLECTOR_HEALTH": f"127.0.0.1:{free_port()}",
        "COLLECTOR_QUEUE": str(scratch / "queue"),
        "OTEL_REPLAY_ENDPOINT": f"127.0.0.1:{receiver.grpc.port}",
    }
    return Launch(command, answering(grpc, http), environment)


def wait_for(receiver: RunningServer, workload: Workload, spans: int) -> None:
    deadline = time.monotonic() + STORED_WITHIN_S
    while (found := stored(receiver.http, workload)) < spans:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found:,} of {spans:,} spans came through the Collector")
        time.sleep(POLL_S)
