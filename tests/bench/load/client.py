"""The client that sends a file of entries: built from the C sources beside this module, run on a core of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from otel_replay.errors import ReplayError

SOURCES = Path(__file__).parent / "client"
BUSIEST_CLIENT = 0.85
"""Above this share of its core the client, not the server, may be what is measured."""


class Protocol(StrEnum):
    """How requests are sent; the values are the client's names for it."""

    GRPC = "grpc"
    HTTP = "http"


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """``HOST:PORT``; raises :class:`ReplayError` for anything else."""
        host, colon, port = text.rpartition(":")
        if not (colon and host and port.isascii() and port.isdigit()):
            raise ReplayError(f"{text[:80]!r} is not HOST:PORT", hint="for example 127.0.0.1:4317")
        return cls(host.strip("[]"), int(port))

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True)
class Answers:
    """What came of a file: requests, bytes of those answered well, seconds of wall clock and of the client's CPU."""

    answered: int
    succeeded: int
    bytes: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    @property
    def busy(self) -> float:
        """Share of its core that the client used."""
        return self.cpu_seconds / self.seconds

    @property
    def valid(self) -> bool:
        return self.busy <= BUSIEST_CLIENT


@dataclass(frozen=True)
class Load:
    """How a file is sent: requests in flight over so many connections, for at most `seconds` (0: all of it)."""

    protocol: Protocol = Protocol.GRPC
    connections: int = 1
    in_flight: int = 16
    seconds: float = 0
    content_type: str = "application/x-protobuf"
    header: str = ""

    @property
    def open_connections(self) -> int:
        """HTTP/1.1 has one request in flight on a connection."""
        return self.in_flight if self.protocol is Protocol.HTTP else self.connections


@dataclass(frozen=True)
class Client:
    """The built program; pinned to `core` unless that is None."""

    program: Path
    core: int | None = None

    def send(self, address: Address, entries: Path, load: Load) -> Answers:
        done = subprocess.run(self._command(address, entries, load), capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise ReplayError(f"the client stopped: {done.stderr.strip()[-500:]}")
        answers = Answers(**json.loads(done.stdout))
        if answers.succeeded < answers.answered:
            refused = answers.answered - answers.succeeded
            raise ReplayError(f"{refused} of {answers.answered} requests were refused: {done.stderr.strip()[-500:]}")
        return answers

    def _command(self, address: Address, entries: Path, load: Load) -> list[str]:
        options = {
            "protocol": load.protocol.value,
            "host": address.host,
            "port": address.port,
            "connections": load.open_connections,
            "in-flight": load.in_flight,
            "seconds": load.seconds,
            "content-type": load.content_type,
        }
        named = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        header = ["--header", load.header] if load.header else []
        return [*pinned(self.core), str(self.program), *named, *header, str(entries)]


def pinned(core: int | None) -> Sequence[str]:
    """What to put before a command so that it runs on one core; nothing where that cannot be done."""
    return [] if core is None or not shutil.which("taskset") else ["taskset", "-c", str(core)]


def build_client(directory: Path) -> Path:
    """Compiles the client into `directory`. Raises :class:`ReplayError` that says what to install."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise ReplayError("the load generator's client needs a C compiler, and there is none", hint=INSTALL)
    program = directory / "load_client"
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    done = subprocess.run(
        [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-o", str(program), *sources, "-lnghttp2"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[-200:])
        raise ReplayError(f"the load generator's client does not compile: {first.strip()}", hint=INSTALL)
    return program


INSTALL = (
    "install a C compiler and nghttp2's headers: apt install gcc libc6-dev libnghttp2-dev, dnf install gcc"
    " libnghttp2-devel, or apk add gcc musl-dev nghttp2-dev"
)
