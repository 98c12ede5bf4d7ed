"""A process that writes to a store until it is killed.

``python -m tests.store.writing hold DB URL`` says ``ready`` and waits; ``... write DB FIRST`` stores spans numbered
from FIRST on and says each number once the receipt is there; ``... compact DB FIRST`` sorts the blocks meanwhile.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from subprocess import PIPE, Popen

from otel_replay.store.sqlite import SqliteStore
from tests.store.requests import CHAT, span, traces, write

ROOT = Path(__file__).parents[2]


@contextmanager
def another_process(*arguments: str) -> Iterator[Popen[str]]:
    """This program, killed (with SIGKILL) at the end of the block if it still runs."""
    command = [sys.executable, "-m", "tests.store.writing", *arguments]
    with Popen(command, cwd=ROOT, stdout=PIPE, stdin=PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: Popen[str]) -> str:
    """The next line; empty when the process ended."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def rest(process: Popen[str]) -> list[str]:
    """All further lines of a process that was killed."""
    assert process.stdout is not None
    lines = process.stdout.read().split()
    process.wait()
    return lines


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _compact_for_ever(store: SqliteStore) -> None:
    while True:
        store.compact_now()


def main() -> None:
    task, path, told = sys.argv[1:]
    store = SqliteStore(path)
    if task == "hold":
        store.announce(told)
        _say("ready")
        sys.stdin.read()
    if task == "compact":
        threading.Thread(target=_compact_for_ever, args=(store,), daemon=True).start()
    for number in count(int(told)):
        store.commit(write(traces(span(number, {**CHAT, "session.id": f"s{number}"}))))
        _say(str(number))


if __name__ == "__main__":
    main()
