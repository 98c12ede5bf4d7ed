"""Trace search: filters as people write them in, the JSON of the interface out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from otel_replay.errors import InvalidRequest
from otel_replay.model import MAX_UNIX_NANO
from otel_replay.query.sessions import encode_cursor, in_range
from otel_replay.recording.untrusted import storable
from otel_replay.store.base import AttributeTest, SpanFilter, TracePage, TraceSummary
from otel_replay.store.matching import attribute_test, parse_attribute_test

STATUSES = ("ok", "error", "unset")
MAX_TESTS = 100

Attributes = Mapping[str, Any] | Iterable[str]
"""``{"http.route": "/cart", "n": 5}`` (None: any value), or texts: ``["http.route=/cart", "n=5", "error.type=*"]``."""


def span_filter(
    *,
    service: str | None = None,
    operation: str | None = None,
    attributes: Attributes = (),
    status: str | None = None,
    min_duration_ns: int | None = None,
    max_duration_ns: int | None = None,
    since_unix_nano: int | None = None,
    until_unix_nano: int | None = None,
) -> SpanFilter:
    """The filter of a search; raises :class:`InvalidRequest` for one that no span can be compared with."""
    if status is not None and status not in STATUSES:
        raise InvalidRequest(f"status {status[:40]!r} is not one", hint="ask for ok, error or unset")
    _check_durations(min_duration_ns, max_duration_ns)
    return SpanFilter(
        service=None if service is None else storable(service),
        operation=None if operation is None else storable(operation),
        attributes=_tests(attributes),
        status=status,
        min_duration_ns=min_duration_ns,
        max_duration_ns=max_duration_ns,
        since_unix_nano=in_range(since_unix_nano),
        until_unix_nano=in_range(until_unix_nano),
    )


def _check_durations(least: int | None, most: int | None) -> None:
    for duration in (least, most):
        if duration is not None and not 0 <= duration <= MAX_UNIX_NANO:
            raise InvalidRequest(f"no span takes {str(duration)[:40]} ns", hint="give a duration from 0 to 292 years")
    if least is not None and most is not None and least > most:
        raise InvalidRequest(f"no span takes at least {least} ns and at most {most} ns", hint="exchange the two")


def _tests(attributes: Attributes) -> tuple[AttributeTest, ...]:
    if isinstance(attributes, str):
        attributes = [attributes]
    if isinstance(attributes, Mapping):
        tests = tuple(attribute_test(key, value) for key, value in attributes.items())
    else:
        tests = tuple(parse_attribute_test(text) for text in attributes)
    if len(tests) > MAX_TESTS:
        raise InvalidRequest(f"{len(tests)} attribute filters", hint=f"ask for at most {MAX_TESTS}")
    return tests


def attribute_texts(attributes: Attributes) -> list[str]:
    """The filters as text, each of which means the same when it is parsed."""
    return [_text(test) for test in _tests(attributes)]


def _text(test: AttributeTest) -> str:
    key = f"{test.place}.{test.key}" if test.place else test.key
    return f"{key}={'*' if test.value is None else json.dumps(test.value)}"


def duration_text(duration_ns: int | None) -> str | None:
    """As it is written with a unit, to the nanosecond."""
    return None if duration_ns is None else f"{duration_ns // 10**9}.{duration_ns % 10**9:09}s"


def time_text(unix_nano: int | None) -> str | None:
    """In the 19 digits of a time."""
    bounded = in_range(unix_nano)
    return None if bounded is None else f"{max(0, bounded):019}"


def trace_page_dict(page: TracePage) -> dict[str, Any]:
    """``{"traces", "next_cursor"}``."""
    return {
        "traces": [_trace_dict(summary) for summary in page.traces],
        "next_cursor": encode_cursor(page.next_position),
    }


def _trace_dict(summary: TraceSummary) -> dict[str, Any]:
    """One trace as JSON; times and durations as strings of nanoseconds."""
    return {
        **summary._asdict(),
        "start_unix_nano": str(summary.start_unix_nano),
        "duration_ns": str(summary.duration_ns),
        "matched_span_ids": list(summary.matched_span_ids),
    }
