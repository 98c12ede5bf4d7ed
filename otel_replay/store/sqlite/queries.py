"""What every group of questions stands on: connections that read, and the index with its key."""

from __future__ import annotations

from collections.abc import Sequence
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

    def close(self) -> None:
        self._connections.close()

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._connections.snapshot() as connection:
            rows: list[Any] = connection.execute(query, values).fetchall()
            return rows

    def _column(self, query: str, values: Sequence[Any]) -> list[str]:
        return [row[0] for row in self._rows(query, values)]
