"""The processes that the benchmark measures: started on one core, watched through /proc, stopped by their own id."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STARTS_WITHIN_S = 30
STOPS_WITHIN_S = 60
LISTENS = re.compile(r"grpc 127\.0\.0\.1:(\d+)")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class RunningServer:
    """A server that listens: its process (leader of a session of its own) and its gRPC port."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        """CPU time so far of the process and of whatever it started, user and system together."""
        return sum(ticks for session, ticks in all_processes() if session == self.process.pid) / TICKS_PER_SECOND

    def wait_until_idle(self, quiet_s: float = 0.5, at_most_s: float = 120) -> None:
        """Returns once less than 2 % of a core is used, so that work put off until after the answers is counted."""
        deadline = time.monotonic() + at_most_s
        before = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(quiet_s)
            after = self.cpu_seconds()
            if after - before < 0.02 * quiet_s + 1 / TICKS_PER_SECOND:
                return
            before = after
        raise TimeoutError(f"the server is still busy {at_most_s} s after its last answer")


@contextmanager
def started(command: Sequence[str], *, core: int, log: Path) -> Iterator[RunningServer]:
    """Runs `command` pinned to `core`, its standard error in `log`; ends it with SIGTERM and waits for its exit."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(["taskset", "-c", str(core), *command], stderr=stderr, start_new_session=True)
    try:
        yield RunningServer(process, wait_for_port(process, log))
    finally:
        stop(process)


def wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        if match := LISTENS.search(log.read_text(errors="replace")):
            return int(match.group(1))
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start (exit code {process.returncode}):\n{log.read_text(errors='replace')}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def all_processes() -> Iterator[tuple[int, int]]:
    """(session id, CPU ticks) of every process; the fields of proc(5), counted from the one after the name."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield int(fields[3]), int(fields[11]) + int(fields[12])
