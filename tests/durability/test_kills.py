"""A receiver that is killed (SIGKILL) at random moments under load, and started again each time."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pytest
import requests
from hypothesis import settings

from otel_replay.store.sqlite import SqliteReader
from otel_replay.store.sqlite.integrity import check
from tests.durability.senders import Sender, one_of_each, wrong
from tests.e2e.processes import Program, Receiver, running

SOAK = settings.get_current_profile_name() == "soak"
KILLS, KILLS_OF_A_FILE = (200, 25) if SOAK else (5, 5)
"""All of a file is read after each kill: with one file alone that would be most of the time."""

READY_S = 2.0


class _Mortal:
    """A receiver on one file that can be killed and started again, on other ports each time."""

    def __init__(self, db: Path, parts: ExitStack) -> None:
        self._db = db
        self._parts = parts
        self._program: Program
        self.ready_s: list[float] = []
        self.receiver: Receiver
        self.start()

    def start(self) -> None:
        began = time.monotonic()  # before the program is executed
        arguments = ("serve", "--db", str(self._db), "--grpc-port", "0", "--http-port", "0")
        self._program = self._parts.enter_context(running("otel_replay", *arguments))
        grpc = self._program.wait_for(r"otel-replay: grpc (\S+)")
        url = self._program.wait_for(r"otel-replay: http (http://\S+)")
        assert requests.get(f"{url}/readyz", timeout=20).status_code == 200
        self.ready_s.append(time.monotonic() - began)
        self.receiver = Receiver(url, grpc, self._db)

    def kill(self) -> None:
        self._program._process.kill()
        self._program._process.wait()


@pytest.mark.feature("X6")
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_was_acknowledged_survives_every_kill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    total = 0
    ready_s: list[float] = []
    for number, kills in enumerate([KILLS_OF_A_FILE] * (KILLS // KILLS_OF_A_FILE)):
        batches, ready = _kill(tmp_path / f"{number}.db", kills)
        total, ready_s = total + batches, ready_s + ready
    told = f"ready again after {median(ready_s):.2f} s, {max(ready_s):.2f} at most"
    with capsys.disabled():
        sys.stdout.write(f"{len(ready_s)} kills, {total} batches acknowledged, {told}\n")
    assert len(ready_s) == KILLS
    assert max(ready_s) < READY_S


def _kill(db: Path, kills: int) -> tuple[int, list[float]]:
    """Kills the receiver of one file so often; how much was acknowledged, and how long each restart took."""
    with ExitStack() as parts:
        mortal = _Mortal(db, parts)
        senders = one_of_each(lambda: mortal.receiver)
        for sender in senders:
            sender.start()
        checked = [0] * len(senders)
        for _ in range(kills):
            _wait_for_more(senders)
            time.sleep(random.uniform(0.05, 1.0))
            mortal.kill()
            mortal.start()
            checked = _look(mortal, senders, checked)
        for sender in senders:
            sender.stop()
        _look(mortal, senders, [0] * len(senders))
    return sum(len(sender.acknowledged) for sender in senders), mortal.ready_s[1:]


def _wait_for_more(senders: Sequence[Sender]) -> None:
    """Until each has had something acknowledged by the receiver that runs now."""
    before = [len(sender.acknowledged) for sender in senders]
    deadline = time.monotonic() + 30
    while any(len(sender.acknowledged) == count for sender, count in zip(senders, before, strict=True)):
        assert not [error for sender in senders for error in sender.errors]
        assert time.monotonic() < deadline, "nothing is acknowledged any more"
        time.sleep(0.01)


def _look(mortal: _Mortal, senders: Sequence[Sender], checked: Sequence[int]) -> list[int]:
    """The file is whole, and what was acknowledged since the last look is there, once; returns how much that is."""
    counts = [len(sender.acknowledged) for sender in senders]
    assert check(mortal.receiver.db).damaged == []
    reader = SqliteReader(mortal.receiver.db)
    try:
        for sender, first, last in zip(senders, checked, counts, strict=True):
            assert wrong(reader, sender, first, last) == []
    finally:
        reader.close()
    return counts
