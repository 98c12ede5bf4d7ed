"""Images, fonts and style sheets are kept with the recording, so that a replay fetches nothing."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.outside.outside import Outside, running
from tests.recorder.capture import Capture
from tests.recorder.driving import FULL_SNAPSHOT, flush, wait_until
from tests.recorder.gallery import BLUE, GREEN, RED, Gallery, font, png
from tests.web.loopback import serving

pytestmark = [pytest.mark.browser, pytest.mark.feature("S2")]

PLUGIN, ASSET = 6, 7
START = "options => { window.recorder = OtelReplay.record({flushIntervalMs: 50, ...options}) }"


@pytest.fixture
def elsewhere(static: Path) -> Gallery:
    return Gallery(static / "otel-replay.js")


@pytest.fixture
def gallery(static: Path, elsewhere: Gallery) -> Iterator[Gallery]:
    with serving(elsewhere.app()) as url:
        yield Gallery(static / "otel-replay.js", url)


@pytest.fixture
def gallery_url(gallery: Gallery) -> Iterator[str]:
    with serving(gallery.app()) as url:
        yield url


def kept(receiver: Capture) -> dict[str, dict[str, Any]]:
    """Data of the asset events by name; each once."""
    found = [event["data"] for event in receiver.events() if event["type"] == ASSET]
    by_name = {data["url"]: data for data in found}
    assert len(found) == len(by_name), Counter(data["url"] for data in found)
    return by_name


def content(data: dict[str, Any]) -> bytes:
    return base64.b64decode(data["payload"]["data"][0]["base64"])


def elements(receiver: Capture) -> dict[str, dict[str, Any]]:
    """Attributes by id, of the first full snapshot."""
    snapshot = next(event for event in receiver.events() if event["type"] == FULL_SNAPSHOT)
    waiting, found = [snapshot["data"]["node"]], {}
    while waiting:
        node = waiting.pop()
        waiting += node.get("childNodes", [])
        found[node.get("attributes", {}).get("id")] = node.get("attributes", {})
    return found


EXPECTED = 11
"""Files that the page of ``gallery.py`` shows: seven of its own, four of the other origin."""


def record(tab: Page, gallery_url: str, receiver_url: str, receiver: Capture, **options: Any) -> None:
    tab.goto(f"{gallery_url}/")
    tab.evaluate("() => document.fonts.load('40px Gallery', '\\uea60')")
    tab.evaluate(START, {"endpoint": receiver_url, **options})
    flush(tab)


def test_what_the_page_shows_is_kept(
    tab: Page, gallery: Gallery, gallery_url: str, receiver: Capture, receiver_url: str
) -> None:
    record(tab, gallery_url, receiver_url, receiver)
    other = gallery.elsewhere
    names = {
        f"{gallery_url}/red.png": png(20, 20, RED),
        f"{gallery_url}/green20.png": png(40, 40, GREEN),
        f"{gallery_url}/blue.png": png(20, 20, BLUE),
        f"{other}/open/blue.png": png(20, 20, BLUE),
    }
    wait_until(lambda: len(kept(receiver)) >= EXPECTED, tab)
    found = kept(receiver)
    assert {name: content(found[name]) for name in names} == names
    named = {name.partition(";")[0]: data for name, data in found.items() if ";" in name}
    assert named.keys() == {f"{gallery_url}/{name}" for name in ("red.png", "green20.png", "font.ttf")}
    assert content(named[f"{gallery_url}/font.ttf"]) == font()
    assert named[f"{gallery_url}/font.ttf"]["payload"]["type"] == "font/ttf"
    sheet = found[f"{other}/open/sheet.css"]["payload"]
    assert sheet == {
        "rr_type": "CssText",
        "cssTexts": [f'#inline {{ border: 3px solid rgb(30, 60, 220); list-style: url("{other}/open/red.png") }}'],
    }
    assert {name: data["failed"]["message"] for name, data in found.items() if "failed" in data} == {
        f"{gallery_url}/noise.png": "larger than 256 KB",
        f"{other}/closed/blue.png": "not readable",
        f"{other}/closed/sheet.css": "not readable",
    }
    assert "secret" not in json.dumps(receiver.accepted)
    assert "private.png" not in json.dumps(receiver.accepted)
    assert "never-shown" not in json.dumps([*found])


def test_the_page_s_snapshot_names_them(
    tab: Page, gallery: Gallery, gallery_url: str, receiver: Capture, receiver_url: str
) -> None:
    record(tab, gallery_url, receiver_url, receiver)
    wait_until(lambda: len(kept(receiver)) >= EXPECTED, tab)
    found, shown = kept(receiver), elements(receiver)
    assert shown["plain"]["src"] in found
    assert content(found[shown["plain"]["src"]]) == png(20, 20, RED)
    # The browser of the test has one pixel for one: it takes the first, and of the <picture> its only source.
    assert (shown["dense"]["srcset"], shown["dense"]["src"]) == (f"{gallery_url}/red.png 1x", None)
    assert shown["chosen"]["srcset"] == f"{gallery_url}/green20.png 2x"
    assert shown["inline"]["style"].partition("url(")[2].split('"')[1] in found


def test_each_is_kept_once_in_a_stream_and_asked_for_once(
    tab: Page, gallery: Gallery, elsewhere: Gallery, gallery_url: str, receiver: Capture, receiver_url: str
) -> None:
    """The browser has them in its cache; a reload goes on with the stream, and with what was kept."""
    record(tab, gallery_url, receiver_url, receiver)
    wait_until(lambda: len(kept(receiver)) >= EXPECTED, tab)
    tab.evaluate("() => { recorder.pause(); recorder.resume() }")
    flush(tab)
    first = len(kept(receiver))
    assert set(gallery.asked.values()) == {1}, gallery.asked
    record(tab, gallery_url, receiver_url, receiver)
    tab.wait_for_timeout(500)
    flush(tab)
    assert len(kept(receiver)) == first
    assert len({chunk["stream_id"] for chunk in receiver.accepted}) == 1
    indexes = [event["data"] for event in receiver.events() if event["type"] == PLUGIN]
    assert indexes[-1]["plugin"] == "otel-replay/assets@1"
    assert indexes[-1]["payload"]["kept"].keys() == kept(receiver).keys()


def test_what_comes_later_is_kept_when_the_page_has_loaded_it(
    tab: Page, gallery_url: str, receiver: Capture, receiver_url: str
) -> None:
    record(tab, gallery_url, receiver_url, receiver)
    wait_until(lambda: len(kept(receiver)) >= EXPECTED, tab)
    tab.evaluate("() => { later.innerHTML = '<img src=/private.png?1>' }")
    wait_until(lambda: any("/private.png;" in name for name in kept(receiver)), tab)
    tab.evaluate("() => { later.style.background = 'url(/private.png?2)' }")
    wait_until(lambda: sum("/private.png;" in name for name in kept(receiver)) == 2, tab)
    tab.evaluate(
        "() => { document.styleSheets[0].insertRule("
        "'#later { list-style: url(/private.png?3) inside; display: list-item }') }"
    )
    wait_until(lambda: sum("/private.png;" in name for name in kept(receiver)) == 3, tab)


def test_without_assets_nothing_is_fetched_and_addresses_still_have_no_queries(
    tab: Page, gallery: Gallery, gallery_url: str, receiver: Capture, receiver_url: str
) -> None:
    tab.goto(f"{gallery_url}/")
    tab.wait_for_load_state("networkidle")
    before = dict(gallery.asked)
    tab.evaluate(START, {"endpoint": receiver_url, "assets": False})
    tab.wait_for_timeout(1000)  # files are fetched when the page has nothing to do
    flush(tab)
    assert FULL_SNAPSHOT in {event["type"] for event in receiver.events()}
    assert {event["type"] for event in receiver.events()}.isdisjoint({PLUGIN, ASSET})
    assert dict(gallery.asked) == before
    assert "secret" not in json.dumps(receiver.accepted)


def test_an_origin_that_cannot_be_read_is_asked_twice_at_most(
    tab: Page, gallery: Gallery, elsewhere: Gallery, gallery_url: str, receiver: Capture, receiver_url: str
) -> None:
    record(tab, gallery_url, receiver_url, receiver)
    wait_until(lambda: len(kept(receiver)) >= EXPECTED, tab)
    images = "".join(f"<img src='{gallery.elsewhere}/closed/red.png?{number}'>" for number in range(6))
    complaints: list[str] = []
    tab.on("console", lambda said: complaints.append(said.text))
    tab.evaluate("images => { later.innerHTML = images }", images)
    wait_until(lambda: sum("/closed/red.png;" in name for name in kept(receiver)) == 6, tab)
    assert sum("CORS" in text for text in complaints) <= 2


def test_requests_for_assets_are_no_spans(tab: Page, gallery_url: str, receiver: Capture, receiver_url: str) -> None:
    record(tab, gallery_url, receiver_url, receiver)
    wait_until(lambda: len(kept(receiver)) >= EXPECTED, tab)
    flush(tab)
    assert [span["name"] for span in receiver.spans() if span["kind"] == 3] == []
    assert receiver.custom("otel.fetch") == []


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with running(tmp_path_factory.mktemp("assets") / "replay.db") as server:
        yield server


COLOURS = {
    "plain": RED,
    "dense": RED,
    "open": BLUE,
    "background": BLUE,
    "inline": GREEN,
}


@pytest.mark.slow
@pytest.mark.feature("S6")
def test_a_replay_shows_them_and_fetches_nothing(
    chromium: Browser, tab: Page, gallery: Gallery, elsewhere: Gallery, gallery_url: str, outside: Outside
) -> None:
    tab.goto(f"{gallery_url}/")
    tab.evaluate("() => document.fonts.load('40px Gallery', '\\uea60')")
    width = tab.evaluate("() => text.getBoundingClientRect().width")
    tab.evaluate(START, {"endpoint": outside.url, "sessionId": "gallery"})
    wait_until(lambda: len(asset_names(outside, "gallery")) >= EXPECTED, tab)
    tab.evaluate("() => { document.getElementById('later').textContent = 'the end' }")
    tab.evaluate("() => recorder.stop()")
    tab.goto("about:blank")
    gallery.asked.clear()
    elsewhere.asked.clear()

    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto(f"{outside.url}/#/sessions/gallery")
    frame = page.frame_locator(".replayer-wrapper iframe")
    expect(frame.locator("#plain")).to_be_attached()
    expect(page.get_by_text("3 files of the page are not in the recording")).to_be_visible()
    expect(page.get_by_text("larger than 256 KB")).to_be_visible()
    expect(page.get_by_text("not readable")).to_be_visible()
    loaded = frame.locator("img").evaluate_all(
        "all => Promise.all(all.map(one => one.decode().then(() => [one.id, one.naturalWidth], () => [one.id, 0])))"
    )
    # The placeholders are drawings of their own size; what was left out has no address.
    assert dict(loaded) == {
        "plain": 20,
        "dense": 20,
        "chosen": 20,
        "open": 20,
        "closed": 240,
        "large": 240,
        "": 0,
    }
    label = frame.locator("#closed").get_attribute("src") or ""
    assert "not%20recorded%3A%20not%20readable" in label
    assert frame.locator("#inline").evaluate("one => getComputedStyle(one).borderTopWidth") == "3px"
    frame.locator("body").evaluate("body => body.ownerDocument.fonts.ready.then(() => 0)")
    assert frame.locator("#text").evaluate("one => one.getBoundingClientRect().width") == pytest.approx(width)
    for name, colour in COLOURS.items():
        assert middle(page, frame.locator(f"#{name}")) == colour, name
    context.close()
    strange = [url for url in asked if not url.startswith((outside.url, "data:", "blob:"))]
    assert (strange, gallery.asked, elsewhere.asked) == ([], Counter(), Counter())


@pytest.mark.slow
@pytest.mark.feature("X9")
def test_a_part_of_a_recording_finds_what_was_kept_before_it(
    chromium: Browser, tab: Page, gallery_url: str, receiver: Capture, receiver_url: str, outside: Outside
) -> None:
    """The page of a trace reads from the full snapshot before it; images came long before, and once."""
    record(tab, gallery_url, receiver_url, receiver)
    wait_until(lambda: len(kept(receiver)) >= EXPECTED, tab)
    before = receiver.events()
    tab.evaluate("() => { recorder.pause(); recorder.resume() }")
    tab.click("#send")
    flush(tab)
    after = receiver.events()[len(before) :]
    later_ms = 600_000
    for event in after:
        # The click is longer behind the snapshot than the page of a trace looks back.
        later_ms += 20_000 if event["data"].get("tag") == "otel.action" else 0
        event["timestamp"] += later_ms
    index = next(event["data"]["payload"] for event in after if event["type"] == PLUGIN)
    assert len(index["kept"]) == EXPECTED
    for number, events in enumerate((before, after)):
        outside.upload("part", events, stream_id="tab", seq=number)
    (action,) = receiver.custom("otel.action")

    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{outside.url}/#/traces/{action['trace_id']}")
    frame = page.frame_locator(".replayer-wrapper iframe")
    expect(frame.locator("#plain")).to_be_attached()
    widths = "all => Promise.all(all.map(one => one.decode().then(() => one.naturalWidth)))"
    assert frame.locator("#plain, #dense, #chosen, #open").evaluate_all(widths) == [20, 20, 20, 20]
    parts = [url for url in asked if "/recording?" in url]
    assert len(parts) == 2
    first, second = (page.request.get(url).json()["streams"][0] for url in parts)
    assert ASSET not in {event["type"] for event in first["events"]}
    assert (first["from_seq"], second["from_seq"], second["to_seq"]) == (1, 0, 0)
    page.close()


def events_of(outside: Outside, session: str) -> list[dict[str, Any]]:
    streams = outside.get(f"/api/v1/sessions/{session}/recording").json().get("streams", [])
    return [event for stream in streams for event in stream["events"]]


def asset_names(outside: Outside, session: str) -> set[str]:
    return {event["data"]["url"] for event in events_of(outside, session) if event["type"] == ASSET}


def middle(page: Page, element: Any) -> tuple[int, ...]:
    """The colour in the middle of an element, as the screen shows it."""
    box = element.bounding_box()
    shot = page.screenshot(
        clip={"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "width": 1, "height": 1}
    )
    script = (
        "async data => { const image = new Image(); image.src = 'data:image/png;base64,' + data; await image.decode();"
        " const canvas = document.createElement('canvas'); const context = canvas.getContext('2d');"
        " context.drawImage(image, 0, 0); return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3) }"
    )
    return tuple(page.evaluate(script, base64.b64encode(shot).decode()))
