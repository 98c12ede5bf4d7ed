"""Canvases are recorded as pictures in their styles: a replay runs no script that could draw."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture
from tests.recorder.driving import FULL_SNAPSHOT, INCREMENTAL, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.feature("S1")]

PAGE = """<!doctype html><meta charset=utf-8><script src=/otel-replay.js></script>
<canvas id=drawn width=60 height=40 style="margin: 3px; background-color: rgb(1, 2, 3)"></canvas>
<canvas id=private class=rr-block width=60 height=40></canvas>
<script>
  const paint = (id, colour) => {
    const context = document.getElementById(id).getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 30, 40);
  };
  paint("drawn", "red");
  paint("private", "red");
</script>
"""
COLOUR = """async (url) => {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return [image.width, image.height, ...context.getImageData(10, 10, 1, 1).data];
}"""


def pictures(receiver: Capture) -> list[dict[str, Any]]:
    """Styles of canvases that were told after the snapshot."""
    changes = [event["data"] for event in receiver.events() if event["type"] == INCREMENTAL]
    styles = [one["attributes"].get("style") for data in changes for one in data.get("attributes", [])]
    return [style for style in styles if isinstance(style, dict) and "background" in style]


START = "options => { window.recorder = OtelReplay.record({flushIntervalMs: 50, ...options}) }"


@pytest.fixture
def opened(tab: Page, shop: Capture, shop_url: str) -> Page:
    shop.pages["/canvas"] = PAGE
    tab.goto(f"{shop_url}/canvas")
    return tab


@pytest.fixture
def page(opened: Page, receiver_url: str) -> Page:
    opened.evaluate(START, {"endpoint": receiver_url})
    return opened


def shown(page: Page, style: dict[str, str]) -> list[int]:
    """Width, height, and a pixel of the picture."""
    found: list[int] = page.evaluate(COLOUR, style["background"].split('"')[1])
    return found


def test_a_canvas_is_a_picture_and_another_one_when_it_changes(page: Page, receiver: Capture) -> None:
    wait_until(lambda: len(pictures(receiver)) == 1, page)
    (style,) = pictures(receiver)
    assert {name: style[name] for name in ("display", "width", "height")} == {
        "display": "inline-block",
        "width": "60px",
        "height": "40px",
    }
    assert style["background"].startswith("rgb(1, 2, 3) url(")
    width, height, red, green, blue, alpha = shown(page, style)
    assert (width, height, alpha) == (60, 40, 255)
    assert red > 240
    assert max(green, blue) < 15
    page.wait_for_timeout(1500)
    assert len(pictures(receiver)) == 1, "nothing has changed"
    page.evaluate("() => paint('drawn', 'blue')")
    wait_until(lambda: len(pictures(receiver)) == 2, page)
    assert shown(page, pictures(receiver)[1])[4] > 240
    assert len(pictures(receiver)) == 2, "the blocked one is left out"


def test_a_later_snapshot_and_a_new_style_bring_the_picture_along(page: Page, receiver: Capture) -> None:
    wait_until(lambda: len(pictures(receiver)) == 1, page)
    picture = pictures(receiver)[0]["background"]
    page.evaluate("() => { recorder.pause(); recorder.resume() }")
    wait_until(lambda: [event["type"] for event in receiver.events()].count(FULL_SNAPSHOT) == 2, page)
    snapshot = [event for event in receiver.events() if event["type"] == FULL_SNAPSHOT][1]
    assert json.dumps(picture)[1:-1] in json.dumps(snapshot)


def test_without_canvases_they_have_their_place_and_no_picture(
    opened: Page, receiver: Capture, receiver_url: str
) -> None:
    opened.evaluate(START, {"endpoint": receiver_url, "canvases": False})
    opened.wait_for_timeout(2200)
    opened.evaluate("() => recorder.flush()")
    assert pictures(receiver) == []
    recorded = json.dumps(receiver.events())
    assert "width:60px" in recorded
    assert "data:image" not in recorded


def test_a_canvas_that_may_not_be_read_is_let_be(page: Page, receiver: Capture, receiver_url: str) -> None:
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "not recorded" in said.text else None)
    wait_until(lambda: len(pictures(receiver)) == 1, page)
    page.evaluate(
        "url => new Promise(done => { const image = new Image(); image.onload = () => {"
        " drawn.getContext('2d').drawImage(image, 0, 0); done() };"
        " image.src = url })",
        "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>"
        "<foreignObject width='9' height='9'/></svg>",
    )
    page.evaluate("() => { drawn.toBlob = () => { throw new DOMException('tainted', 'SecurityError') } }")
    page.wait_for_timeout(3200)
    assert len(complaints) == 1
