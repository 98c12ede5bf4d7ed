"""A recording gives the same events back, whichever way it went to a real receiver."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.outside.outside import Outside, eventually, running
from tests.recorder.driving import flush, session_of, stream_of

pytestmark = [pytest.mark.browser, pytest.mark.feature("R1"), pytest.mark.feature("R5")]

RECORD = """([endpoint, transport]) => {
  window.sent = [];
  window.recorder = OtelReplay.record({
    endpoint, transport, flushIntervalMs: 50, userId: 'u1', feature: 'chat',
    beforeSend(event, kind) { if (kind === 'dom') sent.push(JSON.parse(JSON.stringify(event))); return event; },
  });
}"""


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    with running(tmp_path / "replay.db") as found:
        yield found


def streams(outside: Outside, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = outside.document(f"/api/v1/sessions/{session}/recording")["streams"]
    return found


@pytest.mark.parametrize("transport", ["chunks", "otlp"])
def test_the_same_events_come_back(tab: Page, shop_url: str, outside: Outside, transport: str) -> None:
    tab.goto(f"{shop_url}/shop")
    tab.evaluate(RECORD, [outside.url, transport])
    tab.click("#send")
    # In one of the two a character of two code units stands where a slice would end.
    for before in ("", "a"):
        tab.evaluate("text => { plain.textContent = text + '\\u{1f600}'.repeat(400_000) }", before)
        tab.wait_for_timeout(100)
    tab.evaluate("() => { plain.textContent = 'small again' }")
    flush(tab)
    sent = json.loads(tab.evaluate("() => JSON.stringify(sent)"))
    session = session_of(tab)
    (stream,) = eventually(lambda: streams(outside, session), lambda found: len(found[0]["events"]) >= len(sent))
    assert stream["stream_id"] == stream_of(tab)
    assert stream["gaps"] == []
    assert stream["events"][: len(sent)] == sent
    (listed,) = outside.document("/api/v1/sessions")["sessions"]
    assert (listed["session_id"], listed["user"], listed["feature"]) == (session, "u1", "chat")


@pytest.mark.feature("R2")
def test_a_session_that_is_over_names_the_next(tab: Page, shop_url: str, outside: Outside) -> None:
    tab.goto(f"{shop_url}/shop")
    tab.evaluate(RECORD, [outside.url, "chunks"])
    first = session_of(tab)
    tab.evaluate("() => recorder.end()")
    tab.evaluate(RECORD, [outside.url, "chunks"])
    flush(tab)
    second = session_of(tab)
    listed = {one["session_id"]: one for one in outside.document("/api/v1/sessions")["sessions"]}
    assert listed.keys() == {first, second}
    assert (listed[first]["state"], listed[second]["state"]) == ("ended", "active")
