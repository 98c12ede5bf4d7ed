"""The backends, each behind the same two protocols."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
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


Opening = Callable[[Path], AbstractContextManager[Backend]]
"""What opens a backend in a folder: for tests that need one per example."""


@cache
def _empty_file() -> bytes:
    """What a new file holds. To make one takes 24 ms, and a copy 10: a second for every seventy tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replay.db"
        SqliteStore(path).close()
        return path.read_bytes()


def file_in(directory: Path) -> Path:
    """A file for a store, as if it were made by it; the one that is there, where there is one."""
    path = directory / "replay.db"
    if not path.exists():
        path.write_bytes(_empty_file())
    return path


@contextmanager
def memory(directory: Path) -> Iterator[Backend]:
    store = MemoryStore()
    yield Backend(store, store)
    store.close()


@contextmanager
def sqlite(directory: Path) -> Iterator[Backend]:
    store = SqliteStore(file_in(directory))
    try:
        yield Backend(store, store)
    finally:
        store.close()


@contextmanager
def second_view(directory: Path) -> Iterator[Backend]:
    """What another process sees of the file while this one writes it."""
    store = SqliteStore(file_in(directory))
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
