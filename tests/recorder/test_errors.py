"""What goes wrong on a page: uncaught errors and rejections, and what is written to the console as an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page

from tests.recorder.capture import Capture, attributes
from tests.recorder.driving import Start, flush, session_of, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.feature("K18")]

ERROR = 17


def on_click(tab: Page, script: str) -> None:
    tab.evaluate(f"() => {{ send.onclick = () => {{ {script} }} }}")
    tab.click("#send")


def click_of(receiver: Capture) -> dict[str, str]:
    """Ids of the click's span, as OTLP names them."""
    (span,) = (span for span in receiver.spans() if span["name"] == "click")
    return {"traceId": span["traceId"], "spanId": span["spanId"]}


def recorded(context: dict[str, str]) -> dict[str, str]:
    return {"trace_id": context["traceId"], "span_id": context["spanId"]}


THROWN = {
    "an error": ("null.answer", "TypeError", "Cannot read properties of null (reading 'answer')"),
    "a text": ("throw 'out of order'", "Error", "Uncaught out of order"),
    "a rejection": ("Promise.reject(new RangeError('too far'))", "RangeError", "too far"),
    "a rejection with a text": ("Promise.reject('no luck')", "UnhandledRejection", "no luck"),
    "a rejection with an object": ("Promise.reject({card: '4111'})", "UnhandledRejection", "[object Object]"),
    "a rejection with nothing": ("Promise.reject()", "UnhandledRejection", "undefined"),
    "a value that cannot be told": (
        "throw {toString() { throw new Error('mine') }}",
        "Error",
        "Uncaught exception",
    ),
}


@pytest.mark.parametrize("thrown", THROWN.values(), ids=THROWN)
def test_an_error_is_an_event_of_the_action_that_caused_it(
    tab: Page, start: Start, receiver: Capture, shop_url: str, thrown: tuple[str, str, str]
) -> None:
    script, kind, message = thrown
    start(sampleRate=0)  # nothing is sent before an error
    on_click(tab, f"setTimeout(() => {{ {script} }})")
    wait_until(lambda: len(receiver.named("exception")) == 1, tab)
    flush(tab)

    (event,) = receiver.named("exception")
    context = click_of(receiver)
    assert {"traceId": event["traceId"], "spanId": event["spanId"]} == context
    assert (event["severityNumber"], event["severityText"]) == (ERROR, "ERROR")
    told = attributes(event)
    stack = told.pop("exception.stacktrace", "")
    assert told == {
        "session.id": session_of(tab),
        "exception.type": kind,
        "exception.message": message,
        "url.full": f"{shop_url}/shop",
    }
    assert (kind in stack) is (kind in ("TypeError", "RangeError"))
    assert receiver.custom("otel.error") == [{**recorded(context), "name": kind, "message": message}]


def test_addresses_in_messages_and_stacks_are_told_without_their_queries(
    tab: Page, receiver: Capture, shop: Capture, shop_url: str, receiver_url: str
) -> None:
    shop.pages["/app"] = (
        "<!doctype html><script src=/otel-replay.js></script><script>function start(options) {"
        " window.recorder = OtelReplay.record(options);"
        " setTimeout(() => { throw new Error(`no ${location.href} (see https://a.example/b?c=secret2#d), sorry?`) }) }"
        "</script>"
    )
    tab.goto(f"{shop_url}/app?token=secret1#secret3")
    tab.evaluate("endpoint => start({endpoint, flushIntervalMs: 50})", receiver_url)
    wait_until(lambda: len(receiver.named("exception")) == 1, tab)
    told = attributes(receiver.named("exception")[0])
    assert told["exception.message"] == f"no {shop_url}/app (see https://a.example/b), sorry?"
    assert f"{shop_url}/app:" in told["exception.stacktrace"]
    assert "secret" not in json.dumps([receiver.logs, receiver.custom("otel.error")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'out of stock', 3, null", "out of stock 3 null"),
        ("'order %s has %d items', 'A7', 3, {late: true}", 'order A7 has 3 items {"late":true}'),
        ("'%cred', 'color: red'", "red"),
        ("new TypeError('odd')", "TypeError: odd"),
        ("Symbol('s'), undefined, 10n", "Symbol(s) undefined 10"),
        ("window", "[object Window]"),
        ("Array(1000).fill(7)", "[object Array]"),
        ("'at https://a.example/b?token=secret'", "at https://a.example/b"),
    ],
)
def test_a_console_error_is_an_event(tab: Page, start: Start, receiver: Capture, arguments: str, message: str) -> None:
    start(sampleRate=0)
    seen: list[ConsoleMessage] = []
    tab.on("console", lambda said: seen.append(said))
    on_click(tab, f"console.error({arguments})")
    wait_until(lambda: len(receiver.named("browser.console")) == 1, tab)
    flush(tab)

    (event,) = receiver.named("browser.console")
    context = click_of(receiver)
    assert event["body"] == {"stringValue": message}
    assert (event["severityNumber"], {"traceId": event["traceId"], "spanId": event["spanId"]}) == (ERROR, context)
    assert attributes(event) == {"session.id": session_of(tab), "browser.console.method": "error"}
    assert receiver.custom("otel.console") == [{**recorded(context), "level": "error", "message": message}]
    # The page's console has its line; the browser's own, such as that there is no icon, come without arguments.
    assert len([said for said in seen if said.args]) == 1


def test_errors_are_limited_and_the_rest_is_counted(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate("() => { for (let i = 0; i < 70; i++) console.error('again') }")
    tab.evaluate("() => { for (let i = 0; i < 65; i++) setTimeout(() => { throw new Error('again') }) }")
    tab.wait_for_timeout(100)
    tab.evaluate("() => recorder.stop()")
    assert len(receiver.named("browser.console")) == len(receiver.named("exception")) == 60
    assert receiver.custom("otel.dropped") == [
        {"name": "otel.error", "dropped": 5, "per_minute": 60},
        {"name": "otel.console", "dropped": 10, "per_minute": 60},
    ]


def test_without_an_action_there_is_no_span_to_name(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.wait_for_timeout(1100)  # behind the window of the page view
    tab.evaluate("() => console.error('alone')")
    flush(tab)
    (event,) = receiver.named("browser.console")
    assert not {"traceId", "spanId"} & event.keys()
    assert receiver.custom("otel.console") == [{"level": "error", "message": "alone"}]


def test_what_could_not_be_loaded_is_no_exception(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate(
        "() => new Promise(done => { const i = new Image(); i.onerror = done; i.src = '/none'; main.append(i) })"
    )
    flush(tab)
    assert receiver.named("exception") == []


def test_our_own_failure_is_not_the_page_s(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    failures: list[Any] = []
    tab.on("pageerror", lambda error: failures.append(error))
    hostile = "new Proxy({}, {getPrototypeOf() { throw new Error('broken') }})"
    tab.evaluate(f"() => {{ window.seen = console.error({hostile}) ?? 'went on' }}")
    assert tab.evaluate("() => window.seen") == "went on"
    assert failures == []


def test_the_console_comes_back(tab: Page, start: Start, receiver: Capture) -> None:
    start()
    tab.evaluate("() => recorder.stop()")
    assert tab.evaluate("() => console.error.toString().includes('[native code]')")
    tab.evaluate("() => setTimeout(() => { throw new Error('late') })")
    tab.wait_for_timeout(50)
    assert receiver.named("exception") == []
