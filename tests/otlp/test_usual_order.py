"""A request written from its end, as the Collector writes, is taken as the same one written from its beginning."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal, Source
from otel_replay.otlp import thin
from otel_replay.otlp.requests import accept, in_usual_order
from otel_replay.receiver.prepare import Origin, prepare
from otel_replay.store.base import Write
from tests.receiver.wire import bytes_field, fixed_field
from tests.store.requests import CHAT, CLICK, ERROR, log, logs, metrics, span, traces

LONG = "May I return it? " * 40
MESSAGES = json.dumps([{"role": "user", "parts": [{"type": "text", "content": LONG}]}])
NAMING: list[dict[str, Any]] = [
    {},
    {"session.id": "s1"},
    {"session.id": "s2", "user.id": "u1", "http.route": "/"},
    {**CHAT, "session.id": "s3", "gen_ai.input.messages": MESSAGES},
    {**CLICK, "session.id": "s3"},
]


def from_the_end(message: Message) -> bytes:
    """The message with the fields of greater numbers in front; the members of one keep their order (pdata 1.65,
    ``internal/generated_proto_span.go``)."""
    encoded = b""
    for field, value in message.ListFields():
        members = value if field.is_repeated else [value]
        if field.message_type:
            encoded = b"".join(bytes_field(field.number, from_the_end(one)) for one in members) + encoded
        else:
            encoded = type(message)(**{field.name: value}).SerializeToString() + encoded
    return encoded


def taken(signal: Signal, body: bytes) -> Write:
    return prepare(accept(signal, body), Origin(1, Source.SERVER, 1), b"")


SPANS = st.builds(
    span,
    st.integers(1, 2**60),
    st.sampled_from(NAMING),
    name=st.sampled_from(["", "GET /", "ü" * 90]),
    kind=st.integers(0, 5),
    status=st.sampled_from([None, ERROR]),
    parent_span_id=st.sampled_from([b"", b"\5" * 8]),
)
RESOURCES = st.sampled_from([None, {"service.name": "api"}, {"rum.sessionId": "s4"}])


@pytest.mark.parametrize("copies", [1, 60], ids=["one by one", "by columns"])
@settings(deadline=None)
@given(spans=st.lists(SPANS, min_size=1, max_size=4), resource=RESOURCES)
def test_spans(copies: int, spans: list[Any], resource: dict[str, Any] | None) -> None:
    request = traces(*spans * copies, resource=resource)
    assert from_the_end(request) != request.SerializeToString()
    assert taken(Signal.TRACES, from_the_end(request)) == taken(Signal.TRACES, request.SerializeToString())


ONLY_A_BODY = LogRecord(body=AnyValue(string_value="said"))
LOGS = st.builds(
    log,
    st.sampled_from(NAMING[:3]),
    time=st.sampled_from([0, 5]),
    trace=st.sampled_from(["", "01" * 16]),
    observed_time_unix_nano=st.sampled_from([0, 7]),
)


@settings(deadline=None)
@given(records=st.lists(LOGS | st.just(ONLY_A_BODY), min_size=1, max_size=4), resource=RESOURCES)
def test_logs(records: list[LogRecord], resource: dict[str, Any] | None) -> None:
    """Whichever comes first: a log record is told from others by its bytes, and what is sent twice has to be one."""
    request = logs(*records, resource=resource)
    assert taken(Signal.LOGS, from_the_end(request)) == taken(Signal.LOGS, request.SerializeToString())


def test_metrics_are_as_they_came() -> None:
    body = from_the_end(metrics(1, 2, resource={"service.name": "api"}))
    assert accept(Signal.METRICS, body).body is body


def test_texts_of_calls_are_found_in_it() -> None:
    """Else no span that came through a Collector would share what it repeats with another."""
    request = traces(span(1, NAMING[3]))
    [row] = taken(Signal.TRACES, from_the_end(request)).interactions
    assert row.contents


def test_unknown_fields_are_kept() -> None:
    [raw] = thin.records_of(thin.parse(from_the_end(traces(span()))))
    body = bytes_field(1, bytes_field(2, bytes_field(2, fixed_field(99, 7) + raw)) + bytes_field(1, b""))
    assert thin.records_of(thin.parse(accept(Signal.TRACES, body).body)) == [
        span().SerializeToString() + fixed_field(99, 7)
    ]


def test_what_is_written_as_usual_stays_as_it_came() -> None:
    odd = bytes_field(1, bytes_field(1, b"") + bytes_field(2, bytes_field(2, from_the_end(span()))))
    mixed = bytes_field(1, bytes_field(2, bytes_field(2, span().SerializeToString())) + bytes_field(1, b""))
    for body in (traces(span()).SerializeToString(), odd, mixed, b"", b"\x0a\x00", bytes_field(7, b"\x12")):
        assert in_usual_order(Signal.TRACES, body) is body


@pytest.mark.parametrize(
    "body", [b"\x0a", b"\x0a\xff", b"\x0a\x05\x12", b"\x0b\x12", b"\xff" * 20, b"\x0a\x02\x12\x05"]
)
def test_what_cannot_be_read_is_refused_as_before(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not an ExportTraceServiceRequest"):
        accept(Signal.TRACES, body)


def test_a_bad_span_in_it_does_not_take_the_others_along() -> None:
    good, bad = span(1, NAMING[1]), span(2)
    request = traces(good, bad)
    body = from_the_end(request).replace(b"work", b"wor\xff", 1)
    accepted = accept(Signal.TRACES, body)
    assert [str(one).partition(":")[0] for one in accepted.rejections] == ["resource_spans[0].scope_spans[0].spans[0]"]
    with pytest.raises(DecodeError):
        in_usual_order(Signal.TRACES, body)
