"""What tests of the recorder do with a page."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Page

META, FULL_SNAPSHOT, INCREMENTAL, CUSTOM = 4, 2, 3, 5

TOO_LATE = "() => { IDBDatabase.prototype.transaction = () => { throw new DOMException('too late') } }"
"""From here on the browser writes nothing to IndexedDB, as when a page goes before that was begun."""

Start = Callable[..., None]
"""``start(page=tab, **options)``: opens the shop and calls ``OtelReplay.record(options)``."""


def flush(page: Page) -> None:
    """Twice: a span ends in a task after its action."""
    for _ in range(2):
        page.evaluate("() => new Promise(resolve => setTimeout(resolve, 20)).then(() => recorder.flush())")


def wait_until(condition: Callable[[], bool], page: Page, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {timeout_s:g} s"
        page.wait_for_timeout(20)


def write(page: Page, text: str) -> None:
    """Changes the page."""
    page.evaluate("text => { document.getElementById('plain').textContent = text }", text)


def session_of(page: Page) -> str:
    found: str = page.evaluate("() => recorder.sessionId")
    return found


def stream_of(page: Page) -> str:
    found: str = page.evaluate("() => recorder.streamId")
    return found
