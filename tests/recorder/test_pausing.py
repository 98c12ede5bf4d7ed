"""Pause and resume: nothing is recorded in between, and playing goes on with a full snapshot."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture
from tests.recorder.driving import FULL_SNAPSHOT, Start, flush, wait_until, write

pytestmark = [pytest.mark.browser, pytest.mark.feature("A1")]


def test_nothing_is_recorded_while_paused(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    write(tab, "before")
    tab.evaluate("() => recorder.pause()")
    write(tab, "private")
    tab.click("#send")
    tab.evaluate("() => fetch('/api/chat')")
    tab.evaluate("() => recorder.set({label: 'private'})")
    flush(tab)
    spans = len(list(receiver.spans()))
    assert tab.evaluate("() => recorder.state") == "paused"
    tab.evaluate("() => recorder.resume()")
    write(tab, "after")
    flush(tab)

    everything = json.dumps([receiver.accepted, receiver.traces, receiver.logs])
    assert "before" in everything
    assert "after" in everything
    assert "private" not in json.dumps([event for event in receiver.events() if event["type"] == 3])
    assert len([span for span in receiver.spans() if span["name"] in ("click", "GET")]) == 0
    assert spans == len(list(receiver.spans()))
    assert [event["type"] for event in receiver.events()].count(FULL_SNAPSHOT) == 2
    order = [record["eventName"] for record in receiver.log_records() if record["eventName"].startswith("session.")]
    assert order == ["session.start", "session.pause", "session.resume"]


def test_the_next_page_of_the_tab_is_paused_too(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    flush(tab)
    tab.evaluate("() => recorder.pause()")
    flush(tab)
    start()
    write(tab, "private")
    flush(tab)
    assert tab.evaluate("() => recorder.state") == "paused"
    assert "private" not in json.dumps(receiver.accepted)
    tab.evaluate("() => recorder.resume()")
    wait_until(lambda: "private" in json.dumps(receiver.accepted), tab)  # in the full snapshot
