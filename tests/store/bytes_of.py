"""Every byte that a database holds: of its files as they are, and of all that is compressed in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard

_FRAME = b"\x28\xb5\x2f\xfd"


def all_bytes(path: Path) -> Iterator[tuple[str, bytes]]:
    """(where, bytes) of the main file, its log and shared memory, every value of every table, decompressed too."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        file = Path(f"{path}{suffix}")
        if file.exists():
            yield file.name, file.read_bytes()
    connection = sqlite3.connect(path)
    try:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table != "texts":  # its content stands in the tables behind it
                for row in connection.execute(f"SELECT * FROM {table}"):
                    yield from _values(table, row)
    finally:
        connection.close()


def _values(table: str, row: Iterable[object]) -> Iterator[tuple[str, bytes]]:
    for value in row:
        data = value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")
        yield table, data
        if data.startswith(_FRAME):
            yield f"{table}, decompressed", zstandard.ZstdDecompressor().decompress(data)


def places_of(path: Path, needles: Iterable[bytes]) -> set[tuple[bytes, str]]:
    """(needle, where) for all that is found."""
    wanted = list(needles)
    return {(needle, where) for where, data in all_bytes(path) for needle in wanted if needle in data}
