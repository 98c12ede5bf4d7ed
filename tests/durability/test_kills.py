"""A receiver that is killed (SIGKILL) at random moments under load, and started again each time."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from hypothesis import settings

from otel_replay.store.sqlite import SqliteReader
from otel_replay.store.sqlite.integrity import check
from tests.durability.senders import Sender, one_of_each, wrong
from tests.e2e.processes import Program, Receiver, running

SOAK = settings.get_current_profile_name() == "soak"
KILLS = 200 if SOAK else 5
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
        began = time.monotonic()
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
    with ExitStack() as parts:
        mortal = _Mortal(tmp_path / "replay.db", parts)
        senders = one_of_each(lambda: mortal.receiver)
        for sender in senders:
            sender.start()
        checked = [0] * len(senders)
        for _ in range(KILLS):
            _wait_for_more(senders)
            time.sleep(random.uniform(0.05, 1.0))
            mortal.kill()
            mortal.start()
            checked = _look(mortal, senders, checked)
        for sender in senders:
            sender.stop()
        _look(mortal, senders, [0] * len(senders))
    total = sum(len(sender.acknowledged) for sender in senders)
    ready = sorted(mortal.ready_s)
    usual, nearly_all = ready[len(ready) // 2], ready[len(ready) * 19 // 20 - 1]
    with capsys.disabled():
        sys.stdout.write(f"{KILLS} kills, {total} batches acknowledged, ready again after {usual:.2f} s\n")
    assert nearly_all < READY_S


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
