"""Which events of a page are errors that only its recording tells of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from otel_replay.model import DomEvent

OWN_TAGS = "otel."
"""Our recorder's custom events stand for a span or a log record that it sends, too: those are counted."""

_LEVELS = ("error", "assert")
_FAILED = 400
"""Statuses of requests from here on. Not 0: browsers say so of every one that another origin answered."""


class PageError(NamedTuple):
    """``seq`` and ``place`` say which event of its stream it is."""

    seq: int
    place: int
    unix_nano: int


def page_errors(events: Iterable[DomEvent]) -> list[PageError]:
    """Errors, lines of the console at that level, and requests that failed."""
    return [PageError(event.seq, event.index, event.time_unix_nano) for event in events if _is_error(event)]


def _is_error(event: DomEvent) -> bool:
    tag, status = event.detail.get("tag"), event.detail.get("status")
    if isinstance(tag, str) and tag.startswith(OWN_TAGS):
        return False
    if event.kind == "console":
        return event.detail.get("level") in _LEVELS
    if event.kind == "network":
        return isinstance(status, int | float) and status >= _FAILED
    return event.kind == "error"
