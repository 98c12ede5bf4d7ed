"""Spans and events that say what a person did.

======================================  ===========================================  =============================
written by                              told by                                      act
======================================  ===========================================  =============================
this package's recorder                 attribute ``browser.action``                 its value
semantic conventions, app events        span, event or log ``app.widget.click`` ...  ``EVENT_ACTS``
OpenTelemetry browser instrumentations  log ``browser.user_action.click`` ...        ``EVENT_ACTS``
HyperDX and Splunk RUM                  ``component`` = ``user-interaction``         the span's name (``click``)
the same and others, route changes      span ``routeChange``, ``page_view`` with a   ``SPAN_ACTS``
                                        navigation-like ``component``
======================================  ===========================================  =============================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.model import UserAction
from otel_replay.otlp.attributes import attribute_map

EVENT_ACTS = {
    "app.widget.click": "click",
    "app.screen.click": "click",
    "browser.user_action.click": "click",
    "browser.navigation": "navigation",
    "browser.page_view": "page_view",
}
"""Names of events (span events, log events, spans named like them) to the act."""

SPAN_ACTS = {"routeChange": "navigation", "page_view": "page_view"}
"""Span names that are acts when their ``component`` is one of ``NAVIGATION_COMPONENTS``."""

INTERACTION_COMPONENT = "user-interaction"
NAVIGATION_COMPONENTS = (INTERACTION_COMPONENT, "navigation", "route", "page-view")

ACTION_MARKERS: tuple[bytes, ...] = (
    b"browser.action",
    INTERACTION_COMPONENT.encode(),
    *(name.encode() for name in (*EVENT_ACTS, *SPAN_ACTS)),
)
"""A serialised span that holds none of these byte strings is certainly no user action."""

_TARGET_KEYS = ("app.widget.name", "target_xpath", "browser.css_selector", "browser.element.id")
_URL_KEYS = ("url.path", "url.full", "location.href", "http.url")
_DETAIL_PREFIXES = ("app.", "browser.", "url.", "location.", "prev.", "target_")
_ELEMENT_ID = re.compile(r"[\w:-]+")


def user_action(span: Span, scope_name: str = "") -> UserAction | None:
    """What a person did, as a span tells it; None for any other span.

    ``scope_name`` is the name of the instrumentation scope the span came under.
    """
    attributes = attribute_map(span.attributes)
    if (name := _act(span.name, attributes)) is not None:
        return _action(name, attributes)
    for event in span.events:
        if event.name in EVENT_ACTS:
            return _action(EVENT_ACTS[event.name], attributes | attribute_map(event.attributes))
    return None


def event_action(name: str, attributes: Mapping[str, Any]) -> UserAction | None:
    """What a person did, as an OpenTelemetry event (a log record with an event name) tells it."""
    told = _text(attributes, "browser.action") or EVENT_ACTS.get(name)
    return _action(told, attributes) if told else None


def _act(span_name: str, attributes: Mapping[str, Any]) -> str | None:
    if told := _text(attributes, "browser.action"):
        return told
    component = _text(attributes, "component")
    if span_name in SPAN_ACTS and component in NAVIGATION_COMPONENTS:
        return SPAN_ACTS[span_name]
    if component == INTERACTION_COMPONENT:
        return _text(attributes, "event_type") or span_name or INTERACTION_COMPONENT
    return EVENT_ACTS.get(span_name)


def _action(name: str, attributes: Mapping[str, Any]) -> UserAction:
    detail = {key: value for key, value in attributes.items() if key.startswith(_DETAIL_PREFIXES)}
    return UserAction(name, _target(attributes), detail)


def _target(attributes: Mapping[str, Any]) -> str | None:
    """``#`` and the widget's id, else its name or selector, else the path of the page's address.

    A widget id that is a selector already (this package's recorder, for an element without an id) stays as it is.
    """
    if widget := _text(attributes, "app.widget.id"):
        return f"#{widget}" if _ELEMENT_ID.fullmatch(widget) else widget
    for key in _TARGET_KEYS:
        if found := _text(attributes, key):
            return found
    for key in _URL_KEYS:
        if path := _path(_text(attributes, key)):
            return path
    return None


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # such as an unclosed bracket in the host
        return ""


def _text(attributes: Mapping[str, Any], key: str) -> str:
    value = attributes.get(key)
    return value.strip() if isinstance(value, str) else ""
