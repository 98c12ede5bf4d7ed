"""Which spans a filter wants: filters as text, and the exact test of a decoded span. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.errors import InvalidRequest
from otel_replay.model import MAX_UNIX_NANO
from otel_replay.store.base import AttributeTest, SpanFilter
from otel_replay.texts import storable

PLACES = ("span", "resource", "scope", "event")
STATUSES = {Status.STATUS_CODE_OK: "ok", Status.STATUS_CODE_ERROR: "error"}
"""By the span's code; any other one is ``unset``."""

HOW_TO_WRITE = 'write key=value: http.route=/cart, http.response.status_code=500, key="500" for a string, key=* for any'

_LITERAL = re.compile(r'".*"|-?\d.*|true|false', re.DOTALL)


def attribute_test(key: str, value: Any) -> AttributeTest:
    """``key`` may begin with a place (``span.``, ``resource.``, ``scope.``, ``event.``); None: any value will do."""
    place, dot, rest = key.partition(".")
    if not dot or place not in PLACES:
        place, rest = "", key
    if not rest or "=" in rest:
        raise InvalidRequest(f"{key[:80]!r} is not the key of an attribute filter", hint=HOW_TO_WRITE)
    if not (value is None or isinstance(value, str) or _is_finite(value)):
        raise InvalidRequest(
            f"{key[:80]!r} cannot equal a {type(value).__name__} like this",
            hint="give a string, a finite number, a boolean, or None for any value",
        )
    return AttributeTest(place, storable(rest), storable(value) if isinstance(value, str) else value)


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # an integer greater than every double
        return False


def parse_attribute_test(text: str) -> AttributeTest:
    """Of ``key=value``, the value typed by JSON literal: ``n=5``, ``ok=true``, ``n="5"``; ``key=*`` takes any value."""
    key, sign, value = text.partition("=")
    if not sign:
        raise InvalidRequest(f"{text[:80]!r} is not an attribute filter", hint=HOW_TO_WRITE)
    return attribute_test(key, None if value == "*" else _literal(value))


def _literal(text: str) -> str | int | float | bool:
    if not _LITERAL.fullmatch(text):
        return text
    try:
        value: str | int | float | bool = json.loads(text)
    except ValueError:  # no literal after all, or an integer of more digits than Python reads
        return text
    return value


def left_to_hold(
    resource: Resource, scope: InstrumentationScope, wanted: SpanFilter
) -> tuple[AttributeTest, ...] | None:
    """The attribute tests that a span of this resource and scope has to pass itself; None: no such span can match.

    A span matches when it passes these by :func:`span_matches`: all of the filter holds on this one span.
    """
    if wanted.service is not None and service_name(resource) != wanted.service:
        return None
    left = []
    for test in wanted.attributes:
        if test.place in ("", "resource") and _holds(resource.attributes, test):
            continue
        if test.place in ("", "scope") and _holds(scope.attributes, test):
            continue
        if test.place in ("resource", "scope"):
            return None
        left.append(test)
    return tuple(left)


def span_matches(span: Span, left: Iterable[AttributeTest], wanted: SpanFilter) -> bool:
    """Whether the span passes the tests ``left`` and everything in ``wanted`` that speaks of the span itself."""
    return (
        _in_time(span, wanted)
        and (wanted.operation is None or span.name == wanted.operation)
        and (wanted.status is None or STATUSES.get(span.status.code, "unset") == wanted.status)
        and all(_holds_on(span, test) for test in left)
    )


def capped_start(span: Span) -> int:
    """Start as rows and summaries have it."""
    return min(span.start_time_unix_nano, MAX_UNIX_NANO)


def service_name(resource: Resource) -> str:
    """Empty where the resource names none, or not by a string."""
    value = _value(resource.attributes, "service.name")
    return "" if value is None else value.string_value


def _in_time(span: Span, wanted: SpanFilter) -> bool:
    if wanted.since_unix_nano is not None and capped_start(span) < wanted.since_unix_nano:
        return False
    if wanted.until_unix_nano is not None and capped_start(span) >= wanted.until_unix_nano:
        return False
    if wanted.min_duration_ns is None and wanted.max_duration_ns is None:
        return True
    duration = max(0, span.end_time_unix_nano - span.start_time_unix_nano)
    if wanted.min_duration_ns is not None and duration < wanted.min_duration_ns:
        return False
    return wanted.max_duration_ns is None or duration <= wanted.max_duration_ns


def _holds_on(span: Span, test: AttributeTest) -> bool:
    if test.place != "event" and _holds(span.attributes, test):
        return True
    return test.place != "span" and any(_holds(event.attributes, test) for event in span.events)


def _holds(attributes: Iterable[KeyValue], test: AttributeTest) -> bool:
    value = _value(attributes, test.key)
    return value is not None and (test.value is None or _equal(value, test.value))


def _value(attributes: Iterable[KeyValue], key: str) -> AnyValue | None:
    """Keys should be unique; where they are not, the last one wins, as everywhere."""
    found = None
    for attribute in attributes:
        if attribute.key == key:
            found = attribute.value
    return found


def _equal(value: AnyValue, wanted: str | int | float | bool) -> bool:
    """Integers and doubles compare as numbers; strings and booleans only with their like; an array by any member."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return any(_equal(member, wanted) for member in value.array_value.values)
    if isinstance(wanted, str):
        return kind == "string_value" and value.string_value == wanted
    if isinstance(wanted, bool):
        return kind == "bool_value" and value.bool_value == wanted
    if kind == "int_value":
        return value.int_value == wanted
    return kind == "double_value" and value.double_value == wanted
