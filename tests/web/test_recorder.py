"""The browser recorder in a real Chromium, against a server that keeps what arrives."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.web.capture import Capture, attributes
from tests.web.loopback import serving

pytestmark = pytest.mark.browser

BROWSER_SOURCE = Path(__file__).parents[2] / "otel_replay" / "browser"
META, FULL_SNAPSHOT, CUSTOM = 4, 2, 5


@pytest.fixture
def receiver(static: Path) -> Capture:
    return Capture(static / "otel-replay.js")


@pytest.fixture
def shop(static: Path) -> Capture:
    return Capture(static / "otel-replay.js")


@pytest.fixture
def receiver_url(receiver: Capture) -> Iterator[str]:
    with serving(receiver.app()) as url:
        yield url


@pytest.fixture
def shop_url(shop: Capture) -> Iterator[str]:
    with serving(shop.app()) as url:
        yield url


StartRecording = Callable[..., None]


@pytest.fixture
def start(tab: Page, shop_url: str, receiver_url: str) -> StartRecording:
    """Open the shop and start recording it into the receiver."""

    def start_recording(**options: Any) -> None:
        tab.goto(f"{shop_url}/shop?token=abc#part")
        tab.evaluate(
            "options => { window.recorder = OtelReplay.record(options) }",
            {"endpoint": receiver_url, "flushIntervalMs": 50, **options},
        )

    return start_recording


def flush(tab: Page) -> None:
    """Twice: a span ends in a task after its action."""
    for _ in range(2):
        tab.evaluate("() => new Promise(resolve => setTimeout(resolve, 20)).then(() => recorder.flush())")


def wait_until(condition: Callable[[], bool], tab: Page) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 15 s"
        tab.wait_for_timeout(20)


def test_chunks_arrive_in_order_one_at_a_time(tab: Page, start: StartRecording, receiver: Capture) -> None:
    receiver.chunk_delay_s = 0.05
    start()
    for word in ("one", "two", "three"):
        tab.evaluate("word => { document.getElementById('plain').textContent = word; void recorder.flush() }", word)
    flush(tab)

    assert [chunk["seq"] for chunk in receiver.accepted] == list(range(len(receiver.accepted)))
    assert len(receiver.accepted) >= 3
    assert receiver.most_in_flight == 1
    assert {chunk["stream_id"] for chunk in receiver.accepted} == {tab.evaluate("() => recorder.streamId")}
    assert re.fullmatch("[0-9a-f]{16}", receiver.accepted[0]["stream_id"])
    assert receiver.session_ids == {tab.evaluate("() => recorder.sessionId")}
    texts = json.dumps(receiver.events())
    assert texts.index('"one"') < texts.index('"two"') < texts.index('"three"')


def test_first_chunk_is_playable_and_announces_the_session(tab: Page, start: StartRecording, receiver: Capture) -> None:
    start(sessionId="s-1", userId="u1", feature="chat", label="support", serviceName="shop")
    flush(tab)

    events = receiver.accepted[0]["events"]
    assert [event["type"] for event in events[:3]] == [META, FULL_SNAPSHOT, CUSTOM]
    assert events[2]["data"] == {
        "tag": "otel.session",
        "payload": {"attributes": {"user.id": "u1", "feature": "chat", "label": "support", "service.name": "shop"}},
    }
    assert receiver.session_ids == {"s-1"}


def test_the_address_is_recorded_without_query_and_fragment(
    tab: Page, start: StartRecording, receiver: Capture, shop_url: str
) -> None:
    start()
    flush(tab)
    assert receiver.events()[0]["data"]["href"] == f"{shop_url}/shop"


def test_a_chunk_is_tried_again_until_it_is_taken(tab: Page, start: StartRecording, receiver: Capture) -> None:
    receiver.answers = [(503, {"retry-after": "0"}), (429, {}), (502, {}), (504, {})]
    start()
    tab.wait_for_timeout(100)
    tab.evaluate("() => { document.getElementById('plain').textContent = 'later' }")
    wait_until(lambda: "later" in json.dumps(receiver.accepted), tab)

    assert [chunk["seq"] for chunk in receiver.attempts[:5]] == [0, 0, 0, 0, 0]
    assert len({json.dumps(chunk["events"]) for chunk in receiver.attempts[:5]}) == 1
    assert [chunk["seq"] for chunk in receiver.accepted] == list(range(len(receiver.accepted)))


def test_a_refused_chunk_does_not_hold_up_the_next(tab: Page, start: StartRecording, receiver: Capture) -> None:
    receiver.answers = [(400, {})]
    start()
    flush(tab)
    tab.evaluate("() => { document.getElementById('plain').textContent = 'later' }")
    flush(tab)
    assert receiver.attempts[0]["seq"] == 0
    assert [chunk["seq"] for chunk in receiver.accepted] == list(range(1, len(receiver.accepted) + 1))
    assert "later" in json.dumps(receiver.accepted)


def test_what_is_left_is_sent_when_the_page_goes(tab: Page, start: StartRecording, receiver: Capture) -> None:
    start(flushIntervalMs=60_000)
    tab.evaluate("() => { document.getElementById('plain').textContent = 'last words' }")
    tab.goto("about:blank")
    wait_until(lambda: "last words" in json.dumps(receiver.accepted), tab)


def test_the_session_outlives_the_page_load_and_the_stream_does_not(tab: Page, start: StartRecording) -> None:
    start()
    first = tab.evaluate("() => [recorder.sessionId, recorder.streamId]")
    tab.goto("about:blank")
    start()
    second = tab.evaluate("() => [recorder.sessionId, recorder.streamId]")
    assert re.fullmatch("[0-9a-f]{32}", first[0])
    assert second[0] == first[0]
    assert second[1] != first[1]


def test_a_click_is_a_span_and_a_recorded_event(
    tab: Page, start: StartRecording, receiver: Capture, shop_url: str
) -> None:
    before = time.time_ns()
    start(userId="u1", serviceName="shop")
    tab.click("#send")
    flush(tab)

    (span,) = receiver.spans()
    (payload,) = receiver.custom("otel.action")
    session_id = tab.evaluate("() => recorder.sessionId")
    assert payload == {
        "trace_id": span["traceId"],
        "span_id": span["spanId"],
        "name": "click",
        "target": "#send",
        "text": "Send the question",
    }
    assert re.fullmatch("[0-9a-f]{32}", span["traceId"])
    assert re.fullmatch("[0-9a-f]{16}", span["spanId"])
    assert (span["name"], span["kind"]) == ("click", 1)
    assert attributes(span) == {
        "session.id": session_id,
        "user.id": "u1",
        "app.widget.id": "send",
        "app.widget.name": "Send the question",
        "url.full": f"{shop_url}/shop",
        "browser.action": "click",
    }
    assert before < int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]) < time.time_ns()
    resource_spans = receiver.traces[0]["resourceSpans"][0]
    language = tab.evaluate("() => navigator.language")
    expected = {"service.name": "shop", "session.id": session_id, "browser.language": language}
    assert attributes(resource_spans["resource"]) == expected
    assert resource_spans["scopeSpans"][0]["scope"] == {"name": "otel_replay.browser"}


@pytest.mark.parametrize(("press_on", "name", "target"), [("#q", "submit", "#go"), ("#go", "click", "#go")])
def test_enter_is_one_action(
    tab: Page, start: StartRecording, receiver: Capture, press_on: str, name: str, target: str
) -> None:
    start()
    tab.press(press_on, "Enter")
    flush(tab)
    assert [(action["name"], action["target"]) for action in receiver.custom("otel.action")] == [(name, target)]


def test_a_form_sent_by_script_after_a_key_is_a_submit(tab: Page, start: StartRecording, receiver: Capture) -> None:
    start()
    tab.evaluate("() => { document.getElementById('secret').onkeydown = () => form.requestSubmit() }")
    tab.press("#secret", "Enter")
    flush(tab)
    assert [(action["name"], action["target"]) for action in receiver.custom("otel.action")] == [("submit", "#form")]


def test_a_click_on_plain_text_is_no_action(tab: Page, start: StartRecording, receiver: Capture) -> None:
    start()
    tab.click("#plain")
    flush(tab)
    assert receiver.custom("otel.action") == []


def test_a_request_after_a_click_is_its_child(
    tab: Page, start: StartRecording, receiver: Capture, shop: Capture, shop_url: str
) -> None:
    start(sessionId="s 1")
    call = "fetch('/api/chat?q=x', {method: 'post', body: 'hello', headers: {'x-own': '1', baggage: 'a=b'}})"
    tab.evaluate(f"() => {{ send.onclick = () => {call} }}")
    tab.click("#send")
    wait_until(lambda: len(shop.calls) == 1, tab)
    flush(tab)

    action, client = sorted(receiver.spans(), key=lambda span: span["kind"])
    assert (client["traceId"], client["parentSpanId"], client["kind"]) == (action["traceId"], action["spanId"], 3)
    assert attributes(client) == {
        "http.request.method": "POST",
        "url.full": f"{shop_url}/api/chat",
        "http.response.status_code": "200",
        "session.id": "s 1",
    }
    (seen,) = shop.calls
    assert seen["traceparent"] == f"00-{action['traceId']}-{client['spanId']}-01"
    assert seen["baggage"] == "a=b, session.id=s%201"
    assert (seen["x-own"], seen["body"]) == ("1", "hello")
    assert receiver.custom("otel.fetch") == [
        {
            "trace_id": client["traceId"],
            "span_id": client["spanId"],
            "method": "POST",
            "url": f"{shop_url}/api/chat",
        }
    ]


def test_a_request_object_keeps_its_body(tab: Page, start: StartRecording, shop: Capture) -> None:
    start()
    tab.evaluate("() => { send.onclick = () => fetch(new Request('/api/chat', {method: 'POST', body: 'hello'})) }")
    tab.click("#send")
    wait_until(lambda: len(shop.calls) == 1, tab)
    assert shop.calls[0]["body"] == "hello"
    assert "traceparent" in shop.calls[0]


def test_a_request_without_an_action_is_left_alone(tab: Page, start: StartRecording, shop: Capture) -> None:
    start()
    tab.evaluate("() => fetch('/api/chat').then(response => response.json())")
    assert "traceparent" not in shop.calls[0]
    assert "baggage" not in shop.calls[0]


@pytest.mark.parametrize("allowed", [False, True])
def test_another_origin_gets_context_only_when_asked(
    tab: Page, start: StartRecording, static: Path, allowed: bool
) -> None:
    other = Capture(static / "otel-replay.js")
    with serving(other.app()) as other_url:
        start(propagateTo=[other_url] if allowed else [])
        tab.evaluate("url => { send.onclick = () => fetch(url) }", f"{other_url}/api/chat")
        tab.click("#send")
        wait_until(lambda: len(other.calls) == 1, tab)
    assert ("traceparent" in other.calls[0], "baggage" in other.calls[0]) == (allowed, allowed)


def test_the_receiver_never_gets_context(
    tab: Page, start: StartRecording, receiver: Capture, receiver_url: str
) -> None:
    start(propagateTo=[receiver_url])
    tab.evaluate("url => { send.onclick = () => fetch(url) }", f"{receiver_url}/api/chat")
    tab.click("#send")
    wait_until(lambda: len(receiver.calls) == 1, tab)
    assert "traceparent" not in receiver.calls[0]


def test_a_receiver_behind_the_page_s_origin_leaves_the_application_traced(
    tab: Page, start: StartRecording, shop: Capture, shop_url: str
) -> None:
    start(endpoint="/")
    tab.evaluate("() => { send.onclick = () => fetch('/api/chat') }")
    tab.click("#send")
    wait_until(lambda: len(shop.calls) == 1, tab)
    flush(tab)
    assert "traceparent" in shop.calls[0]
    assert shop.accepted[0]["seq"] == 0


def test_a_failing_request_fails_as_it_would_alone(tab: Page, start: StartRecording, receiver: Capture) -> None:
    start(propagateTo=["http://127.0.0.1:9/"])
    tab.evaluate("() => { send.onclick = () => { window.seen = fetch('http://127.0.0.1:9/x').catch(e => e.name) } }")
    tab.click("#send")
    assert tab.evaluate("() => window.seen") == "TypeError"
    flush(tab)
    (client,) = [span for span in receiver.spans() if span["kind"] == 3]
    assert client["status"] == {"code": 2}
    assert "http.response.status_code" not in attributes(client)


def test_our_own_failure_never_breaks_the_page_s_request(tab: Page, start: StartRecording, shop: Capture) -> None:
    start()
    tab.evaluate("() => { send.onclick = () => { window.seen = fetch('/api/chat').then(r => r.json()) } }")
    tab.evaluate("() => { crypto.getRandomValues = () => { throw new Error('broken') } }")
    tab.click("#send")
    assert tab.evaluate("() => window.seen") == {"answer": "42"}
    tab.evaluate("() => { Headers.prototype.set = () => { throw new Error('broken') } }")
    tab.click("#send")
    assert tab.evaluate("() => window.seen") == {"answer": "42"}
    assert len(shop.calls) == 2


def test_what_is_typed_is_masked(tab: Page, start: StartRecording, receiver: Capture) -> None:
    start()
    tab.fill("#secret", "hunter2")
    flush(tab)
    assert "*******" in json.dumps(receiver.accepted)
    assert "hunter2" not in json.dumps(receiver.accepted)


def test_a_private_widget_is_not_named(tab: Page, start: StartRecording, receiver: Capture) -> None:
    start()
    tab.evaluate("() => send.classList.add('rr-mask')")
    tab.click("#send")
    flush(tab)
    assert receiver.custom("otel.action")[0]["text"] == ""
    assert "app.widget.name" not in attributes(next(receiver.spans()))


def test_stop_sends_the_rest_and_puts_fetch_back(tab: Page, start: StartRecording, receiver: Capture) -> None:
    start(flushIntervalMs=60_000)
    tab.evaluate("() => recorder.stop()")
    sent = len(receiver.events())
    assert sent >= 3
    assert tab.evaluate("() => window.fetch.toString().includes('[native code]')")
    tab.click("#send")
    tab.evaluate("() => recorder.flush()")
    assert len(receiver.events()) == sent


def test_a_second_recorder_is_the_first(tab: Page, start: StartRecording, receiver_url: str) -> None:
    start()
    assert tab.evaluate("endpoint => OtelReplay.record({endpoint}) === recorder", receiver_url)


@pytest.mark.parametrize("options", [{}, {"endpoint": "ftp://example.com"}])
def test_a_wrong_endpoint_is_an_error_of_the_caller(tab: Page, shop_url: str, options: dict[str, str]) -> None:
    tab.goto(f"{shop_url}/shop")
    assert tab.evaluate("options => { try { OtelReplay.record(options) } catch (e) { return e.name } }", options) == (
        "TypeError"
    )


def test_our_own_code_is_small(tmp_path: Path) -> None:
    """Everything but rrweb, minified: less than 15 KB gzipped."""
    bundle = tmp_path / "own.js"
    esbuild = BROWSER_SOURCE / "node_modules" / ".bin" / "esbuild"
    options = ["--bundle", "--minify", "--format=esm", "--external:@rrweb/record", f"--outfile={bundle}"]
    subprocess.run([esbuild, "src/index.ts", *options], cwd=BROWSER_SOURCE, check=True, capture_output=True)
    assert 1000 < len(gzip.compress(bundle.read_bytes())) < 15 * 1024
