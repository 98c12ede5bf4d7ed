"""What is read of any trace request, however it is encoded, is what its spans say when each is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
import xxhash
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai import interpret, user_action
from otel_replay.genai.identity import RESOURCE_SESSION_KEYS, SPAN_SESSION_KEYS, USER_KEYS
from otel_replay.model import MAX_UNIX_NANO, Signal, Source
from otel_replay.otlp.attributes import attribute_map
from otel_replay.otlp.requests import accept
from otel_replay.receiver.prepare import Origin, prepare
from otel_replay.store.base import AttributeValue, SessionSighting, Write
from otel_replay.store.folding import fold_sightings
from tests.genai.spans import key_values
from tests.receiver.wire import bytes_field, fixed_field, number_field

ORIGIN = Origin(1, Source.SERVER, 1)
TRACES = [b"\1" * 16, bytes(15) + b"\2", b"\x18\2" * 8, bytes(16), b"", b"\1" * 8]
IDS = [b"\3" * 8, bytes(7) + b"\4", b"\x39" * 8, bytes(8), b"", b"\1" * 16]
TIMES = [0, 1, 5, 2**63, 2**64 - 1]
NAMES = [b"", b"GET /", "ü".encode(), b"x" * 127, b"x" * 128, b"x" * 300, b"y" * 17_000, b"\xff", b"9" * 9 + b"A"]
KEYS = [*SPAN_SESSION_KEYS, *RESOURCE_SESSION_KEYS, *USER_KEYS, "feature", "note", "gen_ai.operation.name", "component"]
VALUES: list[Any] = [
    "s1",
    "s2",
    "",
    "  ",
    "\u3000",
    "x" * 101,
    "x" * 120,
    "ü",
    7,
    2,
    -1,
    1.5,
    b"s1",
    b"\xff",
    None,
    ["s1"],
]
TELLING: list[Mapping[str, Any]] = [
    {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"},
    {"gen_ai.tool.name": "t", "user.id": "u1"},
    {"browser.action": "click", "session.id": "s2"},
]
SESSION_ATTRIBUTES = ("user.id", "feature", "label", "variant", "session.name", "session.previous_id")


class Group(NamedTuple):
    """A scope's spans with their envelopes, all encoded."""

    resource: bytes
    scope: bytes
    spans: list[bytes]

    def encoded(self, spans: Sequence[bytes] | None = None) -> bytes:
        members = b"".join(bytes_field(2, span) for span in (self.spans if spans is None else spans))
        return bytes_field(1, bytes_field(1, self.resource) + bytes_field(2, bytes_field(1, self.scope) + members))


ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
NAMED = st.sampled_from([{}, {}, {"session.id": "s1"}, {"session.id": "s1", "user.id": "u1"}, {"session.id": 7}])


def attributes_fields(number: int, attributes: Iterable[KeyValue]) -> list[bytes]:
    return [bytes_field(number, attribute.SerializeToString()) for attribute in attributes]


@st.composite
def usual_fields(draw: st.DrawFn) -> list[bytes]:
    """A span's fields as an SDK writes them."""
    fields = [bytes_field(1, draw(st.sampled_from(TRACES[:3]))), bytes_field(2, draw(st.sampled_from(IDS[:3])))]
    fields += draw(st.sampled_from([[], [], [bytes_field(3, b"a=b")], [bytes_field(3, b"a" * 200)]]))
    fields += draw(st.sampled_from([[], [bytes_field(4, b"\5" * 8)], [bytes_field(4, b"")]]))
    fields += [bytes_field(5, draw(st.sampled_from(NAMES[1:7]))), number_field(6, draw(st.integers(0, 5)))]
    fields += [fixed_field(7, draw(st.sampled_from(TIMES[1:]))), fixed_field(8, draw(st.sampled_from(TIMES[1:])))]
    fields += attributes_fields(9, key_values(draw(NAMED) | draw(st.sampled_from([{}, {}, *TELLING]))))
    fields += draw(
        st.sampled_from([[], [], [bytes_field(15, number_field(3, 2))], [bytes_field(15, number_field(3, 1))]])
    )
    return fields


@st.composite
def odd_fields(draw: st.DrawFn) -> list[bytes]:
    """The same written in any other way, valid or not."""
    padding = draw(st.integers(0, 3))
    choices = [
        st.builds(lambda value: bytes_field(1, value, padding), st.sampled_from(TRACES)),
        st.builds(lambda value: bytes_field(2, value, padding), st.sampled_from(IDS)),
        st.builds(lambda value: bytes_field(5, value, padding), st.sampled_from(NAMES)),
        st.builds(lambda value: fixed_field(7, value, padding), st.sampled_from(TIMES)),
        st.builds(lambda value: fixed_field(8, value, padding), st.sampled_from(TIMES)),
        st.builds(
            lambda value: bytes_field(15, number_field(3, value, padding)), st.sampled_from([0, 1, 2, 2 + 2**32])
        ),
        st.builds(lambda found: b"".join(attributes_fields(9, key_values(found))), ATTRIBUTES),
        st.builds(
            lambda found: Span(events=[Span.Event(attributes=key_values(found))]).SerializeToString(), ATTRIBUTES
        ),
        st.sampled_from(
            [bytes_field(99, b"9" * 9), number_field(7, 3), bytes_field(7, b"9" * 8), bytes_field(7, b"9")]
        ),
        st.sampled_from([bytes_field(9, bytes_field(1, b"session.id\xff")), number_field(6, 300)]),
        st.builds(
            lambda key: bytes_field(9, bytes_field(1, key) + bytes_field(2, bytes_field(1, b"s2", 1))), KEY_BYTES
        ),
    ]
    return draw(st.lists(st.one_of(choices), max_size=4))


KEY_BYTES = st.sampled_from([b"session.id", b"user.id"])


@st.composite
def spans(draw: st.DrawFn) -> bytes:
    fields = draw(usual_fields())
    if draw(st.integers(0, 2)) == 0:
        fields += draw(odd_fields())
    if draw(st.integers(0, 5)) == 0:
        fields = draw(st.permutations(fields))
    return b"".join(fields)


RESOURCES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"service.name": "api"}, {}, {"service.name": 7}, {"service.name": "web", "rum.sessionId": "s3", "user.id": "u3"}]
)
SCOPES = st.sampled_from([{}, {}, {"session.id": "s4"}, {"enduser.id": "u4"}])


@st.composite
def groups(draw: st.DrawFn) -> Group:
    resource = Resource(attributes=key_values(draw(RESOURCES))).SerializeToString()
    scope = InstrumentationScope(attributes=key_values(draw(SCOPES))).SerializeToString()
    return Group(resource, scope, draw(st.lists(spans(), max_size=4)))


class Expected(NamedTuple):
    """What a write says of its spans."""

    items: int
    rejected: int
    errors: int
    times: tuple[int, int, int]
    trace_ids: frozenset[bytes]
    services: frozenset[str]
    operations: frozenset[tuple[str, str]]
    sessions: dict[str, SessionSighting]
    session_traces: frozenset[tuple[str, str]]
    rows: list[tuple[int, str, str, str]]
    actions: list[tuple[str, str]]


def summary(write: Write) -> Expected:
    assert write.session_ids == {sighting.session_id for sighting in write.sessions}
    return Expected(
        items=write.items,
        rejected=len(write.quarantined),
        errors=write.errors,
        times=(write.start_unix_nano, write.last_start_unix_nano, write.end_unix_nano),
        trace_ids=write.trace_ids,
        services=write.services,
        operations=write.operations,
        sessions={sighting.session_id: sighting for sighting in write.sessions},
        session_traces=write.session_traces,
        rows=[(row.record, row.span_id, row.session_id, row.user) for row in write.interactions],
        actions=[(row.span_id, row.session_id) for row in write.actions],
    )


class Oracle:
    """Decodes every span, and asks it everything."""

    def __init__(self, request: Sequence[Group]) -> None:
        self.kept: list[Span] = []
        self.rejected = 0
        self.named: set[tuple[str, str]] = set()
        self.sightings: list[SessionSighting] = []
        self.session_traces: set[tuple[str, str]] = set()
        self.rows: list[tuple[int, str, str, str]] = []
        self.actions: list[tuple[str, str]] = []
        for group in request:
            for raw in group.spans:
                self.read(group, raw)

    def read(self, group: Group, raw: bytes) -> None:
        try:
            message = ExportTraceServiceRequest.FromString(group.encoded([raw]))
        except DecodeError:
            self.rejected += 1
            return
        around = message.resource_spans[0]
        span = around.scope_spans[0].spans[0]
        if len(span.trace_id) != 16 or len(span.span_id) != 8 or not any(span.trace_id) or not any(span.span_id):
            self.rejected += 1
            return
        resource = attribute_map(around.resource.attributes)
        service = resource.get("service.name")
        self.named.add((service if isinstance(service, str) else "", span.name))
        events = [attribute_map(event.attributes) for event in span.events]
        own = [attribute_map(span.attributes), *events, attribute_map(around.scope_spans[0].scope.attributes)]
        session = first([*((SPAN_SESSION_KEYS, one) for one in own), (RESOURCE_SESSION_KEYS, resource)])
        user = first([(USER_KEYS, one) for one in (*own, resource)])
        self.tell(span, raw, session, user, service)
        self.kept.append(span)

    def tell(self, span: Span, raw: bytes, session: str, user: str, service: Any) -> None:
        digest = xxhash.xxh3_128_hexdigest(user.encode())
        told: dict[str, Any] = {"user.id": user} if user else {}
        interaction, action = interpret(span), user_action(span)
        if interaction:
            self.rows.append((len(self.kept), span.span_id.hex(), session, user))
        elif action:
            self.actions.append((span.span_id.hex(), session))
        if interaction or action:
            digest = xxhash.xxh3_128_hexdigest(raw)
            attributes = attribute_map(span.attributes)
            told = {name: attributes[name] for name in SESSION_ATTRIBUTES if name in attributes} | told
            told = {name: value for name, value in told.items() if isinstance(value, str | int | float)}
            told |= {"service.name": service} if isinstance(service, str) else {}
        if session:
            end = min(span.end_time_unix_nano, MAX_UNIX_NANO)
            attributes = {name: AttributeValue(end, digest, value) for name, value in told.items()}
            start = min(span.start_time_unix_nano, MAX_UNIX_NANO)
            self.sightings.append(SessionSighting(session, start, end, attributes))
        if session and (interaction or action):
            self.session_traces.add((session, span.trace_id.hex()))

    def expected(self) -> Expected:
        starts = [min(span.start_time_unix_nano, MAX_UNIX_NANO) for span in self.kept] or [0]
        ends = [min(span.end_time_unix_nano, MAX_UNIX_NANO) for span in self.kept] or [0]
        return Expected(
            items=len(self.kept),
            rejected=self.rejected,
            errors=sum(span.status.code == 2 for span in self.kept),
            times=(min(starts), max(starts), max(ends)),
            trace_ids=frozenset(span.trace_id for span in self.kept),
            services=frozenset(service for service, _ in self.named),
            operations=frozenset(self.named),
            sessions=fold_sightings(self.sightings),
            session_traces=frozenset(self.session_traces),
            rows=self.rows,
            actions=self.actions,
        )


def first(places: Iterable[tuple[Iterable[str], Mapping[str, Any]]]) -> str:
    """The first id that one of the places names by one of its keys."""
    for keys, attributes in places:
        for key in keys:
            value = attributes.get(key)
            if (isinstance(value, str) and value.strip()) or (isinstance(value, int) and not isinstance(value, bool)):
                return str(value)
    return ""


LARGE = KeyValue(key="padding")
LARGE.value.string_value = "x" * 20_000


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 40], ids=["few hits", "many hits"])
@pytest.mark.parametrize("padding", [b"", Resource(attributes=[LARGE]).SerializeToString()], ids=["small", "large"])
@settings(deadline=None, max_examples=150)
@given(request=st.lists(groups(), min_size=1, max_size=3))
def test_as_each_span_says(padding: bytes, copies: int, request: list[Group]) -> None:
    request = [group._replace(resource=group.resource + padding, spans=group.spans * copies) for group in request]
    accepted = accept(Signal.TRACES, b"".join(group.encoded() for group in request))
    found = summary(prepare(accepted, ORIGIN, b""))
    assert found == Oracle(request).expected()
