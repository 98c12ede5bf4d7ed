"""Writes that are certain to be committed as one group."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

from otel_replay.store.base import Receipt, Write
from otel_replay.store.sqlite import SqliteStore


def submit_as_group(store: SqliteStore, writes: Sequence[Write]) -> list[Future[Receipt]]:
    """Hands in all writes while the writer thread is busy."""
    gate = threading.Event()
    busy = store._writer.run(lambda: gate.wait(30))
    futures = [store._writer.submit(write) for write in writes]
    gate.set()
    assert busy.result()
    return futures


def commit_as_group(store: SqliteStore, writes: Sequence[Write]) -> list[Receipt]:
    return [future.result() for future in submit_as_group(store, writes)]


def on_the_writer(store: SqliteStore, statement: str, *values: object) -> None:
    """Runs SQL where all writing is done: its connection is used by no other thread."""
    store._writer.run(lambda: store._database.conn.execute(statement, values)).result()
