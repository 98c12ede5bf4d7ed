"""Dialects of libraries too heavy to run here: what they exported of the conversation once, sent again.

``recorded/NAME.json`` is OTLP/JSON with its origin beside it: the library, its version, and what it talked to.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.dialects.dialect import Dialect, allowed, differences
from tests.dialects.expected import WEATHER_TOOL
from tests.dialects.heard import agents_run, errors_of, heard, tokens_of, tools_run, without
from tests.dialects.recorded_differences import RECORDED
from tests.outside.outside import JSON, Outside, running

pytestmark = [pytest.mark.feature("X5"), pytest.mark.feature("C6"), pytest.mark.slow]

FOLDER = Path(__file__).parent / "recorded"


@pytest.mark.parametrize("dialect", RECORDED, ids=str)
def test_a_recorded_conversation_gives_the_same_interactions(tmp_path: Path, dialect: Dialect) -> None:
    with running(tmp_path / "replay.db") as receiver:
        send(receiver, dialect.client)
        sessions = receiver.document("/api/v1/sessions")["sessions"]
        timeline = receiver.timeline(f"/api/v1/sessions/{sessions[0]['session_id']}/timeline")
        total = receiver.document("/api/v1/stats", wait="10s")["total"]
    calls = heard(timeline, dialect.span)
    assert differences(dialect, calls) == allowed(dialect)
    assert tokens_of(without(calls, dialect.repeated)) == timeline["tokens"] == total["tokens"]
    assert errors_of(heard(timeline)) == total["errors"]
    assert tools_run(timeline) == [{**WEATHER_TOOL, **tool} for tool in dialect.tools]
    assert agents_run(timeline) == dialect.agents


def test_every_recording_is_compared_and_says_where_it_is_from() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {dialect.client for dialect in RECORDED}
    assert all(json.loads(path.read_text())["origin"] for path in FOLDER.glob("*.json"))


def send(receiver: Outside, name: str) -> None:
    recorded = json.loads((FOLDER / f"{name}.json").read_text())
    body = json.dumps({"resourceSpans": recorded["resourceSpans"]}).encode()
    answer = receiver.post("/v1/traces", body, JSON)
    assert answer.status_code == 200, answer.text
