"""What machine and process are doing, measured with psutil (extra ``system``) now and then."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from otel_replay.errors import InvalidRequest, ReplayError

_log = logging.getLogger(__name__)

Measured = dict[str, float | int]
"""By the names of the semantic conventions; utilisations are shares from 0 to 1, sizes bytes."""


class ActiveRequests:
    """How many requests the middleware of this process is at work on."""

    def __init__(self) -> None:
        self.count = 0
        self.seen = False
        """Whether there is a middleware at all."""
        self._lock = threading.Lock()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        with self._lock:
            self.count, self.seen = self.count + 1, True
        try:
            yield
        finally:
            with self._lock:
                self.count -= 1


ACTIVE_REQUESTS = ActiveRequests()
"""Of this process."""


class SystemProbe:
    """Measures; CPU is what was used since the measurement before, so the first one tells none.

    Raises ``ReplayError`` without the package psutil.
    """

    def __init__(self) -> None:
        try:
            self._psutil: Any = importlib.import_module("psutil")
        except ImportError:
            raise ReplayError("system metrics need psutil", hint="pip install 'otel-replay[system]'") from None
        self._process = self._psutil.Process()
        self._before: tuple[float, float, float, float] | None = None

    def measure(self) -> Measured:
        memory = self._psutil.virtual_memory()
        measured: Measured = {
            "system.memory.utilization": memory.percent / 100,
            "system.memory.usage": memory.total - memory.available,
            "process.memory.usage": self._process.memory_info().rss,
            "process.thread.count": self._process.num_threads(),
        }
        if ACTIVE_REQUESTS.seen:
            measured["http.server.active_requests"] = ACTIVE_REQUESTS.count
        return measured | self._cpu()

    def _cpu(self) -> Measured:
        times, own = self._psutil.cpu_times(), self._process.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Time of guests is in user and nice already.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        now = (total, idle, own.user + own.system, time.monotonic())
        before, self._before = self._before, now
        if before is None or now[0] <= before[0] or now[3] <= before[3]:
            return {}
        cores = self._psutil.cpu_count() or 1
        return {
            "system.cpu.utilization": _share(1 - (now[1] - before[1]) / (now[0] - before[0])),
            "process.cpu.utilization": _share((now[2] - before[2]) / (now[3] - before[3]) / cores),
        }


def probe_if_possible() -> SystemProbe | None:
    """None without psutil."""
    try:
        return SystemProbe()
    except ReplayError:
        return None


class SystemSampler:
    """Measures at once and every ``every_s`` seconds on a thread, and hands on what it found, until ``stop()``."""

    def __init__(self, record: Callable[[Measured], None], every_s: float) -> None:
        if not every_s > 0:
            raise InvalidRequest(f"every_s is {every_s}", hint="a number of seconds above 0")
        self._record = record
        self._every_s = every_s
        self._probe = SystemProbe()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-replay-system", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more samples once it returns; safe to repeat."""
        self._stopped.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _run(self) -> None:
        while True:
            try:
                self._record(self._probe.measure())
            except Exception:  # noqa: BLE001 - a sample less is no reason to end the others
                _log.exception("system metrics were not recorded")
            if self._stopped.wait(self._every_s):
                return


def _share(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 4)
