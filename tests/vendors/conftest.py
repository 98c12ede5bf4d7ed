"""Chromium and the vendors' packages, for a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.conversation import chromium
from tests.outside.outside import Outside, running
from tests.vendors.installed import installed


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def packages() -> Path:
    return installed()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Outside]:
    with running(tmp_path / "replay.db") as outside:
        yield outside
