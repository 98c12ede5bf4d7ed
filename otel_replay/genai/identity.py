"""Which session, user and conversation a span or log record says it belongs to.

Only keys with a clear meaning: a guess would put one user's calls into another's session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SPAN_SESSION_KEYS = (
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "splunk.rumSessionId",
)
"""On a span or log record, in order of precedence."""

RESOURCE_SESSION_KEYS = ("session.id", "rum.sessionId", "splunk.rumSessionId", "browser.session.id")
"""On a resource, asked when the span says nothing: browser SDKs make one resource per session."""

USER_KEYS = (
    "user.id",
    "enduser.id",
    "enduser.pseudo.id",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
)

CONVERSATION_KEYS = ("gen_ai.conversation.id",)


def _shortest(keys: Iterable[str]) -> tuple[bytes, ...]:
    """The keys without those that contain another one: finding the shorter finds the longer as well."""
    distinct = sorted(set(keys), key=lambda key: (len(key), key))
    kept: list[str] = []
    for key in distinct:
        if not any(shorter in key for shorter in kept):
            kept.append(key)
    return tuple(key.encode() for key in kept)


SESSION_MARKERS: tuple[bytes, ...] = _shortest(SPAN_SESSION_KEYS + RESOURCE_SESSION_KEYS)
"""A serialised span, log record or resource that holds none of these byte strings certainly names no session."""


def session_id(span_attributes: Mapping[str, Any], resource_attributes: Mapping[str, Any]) -> str | None:
    """The session a span or log record names, else the one its resource names."""
    return _first_id(span_attributes, SPAN_SESSION_KEYS) or _first_id(resource_attributes, RESOURCE_SESSION_KEYS)


def user_id(span_attributes: Mapping[str, Any], resource_attributes: Mapping[str, Any]) -> str | None:
    """The user a span or log record names, else the one its resource names."""
    return _first_id(span_attributes, USER_KEYS) or _first_id(resource_attributes, USER_KEYS)


def conversation_id(attributes: Mapping[str, Any]) -> str | None:
    """The conversation that attributes name. A session holds several: one never stands for the other."""
    return _first_id(attributes, CONVERSATION_KEYS)


def _first_id(attributes: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    """The first non-blank string or integer; other types are no ids."""
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value
    return None
