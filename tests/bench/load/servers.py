"""The processes that are measured: started on one core, watched through /proc, stopped by their own id."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .client import Address, pinned

STARTS_WITHIN_S = 120
"""Phoenix takes 10 s where nothing else runs."""
STOPS_WITHIN_S = 60
GRPC_LISTENS = re.compile(r"grpc (?:http://)?127\.0\.0\.1:(\d+)")
HTTP_LISTENS = re.compile(r"http http://127\.0\.0\.1:(\d+)")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class RunningServer:
    """A server that answers: its process, leader of a session of its own, and where it listens."""

    process: subprocess.Popen[bytes]
    grpc: Address
    http: Address
    ready_seconds: float
    """From the start of the process until it listened."""

    def cpu_seconds(self) -> float:
        """CPU time so far of the process and of whatever it started, user and system together."""
        return sum(one.ticks for one in self._processes()) / TICKS_PER_SECOND

    def resident_bytes(self) -> int:
        """Memory of the process and of whatever it started."""
        return sum(one.resident_pages for one in self._processes()) * PAGE_BYTES

    def wait_until_idle(self, quiet_s: float = 0.5, at_most_s: float = 300) -> None:
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

    def _processes(self) -> Iterator[Process]:
        return (one for one in all_processes() if one.session == self.process.pid)


@dataclass(frozen=True)
class Launch:
    """How to start a server. `listens` finds the ports in what it has written, or is None as long as it does not."""

    command: Sequence[str]
    listens: Callable[[str], tuple[int, int] | None]
    environment: Mapping[str, str] = field(default_factory=dict)


def replay_server(database: Path, *options: str) -> Launch:
    """This project's server on any free ports."""
    ports = ["--grpc-port", "0", "--http-port", "0"]
    return Launch(
        [sys.executable, "-m", "otel_replay", "serve", "--db", str(database), *ports, *options], announced_ports
    )


def announced_ports(log: str) -> tuple[int, int] | None:
    """Ports of gRPC and HTTP as ``otel-replay serve`` announces them."""
    grpc, http = GRPC_LISTENS.search(log), HTTP_LISTENS.search(log)
    return (int(grpc[1]), int(http[1])) if grpc and http else None


def answering(grpc_port: int, http_port: int) -> Callable[[str], tuple[int, int] | None]:
    """For servers that are told their ports and announce nothing: they listen once both can be connected to."""

    def listens(_log: str) -> tuple[int, int] | None:
        return (grpc_port, http_port) if connects(grpc_port) and connects(http_port) else None

    return listens


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def started(launch: Launch, *, core: int | None, log: Path) -> Iterator[RunningServer]:
    """Runs a server pinned to `core`, what it writes in `log`; ends it with SIGTERM and waits for its exit."""
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*pinned(core), *launch.command],
            # As installed: pip compiles what it installs, and without that a start takes 1.2 s instead of 0.5.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **launch.environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        grpc, http = wait_until_listening(process, launch, log)
        ready_seconds = time.monotonic() - began
        yield RunningServer(process, Address("127.0.0.1", grpc), Address("127.0.0.1", http), ready_seconds)
    finally:
        stop(process)


def wait_until_listening(process: subprocess.Popen[bytes], launch: Launch, log: Path) -> tuple[int, int]:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        if found := launch.listens(log.read_text(errors="replace")):
            return found
        time.sleep(0.005)
    said = log.read_text(errors="replace")[-2_000:]
    raise RuntimeError(f"the server did not start (exit code {process.returncode}):\n{said}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and, where it leaves some behind, those it started: they are in its session."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        for left in [one for one in all_processes() if one.session == process.pid]:
            os.kill(left.id, signal.SIGKILL)


@dataclass(frozen=True)
class Process:
    """A line of /proc/PID/stat."""

    id: int
    session: int
    ticks: int
    resident_pages: int


def all_processes() -> Iterator[Process]:
    """Every process; the fields of proc(5), counted from the one after the name."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield Process(int(stat.parent.name), int(fields[3]), int(fields[11]) + int(fields[12]), int(fields[21]))
