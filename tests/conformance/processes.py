"""A receiver as a process of its own, whose memory can be looked at."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.outside.outside import eventually

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Process:
    """A receiver that runs, and what it has written so far."""

    popen: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.announced("http")

    @property
    def grpc_address(self) -> str:
        return self.announced("grpc")

    def announced(self, what: str) -> str:
        """What it has said after ``otel-replay: WHAT``."""
        pattern = re.compile(rf"otel-replay: {what} ?(\S*)")
        found = eventually(lambda: pattern.search("".join(self.said)), lambda match: match is not None)
        assert found is not None, "".join(self.said)
        return found.group(1)

    def resident_mib(self) -> float:
        pages = int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB

    def peak_mib(self) -> float:
        """The most memory that it has had since :meth:`forget_peak`."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.popen.pid}/clear_refs").write_text("5")


@contextmanager
def serving(database: Path, *options: str) -> Iterator[Process]:
    """``otel-replay serve`` on free ports for the length of the block; it is killed if it does not stop."""
    command = [sys.executable, "-u", "-m", "otel_replay", "serve", "--db", str(database), *options]
    command += ["--grpc-port", "0", "--http-port", "0"]
    popen = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process = Process(popen)
    assert popen.stderr is not None
    reading = threading.Thread(target=_read, args=(popen.stderr, process.said))
    reading.start()
    try:
        yield process
    finally:
        popen.send_signal(signal.SIGTERM)
        try:
            popen.wait(20)
        finally:
            popen.kill()
            popen.wait()
            reading.join()


def _read(stream: IO[str], said: list[str]) -> None:
    with stream:
        for line in stream:
            said.append(line)  # noqa: PERF402 - each as soon as it is there
