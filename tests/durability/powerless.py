"""A receiver in a program whose power fails again and again, as :file:`power_loss.c` has it.

``python -m tests.durability.powerless DB COPIES COUNT SYNCHRONOUS SEED`` serves DB and sends to itself from several
threads. Right after an acknowledgement it puts what a failure of the power would leave into a directory of its own
under COPIES, and says one line of JSON: the directory, and all that was acknowledged before.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from otel_replay.model import Signal
from otel_replay.store.sqlite import checkpoints, ingest, writer
from tests.outside.outside import JSON, PROTOBUF, Outside, running
from tests.outside.telemetry import CHAT, click, log, logs, page, span, traces

SENDERS = 4


class _Sender:
    """Sends items of all kinds, each with a number of its own; ``send`` returns when one is acknowledged."""

    def __init__(self, outside: Outside, numbers: Callable[[], int]) -> None:
        self._outside = outside
        self._numbers = numbers

    def send(self) -> tuple[str, int]:
        number = self._numbers()
        kind = ("span", "log", "chunk", "rpc")[number % 4]
        getattr(self, f"_{kind}")(number)
        return ("span" if kind == "rpc" else kind), number

    def _span(self, number: int) -> None:
        body = traces(span(f"{number:032x}", number, attributes=_chat(number))).SerializeToString()
        assert self._outside.post("/v1/traces", body, PROTOBUF).status_code == 200

    def _rpc(self, number: int) -> None:
        body = traces(span(f"{number:032x}", number, attributes={"session.id": "s"})).SerializeToString()
        self._outside.export(Signal.TRACES, body)

    def _log(self, number: int) -> None:
        body = logs(log(f"text {number}", trace_id=f"{number:032x}")).SerializeToString()
        assert self._outside.post("/v1/logs", body, PROTOBUF).status_code == 200

    def _chunk(self, number: int) -> None:
        body = json.dumps({"seq": number, "events": [*page(number), click(number)]}).encode()
        assert self._outside.post("/api/v1/sessions/s/events", body, JSON).status_code == 200


def _chat(number: int) -> dict[str, object]:
    """A call that repeats what was said before, and adds to it."""
    said = [{"role": "user", "parts": [{"type": "text", "content": f"{word} " * 60}]} for word in range(number % 7)]
    said.append({"role": "user", "parts": [{"type": "text", "content": f"question {number} " * 30}]})
    return {**CHAT, "session.id": f"s{number % 5}", "gen_ai.input.messages": json.dumps(said)}


def main() -> None:
    database, copies, wanted, synchronous, seed = sys.argv[1:]
    os.environ.pop("LD_PRELOAD")  # its own children have power
    failing = ctypes.CDLL(None)
    writer.SYNCHRONOUS[True] = synchronous
    # Everything that writes has its turn in a short run.
    checkpoints.LOG_FRAMES = 300
    vars(ingest)["TAIL_BLOCKS"] = 16
    chance = random.Random(int(seed))
    numbers, acknowledged, lock = count(1), list[tuple[str, int]](), threading.Lock()
    made = count(1)

    def copy() -> bool:
        """Whether more are wanted. Called with the lock, so that nobody acknowledges meanwhile."""
        number = next(made)
        if number > int(wanted):
            return False
        directory = Path(copies) / str(number)
        directory.mkdir()
        failing.power_loss_copy(str(directory).encode(), number if number % 2 else 0)
        sys.stdout.write(json.dumps({"directory": str(directory), "acknowledged": acknowledged}) + "\n")
        sys.stdout.flush()
        return True

    def work(outside: Outside) -> None:
        sender, goes_on = _Sender(outside, numbers.__next__), True
        while goes_on:
            item = sender.send()
            with lock:
                acknowledged.append(item)
                goes_on = chance.random() > 0.2 or copy()

    with running(Path(database)) as outside:
        threads = [threading.Thread(target=work, args=(outside,)) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
