"""A real Chromium for the tests of the page and of the recorder, and the files they need to have been built."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

STATIC = Path(__file__).parents[2] / "otel_replay" / "web" / "static"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, else Playwright's own. Closed with the module, for its event loop must not outlive it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A page in a browser context of its own, 1440 wide."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def static() -> Path:
    """The built page and recorder."""
    for name in ("index.html", "otel-replay.js"):
        if not (STATIC / name).is_file():
            pytest.fail(f"{STATIC / name} is not built: npm ci && npm run build, in the page's and recorder's folders")
    return STATIC
