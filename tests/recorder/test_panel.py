"""The start/stop panel, on a page with a policy that allows nothing inline."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.recorder.capture import Capture
from tests.recorder.driving import FULL_SNAPSHOT, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.feature("A1")]

PAGE = """<!doctype html><meta charset="utf-8"><title>Panel</title><h1>Shop</h1><p id="plain">plain</p>
<script src="/panel.js"></script><script src="/start.js"></script>"""
SOURCE = Path(__file__).parents[2] / "otel_replay" / "browser"
ENTRY = """import { panel } from "./src/panel"; window.openPanel = (options) => { window.panel = panel(options); };"""
POLICY = "default-src 'none'; script-src 'self'; connect-src {}; require-trusted-types-for 'script'"


@pytest.fixture(scope="module")
def bundled() -> str:
    """The panel with the recorder, as an application of one's own bundles it."""
    esbuild = SOURCE / "node_modules" / ".bin" / "esbuild"
    line = [str(esbuild), "--bundle", "--format=iife", "--target=es2022"]
    done = subprocess.run(line, cwd=SOURCE, input=ENTRY, text=True, check=True, capture_output=True)
    return done.stdout


@pytest.fixture
def page(tab: Page, shop: Capture, shop_url: str, receiver_url: str, bundled: str) -> Iterator[Page]:
    shop.pages["/panel"] = PAGE
    shop.scripts["/panel.js"] = bundled
    shop.scripts["/start.js"] = f"openPanel({{endpoint: '{receiver_url}', flushIntervalMs: 50}});"
    shop.page_headers["content-security-policy"] = POLICY.format(receiver_url)
    problems: list[str] = []
    tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.goto(f"{shop_url}/panel")
    yield tab
    assert [text for text in problems if "favicon" not in text and "404" not in text] == []


def test_nothing_is_recorded_before_start(page: Page, receiver: Capture) -> None:
    expect(page.get_by_role("status")).to_have_text("Not recorded")
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    page.click("#plain")
    page.wait_for_timeout(200)
    assert (receiver.attempts, receiver.traces, receiver.logs) == ([], [], [])


def test_start_pause_resume_stop(page: Page, receiver: Capture) -> None:
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("status")).to_have_text("Recording")
    wait_until(lambda: FULL_SNAPSHOT in kinds(receiver), page)
    assert receiver.session_ids == {page.evaluate("() => panel.recorder.sessionId")}

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("Paused")
    page.evaluate("() => { plain.textContent = 'while paused' }")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_have_text("Recording")
    wait_until(lambda: kinds(receiver).count(FULL_SNAPSHOT) == 2, page)

    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Not recorded")
    assert page.evaluate("() => panel.recorder === undefined")
    page.wait_for_timeout(200)
    sent = len(receiver.events())
    page.evaluate("() => { plain.textContent = 'written later' }")
    page.wait_for_timeout(200)
    assert len(receiver.events()) == sent
    assert "written later" not in json.dumps(receiver.accepted)


def test_the_panel_is_no_part_of_the_recording(page: Page, receiver: Capture) -> None:
    page.get_by_role("button", name="Start").click()
    wait_until(lambda: FULL_SNAPSHOT in kinds(receiver), page)
    page.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(200)
    everything = json.dumps([receiver.accepted, receiver.traces])
    assert not re.search("Not recorded|Session recording|Pause", everything)


def test_a_started_recording_goes_on_with_the_next_page_and_a_stopped_one_does_not(
    page: Page, receiver: Capture
) -> None:
    page.get_by_role("button", name="Start").click()
    wait_until(lambda: FULL_SNAPSHOT in kinds(receiver), page)
    session = page.evaluate("() => panel.recorder.sessionId")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("Recording")
    assert page.evaluate("() => panel.recorder.sessionId") == session
    page.get_by_role("button", name="Stop").click()
    page.reload()
    expect(page.get_by_role("status")).to_have_text("Not recorded")


def test_it_follows_a_recorder_that_the_page_stops(page: Page, receiver: Capture) -> None:
    page.get_by_role("button", name="Start").click()
    page.evaluate("() => panel.recorder.stop()")
    expect(page.get_by_role("status")).to_have_text("Not recorded")
    page.evaluate("() => panel.remove()")
    expect(page.get_by_role("status")).to_have_count(0)


def kinds(receiver: Capture) -> list[int]:
    return [event["type"] for event in receiver.events()]
