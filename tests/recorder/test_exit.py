"""The page goes: what is left is sent in requests that outlive it, as far as browsers allow, and kept for the next."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture
from tests.recorder.driving import Start, flush, wait_until, write

pytestmark = [pytest.mark.browser, pytest.mark.feature("R1")]

SPY = """(() => {
  const send = window.fetch;
  window.fetch = (url, init) => {
    const bytes = typeof init.body === 'string' ? new TextEncoder().encode(init.body).length : init.body.length;
    const sent = JSON.parse(localStorage.sent ?? '[]');
    localStorage.sent = JSON.stringify([...sent, {url: String(url), keepalive: init.keepalive, bytes}]);
    return send(url, init);
  };
})()"""
NOISE = "chars => { plain.textContent = Array.from({length: chars}, () => Math.random().toString(36)[2]).join('') }"


def sent(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate("() => JSON.parse(localStorage.sent ?? '[]')")
    return found


def test_what_is_left_is_sent_when_the_page_goes(tab: Page, start: Start, receiver: Capture) -> None:
    start(flushIntervalMs=60_000)
    write(tab, "last words")
    tab.goto("about:blank")
    wait_until(lambda: "last words" in json.dumps(receiver.accepted), tab)


def test_a_page_that_runs_on_after_it_was_told_to_go_is_not_recorded(
    tab: Page, start: Start, receiver: Capture
) -> None:
    """Its numbers would be those of the tab's next page, and of two chunks with one number only the first is kept."""
    start()
    flush(tab)
    tab.evaluate("() => dispatchEvent(new PageTransitionEvent('pagehide'))")
    write(tab, "nobody sees this")
    tab.wait_for_timeout(300)
    start()
    write(tab, "the next page")
    flush(tab)
    recorded = json.dumps(receiver.accepted)
    assert "the next page" in recorded
    assert "nobody sees this" not in recorded


@pytest.mark.parametrize("run_before_unload", [True, False])
def test_a_tab_that_is_closed_in_mid_typing(
    tab: Page, start: Start, receiver: Capture, run_before_unload: bool
) -> None:
    other = tab.context.new_page()
    start(other, flushIntervalMs=60_000, maskAllInputs=False)
    other.locator("#secret").press_sequentially("in the middle of a wo")
    other.close(run_before_unload=run_before_unload)
    wait_until(lambda: "in the middle of a wo" in json.dumps(receiver.accepted), tab)


def test_spans_and_events_of_the_last_moment_arrive(tab: Page, start: Start, receiver: Capture) -> None:
    start(flushIntervalMs=60_000)
    tab.evaluate("() => { send.onclick = () => { location.href = 'about:blank' } }")
    tab.click("#send")
    wait_until(lambda: "click" in {span["name"] for span in receiver.spans()}, tab)
    assert len(receiver.named("session.start")) == 1


@pytest.mark.parametrize("last", ["stop", "end"])
def test_who_stops_the_recording_and_leaves_at_once_loses_nothing(
    tab: Page, start: Start, receiver: Capture, shop: Capture, shop_url: str, last: str
) -> None:
    """As a page does that logs out; the request before was still under way."""
    shop.pages["/bye"] = "<!doctype html><p>bye</p>"
    start()
    flush(tab)
    receiver.chunk_delay_s = 2
    write(tab, "under way")
    wait_until(lambda: receiver.in_flight == 1, tab)
    write(tab, "last words")
    tab.evaluate(f"() => {{ recorder.{last}(); location.href = '/bye' }}")
    tab.wait_for_url(f"{shop_url}/bye")
    wait_until(lambda: "last words" in json.dumps(receiver.accepted), tab)
    # Sent twice, where the first request was under way as well: an equal record is stored once.
    wait_until(lambda: len(set(map(json.dumps, receiver.named("session.end")))) == (last == "end"), tab)


@pytest.mark.parametrize("chunks", [3, 12])
def test_it_stays_within_what_browsers_let_outlive_a_page(
    tab: Page, start: Start, receiver: Capture, chunks: int
) -> None:
    """Chromium refuses more than 64 KiB in flight; what the page itself wants to send needs some of it."""
    tab.add_init_script(SPY)
    receiver.answers = [(503, {"retry-after": "100"})]
    start()
    wait_until(lambda: len(receiver.attempts) == 1, tab)
    for _ in range(chunks):
        tab.evaluate(NOISE, 20_000)
        tab.wait_for_timeout(80)
    tab.evaluate(NOISE, 100_000)
    receiver.chunk_delay_s = 0.5
    before = len(sent(tab))
    start()
    lasting = [one for one in sent(tab)[before:] if one["keepalive"]]
    assert 20_000 < sum(one["bytes"] for one in lasting) <= 60_000
    wait_until(lambda: json.dumps(receiver.accepted).count('"plain"') >= 1, tab)
    numbers = [chunk["seq"] for chunk in receiver.attempts]
    wait_until(lambda: set(range(max(numbers))) <= {chunk["seq"] for chunk in receiver.accepted}, tab)


def test_a_tab_that_is_not_seen_sends_at_once(tab: Page, start: Start, receiver: Capture) -> None:
    """The browser may end it without a word."""
    start(flushIntervalMs=60_000)
    write(tab, "before the switch")
    tab.evaluate(
        """() => {
          Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});
          document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )
    wait_until(lambda: "before the switch" in json.dumps(receiver.accepted), tab)
    flush(tab)
    numbers = [chunk["seq"] for chunk in receiver.attempts]
    assert sorted(numbers) == sorted(set(numbers)), "each is sent once"
