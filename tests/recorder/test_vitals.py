"""Web vitals of a real page, against what the browser itself says."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture, attributes
from tests.recorder.driving import flush, session_of, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.feature("K3")]

PAGE = """<!doctype html><meta charset=utf-8><title>Vitals</title>
<script src=/otel-replay.js></script>
<script>
  window.recorder = OtelReplay.record({endpoint: ENDPOINT, flushIntervalMs: 50});
  window.seen = {};
  const see = (type, more) => new PerformanceObserver((list) => {
    (window.seen[type] ??= []).push(...list.getEntries());
  }).observe({type, buffered: true, ...more});
  ["largest-contentful-paint", "layout-shift", "paint"].forEach((type) => see(type));
  see("event", {durationThreshold: 16});
</script>
<body style="margin: 0">
<p id=small style="font: 12px sans-serif">small</p>
<h1 id=large style="font: 80px sans-serif; padding: 150px 0">The largest words of the page</h1>
<button id=slow>slow</button>
<script>
  const block = (ms) => { const end = performance.now() + ms; while (performance.now() < end); };
  slow.onclick = () => block(120);
  // Half a second after the paint, and without input: a shift that counts.
  window.shift = () => { small.style.height = "500px" };
</script>
"""


@pytest.fixture
def page(tab: Page, shop: Capture, shop_url: str, receiver_url: str) -> Page:
    shop.pages["/vitals"] = PAGE.replace("ENDPOINT", f"'{receiver_url}'")
    tab.goto(f"{shop_url}/vitals")
    tab.wait_for_function("() => (window.seen['largest-contentful-paint'] ?? []).length > 0")
    return tab


def hide(page: Page) -> None:
    """As when the person changes to another tab: the browser cannot be told to in a test, the page can."""
    page.evaluate(
        "() => { Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange', {bubbles: true})) }"
    )


def vitals(receiver: Capture) -> dict[str, dict[str, Any]]:
    """The last event of each vital: its attributes without their prefix."""
    found: dict[str, dict[str, Any]] = {}
    for event in receiver.named("browser.web_vital"):
        told = {key.removeprefix("browser.web_vital."): value for key, value in attributes(event).items()}
        found[told["name"]] = told
    return found


def test_paints_and_the_answer_of_the_server_are_as_the_browser_says(page: Page, receiver: Capture) -> None:
    page.click("#large")  # what is largest is known once the person does something
    flush(page)
    expected = page.evaluate(
        "() => ({fcp: window.seen.paint.find(({name}) => name === 'first-contentful-paint').startTime,"
        " lcp: window.seen['largest-contentful-paint'].at(-1).startTime,"
        " ttfb: performance.getEntriesByType('navigation')[0].responseStart})"
    )
    found = vitals(receiver)
    assert {name: float(found[name]["value"]) for name in expected} == expected
    (view,) = (span for span in receiver.spans() if span["name"] == "page_view")
    for event in receiver.named("browser.web_vital"):
        assert (event["traceId"], event["spanId"]) == (view["traceId"], view["spanId"])
        assert (event["severityNumber"], attributes(event)["session.id"]) == (9, session_of(page))
    assert {one["navigation_type"] for one in found.values()} == {"navigate"}
    assert len({one["id"] for one in found.values()}) == len(found) == 3
    in_recording = {one["name"]: one for one in receiver.custom("otel.web_vital")}
    assert in_recording["lcp"] == {
        "trace_id": view["traceId"],
        "span_id": view["spanId"],
        "name": "lcp",
        "value": expected["lcp"],
        "rating": found["lcp"]["rating"],
    }


def test_shifts_and_slow_interactions_are_told_when_the_page_is_hidden(page: Page, receiver: Capture) -> None:
    page.evaluate("() => window.shift()")
    page.wait_for_function("() => (window.seen['layout-shift'] ?? []).length > 0")
    page.wait_for_timeout(600)  # the shift is no consequence of the click that follows
    page.click("#slow")
    page.wait_for_function("() => (window.seen.event ?? []).some(({interactionId}) => interactionId > 0)")
    hide(page)
    flush(page)

    shift, slowest = page.evaluate(
        "() => [window.seen['layout-shift'].filter((one) => !one.hadRecentInput)"
        ".reduce((sum, one) => sum + one.value, 0),"
        " Math.max(...window.seen.event.filter((one) => one.interactionId > 0).map(({duration}) => duration))]"
    )
    found = vitals(receiver)
    assert float(found["cls"]["value"]) == pytest.approx(shift)
    assert shift > 0.1
    assert float(found["inp"]["value"]) == slowest >= 120
    assert found["cls"]["rating"] in ("needs-improvement", "poor")


def test_what_has_grown_is_told_again_with_the_difference(page: Page, receiver: Capture) -> None:
    hide(page)
    flush(page)
    before = vitals(receiver)["cls"]
    assert (float(before["value"]), before["rating"]) == (0, "good")
    page.wait_for_timeout(600)
    page.evaluate("() => window.shift()")
    page.wait_for_function("() => (window.seen['layout-shift'] ?? []).length > 0")
    hide(page)
    flush(page)
    after = vitals(receiver)["cls"]
    assert after["id"] == before["id"]
    assert float(after["delta"]) == float(after["value"]) > 0.1
    hide(page)
    flush(page)
    assert [attributes(event)["browser.web_vital.name"] for event in receiver.named("browser.web_vital")].count(
        "cls"
    ) == 2


def test_the_last_vitals_leave_with_the_page(page: Page, receiver: Capture) -> None:
    page.goto("about:blank")
    wait_until(lambda: {"lcp", "cls"} <= vitals(receiver).keys(), page)


def test_vitals_end_with_the_recording(page: Page, receiver: Capture) -> None:
    page.evaluate("() => recorder.stop()")
    told = len(receiver.named("browser.web_vital"))
    page.evaluate("() => window.shift()")
    page.wait_for_timeout(200)
    hide(page)
    assert len(receiver.named("browser.web_vital")) == told
