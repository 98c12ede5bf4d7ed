"""A file with some data of every kind, and ways to damage it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otel_replay.store.sqlite import SqliteStore
from tests.genai.spans import any_value
from tests.store.requests import (
    CHAT,
    CLICK,
    ERROR,
    TRACE,
    click_event,
    log,
    logs,
    metrics,
    payload,
    span,
    traces,
    upload,
    write,
)

FILLER = {"filler": "0123456789" * 30}
"""Makes an event long enough that compressing it is worth it."""


def fill(store: SqliteStore, first: int = 1, count: int = 12) -> None:
    """Spans with and without what was said, actions, logs, metrics, and a recording; one block for each request."""
    for number in range(first, first + count):
        said = [{"role": "user", "parts": [{"type": "text", "content": f"question {number // 2} " * 60}]}]
        attributes = {**CHAT, "session.id": "s1", "user.id": "u1", "gen_ai.input.messages": json.dumps(said)}
        store.commit(write(traces(span(number, attributes), span(1000 + number, status=ERROR))))
        store.commit(write(logs(log({"session.id": "s1"}, trace=TRACE, body=any_value(f"text {number}")))))
        store.commit(upload(number - 1, payload(click_event(number) | FILLER)))
    store.commit(write(traces(span(5000 + first, CLICK))))
    store.commit(write(metrics(1, 2)))
    store.distill()


@contextmanager
def changed(path: Path) -> Iterator[Any]:
    """A connection of another program, which commits at the end."""
    connection = sqlite3.connect(path)
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


def flip(path: Path, table: str, column: str, row: int = 0, at: int = 20) -> int:
    """Flips the bits of one byte of a stored value; gives the row's number."""
    with changed(path) as connection:
        query = f"SELECT rowid, {column} FROM {table} ORDER BY rowid LIMIT 1 OFFSET ?"
        number, data = connection.execute(query, (row,)).fetchone()
        broken = bytearray(data)
        broken[at] ^= 0xFF
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (bytes(broken), number))
    return int(number)


def page_of(path: Path, name: str) -> int:
    """The number of the first page of a table or an index."""
    with changed(path) as connection:
        return int(connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0])


def overwrite_page(path: Path, number: int, page_bytes: int = 8192) -> None:
    with path.open("r+b") as file:
        file.seek((number - 1) * page_bytes)
        file.write(b"\xa5" * page_bytes)
