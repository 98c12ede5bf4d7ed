"""The steps of the conversation: each is one span of the application's own, by whose name the test finds its calls."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace

CHUNKS_READ = 6
"""Of the endless answer, before it is abandoned: more than any API sends before its first word."""


@contextmanager
def step(name: str) -> Iterator[None]:
    with trace.get_tracer("conversation").start_as_current_span(name):
        yield
        gc.collect()  # an abandoned stream is told of when it is collected: now, and not after the last export
