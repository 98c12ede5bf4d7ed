"""Redaction of requests and chunks: every place a text can stand, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.otlp import thin
from otel_replay.otlp.requests import REQUEST_TYPES
from otel_replay.privacy.cards import may_hold_card
from otel_replay.privacy.policy import Action, Policies, Policy, Rule
from otel_replay.privacy.redaction import ProjectRedaction, Redactor
from tests.genai.spans import any_value, key_values
from tests.privacy.secrets import SECRETS
from tests.store.requests import log, logs, metrics, signal_of, span, traces

pytestmark = pytest.mark.feature("K15")

SECRET = SECRETS["anthropic-key"]
GONE = "[redacted:anthropic-key]"


USUAL = Policy()


def redactor(policy: Policy = USUAL, counts: Counter[str] | None = None) -> Redactor:
    counted: Counter[str] = Counter() if counts is None else counts
    return Redactor(policy, b"k" * 32, lambda rule, values: counted.update({rule: values}))


def redacted(request: Message, policy: Policy = USUAL, counts: Counter[str] | None = None) -> Any:
    signal = signal_of(request)
    left = redactor(policy, counts).request(signal, request.SerializeToString())
    return REQUEST_TYPES[signal].FromString(left)


def everywhere(secret: str) -> list[Message]:
    """Requests of all signals with a secret in every place that takes a text."""
    told = {"note": secret, "list": [secret, 1], "map": {"deep": [{"er": secret}]}, "raw": secret.encode()}
    full = span(
        1,
        told,
        name=f"GET /{secret}/x",
        events=[Span.Event(name=f"it {secret}", attributes=key_values(told))],
        links=[Span.Link(trace_id=b"t" * 16, span_id=b"s" * 8, attributes=key_values(told))],
        status=Status(message=f"failed with {secret}"),
    )
    request = traces(full, span(2, {"plain": "text"}), resource=told, scope=f"scope {secret}")
    request.resource_spans[0].scope_spans[0].scope.attributes.extend(key_values(told))
    bodies = [log(told, body=any_value(body)) for body in (secret, {"deep": [secret]}, secret.encode())]
    counted = metrics(1, resource=told)
    metric = counted.resource_metrics[0].scope_metrics[0].metrics[0]
    metric.description = f"of {secret}"
    point = metric.gauge.data_points[0]
    point.attributes.extend(key_values(told))
    point.exemplars.append(Exemplar(filtered_attributes=key_values(told)))
    return [request, logs(*bodies, resource=told), counted]


@pytest.mark.parametrize("request_", everywhere(SECRET), ids=["traces", "logs", "metrics"])
def test_a_secret_is_replaced_in_every_place_and_nothing_else_is(request_: Any) -> None:
    counts: Counter[str] = Counter()
    left = redacted(request_, counts=counts)
    expected = next(one for one in everywhere(GONE) if type(one) is type(request_))
    assert left == expected
    assert counts["anthropic-key"] == str(request_).count(SECRET)


def test_spans_that_are_not_hit_stay_byte_for_byte() -> None:
    unknown = span(1, {"a": "b"}).SerializeToString() + b"\xfa\x07\x03abc"  # a field of a later OTLP
    request = thin.Request()
    scope = request.resources.add().scopes.add()
    scope.records.extend([unknown, span(2, {"note": SECRET}).SerializeToString(), unknown])
    body = request.SerializeToString()
    left = thin.records_of(thin.parse(redactor().request(signal_of(traces()), body)))
    assert [left[0], left[2]] == [unknown, unknown]
    assert SECRET.encode() not in left[1]


def test_a_request_without_a_hit_is_the_same_object() -> None:
    body = traces(span(1, {"gen_ai.usage.input_tokens": 12, "http.route": "/a"})).SerializeToString()
    assert redactor().request(signal_of(traces()), body) is body


@pytest.mark.parametrize(
    ("key", "value", "left"),
    [
        ("http.request.header.authorization", ["Basic abc"], ["[redacted:secret-key]"]),
        ("db.password", 1234, "[redacted:secret-key]"),
        ("password", "[redacted]", "[redacted:secret-key]"),
        ("auth_token", "abc", "[redacted:secret-key]"),
        ("token", 5, 5),
        ("gen_ai.usage.output_tokens", 5, 5),
        ("secret", {"a": {"b": "c"}}, {"a": {"b": "[redacted:secret-key]"}}),
        ("secret", True, True),
        ("session.id", "abc", "abc"),
    ],
)
def test_what_stands_under_a_secret_key_goes_whatever_it_looks_like(key: str, value: Any, left: Any) -> None:
    found = redacted(traces(span(1, {key: value}))).resource_spans[0].scope_spans[0].spans[0]
    assert list(found.attributes) == key_values({key: left})


def test_dropped_attributes_are_gone_and_counted_where_otlp_counts_them() -> None:
    policy = Policy(Action.DROP, rules=(Rule("mail", Action.DROP, keys=("user.email",)),))
    event = Span.Event(name="e", attributes=key_values({"user.email": "a@b", "n": 1}))
    told = {"user.email": "a@b", "kept": "x", "note": f"my {SECRET}"}
    left = redacted(traces(span(1, told, name=f"at {SECRET}", events=[event])), policy)
    found = left.resource_spans[0].scope_spans[0].spans[0]
    assert list(found.attributes) == key_values({"kept": "x"})
    assert (found.dropped_attributes_count, found.events[0].dropped_attributes_count) == (2, 1)
    assert found.name == GONE


def test_a_chunk_is_redacted_in_texts_attributes_and_inputs() -> None:
    field = {"tagName": "input", "attributes": {"type": "password", "value": "hunter2", "id": "p"}}
    events = [
        {"type": 2, "timestamp": 1, "data": {"node": {"childNodes": [{"textContent": f"key {SECRET}"}, field]}}},
        {"type": 3, "timestamp": 2, "data": {"source": 5, "text": SECRET, "id": 7}},
        {"type": 3, "timestamp": 3, "data": {"source": 0, "texts": [{"id": 1, "value": f"\ud800{SECRET}"}]}},
    ]
    left = json.loads(redactor().payload(json.dumps(events).encode()))
    assert left[0]["data"]["node"]["childNodes"][0] == {"textContent": f"key {GONE}"}
    assert left[0]["data"]["node"]["childNodes"][1]["attributes"]["value"] == "[redacted:secret-key]"
    assert left[1]["data"]["text"] == GONE
    assert left[2]["data"]["texts"][0]["value"] == f"\ud800{GONE}"


@pytest.mark.parametrize("payload", [b'[{"type": 2}]', b"[not json " + SECRET.encode(), b"\xff"])
def test_a_chunk_that_has_nothing_or_is_no_json_stays_the_same_object(payload: bytes) -> None:
    assert redactor().payload(payload) is payload


def test_every_project_has_its_own_rules() -> None:
    policies = Policies(Policy(), {"shop": Policy(secrets=None), "bank": Policy(Action.HASH)})
    names = {1: "default", 2: "shop", 3: "bank"}
    redaction = ProjectRedaction(policies, b"k" * 32, names.__getitem__, lambda *_: None)
    body = f'"{SECRET}"'.encode()
    left = [redaction.of(project).payload(body) for project in (1, 2, 3)]
    assert left[:2] == [f'"{GONE}"'.encode(), body]
    assert left[2].startswith(b'"[redacted:anthropic-key:')


_texts = st.sampled_from([SECRET, "", "plain", json.dumps({"password": "hunter2"})]) | st.text(
    st.characters(codec="utf-8"), max_size=20
)
_values = st.recursive(
    _texts | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.binary(max_size=9) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@given(
    st.dictionaries(_texts | st.sampled_from(["password", "token", "x"]), _values, max_size=4), st.sampled_from(Action)
)
def test_any_request_stays_valid_and_loses_its_secrets_once(told: dict[str, Any], action: Action) -> None:
    told = {key: value for key, value in told.items() if SECRET not in key}
    request = traces(span(1, told))
    first = redacted(request, Policy(action))
    assert SECRET not in str(first).replace('\\"', '"') or SECRET in str([*_keys(told.values())])
    assert redacted(first, Policy(action)) == first


def _keys(values: Any) -> Any:
    """Keys of maps in attributes: what stands in a key is not looked for."""
    for value in values:
        if isinstance(value, dict):
            yield from value
            yield from _keys(value.values())
        elif isinstance(value, list):
            yield from _keys(value)


@pytest.mark.parametrize("filler", [b"x", b"1 "], ids=["text", "numbers"])
def test_a_card_is_found_where_one_step_ends_and_the_next_begins(filler: bytes) -> None:
    """Long texts are looked at a MiB at a time."""
    step = 2**20
    for before in range(step - 24, step + 9, 6):
        text = (filler * step)[:before] + b" 4111 1111 1111 1111 and so on"
        assert may_hold_card(text), before
    assert not may_hold_card(b"x" * (step + 100))
