"""``python -m tests.conformance.fuzzing TARGET CORPUS ...``: Atheris on the wire path, from bytes to a write.

What it is given ends in a result or a permanent error; anything else ends the process with the bytes that did it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]  # it ships no types, nor wheels for every platform

with atheris.instrument_imports(include=["otel_replay"]):
    from otel_replay.errors import PermanentError
    from otel_replay.model import DEFAULT_PROJECT, Signal, Source
    from otel_replay.receiver.handler import Handler, Sender
    from otel_replay.receiver.recordings import upload_facts
    from otel_replay.store.base import Receipt, Write

SENDER = Sender(DEFAULT_PROJECT, Source.SERVER)


class Discarding:
    """Keeps nothing: a run takes millions of writes."""

    def commit(self, write: Write) -> Receipt:
        return Receipt(duplicate=False, chunks=tuple(_receipt(number) for number, _ in enumerate(write.chunks)))


def _receipt(number: int) -> Any:
    from otel_replay.store.base import ChunkReceipt

    return ChunkReceipt(number, duplicate=False)


HANDLER = Handler(Discarding(), lambda: 10**18, lambda: None)

TARGETS: dict[str, Callable[[bytes], object]] = {
    "traces": lambda body: HANDLER.export(Signal.TRACES, body, SENDER),
    "logs": lambda body: HANDLER.export(Signal.LOGS, body, SENDER),
    "json": lambda body: HANDLER.export_json(Signal.TRACES, body, SENDER),
    "upload": lambda body: HANDLER.upload(*upload_facts("s1", {}, body), SENDER),
}


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]

    def once(body: bytes) -> None:
        with suppress(PermanentError):
            target(body)

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
