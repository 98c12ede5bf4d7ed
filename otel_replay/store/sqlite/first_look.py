"""A look at a file before it is opened for writing: what is damaged is said, and never made anew in silence.

SQLite takes an empty file for a new database and deletes the log beside it; a page that is damaged it notices when it
is read, perhaps weeks later. So the schema is read, and some rows of every table: 1.3 ms in a file of 20,000 blocks
(10 million spans), 20 to 90 ms where nothing of it is cached.
The full check is :mod:`otel_replay.store.sqlite.integrity`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlite_utils.utils import sqlite3

from otel_replay.errors import StoreError
from otel_replay.store.sqlite.schema import APPLICATION_ID

SAMPLES = 8
"""Rows that are read of every table, spread over its numbers."""

_HEADER_BYTES = 100
_LOG_HEADER_BYTES = 32


def look_at_files(path: Path) -> None:
    """Looks at sizes alone. Raises :class:`StoreError` when data would be lost, or is."""
    log_bytes, file_bytes = _size(Path(f"{path}-wal")), _size(path)
    if log_bytes > _LOG_HEADER_BYTES and file_bytes == 0:
        raise StoreError(
            f"{path} is {'empty' if path.exists() else 'not there'}, but its log {path}-wal holds data",
            hint="bring the database back beside its log, or move the log away to start anew",
        )
    if file_bytes and log_bytes <= _LOG_HEADER_BYTES and file_bytes < (told := _told_bytes(path)):
        raise damaged_file(path, f"it is cut off after {file_bytes} of {told} bytes")


def look_inside(connection: Any, path: Path) -> None:
    """Reads some of every table. Raises :class:`StoreError` where SQLite finds them damaged."""
    try:
        for name, sql in _tables(connection):
            for _ in _sampled(connection, name, sql):
                pass
    except sqlite3.OperationalError:
        raise  # a lock, say
    except sqlite3.DatabaseError as error:
        connection.close()
        raise damaged_file(path, error) from error


def damaged_file(path: Path, error: object) -> StoreError:
    return StoreError(
        f"{path} is damaged: {error}",
        hint=f"nothing was changed; keep a copy, see what is left with otel-replay check --db {path}, use a backup",
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _told_bytes(path: Path) -> int:
    """The size that the header of a file of ours tells, else 0: https://www.sqlite.org/fileformat2.html#database_header"""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    is_ours = len(header) == _HEADER_BYTES and header[68:72] == struct.pack(">I", APPLICATION_ID)
    if not is_ours or header[24:28] != header[92:96]:
        return 0
    (page_bytes,) = struct.unpack_from(">H", header, 16)
    (pages,) = struct.unpack_from(">I", header, 28)
    return int(pages) * (65_536 if page_bytes == 1 else int(page_bytes))


def _tables(connection: Any) -> list[tuple[str, str]]:
    """Name and SQL of every table, those behind the full text among them."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    found: list[tuple[str, str]] = connection.execute(query).fetchall()
    return found


def _sampled(connection: Any, name: str, sql: str) -> Iterator[Any]:
    if "WITHOUT ROWID" in sql.upper():
        yield connection.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchone()
        return
    # Asked for one by one: both at once would read the whole table.
    first, last = (connection.execute(f'SELECT {end}(rowid) FROM "{name}"').fetchone()[0] for end in ("min", "max"))
    for number in range(SAMPLES if first is not None else 0):
        at = first + (last - first) * number // (SAMPLES - 1)
        yield connection.execute(f'SELECT * FROM "{name}" WHERE rowid >= ? LIMIT 1', (at,)).fetchone()
