"""The merged, ordered, correlated story of a trace, a session or a conversation. Pure.

:func:`build_timeline` makes a :class:`Timeline`, :func:`page` cuts its JSON form, :func:`render_text` prints it.
"""

from __future__ import annotations

from otel_replay.timeline.build import build_timeline
from otel_replay.timeline.entry import Entry, Link, StreamView, Subject, Timeline
from otel_replay.timeline.paging import page
from otel_replay.timeline.text import render_text

__all__ = ["Entry", "Link", "StreamView", "Subject", "Timeline", "build_timeline", "page", "render_text"]
