"""A file with some data of every kind, and ways to damage it."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from otel_replay.model import Signal, Source
from otel_replay.receiver.handler import Handler, Sender
from otel_replay.store.sqlite import SqliteStore
from tests.genai.spans import any_value
from tests.outside.telemetry import page
from tests.store.requests import (
    CHAT,
    CLICK,
    ERROR,
    START,
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
from tests.store.test_erasure import said, trace_id

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


def fill_with_noise(database: Path, size: int) -> None:
    """Makes a file of at least so many bytes, in a few large records."""
    with closing(SqliteStore(database)) as store:
        handler = Handler(store, time.time_ns, lambda: None)
        while database.stat().st_size < size:
            noise = traces(span(1, {"noise": os.urandom(2 * 1024 * 1024).hex()}, trace="ee" * 16))
            handler.export(Signal.TRACES, noise.SerializeToString(), Sender(1, Source.SERVER))


def tell_of(url: str, name: str) -> None:
    """Sends a receiver a session: what was said, other spans, one that is large, and a recording."""
    named = {"session.id": f"session-{name}", "user.id": f"user-{name}"}
    spans = [said(name, 1), named, {**named, "noise": os.urandom(2 * 1024 * 1024).hex()}]
    body = traces(*(span(number, one, trace=trace_id(name)) for number, one in enumerate(spans, 1)))
    kind = {"content-type": "application/x-protobuf"}
    answer = requests.post(f"{url}/v1/traces", body.SerializeToString(), headers=kind, timeout=20)
    assert answer.status_code == 200, answer.text
    written = {"type": 5, "timestamp": START // 10**6, "data": {"tag": "t", "payload": f"page-{name}"}}
    chunk: Any = {"seq": 0, "events": [*page(0), written]}
    answer = requests.post(f"{url}/api/v1/sessions/session-{name}/events", json=chunk, timeout=20)
    assert answer.status_code == 200, answer.text


def needles_of(name: str) -> list[bytes]:
    """What stands in the file as long as anything of that session does."""
    texts = [f"session-{name}", f"user-{name}", f"only{name}word", f"page-{name}"]
    return [bytes.fromhex(trace_id(name)), *map(str.encode, texts)]


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
