"""Chunks that a page could not send are sent by the next page of the origin, each by one tab."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture
from tests.recorder.driving import TOO_LATE, Start, flush, stream_of, wait_until, write

pytestmark = [pytest.mark.browser, pytest.mark.feature("X4")]

AWAY = (503, {"retry-after": "100"})

KEPT = """() => new Promise(resolve => {
  const opened = indexedDB.open('otel-replay', 1);
  opened.onupgradeneeded = () => opened.transaction.abort();
  opened.onerror = () => resolve([]);
  opened.onsuccess = () => {
    const all = opened.result.transaction('parcels').objectStore('parcels').getAll();
    all.onsuccess = () => { opened.result.close(); resolve(all.result.map(({key}) => key)) };
  };
})"""

NOISE = """() => {
  const codes = Array.from({length: 60_000}, () => 256 + Math.floor(Math.random() * 20_000));
  plain.textContent = String.fromCharCode(...codes);
}"""

AGE = """([page, days]) => new Promise((resolve, reject) => {
  const opened = indexedDB.open('otel-replay', 1);
  opened.onerror = () => reject(opened.error);
  opened.onsuccess = () => {
    const changing = opened.result.transaction('parcels', 'readwrite');
    const at = Date.now() - days * 24 * 3600 * 1000;
    const path = '/api/v1/sessions/s/events', body = JSON.stringify({stream_id: page});
    const parcel = {path, contentType: 'text/plain', body};
    changing.objectStore('parcels').put({key: [page, 0, at, 100], parcel});
    changing.oncomplete = () => { opened.result.close(); resolve(null) };
  };
})"""


def kept(page: Page) -> list[list[Any]]:
    found: list[list[Any]] = page.evaluate(KEPT)
    return found


def numbers(receiver: Capture, stream: str) -> list[int]:
    return sorted(chunk["seq"] for chunk in receiver.accepted if chunk["stream_id"] == stream)


def leave_behind(page: Page, start: Start, receiver: Capture, count: int = 3) -> str:
    """A page that cannot reach the receiver, with chunks that wait; its stream."""
    receiver.answers = [AWAY]
    start(page)
    wait_until(lambda: len(receiver.attempts) == 1 and not receiver.answers, page)
    for number in range(count):
        write(page, f"left behind {number}")
        page.wait_for_timeout(100)
    wait_until(lambda: len(kept(page)) > count, page)
    return stream_of(page)


def test_a_reload_loses_nothing(tab: Page, start: Start, receiver: Capture) -> None:
    stream = leave_behind(tab, start, receiver)
    receiver.answers = [AWAY] * 20  # the last attempts of the page that goes
    tab.goto("about:blank")
    tab.wait_for_timeout(300)
    receiver.answers = []
    start()
    write(tab, "the next page")
    flush(tab)
    wait_until(lambda: kept(tab) == [], tab)
    found = numbers(receiver, stream)
    assert found == list(range(found[-1] + 1)), "each arrives, and once"
    recorded = json.dumps(receiver.accepted)
    assert all(text in recorded for text in ("left behind 0", "left behind 2", "the next page"))


def test_another_tab_sends_what_a_closed_one_left(tab: Page, start: Start, receiver: Capture) -> None:
    closing = tab.context.new_page()
    stream = leave_behind(closing, start, receiver)
    receiver.answers = [AWAY] * 20
    closing.close()
    tab.wait_for_timeout(300)
    receiver.answers = []
    receiver.chunk_delay_s = 0.05
    others = [tab.context.new_page() for _ in range(3)]
    for other in others:
        start(other)
    wait_until(lambda: len(numbers(receiver, stream)) >= 4 and kept(others[0]) == [], others[0])
    found = numbers(receiver, stream)
    assert found == list(range(found[-1] + 1)), "each is sent by one of the tabs"


@pytest.mark.parametrize("what", ["receiver", "project"])
def test_what_another_application_of_the_origin_left_is_not_ours(
    tab: Page, start: Start, receiver: Capture, shop: Capture, shop_url: str, what: str
) -> None:
    """It was recorded for another receiver, or with the key of another project."""
    closing = tab.context.new_page()
    stream = leave_behind(closing, start, receiver)
    name = kept(closing)[0][0]
    receiver.answers = [AWAY] * 20
    closing.close()
    tab.wait_for_timeout(300)
    receiver.answers = []
    start(tab, **({"endpoint": shop_url} if what == "receiver" else {"key": "another"}))
    tab.wait_for_timeout(1500)  # it has looked
    tab.evaluate("() => dispatchEvent(new Event('online'))")
    flush(tab)
    assert numbers(receiver, stream) == numbers(shop, stream) == []
    start(tab)
    wait_until(lambda: name not in {page for page, *_ in kept(tab)}, tab)
    found = numbers(receiver, stream)
    assert found == list(range(found[-1] + 1))


def test_what_a_browser_does_not_keep_of_the_last_moment_is_noted(tab: Page, start: Start, receiver: Capture) -> None:
    closing = tab.context.new_page()
    stream = leave_behind(closing, start, receiver)
    receiver.answers = [AWAY] * 20
    closing.evaluate(TOO_LATE)
    write(closing, "last words")
    closing.close()
    tab.wait_for_timeout(300)
    receiver.answers = []
    start(tab)
    wait_until(lambda: "last words" in json.dumps(receiver.accepted) and kept(tab) == [], tab)
    found = numbers(receiver, stream)
    assert found == list(range(found[-1] + 1)), "each arrives, and once"
    assert tab.evaluate("() => Object.keys(localStorage).filter((key) => key.startsWith('otel-replay.left'))") == []


def test_nobody_else_sends_for_a_page_that_is_there(tab: Page, start: Start, receiver: Capture) -> None:
    stream = leave_behind(tab, start, receiver)
    other = tab.context.new_page()
    start(other)
    other.wait_for_timeout(1500)  # it has looked
    other.evaluate("() => dispatchEvent(new Event('online'))")
    flush(other)
    assert numbers(receiver, stream) == []
    tab.evaluate("() => dispatchEvent(new Event('online'))")
    wait_until(lambda: len(numbers(receiver, stream)) >= 4, tab)
    flush(tab)
    found = numbers(receiver, stream)
    assert found == list(range(found[-1] + 1))
    wait_until(lambda: kept(tab) == [], tab)


def test_what_is_too_old_is_not_sent(tab: Page, start: Start, receiver: Capture, shop_url: str) -> None:
    leave_behind(tab, start, receiver)
    place = kept(tab)[0][0].partition(".")[0]  # of what is sent to this receiver
    for page, days in (("a", 4), ("b", 2)):
        tab.evaluate(AGE, [f"{place}.{page}", days])
    receiver.answers = []
    tab.goto("about:blank")
    start()
    wait_until(lambda: kept(tab) == [], tab)
    streams = {chunk["stream_id"] for chunk in receiver.accepted}
    assert f"{place}.b" in streams
    assert f"{place}.a" not in streams


@pytest.mark.slow
def test_a_page_that_cannot_send_for_long_keeps_the_latest(tab: Page, start: Start, receiver: Capture) -> None:
    """Beyond 16 MiB what waits goes, and the page is recorded as a whole from there on."""
    receiver.answers = [AWAY]
    start()
    wait_until(lambda: len(receiver.attempts) == 1, tab)
    for _ in range(160):
        tab.evaluate(NOISE)
    write(tab, "after the loss")
    tab.wait_for_timeout(200)
    tab.evaluate("() => dispatchEvent(new Event('online'))")
    wait_until(lambda: "after the loss" in json.dumps(receiver.accepted[-3:]), tab, 60)
    found = numbers(receiver, stream_of(tab))
    missing = sorted(set(range(found[-1])) - set(found))
    assert found[0] == 0
    assert missing == list(range(missing[0], missing[-1] + 1)), "one gap"
    after = [event["type"] for chunk in receiver.accepted if chunk["seq"] > missing[-1] for event in chunk["events"]]
    assert 2 in after
