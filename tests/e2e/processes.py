"""The programs of the whole story as processes: the receiver, the example application, the command line."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver that runs: its HTTP address, the ``HOST:PORT`` of its gRPC server, and its file."""

    url: str
    grpc: str
    db: Path


class Program:
    """A Python module that runs until the block of ``running`` ends; its lines are kept for messages of failure."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def wait_for(self, pattern: str) -> str:
        """The first group of the pattern in a line that the program has written or will write."""
        deadline = time.monotonic() + _START_TIMEOUT
        seen = list(self.said)
        while True:
            for line in seen:
                if found := re.search(pattern, line):
                    return found.group(1)
            seen = [self._next_line(pattern, deadline - time.monotonic())]

    def stop(self) -> int:
        """Ask it to stop; its exit code. It is killed when it does not."""
        self._process.terminate()
        try:
            return self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _next_line(self, pattern: str, patience: float) -> str:
        try:
            line = self._lines.get(timeout=max(patience, 0))
        except queue.Empty:
            raise AssertionError(f"no line like {pattern!r}, only:\n{''.join(self.said)}") from None
        self.said.append(line)
        return line

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    """Run ``python -m ARGUMENTS`` for the length of the block."""
    command = [sys.executable, "-u", "-m", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    program = Program(process)
    try:
        yield program
    finally:
        program.stop()


@contextmanager
def receiver(db: Path) -> Iterator[Receiver]:
    """``otel-replay serve`` on free ports."""
    with running("otel_replay", "serve", "--db", str(db), "--grpc-port", "0", "--http-port", "0") as program:
        grpc = program.wait_for(r"otel-replay: grpc (\S+)")
        yield Receiver(program.wait_for(r"otel-replay: http (http://\S+)"), grpc, db)


@contextmanager
def chat_example(to: Receiver) -> Iterator[str]:
    """The example application on a free port, whose spans go out over gRPC; gives its address."""
    arguments = ("--receiver", to.url, "--grpc", to.grpc, "--port", "0")
    with running("otel_replay.examples.chat", *arguments) as program:
        yield program.wait_for(r"chat example: (http://\S+)")


def command(*arguments: str) -> Any:
    """The JSON answer of ``otel-replay ARGUMENTS``."""
    line = [sys.executable, "-m", "otel_replay", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, encoding="utf-8", check=False)
    assert done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stderr}"
    return json.loads(done.stdout)
