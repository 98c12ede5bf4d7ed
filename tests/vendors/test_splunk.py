"""Splunk's browser SDK in Chromium, told nothing but another address: spans and beacons, replays of its rrweb line, and
segments of its own format, which are kept for whoever can read them."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from playwright.sync_api import Browser, Page, expect

import otel_replay
from tests.outside.outside import Outside, eventually
from tests.vendors.shop import Shop, buy, leave_a_word, recorded, replayed, sessions, streams, visitor
from tests.web.loopback import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.feature("X5")]

RUM = (
    "Splunk.Rum.init({{ beaconEndpoint: '{url}/v1/rumotlp', rumAccessToken: 'PUBLIC', applicationName: 'shop',"
    " deploymentEnvironment: 'test', allowInsecureBeacon: true, exporter: {{ otlp: true }} }});"
)
RECORDER = (
    # Recorder 3.1 asks for RUM 3.1: what it needs of it, a session and a resource, is the same in 2.5.
    "globalThis[Symbol.for('opentelemetry.js.api.1')]['splunk.rum.version'] = '3.1.0';"
    "Splunk.Recorder.init({{ beaconEndpoint: '{url}/v1/rumreplay', rumAccessToken: 'PUBLIC', maskAllText: false,"
    " persistFailedReplayData: '{persisted}' }});"
)
RRWEB = "startSplunkRrweb({{ url: '{url}', session: Splunk.Rum.getSessionId(), page: 'ab'.repeat(8) }});"
HIDE = """() => {
  for (const [name, value] of [["visibilityState", "hidden"], ["hidden", true]]) {
    Object.defineProperty(document, name, { get: () => value });
  }
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@contextmanager
def shop(packages: Path, start: str, *scripts: Path) -> Iterator[str]:
    with serving(Shop(packages, (packages / "splunk.js", *scripts), start).app()) as url:
        yield url


KEEP = """() => {
  const send = window.fetch;
  window.sent = [];
  window.fetch = async (url, options) => {
    if (String(url).includes("/v1/rumreplay")) {
      const body = new Uint8Array(await new Response(options.body).arrayBuffer());
      window.sent.push([options.headers["Content-Type"], btoa(String.fromCharCode(...body))]);
    }
    return send(url, options);
  };
}"""
"""What a page sends to the route of recordings; Playwright does not show bodies that are blobs."""


def _sent(tab: Page) -> list[ExportLogsServiceRequest]:
    sent: list[tuple[str, str]] = tab.evaluate("() => window.sent")
    bodies = [(kind, gzip.decompress(base64.b64decode(body))) for kind, body in sent]
    return [_from_json(body) if "json" in kind else ExportLogsServiceRequest.FromString(body) for kind, body in bodies]


def _from_json(body: bytes) -> ExportLogsServiceRequest:
    """The few fields that are compared; Splunk's JSON holds nothing but the body's string there."""
    request = ExportLogsServiceRequest()
    for group in json.loads(body)["resourceLogs"]:
        for scope in group["scopeLogs"]:
            logs = request.resource_logs.add().scope_logs.add()
            for record in scope["logRecords"]:
                logs.log_records.add().body.string_value = record["body"]["stringValue"]
    return request


def _bodies(requests: list[ExportLogsServiceRequest]) -> list[Any]:
    records = [
        log
        for one in requests
        for group in one.resource_logs
        for scope in group.scope_logs
        for log in scope.log_records
    ]
    return [record.body.bytes_value or record.body.string_value for record in records]


def _kept(events: list[dict[str, Any]]) -> list[Any]:
    payloads = [event["data"]["payload"] for event in events]
    return [
        base64.b64decode(payload["body"]) if payload["encoding"] == "base64" else payload["body"]
        for payload in payloads
    ]


@pytest.mark.feature("R5")
@pytest.mark.parametrize(("persisted", "kind"), [("indexeddb", bytes), ("localstorage", str)])
def test_segments_are_kept_as_they_were_sent_and_said_to_be_unplayable(
    browser: Browser, packages: Path, receiver: Outside, persisted: str, kind: type
) -> None:
    start = (RUM + RECORDER).format(url=receiver.url, persisted=persisted)
    with shop(packages, start) as url, visitor(browser) as context:
        context.add_init_script(f"({KEEP})()")
        tab = context.new_page()
        tab.goto(url)
        buy(tab, lamps=3)
        tab.evaluate(HIDE)
        tab.wait_for_function("() => sent.length > 1")
        tab.wait_for_timeout(1_000)  # it stops when it is hidden; what was going on is sent
        sent = _sent(tab)
        enough = eventually(
            lambda: streams(receiver), lambda found: sum(len(events) for _, events in found) >= len(sent)
        )
        [session] = sessions(receiver)
        tab.goto(f"{receiver.url}/#/sessions/{session['session_id']}")
        expect(tab.get_by_text("This recording cannot be played")).to_be_visible()
        expect(tab.get_by_text("It is in Splunk's own format")).to_be_visible()
    [(stream, events)] = enough
    assert sorted(_kept(events)) == sorted(_bodies(sent)), "requests overtake each other"
    assert {type(body) for body in _bodies(sent)} == {kind}
    assert {(event["data"]["tag"], event["data"]["payload"]["playable"]) for event in events} == {
        ("splunk.segment", False)
    }
    metadata = [json.loads(event["data"]["payload"]["metadata"]) for event in events]
    assert {one["browser.instance.id"] for one in metadata} == {stream}
    replay = otel_replay.open(receiver.url)
    [downloaded] = replay.recordings.download(session["session_id"])
    replay.close()
    assert downloaded.events == events
    timeline = receiver.timeline(f"/api/v1/sessions/{session['session_id']}/timeline")
    said = [entry["title"] for entry in timeline["entries"] if entry["kind"] == "dom"]
    assert said == ["part of the recording in Splunk's own format, which cannot be played"] * len(events)
    assert timeline["gaps"] == []


@pytest.mark.feature("K3")
def test_spans_come_also_from_a_page_that_is_left(browser: Browser, packages: Path, receiver: Outside) -> None:
    """By sendBeacon with JSON, which Chromium asks leave for as a request with cookies."""
    with shop(packages, RUM.format(url=receiver.url)) as url, visitor(browser) as context:
        tab = context.new_page()
        tab.goto(url)
        buy(tab, lamps=2)
        tab.evaluate(HIDE)
        listed = eventually(lambda: receiver.document("/api/v1/sessions")["sessions"], lambda found: bool(found))
    [session] = listed
    timeline = receiver.timeline(f"/api/v1/sessions/{session['session_id']}/timeline")
    told = [entry["title"] for entry in timeline["entries"]]
    assert any(title.endswith("/api/price 200") for title in told)
    assert any(title.startswith("click") for title in told)


@pytest.mark.feature("S1")
def test_its_rrweb_line_is_replayed(browser: Browser, packages: Path, receiver: Outside) -> None:
    scripts = (
        packages / "node_modules" / "rrweb-of-splunk" / "dist" / "record" / "rrweb-record.min.js",
        Path(__file__).parent / "splunk_rrweb.js",
    )
    with shop(packages, (RUM + RRWEB).format(url=receiver.url), *scripts) as url, visitor(browser) as context:
        tab = context.new_page()
        tab.goto(url)
        buy(tab, lamps=4)
        tab.evaluate("() => document.querySelector('#answer').append('€'.repeat(500_000))")
        live = leave_a_word(tab, "goodbye")
        [events] = recorded(receiver, "goodbye")
        shown = replayed(context, url, events)
        # While the page is there: its SDK sends spans every few seconds, and a browser that is closed may send none.
        [session] = eventually(lambda: sessions(receiver), lambda found: found[0]["actions"] > 5)
    assert [line.replace("\ufffd", "")[:200] for line in shown] == [line[:200] for line in live]
    assert [name for name, _ in streams(receiver)] == ["ab" * 8]
    assert session["traces"] > 5, "the spans of the same session"
