"""Spans a second through a Collector until the receiver has stored them, and which of the two bounds them.

The receiver has one core; the Collector shares the other with the client, which needs a tenth of it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from .load import machine
from .load.measure import entries_file, limited
from .load.metrics import stored
from .load.servers import Launch, RunningServer, answering, free_port, started
from .load.workload import Workload, write_entries
from .rows import Row
from .setup import CLIENT_CORE, USUAL, Setup, say

PROGRAM = machine.ROOT / ".build" / "collector" / "otelcol"
PRESETS = ("local", "gateway", "redact")
REQUESTS = {Workload.W1: 400, Workload.W2: 150}
POLL_S = 0.05
STORED_WITHIN_S = 600.0


def collected(setup: Setup) -> Iterator[Row]:
    """Nothing where ``make collector`` has built none."""
    if not PROGRAM.exists():
        return
    rounds: dict[tuple[str, Workload], list[dict[str, float]]] = {}
    for number in range(setup.repeat):
        for preset in PRESETS:
            for workload in REQUESTS:
                rounds.setdefault((preset, workload), []).append(through(setup, preset, workload, number))
    for (preset, workload), measured in rounds.items():
        yield Row(
            "collected", preset, workload, {name: statistics.median(m[name] for m in measured) for name in measured[0]}
        )


def through(setup: Setup, preset: str, workload: Workload, label: object) -> dict[str, float]:
    stream = setup.stream(workload, f"{preset}:{label}")
    with setup.replay() as (receiver, scratch):
        launch = collector(preset, receiver, scratch)
        with started(launch, core=CLIENT_CORE, log=scratch / "collector.log") as running:
            spans = write_entries(entries_file(scratch), limited(stream, setup.scaled(REQUESTS[workload])))
            before = running.cpu_seconds(), receiver.cpu_seconds()
            began = time.monotonic()
            setup.bench.client.send(running.grpc, entries_file(scratch), USUAL)
            wait_for(receiver, workload, spans)
            seconds = time.monotonic() - began
            receiver.wait_until_idle()
            collecting, receiving = running.cpu_seconds() - before[0], receiver.cpu_seconds() - before[1]
    say(f"{workload} through {preset}: {spans / seconds:,.0f} spans/s")
    return {
        "spans/s": spans / seconds,
        "Collector: spans per CPU s": spans / collecting,
        "receiver: spans per CPU s": spans / receiving,
        "receiver / Collector": collecting / receiving,
    }


def collector(preset: str, receiver: RunningServer, scratch: Path) -> Launch:
    """The preset as it is, but with ports of its own, and silent about itself."""
    grpc, http = free_port(), free_port()
    config = str(machine.ROOT / "collector_config" / f"{preset}.yaml")
    command = [str(PROGRAM), "--config", config, "--set", "service.telemetry.metrics.level=none"]
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
