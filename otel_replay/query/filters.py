"""What can be asked for: the keywords that sessions, model calls and spans are chosen by, from a file or a server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Unpack

from otel_replay.errors import InvalidRequest
from otel_replay.model import MAX_UNIX_NANO
from otel_replay.store.base import AttributeTest, InteractionFilter, SessionFilter, SpanFilter
from otel_replay.store.matching import attribute_test, parse_attribute_test
from otel_replay.texts import storable

STATES = ("active", "paused", "ended")
STATUSES = ("ok", "error", "unset")
MAX_TESTS = 100

Attributes = Mapping[str, Any] | Iterable[str]
"""``{"http.route": "/cart", "n": 5}`` (None: any value), or texts: ``["http.route=/cart", "n=5", "error.type=*"]``."""


class _Period(TypedDict, total=False):
    """When it started, half open."""

    since_unix_nano: int | None
    until_unix_nano: int | None


class _OfCalls(_Period, total=False):
    user: str | None
    feature: str | None
    label: str | None
    service: str | None
    model: str | None


class SessionFilters(_OfCalls, total=False):
    """Of sessions. ``service`` and ``model`` speak of their AI spans, ``text`` of what these say, ``has_error`` of
    everything in them; ``tag`` is one of those that a session manager gave."""

    state: str | None
    has_error: bool | None
    text: str | None
    tag: str | None


class CallFilters(_OfCalls, total=False):
    """Of model calls."""

    session_id: str | None
    conversation_id: str | None
    provider: str | None
    variant: str | None


class SpanFilters(_Period, total=False):
    """Of spans; all of it has to hold on one. Durations are inclusive."""

    service: str | None
    operation: str | None
    attributes: Attributes
    status: str | None
    min_duration_ns: int | None
    max_duration_ns: int | None


def session_filter(**asked: Unpack[SessionFilters]) -> SessionFilter:
    """What to list; an empty text asks for nothing in particular, like None."""
    state = asked.get("state")
    if state and state not in STATES:
        raise InvalidRequest(f"state {state[:40]!r} is not one", hint=f"ask for {', '.join(STATES)}")
    return SessionFilter(**_comparable(asked))


def interaction_filter(**asked: Unpack[CallFilters]) -> InteractionFilter:
    """What to look at; an empty text asks for nothing in particular, like None."""
    return InteractionFilter(**_comparable(asked))


def span_filter(**asked: Unpack[SpanFilters]) -> SpanFilter:
    """The filter of a search; raises :class:`InvalidRequest` for one that no span can be compared with."""
    status = asked.get("status")
    if status is not None and status not in STATUSES:
        raise InvalidRequest(f"status {status[:40]!r} is not one", hint="ask for ok, error or unset")
    _check_durations(asked.get("min_duration_ns"), asked.get("max_duration_ns"))
    told: dict[str, Any] = {**asked, **_bounds(asked), "attributes": _tests(asked.get("attributes", ()))}
    told |= {name: storable(value) for name, value in told.items() if isinstance(value, str)}
    return SpanFilter(**told)


def in_range(unix_nano: int | None) -> int | None:
    """The nearest time that a 64-bit integer holds: a bound beyond all times bounds nothing, and is no error."""
    return None if unix_nano is None else max(-MAX_UNIX_NANO, min(unix_nano, MAX_UNIX_NANO))


def attribute_texts(attributes: Attributes) -> list[str]:
    """The filters as text, each of which means the same when it is parsed."""
    return [_text(test) for test in _tests(attributes)]


def _comparable(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as far as they can be stored, None for empty ones; times in range."""
    texts = {name: storable(value) or None for name, value in asked.items() if isinstance(value, str)}
    return {**asked, **texts, **_bounds(asked)}


def _bounds(asked: Mapping[str, Any]) -> dict[str, int | None]:
    return {name: in_range(asked[name]) for name in _Period.__annotations__ if name in asked}


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


def _text(test: AttributeTest) -> str:
    key = f"{test.place}.{test.key}" if test.place else test.key
    return f"{key}={'*' if test.value is None else json.dumps(test.value)}"
