"""Messages that come on the logs signal are found like those on spans, whichever of the two comes first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_replay.model import Signal
from tests.outside.outside import Outside, running
from tests.outside.telemetry import CHAT, MS, START, log, logs, span, span_id, traces
from tests.store.bytes_of import places_of

pytestmark = [pytest.mark.feature("K9"), pytest.mark.slow]

DETAILS = "gen_ai.client.inference.operation.details"


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def event(trace_id: str, name: str, body: Any = None, **attributes: Any) -> LogRecord:
    """Written 5 ms after START, in the context of span 1."""
    return log(body, attributes=attributes, trace_id=trace_id, ms=5, event_name=name, span_id=bytes.fromhex(span_id(1)))


def old_event(trace_id: str, name: str, body: Any) -> LogRecord:
    """As before OTLP had a field for the name."""
    one = event(trace_id, "", body, **{"event.name": name})
    one.observed_time_unix_nano, one.time_unix_nano = one.time_unix_nano, 0
    return one


FORMS = {
    "details, structured": lambda trace, text: event(trace, DETAILS, **{"gen_ai.input.messages": [said(text)]}),
    "details, json": lambda trace, text: event(trace, DETAILS, **{"gen_ai.output.messages": json.dumps([said(text)])}),
    "details in the body": lambda trace, text: event(trace, DETAILS, {"gen_ai.system_instructions": text}),
    "user message": lambda trace, text: event(trace, "gen_ai.user.message", {"content": text}),
    "choice": lambda trace, text: event(trace, "gen_ai.choice", {"index": 0, "message": {"content": text}}),
    "tool call": lambda trace, text: event(
        trace, "gen_ai.assistant.message", {"tool_calls": [{"function": {"name": "f", "arguments": {"q": text}}}]}
    ),
    "name in an attribute": lambda trace, text: old_event(trace, "gen_ai.system.message", {"content": text}),
    "prompt in an attribute": lambda trace, text: event(trace, "gen_ai.content.prompt", **{"gen_ai.prompt": text}),
}


def send_log(receiver: Outside, *records: LogRecord) -> None:
    receiver.export(Signal.LOGS, logs(*records, resource={"service.name": "shop"}).SerializeToString())


def send_span(receiver: Outside, trace_id: str, **told: Any) -> None:
    one = span(trace_id, 1, attributes={**CHAT, "session.id": f"session {trace_id[:6]}", "user.id": "ada", **told})
    receiver.export(Signal.TRACES, traces(one, service="shop").SerializeToString())


def found(receiver: Outside, query: str, **filters: Any) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = receiver.document("/api/v1/search", q=query, wait="5s", **filters)["hits"]
    return hits


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("log_first", [True, False])
def test_a_message_of_a_log_record_is_found_at_its_span(receiver: Outside, form: str, log_first: bool) -> None:
    number = 2 * [*FORMS].index(form) + log_first
    word, trace_id = f"pelican{number:x}x", f"{0x7065C + number:06x}" + "0" * 26
    record = FORMS[form](trace_id, f"Where does the {word} live?")
    for send_it in (True, False) if log_first else (False, True):
        if send_it:
            send_log(receiver, record)
            [hit] = found(receiver, word)
            assert (hit["trace_id"], hit["span_id"]) == (trace_id, span_id(1))
        else:
            send_span(receiver, trace_id)
    [hit] = found(receiver, word, user="ada", session=f"session {trace_id[:6]}")
    assert hit == {
        "trace_id": trace_id,
        "span_id": span_id(1),
        "start_unix_nano": str(START + 5 * MS),
        "session_id": f"session {trace_id[:6]}",
        "conversation_id": "",
        "service": "shop",
        "model": "gpt-4o-mini",
        "user": "ada",
        "snippet": hit["snippet"],
        "highlights": hit["highlights"],
    }
    assert [hit["snippet"][start:end] for start, end in hit["highlights"]] == [word]
    assert found(receiver, word, user="bob") == []
    listed = receiver.document("/api/v1/sessions", q=word)["sessions"]
    assert [one["session_id"] for one in listed] == [f"session {trace_id[:6]}"]
    timeline = receiver.timeline(f"/api/v1/traces/{trace_id}/timeline")
    assert word in json.dumps(next(entry for entry in timeline["entries"] if entry["kind"] == "interaction")["detail"])
    [entry] = [one for one in timeline["entries"] if one["kind"] == "log"]
    assert word in json.dumps(entry["detail"]), "the record itself comes back whole"


def test_a_text_is_one_hit_whoever_tells_it(receiver: Outside) -> None:
    """A library that writes its messages into both, and a second turn that repeats them."""
    for number, trace_id in enumerate(("a1" * 16, "a2" * 16)):
        messages = json.dumps([said("one albatross")] + [said("and another one")] * number)
        send_span(receiver, trace_id, **{"gen_ai.input.messages": messages})
        send_log(receiver, event(trace_id, DETAILS, **{"gen_ai.input.messages": messages}))
    hits = found(receiver, "albatross")
    assert [(hit["trace_id"], hit["start_unix_nano"]) for hit in hits] == [("a1" * 16, str(START + MS))]
    assert len(found(receiver, '"another one"')) == 1


def test_other_log_records_are_not_searched(receiver: Outside) -> None:
    outside = event("a3" * 16, "gen_ai.user.message", {"content": "cormorant outside of any span"})
    outside.span_id = b""
    send_log(receiver, outside, event("a3" * 16, "app.note", {"content": "cormorant of an application"}))
    assert found(receiver, "cormorant") == []
    timeline = receiver.timeline(f"/api/v1/traces/{'a3' * 16}/timeline")
    assert sum("cormorant" in json.dumps(entry["detail"]) for entry in timeline["entries"]) == 2


@pytest.mark.feature("K16")
@pytest.mark.parametrize("subject", ["session", "trace", "user"])
def test_what_is_erased_is_not_found_and_in_no_byte_of_the_file(tmp_path: Path, subject: str) -> None:
    gone, kept = "b1" * 16, "b2" * 16
    with running(tmp_path / "replay.db") as receiver:
        for trace_id, words in (
            (gone, ["the shared heron", "my secret egret"]),
            (kept, ["the shared heron", "a stork"]),
        ):
            messages = json.dumps([said(text) for text in words])
            send_log(receiver, event(trace_id, DETAILS, **{"gen_ai.input.messages": messages}))
            send_span(receiver, trace_id, **{"user.id": f"user {trace_id[:6]}"})
        assert [hit["trace_id"] for hit in found(receiver, "heron")] == [gone]
        name = {"session": f"session {gone[:6]}", "trace": gone, "user": f"user {gone[:6]}"}[subject]
        erased = receiver.http.post(f"{receiver.url}/api/v1/erase", json={"kind": subject, "id": name}, timeout=60)
        assert (erased.status_code, erased.json()["records"], erased.json()["contents"]) == (200, 2, 1)
        assert found(receiver, "egret") == []
        assert [hit["trace_id"] for hit in found(receiver, "heron")] == [kept]
        assert len(found(receiver, "stork")) == 1
        assert places_of(receiver.database, [b"egret", bytes.fromhex(gone)]) == set()
        late = event(gone, DETAILS, **{"gen_ai.input.messages": json.dumps([said("my secret egret, again")])})
        send_log(receiver, late)
        assert found(receiver, "egret") == []


@pytest.mark.feature("K15")
def test_what_is_redacted_is_not_found(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[privacy.rules]]\nname = "bird"\naction = "mask"\nvalues = ["flamingo"]\n')
    with running(tmp_path / "replay.db", config=rules) as receiver:
        send_log(receiver, event("c1" * 16, "gen_ai.user.message", {"content": "a pink flamingo"}))
        send_span(receiver, "c1" * 16)
        assert found(receiver, "flamingo") == []
        assert len(found(receiver, "pink")) == 1
