"""What happened on a page is told of any rrweb stream, whoever recorded it and whichever way it came."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from otel_replay.model import Signal
from tests.outside.outside import JSON, Outside
from tests.outside.telemetry import click, custom, log, logs
from tests.recording.pages import START_MS, add, element, event, mutation, snapshot, text

pytestmark = pytest.mark.feature("K3")

Events = list[dict[str, Any]]
URL = "https://shop.example/chat"
CHANGES = 800


def by_chunk(receiver: Outside, session: str, events: Events) -> None:
    receiver.upload(session, events, stream_id="tab")


def by_hyperdx(receiver: Outside, session: str, events: Events) -> None:
    records = [log(json.dumps(one), attributes=_numbers(offset)) for offset, one in enumerate(events, 1)]
    resource = {"rum.sessionId": session, "rum.scriptInstance": "tab"}
    receiver.export(Signal.LOGS, logs(*records, resource=resource, scope="rum.rr-web").SerializeToString())


def by_splunk(receiver: Outside, session: str, events: Events) -> None:
    """Its rrweb line: OTLP/JSON, milliseconds for nanoseconds."""
    records = [_splunk(event["timestamp"], json.dumps(event), offset) for offset, event in enumerate(events, 1)]
    send_splunk(receiver, session, records)


def send_splunk(receiver: Outside, session: str, records: Events) -> None:
    attributes = [
        {"key": key, "value": {"stringValue": value}}
        for key, value in (("splunk.rumSessionId", session), ("splunk.scriptInstance", "tab"))
    ]
    scope = {"scope": {"name": "splunk.rr-web", "version": "0.24.0"}, "logRecords": records}
    body = {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [scope]}]}
    answer = receiver.post("/v1/rumreplay?auth=PUBLIC", json.dumps(body).encode(), JSON)
    assert (answer.status_code, answer.json()) == (200, {})


def _splunk(ms: int, body: str, offset: int, chunk: int = 1, total: int = 1) -> dict[str, Any]:
    attributes = [
        {"key": key, "value": {"doubleValue": value}} for key, value in _numbers(offset, chunk, total).items()
    ]
    return {"timeUnixNano": ms, "body": {"stringValue": body}, "attributes": attributes}


def _numbers(offset: int, chunk: int = 1, total: int = 1) -> dict[str, float]:
    return {
        "rr-web.offset": float(offset),
        "rr-web.event": float(offset),
        "rr-web.chunk": float(chunk),
        "rr-web.total-chunks": float(total),
    }


WAYS: dict[str, Callable[[Outside, str, Events], None]] = {
    "a chunk": by_chunk,
    "HyperDX": by_hyperdx,
    "Splunk": by_splunk,
}


def plugin(ms: int, name: str, payload: dict[str, Any]) -> dict[str, Any]:
    return event(6, {"plugin": name, "payload": payload}, START_MS + ms)


def did(ms: int, source: int, **data: Any) -> dict[str, Any]:
    return event(3, {"source": source, **data}, START_MS + ms)


VISIT: Events = [
    event(4, {"href": URL, "width": 800, "height": 600}, START_MS),
    snapshot(
        element(4, "button", element(6, "b", text(5, "Send")), id="send"),
        element(7, "input", type="text", name="q"),
        element(8, "input", type="checkbox", id="terms"),
        element(9, "p", text(10, "The"), class_="answer"),
        element(11, "ul", id="list"),
    ),
    did(10, 5, id=7, text="*****", isChecked=False),
    did(20, 5, id=8, text="on", isChecked=True),
    did(30, 2, type=2, id=6, x=1, y=1),
    mutation(START_MS + 40, texts=[{"id": 10, "value": "The refund is on its way"}]),
    did(50, 2, type=4, id=4, x=400, y=400),
    did(60, 3, id=11, x=0, y=400),
    plugin(70, "rrweb/console@1", {"level": "warn", "payload": ['"slow"', "7"]}),
    plugin(80, "rrweb/network@1", {"requests": [{"name": "/api/chat", "method": "POST", "status": 503}]}),
    custom(90, "logfire.error", message="x is undefined"),
    mutation(START_MS + 100, adds=[add(11, element(100 + nth, "li")) for nth in range(CHANGES)]),
    event(4, {"href": f"{URL}/2", "width": 800, "height": 600}, START_MS + 200),
]
TOLD = [
    (0, "navigation", f"navigated to {URL}"),
    (10, "dom", "input in html > body > input:nth-of-type(1) “*****”"),
    (20, "dom", "checked #terms"),
    (30, "dom", "click on #send “Send”"),
    (40, "dom", "text in html > body > p.answer: “The refund is on its way”"),
    (50, "dom", "dblclick on #send “Send”"),
    (60, "dom", "scroll of #list to 400"),
    (70, "console", "console.warn: slow 7"),
    (80, "network", "POST /api/chat → 503"),
    (90, "error", "logfire.error x is undefined"),
    (100, "dom", f"burst of changes: {CHANGES + 1} within 0.1 s"),
    (200, "navigation", f"navigated to {URL}/2"),
]


@pytest.mark.parametrize("way", WAYS)
def test_a_visit_is_told(receiver: Outside, way: str) -> None:
    session = f"told by {way}"
    WAYS[way](receiver, session, VISIT)
    entries = receiver.timeline(f"/api/v1/sessions/{session}/timeline")["entries"]
    told = [
        (int(one["start_unix_nano"]) // 10**6 - START_MS, one["kind"], one["title"], one["stream_id"])
        for one in entries
    ]
    assert told == [(*expected, "tab") for expected in TOLD]
    details = {one["detail"]["type"]: one["detail"] for one in entries}
    assert details["text"]["added"] == " refund is on its way"
    assert (details["click"]["selector"], details["click"]["text"]) == ("#send", "Send")
    assert details["mutations"]["changes"] == CHANGES + 1, "with that of the text"
    assert details["network"]["status"] == 503


@pytest.mark.feature("X5")
def test_slices_of_splunk_s_rrweb_line_have_their_time(receiver: Outside) -> None:
    """A slice is not read, so that its time is the record's, which this line writes in milliseconds."""
    session, whole = "splunk in slices", json.dumps(VISIT[1])
    pieces = [json.dumps(VISIT[0]), whole[:100], whole[100:], json.dumps(click(9_000))]
    slices = [(1, 1), (1, 2), (2, 2), (1, 1)]
    times = [START_MS, START_MS, START_MS, START_MS + 9_000]
    records = [
        _splunk(ms, piece, offset, *which)
        for offset, (ms, piece, which) in enumerate(zip(times, pieces, slices, strict=True), 1)
    ]
    send_splunk(receiver, session, records)
    window = {"from_": (START_MS + 8_000) * 10**6, "to": (START_MS + 10_000) * 10**6}
    [stream] = receiver.document(f"/api/v1/sessions/{session}/recording", **window)["streams"]
    assert stream["events"] == [VISIT[1], click(9_000)]
    [listed] = [one for one in receiver.document("/api/v1/sessions")["sessions"] if one["session_id"] == session]
    assert listed["start_unix_nano"] == str(START_MS * 10**6)
