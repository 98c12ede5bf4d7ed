"""What follows the acknowledgement: recordings are distilled, texts become searchable, and how far that is behind."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from .ingest import POLL_S, Case, measure
from .load.client import Load
from .load.measure import address, entries_file, limited, load_for
from .load.metrics import waiting
from .load.samples import compare_recordings
from .load.workload import Workload, read_entries, write_entries
from .promises import OWN
from .queries import watching_search
from .rows import Row
from .setup import USUAL, Setup, say

RECORDED_CHUNKS = 1_600
SUSTAINED_S = 25.0


def recordings(setup: Setup) -> Iterator[Row]:
    """Chunks over HTTP: until they are acknowledged, and until all of them are distilled."""
    rounds = [recording_round(setup, number) for number in range(setup.repeat)]
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    yield Row("recordings", OWN, Workload.RECORDINGS, medians)


def recording_round(setup: Setup, label: object) -> dict[str, float]:
    load = load_for(Workload.RECORDINGS, USUAL)
    stream = setup.stream(Workload.RECORDINGS, label)
    with setup.replay() as (server, scratch):
        file = entries_file(scratch)
        write_entries(file, limited(stream, setup.scaled(RECORDED_CHUNKS)))
        began = time.monotonic()
        answers = setup.bench.client.send(address(server, load), file, load)
        behind = waiting(server.http, "chunks")
        while waiting(server.http, "chunks"):
            time.sleep(POLL_S)
        distilled_after = time.monotonic() - began
        compare_recordings(server.http, read_entries(file), answers.succeeded)
    say(f"recordings: {answers.bytes / answers.seconds / 1e6:.1f} MB/s acknowledged")
    return {
        "acknowledged MB/s": answers.bytes / answers.seconds / 1e6,
        "distilled MB/s": answers.bytes / distilled_after / 1e6,
        "chunks behind at the last answer": behind,
        "ack p50 ms": answers.p50_ms,
        "ack p99 ms": answers.p99_ms,
        "client busy": answers.busy,
    }


def sustained(setup: Setup) -> Iterator[Row]:
    """W2 for at least twenty seconds, and how long what is acknowledged takes until a search finds it."""
    rate = measure(setup, Case(OWN, Workload.W2, 150), "probe").items_per_second
    seconds = SUSTAINED_S * setup.scale
    count = round(rate * seconds * 1.5 / Workload.W2.usual_items)
    with setup.replay() as (server, scratch):
        file = entries_file(scratch)
        spans = write_entries(file, limited(setup.stream(Workload.W2, "sustained"), count))
        with watching_search(server.http, server.grpc) as lag:
            answers = setup.bench.client.send(server.grpc, file, Load(seconds=seconds))
        peak = server.resident_bytes()
    values = {
        "spans/s": spans * answers.succeeded / count / answers.seconds,
        "seconds": answers.seconds,
        "search lag p50 s": lag.median,
        "search lag max s": lag.greatest,
        "samples": len(lag.seconds),
        "memory MB": peak / 1e6,
        "client busy": answers.busy,
    }
    yield Row("sustained", OWN, Workload.W2, values)
