"""A visit of the site in ten moments, and what the page shows in each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

WIDTH, HEIGHT = 800, 600
SHAPE = Path(__file__).parents[2] / "vendors" / "shape.js"
MOMENTS = (
    *("opened", "typed", "shadowed", "framed", "drawn"),
    *("pictured", "asked", "answered", "restyled", "scrolled"),
)
LATE = "late"
"""The names of ``happenings`` in page.js; the last is a frame that the page adds."""

SETTLE_MS = 300
"""The recorder tells of scrolling ten times a second."""
CANVAS_MS = 3_000
"""And looks at canvases once a second."""

BUSY_BEFORE = ("framed", "asked", "restyled", LATE)
BUSY = """async () => {
  const end = document.getElementById("end");
  for (let n = 0; n < 1600; n++) {
    end.setAttribute("data-busy", `${n} `.repeat(20));
    await null; // a change of its own
  }
  end.removeAttribute("data-busy");
}"""
"""As much as makes the recorder take the page anew."""

MASKED = "#name, #wish, #size, #note, .rr-mask, .rr-block"
QUERIED = ".queried, #papered"
"""Their addresses are not those that the page has: the recorder leaves queries out."""

MASK = "******"
TEXTS = ("Ada was here", "a lamp, please", "write here", "Account 4711")
BLOCKED = "Secret plan"
BOXES = "all => all.map(one => one.getBoundingClientRect()).map(box => [box.x, box.y, box.width, box.height])"

Box = list[float]


@dataclass(frozen=True)
class Moment:
    """``at_ms`` by the page's clock; ``masked`` and ``queried`` are boxes of the screenshot, a PNG."""

    name: str
    at_ms: int
    shape: list[str]
    masked: list[Box]
    queried: list[Box]
    screenshot: bytes


def visit(tab: Page, url: str) -> list[Moment]:
    """The ten moments and the late one; each stands in the recording as an error of the console."""
    tab.add_init_script(path=SHAPE)
    tab.goto(url)
    tab.wait_for_load_state("networkidle")
    moments = [_moment(tab, name) for name in (*MOMENTS, LATE)]
    tab.evaluate("() => recorder.stop()")
    return moments


def _moment(tab: Page, name: str) -> Moment:
    if name in BUSY_BEFORE:
        tab.evaluate(BUSY)
        tab.evaluate("ms => settle(ms)", SETTLE_MS)
    if name == "typed":
        tab.locator("#name").fill(TEXTS[0])
        tab.locator("#wish").press_sequentially(TEXTS[1])
        tab.locator("#note").fill(TEXTS[0])
    tab.evaluate("name => happenings[name]()", name)
    tab.mouse.move(WIDTH - 1, HEIGHT - 1)
    tab.evaluate("ms => settle(ms)", CANVAS_MS if name in ("opened", "drawn") else SETTLE_MS)
    at_ms = tab.evaluate("name => { console.error(`moment ${name}`); return Date.now() }", name)
    return Moment(
        name,
        at_ms,
        masked(tab.evaluate("() => shape(document.body)")),
        tab.locator(MASKED).evaluate_all(BOXES),
        tab.locator(QUERIED).evaluate_all(BOXES),
        # The caret is off in the page's own style: Playwright's way would be a change of the page.
        tab.screenshot(animations="disabled", caret="initial"),
    )


def masked(shape: list[str]) -> list[str]:
    """The lines of a page as they are to be recorded: without what is typed, and what the page marks."""
    parts = [line.partition(" ") for line in shape]
    return [f"{depth} {MASK if text in TEXTS else text}" for depth, _, text in parts if text != BLOCKED]
