"""How much more than the least it must cost a span costs: the check of ``make test`` against slow changes.

A ratio of CPU times of one process, so that it holds on slow and on busy machines. A neighbour on the same physical
core makes everything half as fast for a while: each piece of work is compared with the reference right before and after
it, and the median of many short pieces counts. Renew the baseline after a change that is worth its price, or on another
kind of machine: ``python -m tests.bench.ratios``.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from .costs import cpu, prepared, reference, requests_of, stored
from .load.workload import Workload

BASELINE = Path(__file__).with_name("baseline.json")
PIECES = 16
REQUESTS = {Workload.W1: 16, Workload.W2: 8}
"""In a piece: about 50 ms."""
TOLERANCE = 0.15


def ratio(workload: Workload) -> float:
    """CPU time of everything from request bytes to rows that can be asked for, over that of parsing and zstd."""
    bodies, _ = requests_of(workload, REQUESTS[workload])
    return statistics.median(piece(bodies) for _ in range(PIECES))


def piece(bodies: Sequence[bytes]) -> float:
    before, _ = cpu(lambda: reference(bodies))
    preparing, writes = cpu(lambda: prepared(bodies))
    storing = stored(writes).cpu_seconds
    after, _ = cpu(lambda: reference(bodies))
    return (preparing + storing) / ((before + after) / 2)


def main() -> None:
    """Writes the baseline: the median of three, so that it is nobody's lucky moment."""
    found = {workload.value: round(sorted(ratio(workload) for _ in range(3))[1], 2) for workload in REQUESTS}
    BASELINE.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{BASELINE.name}: {found}")


if __name__ == "__main__":
    main()
