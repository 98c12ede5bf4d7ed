"""Waiting for what follows the acknowledgement."""

from __future__ import annotations

import time
from collections.abc import Callable

from otel_replay.errors import InvalidRequest
from otel_replay.store.base import Lag, Reader

MAX_WAIT_NS = 10 * 10**9
_POLL_S = 0.01


def wait_for(reader: Reader, project: int, behind: Callable[[Lag], int], wait_ns: int) -> int:
    """How much of the project is ``behind``, once that is nothing, or after ``wait_ns``."""
    if not 0 <= wait_ns <= MAX_WAIT_NS:
        raise InvalidRequest(f"cannot wait {str(wait_ns)[:40]} ns", hint="wait for 0s to 10s")
    deadline = time.monotonic_ns() + wait_ns
    while (waiting := behind(reader.lag(project))) and time.monotonic_ns() < deadline:
        time.sleep(_POLL_S)
    return waiting
