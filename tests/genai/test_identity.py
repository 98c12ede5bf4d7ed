"""Which session, user and conversation attributes name."""

from __future__ import annotations

from typing import Any

import pytest

from otel_replay.genai import SESSION_MARKERS, conversation_id, session_id, user_id
from otel_replay.genai.identity import RESOURCE_SESSION_KEYS, SPAN_SESSION_KEYS

PRECEDENCE = [("span", key) for key in SPAN_SESSION_KEYS] + [("resource", key) for key in RESOURCE_SESSION_KEYS]


@pytest.mark.parametrize("strongest", range(len(PRECEDENCE)))
def test_session_precedence(strongest: int) -> None:
    named: dict[str, dict[str, Any]] = {"span": {}, "resource": {}}
    for place, key in PRECEDENCE[strongest:]:
        named[place][key] = f"{place} {key}"
    assert session_id(named["span"], named["resource"]) == " ".join(PRECEDENCE[strongest])


def test_documented_order() -> None:
    assert [key for _, key in PRECEDENCE] == [
        "session.id",
        "langfuse.session.id",
        "traceloop.association.properties.session_id",
        "splunk.rumSessionId",
        "session.id",
        "rum.sessionId",
        "splunk.rumSessionId",
        "browser.session.id",
    ]


@pytest.mark.parametrize("value", ["", "  ", None, True, 1.5, b"s1", ["s1"], {"id": "s1"}])
def test_what_is_no_id_is_passed_over(value: Any) -> None:
    assert session_id({"session.id": value, "langfuse.session.id": "s2"}, {}) == "s2"
    assert session_id({"session.id": value}, {}) is None


def test_integers_are_ids() -> None:
    assert session_id({"session.id": 2**62}, {}) == "4611686018427387904"


def test_user() -> None:
    assert user_id({"enduser.id": "u2"}, {"user.id": "u1"}) == "u2"
    assert user_id({}, {"user.id": "u1"}) == "u1"
    assert user_id({}, {}) is None


def test_a_conversation_is_no_session() -> None:
    attributes = {"gen_ai.conversation.id": "c1"}
    assert conversation_id(attributes) == "c1"
    assert session_id(attributes, attributes) is None


@pytest.mark.parametrize("key", sorted({*SPAN_SESSION_KEYS, *RESOURCE_SESSION_KEYS}))
def test_every_session_key_holds_a_marker(key: str) -> None:
    assert any(marker in key.encode() for marker in SESSION_MARKERS)


def test_no_marker_is_found_by_way_of_another() -> None:
    assert not [one for one in SESSION_MARKERS for other in SESSION_MARKERS if one != other and other in one]
