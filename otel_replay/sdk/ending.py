"""At the end of a process: what was recorded last is sent, in good time."""

from __future__ import annotations

import atexit
import multiprocessing.util
import threading
import time
from collections.abc import Callable
from typing import Protocol


class Ending(Protocol):
    """What is shut down at the end; safe to repeat."""

    def shutdown(self) -> object: ...


def shut_down_at_the_end(one: Ending) -> None:
    """Of this process and of those that are forked from it.

    A child of ``multiprocessing`` that was forked ends without ``atexit``; what its ``util`` was told to do after the
    fork it does. A child that a signal ends does neither.
    """
    atexit.register(one.shutdown)
    multiprocessing.util.register_after_fork(one, _finalize)
    if multiprocessing.parent_process() is not None:
        _finalize(one)


def _finalize(one: Ending) -> None:
    multiprocessing.util.Finalize(None, one.shutdown, exitpriority=0)


def within(seconds: float, work: Callable[[], object]) -> bool:
    """Whether it was done in time: what the SDK offers for this waits for as long as an export takes."""
    worker = threading.Thread(target=work, name="otel-replay-flush", daemon=True)
    try:
        worker.start()
    except RuntimeError:  # At the end of the interpreter there are no new threads.
        work()
        return True
    worker.join(seconds)
    return not worker.is_alive()


def millis_until(deadline: float) -> int:
    """Of the monotonic clock; 0 when it is over."""
    return max(0, round((deadline - time.monotonic()) * 1_000))
