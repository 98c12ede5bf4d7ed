"""OpenLIT, which finds the application's provider."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import openlit

from tests.dialects.apps import telemetry


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    telemetry.provider(session)
    openlit.init(disable_metrics=True, pricing_json=os.devnull)  # or it asks for its list of prices
    yield
