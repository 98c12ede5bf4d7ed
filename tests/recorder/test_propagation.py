"""Requests of the page: a client span each, and trace context and session for the page's own servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture, attributes
from tests.recorder.driving import Start, flush, session_of, wait_until
from tests.web.loopback import serving

pytestmark = [pytest.mark.browser, pytest.mark.feature("R7")]

SERVER = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331"}
SERVER_TIMING = 'db;dur=53, traceparent;desc="00-{traceId}-{spanId}-01"'.format(**SERVER)

FETCH = "fetch('{url}', {{method: 'post', body: 'hello', headers: {{'x-own': '1', baggage: 'a=b'}}}})"
XHR = (
    "(() => {{ const xhr = new XMLHttpRequest(); xhr.open('post', '{url}', {is_async});"
    " xhr.setRequestHeader('x-own', '1'); xhr.setRequestHeader('Baggage', 'a=b'); xhr.send('hello') }})()"
)
WAYS = {
    "fetch": FETCH.format(url="/api/chat?q=x"),
    "xhr": XHR.format(url="/api/chat?q=x", is_async="true"),
    "synchronous xhr": XHR.format(url="/api/chat?q=x", is_async="false"),
}


@pytest.fixture
def elsewhere(static: Path) -> Iterator[Callable[[], tuple[Capture, str]]]:
    """Further origins: what they are asked, and their addresses."""
    with ExitStack() as running:

        def serve() -> tuple[Capture, str]:
            other = Capture(static / "otel-replay.js")
            return other, running.enter_context(serving(other.app()))

        yield serve


def on_click(tab: Page, script: str) -> None:
    tab.evaluate(f"() => {{ send.onclick = () => {{ {script} }} }}")
    tab.click("#send")


def clients(receiver: Capture) -> list[dict[str, Any]]:
    return [span for span in receiver.spans() if span["kind"] == 3]


@pytest.mark.parametrize("request_", WAYS.values(), ids=WAYS)
def test_a_request_after_a_click_is_its_child(
    tab: Page, start: Start, receiver: Capture, shop: Capture, shop_url: str, request_: str
) -> None:
    start(sessionId="s 1")
    on_click(tab, request_)
    wait_until(lambda: len(shop.calls) == 1, tab)
    wait_until(lambda: len(clients(receiver)) == 1, tab)
    flush(tab)

    (client,) = clients(receiver)
    (action,) = (span for span in receiver.spans() if span["name"] == "click")
    assert (client["traceId"], client["parentSpanId"]) == (action["traceId"], action["spanId"])
    assert client["name"] == "POST"
    assert attributes(client) == {
        "http.request.method": "POST",
        "url.full": f"{shop_url}/api/chat",
        "server.address": "127.0.0.1",
        "server.port": shop_url.rpartition(":")[2],
        "http.response.status_code": "200",
        "session.id": "s 1",
    }
    (seen,) = shop.calls
    assert seen["traceparent"] == f"00-{action['traceId']}-{client['spanId']}-01"
    assert seen["baggage"] == "a=b, session.id=s%201"
    assert (seen["method"], seen["x-own"], seen["body"]) == ("POST", "1", "hello")
    ids = {"trace_id": client["traceId"], "span_id": client["spanId"]}
    assert receiver.custom("otel.fetch") == [{**ids, "method": "POST", "url": f"{shop_url}/api/chat"}]


def test_a_request_object_keeps_its_body(tab: Page, start: Start, shop: Capture) -> None:
    start()
    on_click(tab, "fetch(new Request('/api/chat', {method: 'POST', body: 'hello'}))")
    wait_until(lambda: len(shop.calls) == 1, tab)
    assert shop.calls[0]["body"] == "hello"
    assert "traceparent" in shop.calls[0]


@pytest.mark.parametrize("more", ["", ", {}", ", undefined"])
def test_a_request_object_keeps_what_it_says_of_its_page(tab: Page, start: Start, shop: Capture, more: str) -> None:
    """A browser forgets that of a request which it is told to make with other headers."""
    start()
    silent, elsewhere = "{referrerPolicy: 'no-referrer'}", "{referrer: '/elsewhere'}"
    on_click(tab, f"for (const how of [{silent}, {elsewhere}]) fetch(new Request('/api/chat', how){more})")
    wait_until(lambda: len(shop.calls) == 2, tab)
    assert all("traceparent" in call for call in shop.calls)
    paths = sorted(call.get("referer", "").rpartition("/")[2] for call in shop.calls)
    assert paths == ["", "elsewhere"]


def test_headers_that_can_be_read_once_arrive(
    tab: Page, start: Start, elsewhere: Callable[[], tuple[Capture, str]]
) -> None:
    other, url = elsewhere()
    start()
    on_click(tab, f"fetch('{url}/api/chat', {{headers: new Map([['x-own', '1']]).entries()}})")
    wait_until(lambda: len(other.calls) == 1, tab)
    assert other.calls[0]["x-own"] == "1"


WITHOUT_ACTION = {
    "fetch": "fetch('/api/chat').then(response => response.json())",
    "xhr": (
        "new Promise(resolve => { const xhr = new XMLHttpRequest(); xhr.open('GET', '/api/chat');"
        " xhr.onload = () => resolve(JSON.parse(xhr.responseText)); xhr.send() })"
    ),
}


@pytest.mark.parametrize("script", WITHOUT_ACTION.values(), ids=WITHOUT_ACTION)
def test_a_request_without_an_action_has_a_trace_of_its_own(
    tab: Page, start: Start, receiver: Capture, shop: Capture, script: str
) -> None:
    start()
    tab.wait_for_timeout(1100)  # behind the window of the page view
    assert tab.evaluate(f"() => {script}") == {"answer": "42"}
    flush(tab)

    (client,) = clients(receiver)
    assert client.get("parentSpanId") is None
    assert client["traceId"] not in {span["traceId"] for span in receiver.spans() if span is not client}
    assert shop.calls[0]["traceparent"] == f"00-{client['traceId']}-{client['spanId']}-01"
    assert shop.calls[0]["baggage"] == f"session.id={session_of(tab)}"


def test_requests_without_an_action_are_limited_and_the_rest_is_counted(
    tab: Page, start: Start, receiver: Capture, shop: Capture
) -> None:
    """Sixty a minute have spans; those beyond go out as the page made them, and the recording says how many."""
    start()
    tab.wait_for_timeout(1100)
    tab.evaluate("async () => { for (let i = 0; i < 65; i++) await fetch('/api/chat') }")
    tab.evaluate("() => recorder.stop()")

    assert len(shop.calls) == 65
    assert sum("traceparent" in call for call in shop.calls) == 60
    assert len(clients(receiver)) == 60
    assert receiver.custom("otel.dropped") == [{"name": "requests without an action", "dropped": 5, "per_minute": 60}]


@pytest.mark.parametrize("way", ["fetch", "xhr"])
@pytest.mark.parametrize("allowed", [False, True])
def test_another_origin_gets_context_only_when_asked(
    tab: Page, start: Start, receiver: Capture, elsewhere: Callable[[], tuple[Capture, str]], allowed: bool, way: str
) -> None:
    """It has a span in any case; a request without further headers needs no preflight."""
    other, url = elsewhere()
    start(propagateTo=[url] if allowed else [])
    on_click(tab, {"fetch": f"fetch('{url}/api/chat')", "xhr": XHR_GET.format(url=f"{url}/api/chat")}[way])
    wait_until(lambda: len(other.calls) == 1, tab)
    wait_until(lambda: len(clients(receiver)) == 1, tab)
    assert ("traceparent" in other.calls[0], "baggage" in other.calls[0]) == (allowed, allowed)
    assert attributes(clients(receiver)[0])["url.full"] == f"{url}/api/chat"


def test_an_origin_that_begins_as_one_that_is_allowed_gets_nothing(
    tab: Page, start: Start, elsewhere: Callable[[], tuple[Capture, str]]
) -> None:
    other, url = elsewhere()
    start(propagateTo=[url[:-1]])
    on_click(tab, f"fetch('{url}/api/chat')")
    wait_until(lambda: len(other.calls) == 1, tab)
    assert not {"traceparent", "baggage"} & other.calls[0].keys()


XHR_GET = "const xhr = new XMLHttpRequest(); xhr.open('GET', '{url}'); xhr.send()"


@pytest.mark.parametrize("script", ["fetch('{url}')", XHR_GET], ids=["fetch", "xhr"])
def test_the_receiver_never_gets_context(
    tab: Page, start: Start, receiver: Capture, receiver_url: str, script: str
) -> None:
    start(propagateTo=[receiver_url])
    on_click(tab, script.format(url=f"{receiver_url}/api/chat"))
    wait_until(lambda: len(receiver.calls) == 1, tab)
    flush(tab)
    assert not {"traceparent", "baggage"} & receiver.calls[0].keys()
    assert clients(receiver) == []
    assert not any({"traceparent", "baggage"} & headers.keys() for headers in receiver.headers)


def test_a_receiver_behind_the_page_s_origin_leaves_the_application_traced(
    tab: Page, start: Start, shop: Capture
) -> None:
    start(endpoint="/")
    on_click(tab, "fetch('/api/chat')")
    wait_until(lambda: len(shop.calls) == 1, tab)
    flush(tab)
    assert "traceparent" in shop.calls[0]
    assert shop.accepted[0]["seq"] == 0


@pytest.mark.parametrize("header", ["traceparent", "Traceparent"])
@pytest.mark.parametrize("way", ["fetch", "xhr"])
def test_another_tracer_of_the_page_goes_first(
    tab: Page, start: Start, receiver: Capture, shop: Capture, way: str, header: str
) -> None:
    own = "00-11111111111111111111111111111111-2222222222222222-01"
    start()
    on_click(
        tab,
        f"fetch('/api/chat', {{headers: {{'{header}': '{own}'}}}})"
        if way == "fetch"
        else "const xhr = new XMLHttpRequest(); xhr.open('GET', '/api/chat');"
        f" xhr.setRequestHeader('{header}', '{own}'); xhr.send()",
    )
    wait_until(lambda: len(shop.calls) == 1, tab)
    flush(tab)
    assert (shop.calls[0]["traceparent"], clients(receiver)) == (own, [])
    assert "baggage" not in shop.calls[0]


FAILURES = {
    "no answer to fetch": ("fetch('{nowhere}').catch(e => e.name)", "TypeError", "TypeError", None),
    "an error status": ("fetch('/api/chat?status=503').then(r => r.status)", 503, "503", "503"),
    "no answer to xhr": (
        "new Promise(done => {{ const xhr = new XMLHttpRequest(); xhr.open('GET', '{nowhere}');"
        " xhr.onerror = () => done('failed'); xhr.send() }})",
        "failed",
        "NetworkError",
        None,
    ),
    "no answer to synchronous xhr": (
        "(() => {{ const xhr = new XMLHttpRequest(); xhr.open('GET', '{nowhere}', false);"
        " try {{ xhr.send() }} catch (e) {{ return e.name }} }})()",
        "NetworkError",
        "NetworkError",
        None,
    ),
}


@pytest.mark.feature("K18")
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failing_request_fails_as_it_would_alone(
    tab: Page, start: Start, receiver: Capture, failure: tuple[str, Any, str, str | None]
) -> None:
    script, seen_by_page, error_type, status = failure
    start(sampleRate=0)  # nothing is sent before an error
    on_click(tab, f"window.seen = {script.format(nowhere='http://127.0.0.1:9/x?token=abc')}")
    assert tab.evaluate("() => window.seen") == seen_by_page
    wait_until(lambda: len(clients(receiver)) == 1, tab)
    flush(tab)

    (client,) = clients(receiver)
    assert client["status"] == {"code": 2}
    told = attributes(client)
    assert (told["error.type"], told.get("http.response.status_code")) == (error_type, status)
    assert receiver.custom("otel.error") == [
        {
            "trace_id": client["traceId"],
            "span_id": client["spanId"],
            "method": "GET",
            "url": told["url.full"],
            "message": error_type,
        }
    ]
    assert "token" not in json.dumps([receiver.traces, receiver.custom("otel.error"), receiver.custom("otel.fetch")])


@pytest.mark.parametrize("way", ["fetch", "xhr"])
def test_what_the_page_gives_up_is_no_failure(tab: Page, start: Start, receiver: Capture, way: str) -> None:
    start()
    on_click(
        tab,
        "const stop = new AbortController(); fetch('/api/chat', {signal: stop.signal}).catch(() => 0); stop.abort()"
        if way == "fetch"
        else "const xhr = new XMLHttpRequest(); xhr.open('GET', '/api/chat'); xhr.send(); xhr.abort()",
    )
    wait_until(lambda: len(clients(receiver)) == 1, tab)
    (client,) = clients(receiver)
    assert ("status" in client, attributes(client)["error.type"]) == (False, "AbortError")
    assert receiver.custom("otel.error") == []


def test_a_request_that_outlives_its_page_is_told(tab: Page, start: Start, receiver: Capture, shop: Capture) -> None:
    start(flushIntervalMs=60_000)
    shop.call_delay_s = 1
    on_click(tab, "fetch('/api/chat').catch(() => 0)")
    tab.goto("about:blank")
    wait_until(lambda: len(clients(receiver)) == 1, tab)
    assert attributes(clients(receiver)[0])["error.type"] == "AbortError"


@pytest.mark.parametrize("way", ["fetch", "xhr"])
def test_a_server_that_got_no_context_says_its_own(
    tab: Page, start: Start, receiver: Capture, elsewhere: Callable[[], tuple[Capture, str]], way: str
) -> None:
    other, url = elsewhere()
    other.call_headers["server-timing"] = SERVER_TIMING
    start()
    on_click(tab, {"fetch": f"fetch('{url}/api/chat')", "xhr": XHR_GET.format(url=f"{url}/api/chat")}[way])
    wait_until(lambda: len(clients(receiver)) == 1, tab)
    (client,) = clients(receiver)
    told = attributes(client)
    assert {"traceId": told["link.traceId"], "spanId": told["link.spanId"]} == SERVER
    assert client["links"] == [SERVER]


def test_a_page_says_which_server_span_made_it(tab: Page, start: Start, receiver: Capture, shop: Capture) -> None:
    shop.page_headers["server-timing"] = SERVER_TIMING
    start()
    flush(tab)
    (view,) = (span for span in receiver.spans() if span["name"] == "page_view")
    told = attributes(view)
    assert {"traceId": told["link.traceId"], "spanId": told["link.spanId"]} == SERVER
    assert view["links"] == [SERVER]


def test_our_own_failure_never_breaks_the_page_s_request(tab: Page, start: Start, shop: Capture) -> None:
    start()
    fetched = "window.seen = fetch('/api/chat').then(r => r.json())"
    tab.evaluate("() => { crypto.getRandomValues = () => { throw new Error('broken') } }")
    on_click(tab, fetched)
    assert tab.evaluate("() => window.seen") == {"answer": "42"}
    tab.evaluate("() => { Headers.prototype.append = () => { throw new Error('broken') } }")
    on_click(tab, fetched)
    assert tab.evaluate("() => window.seen") == {"answer": "42"}
    on_click(tab, WITHOUT_ACTION["xhr"].replace("new Promise", "window.seen = new Promise", 1))
    assert tab.evaluate("() => window.seen") == {"answer": "42"}
    assert len(shop.calls) == 3


def test_the_page_s_own_functions_come_back(tab: Page, start: Start) -> None:
    start()
    tab.evaluate("() => recorder.stop()")
    native = "f => f.toString().includes('[native code]')"
    assert tab.evaluate(
        f"() => [fetch, ...['open', 'send', 'setRequestHeader'].map(n => XMLHttpRequest.prototype[n])].every({native})"
    )


def test_a_wrapper_that_came_later_stays(tab: Page, start: Start, receiver: Capture, shop: Capture) -> None:
    """Ours below it passes everything through once it has stopped."""
    start()
    tab.evaluate("() => { const before = fetch; window.fetch = (...args) => before(...args) }")
    tab.evaluate("() => recorder.stop()")
    sent = len(clients(receiver))
    assert tab.evaluate("() => fetch('/api/chat').then(r => r.json())") == {"answer": "42"}
    assert "traceparent" not in shop.calls[0]
    assert len(clients(receiver)) == sent
