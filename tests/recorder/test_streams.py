"""A tab is a stream, whose numbers go on over page loads; a copy of a tab is another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.recorder.capture import Capture
from tests.recorder.driving import FULL_SNAPSHOT, Start, flush, session_of, stream_of, wait_until, write
from tests.web.conftest import CHROMIUM_ARGS

pytestmark = [pytest.mark.browser, pytest.mark.feature("R1")]


AGAIN = "url => { window.recorder = OtelReplay.record({endpoint: url, flushIntervalMs: 50}) }"


def seqs(receiver: Capture, stream: str) -> list[int]:
    return [chunk["seq"] for chunk in receiver.accepted if chunk["stream_id"] == stream]


def test_numbers_go_on_over_page_loads(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    flush(tab)
    stream = stream_of(tab)
    for word in ("second page", "third page"):
        start()
        write(tab, word)
        flush(tab)
        assert stream_of(tab) == stream
    assert sorted(set(seqs(receiver, stream))) == list(range(max(seqs(receiver, stream)) + 1))
    assert [event["type"] for event in receiver.events()].count(FULL_SNAPSHOT) == 3


def test_a_copied_tab_is_a_stream_of_its_own(tab: Page, start: Start, receiver: Capture) -> None:
    """A window that the page opens begins with a copy of sessionStorage, as a duplicated tab does."""
    start()
    start()  # the second page of the tab has taken its stream over
    with tab.expect_popup() as opened:
        tab.evaluate("() => { window.open('/shop') }")
    copy = opened.value
    assert copy.evaluate("() => sessionStorage.length") == tab.evaluate("() => sessionStorage.length")
    start(copy)
    assert session_of(copy) == session_of(tab)
    assert stream_of(copy) != stream_of(tab)
    flush(copy)
    start(copy)
    flush(copy)
    flush(tab)
    for page in (tab, copy):
        found = seqs(receiver, stream_of(page))
        assert sorted(set(found)) == list(range(max(found) + 1))


def test_recording_again_on_one_page_is_another_stream(tab: Page, start: Start, receiver: Capture) -> None:
    """A window that was opened in between may have gone on with the first."""
    start()
    stream = stream_of(tab)
    tab.evaluate("() => { window.first = recorder; return recorder.stop() }")
    write(tab, "not recorded")
    tab.evaluate(AGAIN, url_of(receiver))
    write(tab, "recorded")
    flush(tab)
    assert stream_of(tab) != stream
    assert seqs(receiver, stream_of(tab))[0] == 0
    assert tab.evaluate("() => [first.state, recorder.state]") == ["stopped", "recording"]


def test_a_script_that_runs_again_is_the_same_recorder(tab: Page, start: Start, receiver: Capture) -> None:
    """As on pages that put a new body into the old page, with its scripts."""
    start()
    flush(tab)
    first = stream_of(tab)
    tab.add_script_tag(url="/otel-replay.js")
    tab.evaluate(AGAIN, url_of(receiver))
    write(tab, "once")
    flush(tab)
    assert stream_of(tab) == first
    assert {chunk["stream_id"] for chunk in receiver.accepted} == {first}
    assert json.dumps(receiver.accepted).count('"once"') == 1


def test_what_is_sent_elsewhere_has_numbers_of_its_own(
    tab: Page, start: Start, shop: Capture, shop_url: str, receiver: Capture
) -> None:
    """Of two applications on one origin, which a visitor goes back and forth between."""
    for _ in range(2):
        for more in ({}, {"endpoint": shop_url}, {"key": "another project's"}):
            start(**more)
            flush(tab)
    for received in (receiver, shop):
        for stream in {chunk["stream_id"] for chunk in received.accepted}:
            found = seqs(received, stream)
            assert sorted(set(found)) == list(range(max(found) + 1))
    projects = {
        (headers.get("x-api-key"), chunk["stream_id"])
        for headers, chunk in zip(receiver.headers, receiver.attempts, strict=True)
    }
    assert len(projects) == len({stream for _, stream in projects})


def url_of(receiver: Capture) -> str:
    return "http://" + receiver.headers[0]["host"]


@pytest.fixture
def cached(chromium: Browser) -> Iterator[Page]:
    """A tab of a browser that keeps pages for going back, as browsers of people do."""
    browser = chromium.browser_type.launch(
        executable_path=shutil.which("chromium"),
        args=CHROMIUM_ARGS,
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield browser.new_page()
    browser.close()


WATCH = "() => { addEventListener('pageshow', event => { window.isBack = event.persisted }) }"


def test_a_page_out_of_the_browser_s_cache_goes_on(
    cached: Page, start: Start, shop: Capture, shop_url: str, receiver: Capture
) -> None:
    """The recorder does not keep it from being cached, and its chunks do not take the numbers of the next page's."""
    start(cached)
    flush(cached)
    cached.evaluate(WATCH)
    first = stream_of(cached)
    shop.pages["/elsewhere"] = '<p id="plain">elsewhere</p><script src="/otel-replay.js"></script>'
    cached.goto(f"{shop_url}/elsewhere")
    cached.evaluate(AGAIN, url_of(receiver))
    flush(cached)
    cached.go_back(wait_until="commit")
    wait_until(lambda: cached.evaluate("() => window.isBack === true"), cached)
    write(cached, "back again")
    flush(cached)
    assert "back again" in json.dumps(receiver.accepted)
    assert stream_of(cached) != first
    numbered = {(chunk["stream_id"], chunk["seq"]) for chunk in receiver.accepted}
    assert len(numbered) == len({json.dumps(chunk["events"]) for chunk in receiver.accepted})
