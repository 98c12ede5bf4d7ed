"""redact.yaml takes secrets and personal data out before anything is stored, and leaves what it must be able to read.

The receiver behind it is told to keep secrets: what is gone is gone because of the Collector.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.otlp.attributes import any_value, attribute_map
from otel_replay.store.sqlite import SqliteReader
from tests.collector.clients import by_span, stored
from tests.collector.pipelines import post, recorded, recording
from tests.collector.processes import Collector, collector, preset, receivers
from tests.e2e.processes import Receiver
from tests.genai.spans import key_values
from tests.outside.outside import eventually
from tests.outside.telemetry import CHAT, custom, log, logs, page, span, traces
from tests.privacy.secrets import SECRETS

pytestmark = [pytest.mark.slow, pytest.mark.feature("C6"), pytest.mark.feature("K15")]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PERSONAL = {
    "address": "ada.lovelace@shop.example",
    "another": "10001@163.com",
    "telephone": "+49 (0)30 1234-5678",
    "card in groups": "4111 1111 1111 1111",
    "card": "5555555555554444",
}
HARMLESS: dict[str, Any] = {
    "session.id": "s1",
    "user.id": "u1",
    "gen_ai.usage.input_tokens": 12,
    "vector": [0.4111111111111111, 0.5155555555555555],
    "told": '{"score":0.4111111111111111,"id":4111111111111111,"at":1763600000123456789,"url":"http://db:5432/x","src":"/a@2x.png"}',
}


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[tuple[Collector, Receiver]]:
    keeping = folder / "keep.toml"
    keeping.write_text('[privacy]\nsecrets = "keep"\n')
    with receivers(folder, 1, "--config", str(keeping)) as [receiver]:
        address = {"OTEL_REPLAY_ENDPOINT": receiver.grpc}
        with collector(preset("redact"), folder / "collector", **address, **settings) as found:
            yield found, receiver


def the_log(receiver: Receiver) -> LogRecord:
    reader = SqliteReader(receiver.db)
    try:
        [found] = eventually(lambda: reader.logs_of_trace(1, TRACE), lambda records: len(records) == 1)
        return found.record
    finally:
        reader.close()


BY_ITSELF = {**PERSONAL, **SECRETS}
SAID = {**BY_ITSELF, "password": '"password": "hunter2"', "in an address": "postgres://app:hunter2@db:5432/x"}
GONE = [*PERSONAL.values(), *SECRETS.values(), "hunter2"]


def text_of(said: str) -> str:
    return f'He wrote:\n{said} is\t{said}, or "{said}".'


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Span, Any, LogRecord, list[Any]]:
    """What is stored of a span, its resource, a log record and a recording, all full of secrets."""
    message = [{"role": "user", "parts": [{"type": "text", "content": text_of(said)} for said in SAID.values()]}]
    structured = [{"role": "user", "parts": [{"content": text_of(said)} for said in BY_ITSELF.values()]}]
    attributes = {
        **HARMLESS,
        "gen_ai.input.messages": json.dumps(message),
        "gen_ai.output.messages": structured,
        "arguments in JSON in JSON": json.dumps({"arguments": json.dumps(message)}),
        "db.password": "correct horse",
        "client.address": "203.0.113.7",
        "user.email": "nobody",
    }
    event = Span.Event(name="e", attributes=key_values({"text": text_of("\n".join(SAID.values()))}))
    status = Status(code=Status.STATUS_CODE_ERROR, message=f"no such key: {SECRETS['openai-key']}")
    request = traces(
        span(TRACE, 1, attributes=attributes, events=[event], status=status), resource={"owner": PERSONAL["address"]}
    )
    body = {"text": text_of("\n".join(BY_ITSELF.values())), "deeper": [{"said": PERSONAL["address"]}]}
    events = [*page(), custom(5, "said", **{f"said {n}": text_of(said) for n, said in enumerate(SAID.values())})]
    events.append(custom(6, "numbers", **json.loads(HARMLESS["told"])))
    with running(tmp_path_factory.mktemp("redaction")) as (found, receiver):
        to = found.as_receiver()
        post(to, "/v1/traces", request)
        post(to, "/v1/logs", logs(log(body, trace_id=TRACE, attributes={"said": text_of(PERSONAL["card"])})))
        post(to, "/v1/logs", recorded("page", events))
        [sent] = stored(receiver, by_span(request)).values()
        got = eventually(lambda: recording(receiver, "page"), lambda got: len(got) == len(events))
        return sent.span, sent.resource, the_log(receiver), got


def test_nothing_of_it_is_left(passed: tuple[Span, Any, LogRecord, list[Any]]) -> None:
    stored_span, resource, record, events = passed
    whole = {
        "span": json.dumps([attribute_map(stored_span.attributes), stored_span.status.message]),
        "event": json.dumps(attribute_map(stored_span.events[0].attributes)),
        "resource": str(attribute_map(resource.attributes)),
        "log": json.dumps([any_value(record.body), attribute_map(record.attributes)]),
        "recording": json.dumps(events),
    }
    for secret in [*GONE, "correct horse", "203.0.113.7", "nobody", "ada", "lovelace"]:
        as_json = json.dumps(secret)[1:-1]
        assert [where for where, text in whole.items() if secret in text or as_json in text] == [], secret
    assert whole["span"].count("****") > 100


def test_what_must_be_readable_is(passed: tuple[Span, Any, LogRecord, list[Any]]) -> None:
    stored_span, _, _, events = passed
    attributes = attribute_map(stored_span.attributes)
    assert {key: attributes[key] for key in HARMLESS} == HARMLESS
    for key, said in (("gen_ai.input.messages", SAID), ("gen_ai.output.messages", BY_ITSELF)):
        [message] = json.loads(attributes[key])
        assert [part["content"][:9] for part in message["parts"]] == ["He wrote:"] * len(said)
    assert json.loads(json.loads(attributes["arguments in JSON in JSON"])["arguments"])[0]["role"] == "user"
    assert events[:2] == page()
    assert events[3] == custom(6, "numbers", **json.loads(HARMLESS["told"]))


@pytest.mark.parametrize("content", ["keep", "drop"])
def test_content_is_kept_or_dropped(tmp_path: Path, content: str) -> None:
    messages = '[{"role":"user","parts":[]}]'
    spoken = {
        "gen_ai.input.messages": messages,
        "llm.output_messages.0.message.content": "hi",
        "traceloop.entity.input": "x",
    }
    choice = Span.Event(name="gen_ai.choice", attributes=key_values({"message": "hi", "index": 0}))
    request = traces(span(TRACE, 1, attributes={**CHAT, **spoken}, events=[choice]))
    with running(tmp_path, REDACT_CONTENT=content) as (found, receiver):
        post(found.as_receiver(), "/v1/traces", request)
        told = log(
            {"content": "hi"}, trace_id=TRACE, attributes={"gen_ai.system": "x", "gen_ai.input.messages": messages}
        )
        told.event_name = "gen_ai.user.message"
        post(found.as_receiver(), "/v1/logs", logs(told))
        [sent] = stored(receiver, by_span(request)).values()
        record = the_log(receiver)
    kept = content == "keep"
    assert attribute_map(sent.span.attributes) == ({**CHAT, **spoken} if kept else CHAT)
    assert attribute_map(sent.span.events[0].attributes) == {**({"message": "hi"} if kept else {}), "index": 0}
    assert any_value(record.body) == ({"content": "hi"} if kept else "")
    assert ("gen_ai.input.messages" in attribute_map(record.attributes)) is kept
