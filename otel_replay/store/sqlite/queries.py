"""What every group of questions stands on: connections that read, and the index with its key."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from otel_replay.store.sqlite.database import ReadConnections
from otel_replay.store.sqlite.index import IndexReader, KeyedHash


class Queries:
    """Questions to one file, on connections of their own, from any process."""

    def __init__(self, path: Path) -> None:
        self._connections = ReadConnections(path)
        self._index = IndexReader()
        with self._connections.snapshot() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'index_key'").fetchone()
        self._hash = KeyedHash(bytes.fromhex(row[0]))

    def reading(self) -> AbstractContextManager[Any]:
        """A connection inside a read transaction."""
        return self._connections.snapshot()

    def blocks_of(self, connection: Any, project: int, kind: int, item: bytes) -> list[int]:
        """Numbers of the blocks that may hold an id, by one of the two indexes; some may be gone."""
        return self._index.blocks(connection, kind, self._hash(project, item))

    def close(self) -> None:
        self._connections.close()

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._connections.snapshot() as connection:
            rows: list[Any] = connection.execute(query, values).fetchall()
            return rows

    def _column(self, query: str, values: Sequence[Any]) -> list[str]:
        return [row[0] for row in self._rows(query, values)]
