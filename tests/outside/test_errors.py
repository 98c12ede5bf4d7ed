"""Everything that fails in a session counts in it, once: calls, other spans, log records, exceptions, the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.model import Signal
from tests.genai.spans import key_values
from tests.outside.outside import Outside, answered, eventually
from tests.outside.recording import recording
from tests.outside.telemetry import CHAT, log, logs, page, span, span_id, traces
from tests.recording.pages import START_MS

pytestmark = pytest.mark.feature("K18")

FAILED = Status(code=Status.STATUS_CODE_ERROR, message="no")
MODEL_FAILED = {"langfuse.observation.type": "generation", "langfuse.observation.level": "ERROR"}


def trace_of(number: int) -> str:
    return f"{0xE44 + number:032x}"


def send_span(receiver: Outside, session: str, trace_id: str, attributes: dict[str, Any], **fields: Any) -> None:
    one = span(trace_id, 1, attributes={"session.id": session, **attributes}, **fields)
    receiver.export(Signal.TRACES, traces(one).SerializeToString())


def send_log(receiver: Outside, session: str, attributes: dict[str, Any], **fields: Any) -> None:
    receiver.export(
        Signal.LOGS, logs(log("said", attributes={"session.id": session, **attributes}, **fields)).SerializeToString()
    )


def plugin(name: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"type": 6, "timestamp": START_MS + 5, "data": {"plugin": name, "payload": payload}}


def console(level: str) -> dict[str, Any]:
    return plugin("rrweb/console@1", {"level": level, "payload": ['"x is undefined"']})


def request(status: int) -> dict[str, Any]:
    return plugin("rrweb/network@1", {"requests": [{"name": "/api/cart", "method": "GET", "status": status}]})


def announced(tag: str) -> dict[str, Any]:
    return {"type": 5, "timestamp": START_MS + 5, "data": {"tag": tag, "payload": {"message": "x is undefined"}}}


def call(**fields: Any) -> Callable[[Outside, str, str], None]:
    return lambda receiver, session, trace: send_span(receiver, session, trace, CHAT, **fields)


def work(**fields: Any) -> Callable[[Outside, str, str], None]:
    return lambda receiver, session, trace: send_span(receiver, session, trace, {}, **fields)


def record(attributes: dict[str, Any] | None = None, **fields: Any) -> Callable[[Outside, str, str], None]:
    return lambda receiver, session, _trace: send_log(receiver, session, attributes or {}, **fields)


def shown(*events: dict[str, Any]) -> Callable[[Outside, str, str], object]:
    return lambda receiver, session, _trace: receiver.upload(session, [*page(), *events], seq=0)


def logged(status: Status | None, attributes: dict[str, Any], *, is_first: bool) -> Callable[[Outside, str, str], None]:
    """A span, and an error that was logged in it."""

    def send(receiver: Outside, session: str, trace: str) -> None:
        def send_record() -> None:
            send_log(receiver, session, {}, severity_number=17, trace_id=trace, span_id=bytes.fromhex(span_id(1)))

        if is_first:
            send_record()
        send_span(receiver, session, trace, attributes, status=status)
        if not is_first:
            send_record()

    return send


RAISED = Span.Event(name="exception", attributes=key_values({"exception.type": "KeyError"}))
KINDS: dict[str, tuple[Callable[[Outside, str, str], object], int]] = {
    "failed call": (call(status=FAILED), 1),
    "call that went well": (call(), 0),
    "call of a dialect with a level": (
        lambda receiver, session, trace: send_span(receiver, session, trace, CHAT | MODEL_FAILED),
        1,
    ),
    "failed span": (work(status=FAILED), 1),
    "failed span with its exception": (work(status=FAILED, events=[RAISED]), 1),
    "exception that was caught": (work(events=[RAISED]), 0),
    "failed user action": (
        lambda receiver, session, trace: send_span(
            receiver, session, trace, {"browser.action": "click"}, status=FAILED
        ),
        1,
    ),
    "logged error": (record(severity_number=17), 1),
    "logged warning": (record(severity_number=13), 0),
    "failed call that logs its error": (logged(FAILED, CHAT, is_first=False), 1),
    "failed call whose error came before it": (logged(FAILED, CHAT, is_first=True), 1),
    "call that went well and logged an error": (logged(None, CHAT, is_first=False), 1),
    "failed span that logs an error": (logged(FAILED, {}, is_first=False), 2),
    "exception event": (record({"exception.type": "KeyError"}, event_name="exception"), 1),
    "line of the console": (shown(console("error")), 1),
    "other line of the console": (shown(console("warn")), 0),
    "failed request of the page": (shown(request(503), request(404)), 2),
    "request of the page": (shown(request(200), request(0)), 0),
    "error event of the page": (shown(announced("app.error")), 1),
    "error that our recorder sends as a log record, too": (shown(announced("otel.error")), 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_error_counts_in_its_session(receiver: Outside, kind: str) -> None:
    send, errors = KINDS[kind]
    session, trace_id = f"session of a {kind}", trace_of([*KINDS].index(kind))
    for _ in range(2):  # what is sent again counts once
        send(receiver, session, trace_id)
    receiver.timeline(f"/api/v1/sessions/{session}/timeline")
    receiver.document("/api/v1/stats", wait="10s")
    [listed] = [one for one in sessions(receiver) if one["session_id"] == session]
    assert listed["errors"] == errors
    for has_error in (True, False):
        found = [one["session_id"] for one in sessions(receiver, has_error=str(has_error).lower())]
        assert (session in found) is (has_error is bool(errors))
    total = answered(receiver.command("stats", "--session", session, "--format", "json"))["total"]
    assert total["errors"] == errors


def sessions(receiver: Outside, **filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = receiver.document("/api/v1/sessions", limit=1000, **filters)["sessions"]
    return found


def test_what_the_sdk_records_as_an_error(receiver: Outside) -> None:
    with recording(receiver.url) as app, app.session("session of the sdk") as session:
        session.record_error(ValueError("no such order"))
        session.record_interaction(model="m1", prompt="Hello", response="", error=TimeoutError("too late"))
    receiver.document("/api/v1/stats", wait="10s")
    [listed] = [one for one in sessions(receiver, has_error="true") if one["session_id"] == "session of the sdk"]
    assert (listed["errors"], listed["interactions"]) == (2, 1)
    of_it = receiver.document("/api/v1/stats", session="session of the sdk")
    assert of_it["total"]["errors"] == 2
    by_session = {one["group"]: one["errors"] for one in receiver.document("/api/v1/stats", by="session")["groups"]}
    assert by_session["session of the sdk"] == 2
    timeline = receiver.timeline("/api/v1/sessions/session of the sdk/timeline")
    assert sum(entry["status"] == "error" for entry in timeline["entries"]) == 2


def test_errors_that_were_erased_no_longer_count(receiver: Outside) -> None:
    """A failed span goes with its trace, what the session has beside it stays."""
    session, trace_id = "session that loses a trace", trace_of(500)
    send_span(receiver, session, trace_id, {}, status=FAILED)
    send_log(receiver, session, {}, severity_number=17)

    def errors() -> Any:
        return [(one["errors"]) for one in sessions(receiver, has_error="true") if one["session_id"] == session]

    assert errors() == [2]
    assert receiver.http.delete(f"{receiver.url}/api/v1/traces/{trace_id}", timeout=30).status_code == 200
    assert eventually(errors, lambda found: found == [1]) == [1]
