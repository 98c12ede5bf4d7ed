"""A program that erases, and is killed (SIGKILL) before its statement of a given number, counted from the beginning.

``python -m tests.durability.erasing DATABASE KIND ID VACUUM STATEMENT``; STATEMENT 0: at no one. Prints how many there
were.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.erasure import Subject


def main(database: str, kind: str, name: str, vacuum: str, last: str) -> None:
    store = SqliteStore(Path(database))
    count = 0

    def on_statement(_sql: str) -> None:
        nonlocal count
        count += 1
        if count == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

    store._database.conn.set_trace_callback(on_statement)
    store.privacy.erase(1, Subject(kind, name), vacuum=vacuum == "vacuum")
    store._database.conn.set_trace_callback(None)
    sys.stdout.write(f"{count}\n")
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
