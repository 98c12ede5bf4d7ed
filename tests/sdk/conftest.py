"""No test leaves requests in the spool of whoever runs it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of the spools of this test's exporters, which is made when it is needed."""
    root = tmp_path / "spool"
    monkeypatch.setenv("OTEL_REPLAY_SPOOL", str(root))
    return root
