"""What SQLite does with our statements: none walks through a table that grows with what was stored."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils.utils import sqlite3

from otel_replay.store.base import InteractionFilter
from otel_replay.store.sqlite import SqliteStore
from otel_replay.store.sqlite.database import open_reading
from otel_replay.store.sqlite.erasure import Subject
from tests.genai.spans import any_value
from tests.store.requests import (
    CHAT,
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
from tests.store.test_differential import answers, said

GROWING = frozenset(
    [
        "actions",
        "bodies",
        "blocks",
        "body_blocks",
        "body_digests",
        "chunks",
        "conversations",
        "dom_chunks",
        "errors",
        "facets",
        "index_buckets",
        "interactions",
        "listed",
        "operations",
        "requests",
        "rollups",
        "session_traces",
        "sessions",
        "streams",
        "strings",
    ]
)
"""Tables of ours with a row for every so many spans, chunks, sessions or names; ``listed`` is sessions again."""
ALLOWED = re.compile(
    r".* IN \(\).*"  # never begins to look: what it should look for is nothing
    # Once, when a file is brought up to date.
    r"|UPDATE interactions SET cost_source = cost_pico_usd .*|UPDATE \w+ SET calls = 0, counting = 0 .*"
    r"|SELECT count\(\*\) FROM \w+|SELECT signal, sum\(items\) FROM blocks GROUP BY signal"  # both asked to count
)
ONLY_WHAT_WAITS = {"streams_due", "rollups_long"}
"""Indexes of just the rows that are looked for."""


class Statements:
    """Every statement of every connection, once for each form it has beside its values."""

    def __init__(self) -> None:
        self.by_form: dict[str, str] = {}

    def add(self, statement: str) -> None:
        self.by_form.setdefault(re.sub(r"[xX]?'(?:[^']|'')*'|\b\d+\b", "?", statement), statement)

    def connect(self, *arguments: Any, **options: Any) -> Any:
        connection = sqlite3.Connection(*arguments, **options)
        connection.set_trace_callback(self.add)
        return connection


def test_no_statement_walks_through_what_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements, path = Statements(), tmp_path / "replay.db"
    monkeypatch.setattr(sqlite3, "connect", statements.connect)
    work(path)
    walks = sorted(walks_in(path, statements))
    assert not walks, "\n\n".join(walks)


@pytest.mark.parametrize(
    "wanted", [{"user": "ada"}, {"session_id": "s2"}, {"user": "ada", "since_unix_nano": 1}], ids=str
)
def test_errors_of_some_sessions_are_not_sought_among_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any]
) -> None:
    """By time, each of a hundred groups would look at every error there is: no answer in time at a million calls."""
    statements, path = Statements(), tmp_path / "replay.db"
    monkeypatch.setattr(sqlite3, "connect", statements.connect)
    store = SqliteStore(path)
    try:
        store.commit(write(traces(span(1, CHAT | {"user.id": "ada", "session.id": "s2"}))))
        assert store.statistics(1, "session", InteractionFilter(**wanted), limit=10).groups
    finally:
        store.close()
    connection = open_reading(path)
    asked = [one for one in statements.by_form.values() if re.match(r"SELECT (session_id, )?count.* FROM errors", one)]
    steps = [step for one in asked for _, _, _, step in _plan(connection, one) if " errors " in step]
    connection.close()
    assert set(steps) == {"SEARCH errors USING PRIMARY KEY (project=? AND session_id=?)"}


def work(path: Path) -> None:
    """A little of all that is written, followed, asked and compacted."""
    store = SqliteStore(path)
    try:
        for number in range(4):
            asked = CHAT | {"session.id": "s1", "gen_ai.input.messages": said(f"Where is order {number}?")}
            for start in (0, -1):  # the second version is earlier: its text moves
                store.commit(write(traces(span(number + 1, asked, start=1_763_600_000_000_000_000 + start))))
            inner = CHAT | {"session.id": "s1", "gen_ai.conversation.id": "c1", "gen_ai.usage.input_tokens": 7}
            store.commit(write(traces(span(number + 30, inner, parent_span_id=(number + 1).to_bytes(8, "big")))))
            store.commit(write(traces(span(number + 9, {"user.id": "ada", "session.id": "s2"}, status=ERROR))))
            store.commit(write(logs(log({"session.id": "s1"}))))
            message = any_value({"content": f"Order {number}"})
            told = {"session.id": "s1", "otel_replay.session.tags": '["work"]'}
            store.commit(write(logs(log(told, event_name="session.update", severity_number=17))))
            asked_in_log = log(event_name="gen_ai.user.message", body=message, trace=TRACE, span_id=bytes([number] * 8))
            store.commit(write(logs(asked_in_log)))
            store.commit(write(metrics(number)))
            store.commit(upload(number, payload(click_event(number))))
        store.distill()
        store.compact_now()
        deadline = time.monotonic() + 20
        while any(store.lag(1)[:2]):
            assert time.monotonic() < deadline, store.lag()
            time.sleep(0.001)
        answers(store)
        for number, subject in enumerate((Subject("session", "s3"), Subject("trace", f"{3:032x}"))):
            small = {"session.id": f"s{number + 3}", "user.id": "eve", "feature": "one", "label": "other"}
            named = span(1, asked | small, trace=f"{number + 3:032x}", name="only here")
            store.commit(write(traces(named, span(2, CHAT, trace=f"{number + 3:032x}"))))
            store.commit(upload(0, payload(click_event(1)), session=f"s{number + 3}"))
            store.privacy.erase(1, subject, vacuum=False)
    finally:
        store.close()


def walks_in(path: Path, statements: Statements) -> list[str]:
    connection = open_reading(path)
    try:
        return [
            f"{step}: {statement}"
            for statement in statements.by_form.values()
            if not ALLOWED.fullmatch(statement)
            for _, _, _, step in _plan(connection, statement)
            if _walks(step)
        ]
    finally:
        connection.close()


def _plan(connection: Any, statement: str) -> list[Any]:
    if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH", "REPLACE")):
        return list(connection.execute(f"EXPLAIN QUERY PLAN {statement}"))
    return []


def _walks(step: str) -> bool:
    found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
    return found is not None and found[1] in GROWING and found[2] not in ONLY_WHAT_WAITS
