"""A receiver for all tests of a module, on ports of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.outside.outside import Outside, running


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Shared by a module: tests choose trace and session ids that no other test of the module has."""
    with running(tmp_path_factory.mktemp("receiver") / "replay.db") as outside:
        yield outside
