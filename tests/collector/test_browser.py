"""Real pages behind browser.yaml, of another origin than the Collector: our recorder, and OpenTelemetry with rrweb."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Route

from tests.collector.clients import by_span, packages, stored
from tests.collector.pipelines import Pipeline, recording, running
from tests.collector.processes import collector, preset, receivers
from tests.outside.maximal import from_otlp_json
from tests.outside.outside import eventually
from tests.web.conftest import chromium, static, tab
from tests.web.loopback import serving

__all__ = ["chromium", "static", "tab"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.feature("C6")]

PAGE = """<!doctype html><script src="/otel-replay.js"></script><meta charset="utf-8"><title>Shop</title>
<input id="question"><button id="send" onclick="answer.textContent = 'Yes: ' + question.value">Send</button>
<p id="answer"></p><script src="/page.js"></script>
"""


RECORD = """url => {
    window.events = []
    const beforeSend = (event, kind) => {
        if (kind === "dom") events.push(JSON.parse(JSON.stringify(event)))
        return event
    }
    window.recorder = OtelReplay.record({ endpoint: url, sessionId: "page", transport: "otlp", beforeSend })
}"""
SENT = "async () => { await recorder.stop(); return events }"


@pytest.fixture
def page_url(static: Path) -> Iterator[str]:
    script = packages() / "built" / "page.js"
    routes = [
        Route("/", lambda _: HTMLResponse(PAGE)),
        Route("/page.js", lambda _: FileResponse(script)),
        Route("/otel-replay.js", lambda _: FileResponse(static / "otel-replay.js")),
    ]
    with serving(Starlette(routes=routes)) as url:
        yield url


def test_a_recording_and_its_spans_pass_through_the_collector(tab: Page, page_url: str, tmp_path: Path) -> None:
    with running("browser", tmp_path) as pipeline:
        sent = visit(tab, page_url, pipeline)
        spans = by_span(from_otlp_json(sent["spans"], TracesData))
        assert [one.span.name for one in spans.values()] == ["click"]
        assert stored(pipeline.receiver, spans) == spans
        found = eventually(
            lambda: recording(pipeline.receiver, "page"), lambda events: len(events) >= len(sent["events"])
        )
        assert found == sent["events"]
        assert len(found) > 5
        assert told(pipeline) >= {"action", "dom"}
        assert pipeline.collector.lost() == {}


def test_our_recorder_passes_through_the_collector(tab: Page, page_url: str, tmp_path: Path) -> None:
    with running("browser", tmp_path) as pipeline:
        tab.goto(page_url)
        tab.evaluate(RECORD, pipeline.collector.url)
        use(tab)
        sent = tab.evaluate(SENT)
        found = eventually(lambda: recording(pipeline.receiver, "page"), lambda events: len(events) >= len(sent))
        assert found == sent
        assert len(found) > 5
        assert told(pipeline) >= {"action", "dom"}
        assert pipeline.collector.lost() == {}


def visit(tab: Page, page_url: str, pipeline: Pipeline) -> dict[str, Any]:
    """What the page has sent."""
    tab.goto(page_url)
    tab.evaluate("([url, session]) => window.record(url, session)", [pipeline.collector.url, "page"])
    use(tab)
    sent: dict[str, Any] = tab.evaluate("() => window.sent()")
    return sent


def use(tab: Page) -> None:
    tab.fill("#question", "May I return it? 😀")
    tab.click("#send")
    expect(tab.locator("#answer")).to_have_text("Yes: May I return it? 😀")


def told(pipeline: Pipeline) -> set[str]:
    """The kinds of the session's timeline once all of its recording is in it."""
    url = f"{pipeline.receiver.url}/api/v1/sessions/page/timeline"
    timeline = eventually(lambda: requests.get(url, timeout=20).json(), lambda found: not found["warnings"])
    return {entry["kind"] for entry in timeline["entries"]}


@pytest.mark.parametrize(("origin", "may"), [("https://app.example.com", True), ("https://evil.example", False)])
def test_only_pages_of_the_named_origins_may_send(tmp_path: Path, origin: str, may: bool) -> None:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,content-encoding,traceparent",
    }
    with (
        receivers(tmp_path) as [receiver],
        collector(
            preset("browser"),
            tmp_path / "collector",
            OTEL_REPLAY_ENDPOINT=receiver.grpc,
            COLLECTOR_ORIGINS="[https://*.example.com]",
        ) as found,
    ):
        answer = requests.options(f"{found.url}/v1/logs", headers=asked, timeout=20)
    assert answer.headers.get("access-control-allow-origin") == (origin if may else None)
    if may:
        assert answer.headers["access-control-max-age"] == "7200"
        assert "content-encoding" in answer.headers["access-control-allow-headers"]
