"""Which session, user and conversation attributes name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_replay.genai import SESSION_MARKERS, interpret
from otel_replay.genai.identity import (
    CONVERSATION_KEYS,
    RESOURCE_SESSION_KEYS,
    SPAN_SESSION_KEYS,
    USER_KEYS,
    USER_MARKERS,
    Identity,
    identity,
    record_identity,
    resource_identity,
    scope_identity,
)
from otel_replay.genai.interpret import AI_KEYS
from tests.genai.spans import key_values, span

PRECEDENCE = [("span", key) for key in SPAN_SESSION_KEYS] + [("resource", key) for key in RESOURCE_SESSION_KEYS]


def session_id(span: dict[str, Any], resource: dict[str, Any]) -> str | None:
    return identity(span).or_else(resource_identity(resource)).session_id or None


def user_id(span: dict[str, Any], resource: dict[str, Any]) -> str | None:
    return identity(span).or_else(resource_identity(resource)).user_id or None


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
        "lmnr.association.properties.session_id",
        "ai.telemetry.metadata.sessionId",
        "ai.settings.context.sessionId",
        "langfuse.trace.metadata.langfuse_session_id",
        "langfuse.observation.metadata.langfuse_session_id",
        "langsmith.metadata.session_id",
        "mlflow.trace.session",
        "microsoft.session.id",
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


PLACES = ("span", "event 1", "event 2", "scope", "resource")


@pytest.mark.parametrize("strongest", range(len(PLACES)))
def test_places_in_order(strongest: int) -> None:
    """Each names session and user; the first that does wins."""
    named = {place: {"session.id": f"session of {place}", "user.id": f"user of {place}"} for place in PLACES}
    own, first, second, scope, resource = [named[place] if place in PLACES[strongest:] else {} for place in PLACES]
    around = scope_identity(
        InstrumentationScope(attributes=key_values(scope)), Resource(attributes=key_values(resource))
    )
    found = record_identity(span(own, events=[("a", first), ("b", second)])).or_else(around)
    assert found == Identity(f"session of {PLACES[strongest]}", f"user of {PLACES[strongest]}")


def test_session_and_user_may_stand_in_different_places() -> None:
    found = record_identity(span({"enduser.id": "u1"}, events=[("a", {"session.id": 7, "user.id": "u2"})]))
    assert found == Identity("7", "u1")


@pytest.mark.parametrize("strongest", range(len(CONVERSATION_KEYS)))
def test_a_conversation_is_no_session(strongest: int) -> None:
    """Nor does a session name a conversation, nor anything a conversation outside of AI spans."""
    attributes = {key: f"id of {key}" for key in CONVERSATION_KEYS[strongest:]}
    found = interpret(span({"gen_ai.operation.name": "chat", "session.id": "s1", **attributes}))
    assert found is not None
    assert found.conversation_id == f"id of {CONVERSATION_KEYS[strongest]}"
    assert session_id(attributes, attributes) is None
    assert interpret(span(attributes)) is None


@pytest.mark.parametrize(
    "key", ["langsmith.trace.session_id", "gen_ai.conversation.id", "thread_id", "genkit:sessionId", "user.name"]
)
def test_what_is_no_session_and_no_user(key: str) -> None:
    """LangSmith calls a project a session."""
    assert identity({key: "x"}) == Identity()


@pytest.mark.parametrize("key", sorted({*SPAN_SESSION_KEYS, *RESOURCE_SESSION_KEYS}))
def test_every_session_key_holds_a_marker(key: str) -> None:
    assert any(marker in key.encode() for marker in SESSION_MARKERS)


@pytest.mark.parametrize("key", USER_KEYS)
def test_every_user_key_holds_a_marker(key: str) -> None:
    assert any(marker in key.encode() for marker in USER_MARKERS)


@pytest.mark.parametrize("markers", [SESSION_MARKERS, USER_MARKERS])
def test_no_marker_is_found_by_way_of_another(markers: tuple[bytes, ...]) -> None:
    assert not [one for one in markers for other in markers if one != other and other in one]


def test_the_documentation_names_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text()
    rows = dict(re.findall(r"^\| (session|user|conversation)[^|]*\| (.*) \|$", page, re.MULTILINE))
    for name, keys in (("session", SPAN_SESSION_KEYS), ("user", USER_KEYS), ("conversation", CONVERSATION_KEYS)):
        assert re.findall(r"`([^`]+)`", rows[name]) == list(keys)
    recognised = page.partition("What a dialect does not carry")[0]
    assert not [key for key in AI_KEYS if f"`{key}`" not in recognised and key not in OLD_KEYS]


OLD_KEYS = ("gen_ai.request_model", "gen_ai.response_model")
