"""The OTel-owned instrumentations, with content on log events only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.dialects.apps.recorders import otel


@contextmanager
def recording(client: str, session: str) -> Iterator[None]:
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "EVENT_ONLY"
    with otel.recording(client, session):
        yield
