"""A page with all that is hard to replay, recorded, stored and replayed: in ten moments the same text and picture.

Measured is the share of the pixels that differ, of those that are not background, outside of what the recorder masks.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, FloatRect, Page

from tests.e2e import processes
from tests.e2e.conversation import chromium
from tests.e2e.fidelity.site import FOLDER, Site, files
from tests.e2e.fidelity.visit import BUSY_BEFORE, HEIGHT, LATE, SHAPE, WIDTH, Box, Moment, visit
from tests.outside.outside import eventually
from tests.recorder.driving import FULL_SNAPSHOT
from tests.web.loopback import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.feature("S2")]

LARGEST_SHARE = 0.01
PATIENCE_S = 5
FRAME = ".replayer-wrapper > iframe"
WITHOUT_MOUSE = ".replayer-mouse, .replayer-mouse-tail { visibility: hidden !important }"
REPLAYED = f"document.querySelector('{FRAME}').contentDocument"
LOADED = (
    f"() => Promise.all([{REPLAYED}.fonts.ready,"
    f" ...[...{REPLAYED}.images].map(image => image.decode().catch(() => 0))]).then(() => 0)"
)


@dataclass(frozen=True)
class Recorded:
    """What was seen live, and where it is stored."""

    moments: list[Moment]
    late: Moment
    receiver: processes.Receiver
    site: Site
    site_url: str

    def events(self, **part: int) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.receiver.url}/api/v1/sessions/fidelity/recording", params=part, timeout=20)
        answer.raise_for_status()
        [stream] = answer.json()["streams"]
        events: list[dict[str, Any]] = stream["events"]
        return events


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def recorded(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    db = tmp_path_factory.mktemp("fidelity") / "replay.db"
    with processes.receiver(db) as receiver, serving((site := Site(receiver.url)).app()) as url:
        with context(browser, WIDTH, HEIGHT) as visitor:
            *moments, late = visit(visitor.new_page(), url)
        found = Recorded(moments, late, receiver, site, url)
        last = f"moment {LATE}"
        eventually(found.events, lambda events: any(last in str(event["data"]) for event in events))
        yield found


@contextmanager
def context(browser: Browser, width: int, height: int) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": width, "height": height})
    opened.set_default_timeout(20_000)
    opened.add_init_script(path=SHAPE)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Screen:
    """A page that replays; its screenshots are compared by ``judge``, another page."""

    page: Page
    judge: Page

    def share(self, moment: Moment, without: list[Box]) -> float:
        """Of the pixels that are drawn, those that differ from the live page's: once that is little, or time is up."""
        self.page.evaluate(LOADED)
        deadline = time.monotonic() + PATIENCE_S
        while (share := self._share(moment, without)) >= LARGEST_SHARE and time.monotonic() < deadline:
            self.page.wait_for_timeout(200)
        return share

    def shape(self) -> list[str]:
        found: list[str] = self.page.evaluate(f"() => shape({REPLAYED}.body)")
        return found

    def _share(self, moment: Moment, without: list[Box]) -> float:
        return compared(self.judge, moment.screenshot, self._screenshot(), without)

    def _screenshot(self) -> bytes:
        box = self.page.locator(FRAME).bounding_box()
        assert box
        clip = FloatRect(x=round(box["x"]), y=round(box["y"]), width=WIDTH, height=HEIGHT)
        return self.page.screenshot(animations="disabled", caret="initial", clip=clip)


@contextmanager
def screen(browser: Browser, width: int, height: int) -> Iterator[tuple[Screen, list[str]]]:
    """With the addresses that the page asks for."""
    with context(browser, width, height) as viewer, context(browser, WIDTH, HEIGHT) as apart:
        asked: list[str] = []
        viewer.on("request", lambda request: asked.append(request.url))
        yield Screen(viewer.new_page(), judging(apart)), asked


def judging(apart: BrowserContext) -> Page:
    """A page that compares pictures."""
    page = apart.new_page()
    page.add_script_tag(path=FOLDER / "pictures.js")
    return page


def compared(judge: Page, one: bytes, other: bytes, without: list[Box]) -> float:
    """The share of the pixels of two PNGs that differ."""
    pictures = [base64.b64encode(picture).decode() for picture in (one, other)]
    differ, drawn = judge.evaluate("all => compared(...all)", [*pictures, without])
    return float(differ / drawn)


def test_our_page_shows_what_the_visitor_saw_and_asks_nobody(browser: Browser, recorded: Recorded) -> None:
    recorded.site.asked.clear()
    with screen(browser, 1800, 1300) as (shown, asked):
        shown.page.goto(f"{recorded.receiver.url}/#/sessions/fidelity")
        shown.page.locator(FRAME).wait_for()
        shown.page.add_style_tag(content=WITHOUT_MOUSE)
        shapes, shares = {}, {}
        for moment in recorded.moments:
            shown.page.locator(".row", has_text=f"moment {moment.name}").first.click()
            shares[moment.name] = shown.share(moment, moment.masked)
            shapes[moment.name] = shown.shape()
    assert shapes == {moment.name: moment.shape for moment in recorded.moments}
    assert {name: share for name, share in shares.items() if share >= LARGEST_SHARE} == {}
    strange = [url for url in asked if not url.startswith((recorded.receiver.url, "data:", "blob:"))]
    assert (strange, recorded.site.asked) == ([], [])


@pytest.mark.feature("S1")
@pytest.mark.feature("R5")
@pytest.mark.parametrize("is_part", [False, True], ids=["whole", "without the snapshots that repeat"])
def test_the_plain_player_shows_it_with_the_files_of_the_page(
    browser: Browser, recorded: Recorded, is_part: bool
) -> None:
    """It knows no files within a recording: it asks the site for them, which is still there."""
    events = recorded.events(**{"from": recorded.moments[0].at_ms * 1_000_000} if is_part else {})
    repeating = [event.get("repeats", False) for event in events if event["type"] == FULL_SNAPSHOT]
    assert repeating == [False, *([] if is_part else [True] * len(BUSY_BEFORE))]
    with screen(browser, WIDTH, HEIGHT) as (shown, asked):
        shown.page.goto(f"{recorded.site_url}/plain.html")
        shown.page.evaluate("all => play(...all)", [events, WIDTH, HEIGHT])
        shown.page.add_style_tag(content=WITHOUT_MOUSE)
        shapes, shares = {}, {}
        for moment in recorded.moments:
            shown.page.evaluate("ms => seek(ms)", moment.at_ms)
            shares[moment.name] = shown.share(moment, moment.masked + moment.queried)
            shapes[moment.name] = shown.shape()
    assert shapes == {moment.name: moment.shape for moment in recorded.moments}
    assert {name: share for name, share in shares.items() if share >= LARGEST_SHARE} == {}
    addresses = [urlsplit(url) for url in asked if not url.startswith(("data:", "blob:"))]
    assert {address.netloc for address in addresses} == {urlsplit(recorded.site_url).netloc}
    own = {"/plain.html", "/player.js", "/player.css"}
    shown_files = {f"/{name}" for name in files() if name.endswith((".png", ".ttf"))}
    assert {address.path.partition(";")[0] for address in addresses} - own <= shown_files


def test_a_frame_that_the_page_adds_is_shown(browser: Browser, recorded: Recorded) -> None:
    with screen(browser, WIDTH, HEIGHT) as (shown, _):
        shown.page.goto(f"{recorded.site_url}/plain.html")
        shown.page.evaluate("all => play(...all)", [recorded.events(), WIDTH, HEIGHT])
        shown.page.evaluate("ms => seek(ms)", recorded.late.at_ms)
        assert eventually(shown.shape, lambda shape: shape == recorded.late.shape) == recorded.late.shape


def test_a_picture_that_differs_is_told_apart(browser: Browser, recorded: Recorded) -> None:
    """The measure itself: one moment's picture is not another's."""
    one, *others = recorded.moments
    with context(browser, WIDTH, HEIGHT) as apart:
        judge = judging(apart)
        shares = [compared(judge, one.screenshot, moment.screenshot, one.masked) for moment in (one, *others)]
    assert shares[0] == 0
    assert min(shares[2:]) > LARGEST_SHARE
