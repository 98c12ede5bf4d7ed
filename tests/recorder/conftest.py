"""A shop whose page is recorded, and a receiver on another origin that keeps what arrives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.recorder.capture import Capture
from tests.recorder.driving import Start
from tests.web.conftest import chromium, static, tab
from tests.web.loopback import serving

__all__ = ["chromium", "static", "tab"]  # fixtures


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


@pytest.fixture
def start(tab: Page, shop_url: str, receiver_url: str) -> Start:
    """Open the shop in ``tab`` (or in the page that is given) and start recording it into the receiver."""

    def start_recording(page: Page = tab, **options: Any) -> None:
        address = f"{shop_url}/shop?token=abc#part"
        page.reload() if page.url == address else page.goto(address)
        page.evaluate(
            "options => { window.recorder = OtelReplay.record(options) }",
            {"endpoint": receiver_url, "flushIntervalMs": 50, **options},
        )

    return start_recording
