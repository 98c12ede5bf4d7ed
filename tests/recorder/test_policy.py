"""A page with a strict policy records with no more than leave to connect to the receiver."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture
from tests.recorder.driving import flush, wait_until, write

pytestmark = [pytest.mark.browser, pytest.mark.feature("R1")]

VIOLATIONS = """
window.violations = [];
addEventListener('securitypolicyviolation', event => violations.push(event.violatedDirective + ' ' + event.blockedURI));
"""
PAGE = """<!doctype html><meta charset="utf-8"><title>Strict</title>
<p id="plain">plain</p><button id="send">Send</button><input id="secret">
<script src="/otel-replay.js"></script>
"""


@pytest.mark.parametrize("transport", ["chunks", "otlp"])
def test_a_strict_policy(
    tab: Page, shop: Capture, shop_url: str, receiver: Capture, receiver_url: str, transport: str
) -> None:
    shop.pages["/strict"] = PAGE
    shop.page_headers["content-security-policy"] = (
        f"default-src 'none'; script-src 'self'; connect-src {receiver_url}; require-trusted-types-for 'script';"
        " base-uri 'none'; form-action 'none'"
    )
    tab.add_init_script(VIOLATIONS)
    tab.goto(f"{shop_url}/strict")
    tab.evaluate(
        "options => { window.recorder = OtelReplay.record({...options, flushIntervalMs: 50}) }",
        {"endpoint": receiver_url, "transport": transport},
    )
    write(tab, "a changed page")
    tab.evaluate("() => { plain.style.color = 'red' }")
    tab.wait_for_timeout(20)
    tab.evaluate("() => { plain.style.color = 'blue' }")
    tab.fill("#secret", "typed")
    tab.click("#send")
    flush(tab)
    wait_until(lambda: "a changed page" in json.dumps([receiver.accepted, receiver.logs]), tab)
    tab.evaluate("() => recorder.pause()")
    tab.evaluate("() => recorder.resume()")
    tab.wait_for_timeout(1200)  # what other pages have left was looked for
    tab.evaluate("() => recorder.stop()")
    assert tab.evaluate("() => violations") == []
    assert "blue" in json.dumps([receiver.accepted, receiver.logs])
