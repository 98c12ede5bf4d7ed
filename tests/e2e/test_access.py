"""A person with a browser and a receiver that needs keys: logs in, shares, logs out; a visitor opens the share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from otel_replay.model import Signal
from tests.outside.access import ask, make_key
from tests.outside.outside import Outside, running
from tests.outside.telemetry import page, span, traces
from tests.web.conftest import chromium, static, tab

__all__ = ["chromium", "static", "tab"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.feature("K11")]

TRACE, OTHER = "ab" * 16, "cd" * 16


@pytest.fixture
def receiver(tmp_path: Path, static: Path) -> Iterator[Outside]:
    with running(tmp_path / "replay.db") as outside:
        for trace, session in ((TRACE, "s1"), (OTHER, "s2")):
            request = traces(span(trace, 1, attributes={"session.id": session}))
            outside.export(Signal.TRACES, request.SerializeToString())
            outside.upload(session, page())
        yield outside


def log_in(tab: Page, url: str, key: str) -> None:
    tab.goto(url)
    tab.get_by_label("Key").fill(key)
    expect(tab.get_by_role("button", name="Filter")).to_have_count(0)  # nothing to filter yet
    tab.get_by_role("button", name="Log in").click()


def test_a_page_records_with_a_key_of_its_own(receiver: Outside, tab: Page) -> None:
    """The receiver needs keys; a page elsewhere may send with the one that is locked to its origin."""
    make_key(receiver, "admin")
    tab.goto(receiver.url)  # any page with the script; here the receiver's own origin
    key = make_key(receiver, "ingest", origins=[receiver.url])
    for number, given in enumerate(({"key": key}, {})):
        told = {"endpoint": receiver.url, "sessionId": f"page-{number}", "flushIntervalMs": 50, **given}
        tab.add_script_tag(url=f"{receiver.url}/otel-replay.js")
        tab.evaluate("async told => { const one = OtelReplay.record(told); await one.flush(); await one.stop() }", told)
    read = make_key(receiver, "read")
    assert ask(receiver, "GET", "/api/v1/sessions/page-0/recording", read).status_code == 200
    assert ask(receiver, "GET", "/api/v1/sessions/page-1/recording", read).status_code == 404


def stranger(chromium: Browser) -> BrowserContext:
    context = chromium.new_context()
    context.set_default_timeout(10_000)
    return context


def test_log_in_share_take_back_log_out(receiver: Outside, tab: Page, chromium: Browser) -> None:
    key = make_key(receiver, "read", "share", "admin")
    log_in(tab, receiver.url, f"{key[:-2]}AA")
    expect(tab.get_by_role("alert")).to_contain_text("not known here")
    log_in(tab, receiver.url, key)
    tab.get_by_role("link", name="s1").click()
    tab.get_by_role("button", name="Share").click()
    address = tab.get_by_label("Shows this session").input_value()

    visitor = stranger(chromium).new_page()
    visitor.goto(address)
    expect(visitor.get_by_role("heading", name="Session s1")).to_be_visible()
    expect(visitor.locator("[data-entry]").first).to_be_visible()
    expect(visitor.frame_locator(".replayer-wrapper iframe").get_by_text("Send")).to_be_visible()
    assert visitor.url == f"{receiver.url}/#/sessions/s1", "the token has left the address"
    expect(visitor.get_by_role("button", name="Share")).to_have_count(0)
    visitor.goto(f"{receiver.url}/#/sessions/s2")
    expect(visitor.get_by_role("alert")).to_contain_text("one session, and nothing else")

    tab.get_by_role("button", name="Take back").click()
    expect(tab.get_by_text("The link is taken back.")).to_be_visible()
    visitor.goto(f"{receiver.url}/#/sessions/s1")
    visitor.reload()
    expect(visitor.get_by_role("heading", name="Log in")).to_be_visible()

    tab.get_by_role("button", name="Log out").click()
    expect(tab.get_by_role("heading", name="Log in")).to_be_visible()  # the page is loading anew until then
    tab.goto(receiver.url)
    expect(tab.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_shared_trace_comes_without_its_recording(receiver: Outside, chromium: Browser) -> None:
    key = make_key(receiver, "share", "admin")
    path = ask(receiver, "POST", f"/api/v1/traces/{TRACE}/share", key, json={}).json()["path"]
    visitor = stranger(chromium).new_page()
    visitor.goto(receiver.url + path)
    expect(visitor.locator("[data-entry]").first).to_be_visible()
    expect(visitor.get_by_text("There is no recording")).to_be_visible()


def test_a_link_from_elsewhere_logs_in(receiver: Outside, chromium: Browser) -> None:
    """A strict cookie is not sent along from another site; the page asks for what it shows afterwards."""
    key = make_key(receiver, "admin")
    path = ask(receiver, "POST", "/api/v1/links", key, json={}).json()["path"]
    visitor = stranger(chromium).new_page()
    elsewhere = receiver.url.replace("127.0.0.1", "localhost")
    visitor.goto(f"{elsewhere}/healthz")
    visitor.evaluate("address => { location.href = address }", receiver.url + path)
    expect(visitor.get_by_role("link", name="s2")).to_be_visible()
    expect(visitor.get_by_role("button", name="Log out")).to_be_visible()
