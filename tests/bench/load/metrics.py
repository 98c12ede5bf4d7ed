"""What a running server says of itself under ``/metrics``."""

from __future__ import annotations

import requests

from .client import Address
from .workload import Workload

TIMEOUT_S = 60


def metric(server: Address, name: str, kind: str) -> float:
    """A sample of the text format: ``name{kind="kind"} value``; 0 where it is not told."""
    answer = requests.get(f"{server.url}/metrics", timeout=TIMEOUT_S)
    answer.raise_for_status()
    start = f'{name}{{kind="{kind}"}} '
    return next((float(line[len(start) :]) for line in answer.text.splitlines() if line.startswith(start)), 0.0)


def stored(server: Address, workload: Workload) -> int:
    """Spans, or chunks of recordings, that the server has committed since it started, duplicates left out."""
    kind = "chunks" if workload is Workload.RECORDINGS else "spans"
    return int(metric(server, "otel_replay_stored_records_total", kind))


def waiting(server: Address, kind: str) -> int:
    """How far what follows the acknowledgement is behind: ``texts``, ``interactions`` or ``chunks``."""
    return int(metric(server, "otel_replay_lag", kind))
