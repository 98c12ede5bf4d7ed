"""The handler: what it stores, and what a redactor keeps out of the store."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
)

from otel_replay.model import Signal, Source
from otel_replay.receiver.handler import Handler, Sender
from otel_replay.store.base import Receipt, Write
from tests.store.requests import START, log, logs, span, traces

SENDER = Sender(1, Source.SERVER)
SECRET = "hunter2"


class Kept:
    """A store that keeps what it is given."""

    def __init__(self) -> None:
        self.writes: list[Write] = []

    def commit(self, write: Write) -> Receipt:
        self.writes.append(write)
        return Receipt(duplicate=False)


class Stars:
    """A redaction of one secret."""

    def touches(self, _project: int, raw: bytes) -> bool:
        return SECRET.encode() in raw

    def request(self, project: int, _signal: Signal, body: bytes) -> bytes:
        return self.payload(project, body)

    def payload(self, project: int, payload: bytes) -> bytes:
        return payload.replace(SECRET.encode(), b"*" * len(SECRET)) if self.touches(project, payload) else payload


def handler(store: Kept) -> Handler:
    return Handler(store, lambda: START, lambda: None, Stars())


def test_nothing_redacted_reaches_the_store() -> None:
    store = Kept()
    request = traces(
        span(1, {"session.id": SECRET, "gen_ai.request.model": SECRET}, name=SECRET), resource={"service.name": SECRET}
    )
    handler(store).export(Signal.TRACES, request.SerializeToString(), SENDER)
    (write,) = store.writes
    assert SECRET not in repr(write)
    assert write.items == len(write.interactions) == 1
    assert ExportTraceServiceRequest.FromString(write.body).resource_spans[0].scope_spans[0].spans[0].name == "*******"


def test_requests_that_differ_in_what_is_redacted_are_one() -> None:
    """The digest, too, is of what is stored: it would tell who guesses a secret whether the guess is right."""
    store = Kept()
    for text in (SECRET, "*" * len(SECRET)):
        handler(store).export(Signal.TRACES, traces(span(1, {"note": text})).SerializeToString(), SENDER)
    first, second = store.writes
    assert first.digest == second.digest


def test_a_rejected_record_is_kept_without_its_bytes() -> None:
    store = Kept()
    bad = span(1, {"note": SECRET})
    bad.span_id = b""
    answer = handler(store).export(Signal.TRACES, traces(bad, span(2)).SerializeToString(), SENDER)
    assert isinstance(answer.partial_success, ExportTracePartialSuccess)
    assert answer.partial_success.rejected_spans == 1
    assert [one.raw for one in store.writes[0].quarantined] == [b""]


def test_json_is_redacted_as_protobuf() -> None:
    store = Kept()
    value = {"stringValue": SECRET}
    record = {"timeUnixNano": "1", "attributes": [{"key": "note", "value": value}]}
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    handler(store).export_json(Signal.LOGS, json.dumps(document).encode(), SENDER)
    assert store.writes[0].items == 1
    assert SECRET not in repr(store.writes[0])


def test_a_chunk_is_redacted() -> None:
    store = Kept()
    payload = f'[{{"type": 4, "timestamp": 1, "data": "{SECRET}"}}]'.encode()
    with pytest.raises(IndexError):  # this store gives no receipts
        handler(store).upload("s1", "tab", 0, payload, None, SENDER)
    assert store.writes[0].chunks[0].payload == b'[{"type": 4, "timestamp": 1, "data": "*******"}]'


@pytest.mark.parametrize("rejected", [0, 2])
def test_the_answer_names_each_rejected_record_once(rejected: int) -> None:
    """A recording that cannot be read is found later than a record that cannot be parsed."""
    store = Kept()
    unreadable = log({"rr-web.event": "", "session.id": "s1"}, body={"string_value": "no JSON"})
    body = logs(unreadable, log({})).SerializeToString()
    body += b"".join(_bad_log(number) for number in range(rejected))
    answer = Handler(store, lambda: START, lambda: None).export(Signal.LOGS, body, SENDER)
    told = answer.partial_success
    assert isinstance(told, ExportLogsPartialSuccess)
    assert told.rejected_log_records == rejected + 1
    assert told.error_message.count("not valid protobuf") == rejected
    assert told.error_message.count("log record: ") == 1


def _bad_log(number: int) -> bytes:
    """A request of one record with a severity text that is not UTF-8."""
    record = b"\x1a\x02\xff" + bytes((0x80 + number,))
    scope = b"\x12" + bytes((len(record),)) + record
    group = b"\x12" + bytes((len(scope),)) + scope
    return b"\x0a" + bytes((len(group),)) + group
