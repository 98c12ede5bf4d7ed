"""A program that prunes, and is killed (SIGKILL) before its statement of a given number, counted from the beginning.

``python -m tests.store.pruning DATABASE NOW RETENTION STATEMENT``: RETENTION is one of :data:`RETENTIONS`; STATEMENT
0: at no one. Prints how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from otel_replay.privacy.retention import Retention
from otel_replay.store.sqlite import SqliteStore

DAY = 86_400 * 10**9
BYTES = 6_000
RETENTIONS = {
    "age": Retention(max_age_ns=5 * DAY),
    "feature": Retention(features={"chat": DAY, "search": 5 * DAY}),
    "bytes": Retention(max_bytes=BYTES),
}


def main(database: str, now: str, retention: str, last: str) -> None:
    store = SqliteStore(Path(database), clock=lambda: int(now))
    count = 0

    def on_statement(_sql: str) -> None:
        nonlocal count
        count += 1
        if count == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

    store._database.conn.set_trace_callback(on_statement)
    store.privacy.prune(1, RETENTIONS[retention])
    store._database.conn.set_trace_callback(None)
    sys.stdout.write(f"{count}\n")
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
