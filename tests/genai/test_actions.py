"""Spans and events that say what a person did."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_replay.genai import ACTION_MARKERS, event_action, user_action
from otel_replay.genai.actions import EVENT_ACTS, SPAN_ACTS

from .spans import span


@pytest.mark.parametrize(
    ("name", "attributes", "act", "target"),
    [
        ("click", {"browser.action": "click", "app.widget.id": "send"}, "click", "#send"),
        ("submit", {"browser.action": "submit", "app.widget.name": "Send"}, "submit", "Send"),
        ("click", {"browser.action": "click", "app.widget.id": 'button[name="x"]'}, "click", 'button[name="x"]'),
        ("click", {"browser.action": "click", "url.full": "https://x.test/chat?q=1#top"}, "click", "/chat"),
        ("click", {"browser.action": "click", "url.full": "https://[x"}, "click", None),
        ("app.widget.click", {"app.widget.id": "send"}, "click", "#send"),
        ("app.screen.click", {"app.screen.name": "Home"}, "click", None),
        ("click", {"component": "user-interaction", "target_xpath": "//button"}, "click", "//button"),
        ("onclick", {"component": "user-interaction", "event_type": "dblclick"}, "dblclick", None),
        ("routeChange", {"component": "user-interaction", "location.href": "http://x/a"}, "navigation", "/a"),
        ("page_view", {"component": "navigation", "url.path": "/home"}, "page_view", "/home"),
    ],
)
def test_actions(name: str, attributes: dict[str, Any], act: str, target: str | None) -> None:
    found = user_action(span(attributes, name=name))
    assert found is not None
    assert (found.name, found.target) == (act, target)


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("POST", {"component": "fetch"}),
        ("routeChange", {}),
        ("page_view", {"component": "kafka"}),
        ("click", {"browser.action": 7}),
        ("click", {"app.widget.id": "send"}),
    ],
)
def test_other_spans_are_none(name: str, attributes: dict[str, Any]) -> None:
    assert user_action(span(attributes, name=name)) is None


def test_a_span_event_tells_too() -> None:
    found = user_action(span({"a": 1}, name="tap", events=[("app.widget.click", {"app.widget.id": "send"})]))
    assert found is not None
    assert (found.name, found.target, found.detail) == ("click", "#send", {"app.widget.id": "send"})


def test_events() -> None:
    found = event_action("browser.navigation", {"url.full": "http://x/b", "other": 1})
    assert found is not None
    assert (found.name, found.target, found.detail) == ("navigation", "/b", {"url.full": "http://x/b"})
    assert event_action("gen_ai.choice", {"app.widget.id": "send"}) is None


NAMES = st.sampled_from([*EVENT_ACTS, *SPAN_ACTS, "click", ""])
VALUES = st.sampled_from(["user-interaction", "navigation", "click", "http://[", "", 7, None, ["click"]])
KEYS = st.sampled_from(["browser.action", "component", "event_type", "app.widget.id", "url.full"])


@settings(deadline=None)
@given(NAMES, st.dictionaries(KEYS, VALUES), st.lists(st.tuples(NAMES, st.dictionaries(KEYS, VALUES)), max_size=2))
def test_an_action_has_a_name_and_a_marker(name: str, attributes: dict[str, Any], events: list[Any]) -> None:
    written = span(attributes, name=name, events=events)
    found = user_action(written)
    if found is not None:
        assert found.name
        assert any(marker in written.SerializeToString() for marker in ACTION_MARKERS)
