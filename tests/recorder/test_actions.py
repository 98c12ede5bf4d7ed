"""What a person does: clicks, submits, page views, and navigation inside a page."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture, attributes
from tests.recorder.driving import Start, flush, session_of, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.feature("K3")]


def span_of(receiver: Capture, name: str) -> dict[str, Any]:
    """The only span of the name."""
    (span,) = (span for span in receiver.spans() if span["name"] == name)
    return span


def ids_of(span: dict[str, Any]) -> dict[str, str]:
    """As a custom event in the recording names it."""
    return {"trace_id": span["traceId"], "span_id": span["spanId"]}


@pytest.mark.feature("C1")
def test_a_click_is_a_span_and_a_recorded_event(tab: Page, start: Start, receiver: Capture, shop_url: str) -> None:
    before = time.time_ns()
    start(userId="u1", serviceName="shop")
    tab.click("#send")
    flush(tab)

    span = span_of(receiver, "click")
    named = {"app.widget.id": "send", "app.widget.name": "Send the question"}
    assert receiver.custom("otel.action") == [
        {**ids_of(span), "name": "click", "target": "#send", "text": "Send the question"}
    ]
    assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
    assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
    assert (span["kind"], span.get("parentSpanId")) == (1, None)
    assert attributes(span) == {
        "session.id": session_of(tab),
        "user.id": "u1",
        "url.full": f"{shop_url}/shop",
        "browser.action": "click",
        **named,
    }
    (event,) = span["events"]
    assert (event["name"], attributes(event)) == ("app.widget.click", named)
    assert event["timeUnixNano"] == span["startTimeUnixNano"]
    assert before < int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) < time.time_ns()


@pytest.mark.parametrize(("press_on", "name", "target"), [("#q", "submit", "#go"), ("#go", "click", "#go")])
def test_enter_is_one_action(tab: Page, start: Start, receiver: Capture, press_on: str, name: str, target: str) -> None:
    start()
    tab.press(press_on, "Enter")
    flush(tab)
    assert [(action["name"], action["target"]) for action in receiver.custom("otel.action")] == [(name, target)]
    assert attributes(span_of(receiver, name))["browser.action"] == name


def test_a_form_sent_by_script_after_a_key_is_a_submit(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate("() => { document.getElementById('secret').onkeydown = () => form.requestSubmit() }")
    tab.press("#secret", "Enter")
    flush(tab)
    assert [(action["name"], action["target"]) for action in receiver.custom("otel.action")] == [("submit", "#form")]


def test_a_click_on_plain_text_is_no_action(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.click("#plain")
    flush(tab)
    assert receiver.custom("otel.action") == []


def test_a_box_is_ticked_without_telling_its_value(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate("() => { main.insertAdjacentHTML('beforeend', '<input type=checkbox name=yes value=diagnosis>') }")
    tab.check("[name=yes]")
    flush(tab)
    assert [(one["target"], one["text"]) for one in receiver.custom("otel.action")] == [('input[name="yes"]', "")]


def test_a_button_in_a_shadow_root_is_named(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate(
        "() => { main.appendChild(document.createElement('x-box')).attachShadow({mode: 'open'})"
        ".innerHTML = '<button data-testid=inner><b>Buy</b></button>' }"
    )
    tab.click("text=Buy")
    flush(tab)
    (action,) = receiver.custom("otel.action")
    assert (action["target"], action["text"]) == ('button[data-testid="inner"]', "Buy")


def test_an_icon_with_a_shadow_root_of_its_own_belongs_to_its_button(
    tab: Page, start: Start, receiver: Capture
) -> None:
    start()
    tab.evaluate(
        "() => { send.ariaLabel = 'Send'; send.replaceChildren(document.createElement('x-icon'));"
        " send.firstChild.attachShadow({mode: 'open'}).innerHTML = '<svg width=20 height=20><rect /></svg>' }"
    )
    tab.click("#send svg")
    flush(tab)
    (action,) = receiver.custom("otel.action")
    assert (action["name"], action["target"], action["text"]) == ("click", "#send", "Send")


def test_a_form_has_its_own_id_and_not_that_of_a_field(tab: Page, start: Start, receiver: Capture) -> None:
    """``form.id`` is the field that is called so."""
    start()
    tab.evaluate(
        "() => { form.insertAdjacentHTML('beforeend', '<input type=hidden name=id value=7>');"
        " document.getElementById('secret').onkeydown = () => form.requestSubmit() }"
    )
    tab.press("#secret", "Enter")
    flush(tab)
    assert [action["target"] for action in receiver.custom("otel.action")] == ["#form"]
    assert attributes(span_of(receiver, "submit"))["app.widget.id"] == "form"


PRIVATE = {
    "on the element": "send.classList.add('rr-mask')",
    "above it": "main.classList.add('rr-block')",
    "in it": "send.innerHTML = 'Send <i class=rr-mask>the</i> question'",
    "on a shadow root's host": (
        "send.remove(); const host = main.appendChild(document.createElement('div')); host.className = 'rr-mask';"
        " host.attachShadow({mode: 'open'}).innerHTML = '<button id=send aria-label=question>x</button>'"
    ),
}


@pytest.mark.parametrize("script", PRIVATE.values(), ids=PRIVATE)
def test_a_private_widget_is_not_named(tab: Page, start: Start, receiver: Capture, script: str) -> None:
    start()
    tab.evaluate(f"() => {{ {script} }}")
    tab.click("#send")
    flush(tab)
    assert [action["text"] for action in receiver.custom("otel.action")] == [""]
    span = span_of(receiver, "click")
    assert "app.widget.name" not in attributes(span)
    assert "app.widget.name" not in attributes(span["events"][0])


@pytest.mark.parametrize("options", [{"maskTextSelector": "main"}, {"blockSelector": "#send"}, {"blockSelector": "!!"}])
def test_what_the_page_chose_as_private_is_not_named(
    tab: Page, start: Start, receiver: Capture, options: dict[str, str]
) -> None:
    """A selector that cannot be read hides everything."""
    start(**options)
    tab.click("#send")
    flush(tab)
    assert [action["text"] for action in receiver.custom("otel.action")] == [""]


def test_a_page_view_is_a_span_as_long_as_the_load(
    tab: Page, receiver: Capture, shop: Capture, shop_url: str, receiver_url: str
) -> None:
    """Requests that the page makes while it loads belong to it."""
    shop.pages["/early"] = (
        "<!doctype html><script src=/otel-replay.js></script>"
        f"<script>window.recorder = OtelReplay.record({{endpoint: '{receiver_url}', flushIntervalMs: 50}});"
        "fetch('/api/chat')</script>"
    )
    tab.goto(f"{shop_url}/early?token=abc")
    flush(tab)

    view = span_of(receiver, "page_view")
    assert receiver.custom("otel.page_view") == [{**ids_of(view), "url": f"{shop_url}/early"}]
    told = attributes(view)
    assert told["browser.action"] == "page_view"
    assert told["url.full"] == f"{shop_url}/early"
    assert told["browser.navigation.type"] == "navigate"
    started, ended = tab.evaluate(
        "() => { const load = performance.getEntriesByType('navigation')[0];"
        " return [performance.timeOrigin, performance.timeOrigin + load.loadEventEnd] }"
    )
    assert int(view["startTimeUnixNano"]) / 1e6 == pytest.approx(started, abs=5)
    assert int(view["endTimeUnixNano"]) / 1e6 == pytest.approx(ended, abs=5)
    request = span_of(receiver, "GET")
    assert (request["traceId"], request["parentSpanId"]) == (view["traceId"], view["spanId"])


def test_a_recorder_that_starts_late_tells_of_the_view_then(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    flush(tab)
    view = span_of(receiver, "page_view")
    load_end = tab.evaluate("() => performance.timeOrigin + performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert int(view["startTimeUnixNano"]) / 1e6 >= load_end - 5


ROUTES = {
    "push": "history.pushState({}, '', '/orders?id=7#top')",
    "replace": "history.replaceState({}, '', '/orders?id=7')",
    "traverse": "location.hash = '#/orders'",
}


@pytest.mark.parametrize("kind", ROUTES)
def test_a_page_that_is_its_own_router_navigates(
    tab: Page, start: Start, receiver: Capture, shop_url: str, kind: str
) -> None:
    start()
    tab.wait_for_timeout(1100)  # behind the window of the page view
    tab.evaluate(f"() => {{ {ROUTES[kind]} }}")
    tab.evaluate("() => new Promise(resolve => setTimeout(resolve, 50)).then(() => fetch('/api/chat'))")
    flush(tab)

    span, request = span_of(receiver, "navigation"), span_of(receiver, "GET")
    to = f"{shop_url}/shop" if kind == "traverse" else f"{shop_url}/orders"
    assert receiver.custom("otel.navigation") == [{**ids_of(span), "url": to, "from": f"{shop_url}/shop", "type": kind}]
    told = attributes(span)
    assert (told["browser.action"], told["browser.navigation.type"], told["url.full"]) == ("navigation", kind, to)
    assert (request["traceId"], request["parentSpanId"]) == (span["traceId"], span["spanId"])


def test_a_navigation_that_a_click_made_is_the_click_s(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate("() => { send.onclick = () => history.pushState({}, '', '/orders') }")
    tab.click("#send")
    flush(tab)
    click, navigation = span_of(receiver, "click"), span_of(receiver, "navigation")
    assert (navigation["traceId"], navigation["parentSpanId"]) == (click["traceId"], click["spanId"])


def test_a_query_that_is_kept_up_to_date_is_no_navigation(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate("() => { for (let i = 0; i < 5; i++) history.replaceState({}, '', '?typed=' + i) }")
    flush(tab)
    assert receiver.custom("otel.navigation") == []


def test_a_link_to_another_page_is_told_before_the_page_goes(
    tab: Page, start: Start, receiver: Capture, shop: Capture, shop_url: str
) -> None:
    shop.pages["/next"] = "<!doctype html><p>next</p>"
    start(flushIntervalMs=60_000)
    tab.evaluate("() => { home.href = '/next'; home.onclick = () => { location.href = '/next' } }")
    tab.click("#home")
    tab.wait_for_url(f"{shop_url}/next")
    wait_until(lambda: any(span["name"] == "click" for span in receiver.spans()), tab)
    assert attributes(span_of(receiver, "click"))["app.widget.id"] == "home"


def test_actions_end_with_the_recording(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate("() => recorder.stop()")
    tab.click("#send")
    tab.evaluate("() => history.pushState({}, '', '/orders')")
    assert receiver.custom("otel.action") == []
    assert receiver.custom("otel.navigation") == []
    assert tab.evaluate("() => history.pushState.toString().includes('[native code]')")
