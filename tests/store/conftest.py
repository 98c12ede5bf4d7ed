"""The backends, each behind the same two protocols."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from otel_replay.store.base import Reader, Receipt, Store, Write
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite import SqliteReader, SqliteStore


@dataclass(frozen=True, slots=True)
class Backend:
    """A store to write to, and the reader that is asked."""

    store: Store
    reader: Reader

    def commit(self, *writes: Write) -> list[Receipt]:
        return [self.store.commit(write) for write in writes]


@contextmanager
def memory(directory: Path) -> Iterator[Backend]:
    store = MemoryStore()
    yield Backend(store, store)
    store.close()


@contextmanager
def sqlite(directory: Path) -> Iterator[Backend]:
    store = SqliteStore(directory / "replay.db")
    try:
        yield Backend(store, store)
    finally:
        store.close()


@contextmanager
def second_view(directory: Path) -> Iterator[Backend]:
    """What another process sees of the file while this one writes it."""
    store = SqliteStore(directory / "replay.db")
    reader = SqliteReader(directory / "replay.db")
    try:
        yield Backend(store, reader)
    finally:
        reader.close()
        store.close()


@pytest.fixture(params=[memory, sqlite, second_view], ids=lambda backend: backend.__name__)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with request.param(tmp_path) as opened:
        yield opened
