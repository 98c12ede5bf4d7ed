"""What never leaves the page: what is typed, queries of addresses, and what a hook takes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture
from tests.recorder.driving import INCREMENTAL, META, flush

pytestmark = [pytest.mark.browser, pytest.mark.feature("K15")]

FIELDS = """<!doctype html><meta charset="utf-8">
<input id="text" value="sekret-0"><input id="cleared" value="sekret-1"><input type="hidden" value="sekret-2">
<input type="password" id="password" value="sekret-3"><input type="email" value="sekret-4">
<textarea id="area">sekret-5</textarea><textarea id="emptied">sekret-6</textarea>
<select id="choice"><option value="a">one</option><option value="b">other</option></select>
<div contenteditable id="editor">sekret-7</div><p class="rr-mask">sekret-8</p><p class="rr-block">sekret-9</p>
<p class="own">sekret-10</p><p class="gone">sekret-11</p>
<iframe id="frame" srcdoc="<p class='rr-mask'>sekret-12</p><input value='sekret-13'>"></iframe>
<input type="submit" value="Order now"><input type="checkbox" value="gift" checked>
<script src="/otel-replay.js"></script>
"""

ADDRESSES = """<!doctype html><meta charset="utf-8"><base href="/deep/?sekret-0">
<link rel="alternate" href="/feed?token=sekret-1#sekret-1">
<style>p { background: url("/image.png?token=sekret-2") } q { background: url(data:image/gif;base64,R0lGOD?lh) }</style>
<a id="link" href="/page?token=sekret-3#sekret-3">link</a><a href="https://user:sekret-4@example.com/path">link</a>
<form action="/search?token=sekret-5"><button formaction="/other?token=sekret-5">go</button></form>
<p style="background-image: url('/inline.png?token=sekret-6')">styled</p>
<img alt="" srcset="/small.png?token=sekret-7,1 1x, /large.png?token=sekret-7 2x">
<iframe src="http://127.0.0.1:9/frame?token=sekret-8"></iframe>
<video poster="/poster.png?token=sekret-9"></video><object data="/object?token=sekret-10"></object>
<svg><use href="/shapes.svg?token=sekret-11#star"></use><linearGradient xlink:href="#colours"/></svg>
<img id="image" alt="" src="/image.png?token=sekret-12">
<script src="/otel-replay.js?sekret-13"></script>
"""


@pytest.fixture
def open_page(tab: Page, shop: Capture, shop_url: str, receiver_url: str) -> Any:
    def record(page: str, script: str = "() => null", **options: Any) -> None:
        shop.pages["/private"] = page
        tab.goto(f"{shop_url}/private?token=sekret-20#sekret-21")
        tab.evaluate(script)
        tab.evaluate(
            "options => { window.recorder = OtelReplay.record(options) }",
            {"endpoint": receiver_url, "flushIntervalMs": 50, **options},
        )

    return record


CLEAR = "() => { cleared.value = ''; emptied.value = '' }"


def inputs(receiver: Capture) -> list[str]:
    events = [event["data"] for event in receiver.events() if event["type"] == INCREMENTAL]
    return [data["text"] for data in events if data["source"] == 5]


@pytest.mark.feature("S1")
def test_fields_are_masked_however_long_they_are(tab: Page, open_page: Any, receiver: Capture) -> None:
    open_page(FIELDS, CLEAR, maskTextSelector=".own", blockSelector=".gone")
    for field, text in (("#text", "a"), ("#cleared", "sekret " * 9), ("#password", "sekret"), ("#area", "sekret\n")):
        tab.fill(field, text)
    tab.locator("#editor").press_sequentially("sekret")
    tab.evaluate("() => { editor.append(' and sekret') }")
    tab.evaluate("() => { area.setAttribute('value', 'sekret'); text.setAttribute('value', 'sekret') }")
    tab.fill("#text", "")
    flush(tab)
    recorded = json.dumps(receiver.accepted)
    assert "sekret" not in recorded
    assert set(inputs(receiver)) == {"******", ""}
    assert "Order now" in recorded
    assert "gift" in recorded
    assert "*******" not in recorded


def test_secret_fields_are_masked_in_any_case(tab: Page, open_page: Any, receiver: Capture) -> None:
    open_page(FIELDS, maskAllInputs=False)
    tab.fill("#text", "typed")
    tab.fill("#password", "hunter2")
    flush(tab)
    recorded = json.dumps(receiver.accepted)
    assert {"typed", "******"} <= set(inputs(receiver))
    assert "sekret-2" not in recorded  # hidden
    assert "sekret-3" not in recorded
    assert "hunter2" not in recorded
    assert "sekret-8" not in recorded
    assert "sekret-9" not in recorded


def test_addresses_have_no_queries(tab: Page, open_page: Any, receiver: Capture, shop_url: str) -> None:
    open_page(ADDRESSES)
    tab.evaluate(
        """() => {
          link.href = '/changed?token=sekret-14';
          link.style.backgroundImage = 'url(/set.png?token=sekret-15)';
          document.styleSheets[0].insertRule('b { background: url(/rule.png?token=sekret-16) }');
          document.styleSheets[0].cssRules[0].style.setProperty('background', 'url(/property.png?token=sekret-17)');
          const sheet = new CSSStyleSheet();
          sheet.replaceSync('i { background: url(/adopted.png?token=sekret-18) }');
          document.adoptedStyleSheets = [sheet];
          document.body.insertAdjacentHTML('beforeend', '<a href="/added?token=sekret-19">added</a>');
        }"""
    )
    flush(tab)
    assert "sekret" not in json.dumps(receiver.events())
    recorded = json.dumps(receiver.events())
    for kept in (
        "/page",
        "/feed",
        "example.com/path",
        "/shapes.svg#star",
        "#colours",
        "/changed",
        "/rule.png",
        "/added",
    ):
        assert kept in recorded
    assert "data:image/gif;base64,R0lGOD?lh" in recorded
    assert [event["data"]["href"] for event in receiver.events() if event["type"] == META] == [f"{shop_url}/private"]


HOOK = """endpoint => {
  window.recorder = OtelReplay.record({endpoint, flushIntervalMs: 50, beforeSend(event, kind) {
    const text = JSON.stringify(event, (name, value) => typeof value === 'bigint' ? String(value) : value);
    if (text.includes('broken hook')) throw new Error('broken hook');
    if (text.includes('dropped')) return null;
    if (kind === 'dom' && event.type === 5) return {...event, data: {...event.data, altered: true}};
    if (kind === 'span') return {...event, name: 'altered ' + event.name};
    return event;
  }})
}"""


def test_a_hook_alters_or_drops_any_event(tab: Page, shop_url: str, receiver: Capture, receiver_url: str) -> None:
    tab.goto(f"{shop_url}/shop")
    tab.evaluate(HOOK, receiver_url)
    for text in ("dropped", "broken hook", "kept"):
        tab.evaluate("text => { plain.textContent = text }", text)
        tab.wait_for_timeout(5)
    tab.click("#send")
    tab.evaluate("() => console.error('dropped')")
    flush(tab)
    recorded = json.dumps([receiver.accepted, receiver.traces, receiver.logs])
    assert "kept" in recorded
    assert "dropped" not in recorded
    assert "broken hook" not in recorded
    assert "altered click" in {span["name"] for span in receiver.spans()}
    assert all(event["data"]["altered"] for event in receiver.events() if event["type"] == 5)
