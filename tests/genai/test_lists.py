"""Lists and statistics are answered from rows: what spans are and what was said in them is never read for that."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils.utils import sqlite3

import otel_replay
from otel_replay.model import Signal
from tests.outside.outside import running
from tests.outside.telemetry import CHAT, span, traces

SAID = {"gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi" * 1_000}]}])}
GROUPS = ("session", "conversation", "model", "provider", "user", "feature", "variant", "service", "day")
NAMED = {"user.id": "ada", "feature": "chat", "variant": "B"}


def answers(database: Path) -> dict[str, Any]:
    replay = otel_replay.open(str(database))
    try:
        return {"sessions": replay.sessions(user="ada"), **{by: replay.stats(by=by) for by in GROUPS}}
    finally:
        replay.close()


@pytest.mark.slow
@pytest.mark.feature("K8")
@pytest.mark.feature("K12")
def test_lists_need_no_spans_and_no_messages(tmp_path: Path) -> None:
    database = tmp_path / "replay.db"
    with running(database) as receiver:
        for number in range(1, 4):
            named = {**NAMED, "session.id": f"s{number}", "gen_ai.conversation.id": f"c{number}"}
            one = span(f"{number:032x}", 1, attributes={**CHAT, **SAID, **named})
            receiver.export(Signal.TRACES, traces(one).SerializeToString())
        receiver.document("/api/v1/stats", wait="10s")
    before = answers(database)
    assert before["sessions"]["total"] == 3
    assert {by: sum(row["interactions"] for row in before[by]["groups"]) for by in GROUPS} == dict.fromkeys(GROUPS, 3)
    with closing(sqlite3.connect(database)) as connection, connection:
        for table in ("blocks", "body_blocks"):
            assert connection.execute(f"UPDATE {table} SET data = x''").rowcount > 0
    assert answers(database) == before
    replay = otel_replay.open(str(database))
    assert replay.timeline(session_id="s1").interactions == [], "they cannot be read any more"
    replay.close()
