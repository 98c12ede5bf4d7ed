"""A visit in a real browser, its calls, two Collectors and two receivers: the session plays as one.

::

    page ── browser.yaml ─┬─ scale.yaml ─┬─ receiver ─┬─ serve --upstream --upstream
    its server ───────────┘              └─ receiver ─┘  open([receiver, receiver])
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from opentelemetry import baggage, propagate
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse
from starlette.routing import Route

import otel_replay
from otel_replay.errors import NotFound
from otel_replay.query.several import SeveralReplay
from otel_replay.store.sqlite import SqliteReader
from tests.collector.processes import Process, collector, prepared_receiver, preset
from tests.e2e.processes import Receiver
from tests.outside.outside import eventually
from tests.outside.telemetry import CHAT
from tests.web.conftest import chromium, static, tab
from tests.web.loopback import serving

__all__ = ["chromium", "static", "tab"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.feature("C6"), pytest.mark.feature("X4")]

AI: dict[str, Any] = dict(CHAT)

QUESTIONS = 14
"""Each makes a trace: that one receiver gets all of them happens once in 8,192 runs."""

PAGE = """<!doctype html><meta charset="utf-8"><title>Shop</title><script src="/otel-replay.js"></script>
<button id="send">Send</button><ol id="answers"></ol>
<script>
  document.getElementById("send").onclick = async () => {
    const line = document.createElement("li");
    line.textContent = await (await fetch("/ask", { method: "POST" })).text();
    document.getElementById("answers").append(line);
  };
</script>
"""
RECORD = """endpoint => {
  window.events = [];
  const beforeSend = (event, kind) => {
    if (kind === "dom") events.push(JSON.parse(JSON.stringify(event)));
    return event;
  };
  window.recorder = OtelReplay.record({ endpoint, sessionId: "visit", transport: "otlp", beforeSend });
}"""


class Shop(NamedTuple):
    """The page's address, and the spans that its server has made."""

    url: str
    made: InMemorySpanExporter


class Spread(NamedTuple):
    """Where the page and its server send to, the receivers behind, and one in front of them."""

    page: str
    server: str
    receivers: list[Receiver]
    front: Receiver

    @property
    def urls(self) -> list[str]:
        return [one.url for one in self.receivers]


@pytest.fixture
def spread(tmp_path: Path) -> Iterator[Spread]:
    with ExitStack() as stack:
        behind = [prepared_receiver(tmp_path / f"{name}.db") for name in ("first", "second")]
        upstreams = [word for _, receiver in behind for word in ("--upstream", receiver.url)]
        processes = [*behind, prepared_receiver(tmp_path / "front.db", *upstreams)]
        for process, _ in processes:
            _run(process, stack)
        *several, front = [receiver for _, receiver in processes]
        endpoints = f"[{', '.join(one.grpc for one in several)}]"
        middle = stack.enter_context(collector(preset("scale"), tmp_path / "scale", OTEL_REPLAY_ENDPOINTS=endpoints))
        edge = stack.enter_context(collector(preset("browser"), tmp_path / "edge", OTEL_REPLAY_ENDPOINT=middle.grpc))
        yield Spread(edge.url, middle.grpc, several, front)
        assert (edge.lost(), middle.lost()) == ({}, {})


def _run(process: Process, stack: ExitStack) -> None:
    process.start()
    stack.callback(process.stop)


@pytest.fixture
def shop(static: Path, spread: Spread) -> Iterator[Shop]:
    """A page that asks its server, which asks a model, with OpenTelemetry's SDK."""
    made = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(made))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=spread.server, insecure=True)))
    tracer = provider.get_tracer("shop")

    def ask(request: Request) -> PlainTextResponse:
        context = propagate.extract(dict(request.headers))
        session: dict[str, Any] = {"session.id": str(baggage.get_baggage("session.id", context))}
        with (
            tracer.start_as_current_span("POST /ask", context, SpanKind.SERVER, session),
            tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=session | AI),
        ):
            return PlainTextResponse("Yes, within 30 days.")

    routes = [
        Route("/", lambda _: HTMLResponse(PAGE)),
        Route("/ask", ask, methods=["POST"]),
        Route("/otel-replay.js", lambda _: FileResponse(static / "otel-replay.js")),
    ]
    with serving(Starlette(routes=routes)) as url:
        yield Shop(url, made)
        provider.shutdown()


def test_a_session_over_two_receivers_plays_whole(tab: Page, shop: Shop, spread: Spread) -> None:
    tab.goto(shop.url)
    tab.evaluate(RECORD, spread.page)
    for number in range(QUESTIONS):
        tab.click("#send")
        expect(tab.locator("#answers li")).to_have_count(number + 1)
    sent = tab.evaluate("async () => { await recorder.stop(); return events }")
    ids = {f"span:{one.context.trace_id:032x}:{one.context.span_id:016x}" for one in shop.made.get_finished_spans()}
    assert len(ids) == 2 * QUESTIONS

    replay = otel_replay.open(spread.urls)
    try:
        timelines = [
            eventually(ask, lambda found: is_whole(found, ids, QUESTIONS))
            for ask in (lambda: told(replay), lambda: told_by(spread.front))
        ]
        recordings = [stream.events for stream in replay.recordings.download("visit")]
    finally:
        replay.close()
    assert recordings == [sent]
    assert timelines[0] == timelines[1]
    assert (timelines[0]["gaps"], timelines[0]["warnings"]) == ([], [])
    assert timelines[0]["interactions"] == QUESTIONS
    assert timelines[0]["tokens"]["input"] == 12 * QUESTIONS
    check_links(timelines[0])
    check_that_it_is_spread(spread, timelines[0]["traces"])

    tab.goto(f"{spread.front.url}/#/sessions/visit")
    replayed = tab.frame_locator(".replayer-wrapper iframe")
    expect(replayed.locator("#send")).to_be_visible()
    tab.locator(".player").focus()
    tab.keyboard.press("Space")
    expect(replayed.locator("#answers li")).to_have_count(QUESTIONS, timeout=30_000)


def told(replay: SeveralReplay) -> Any:
    try:
        return replay.timeline(session_id="visit").to_dict()
    except NotFound:
        return {}


def told_by(front: Receiver) -> Any:
    answer = requests.get(f"{front.url}/api/v1/sessions/visit/timeline", timeout=20)
    return answer.json() if answer.status_code == 200 else {}


def is_whole(found: dict[str, Any], ids: set[str], clicks: int) -> bool:
    """Whether all spans are there, the page's as well, and nothing of the recording waits."""
    entries = found.get("entries", [])
    acts = [one for one in entries if one["title"] == "click #send"]
    return {one["id"] for one in entries} >= ids and len(acts) == clicks and not found["warnings"]


def check_links(timeline: dict[str, Any]) -> None:
    """Every call goes back to a click of its own: chat, server, request of the page, click."""
    by_span = {one["span_id"]: one for one in timeline["entries"] if one["id"].startswith("span:")}
    clicks = set()
    for call in (one for one in timeline["entries"] if one["kind"] == "interaction"):
        above = []
        while call["parent_span_id"]:
            call = by_span[call["parent_span_id"]]
            above.append(call["title"])
        assert above[0] == "POST /ask"
        assert above[-1] == "click #send"
        clicks.add(call["id"])
    assert len(clicks) == QUESTIONS


def check_that_it_is_spread(spread: Spread, traces: list[str]) -> None:
    """Each receiver has some of the traces, none has all, and one of them has the recording."""
    having, streams = [], []
    for receiver in spread.receivers:
        reader = SqliteReader(receiver.db)
        having.append({one for one in traces if reader.spans_of_trace(1, one)})
        streams.append(len(reader.streams(1, "visit")))
        reader.close()
    assert all(having)
    assert not having[0] & having[1]
    assert sorted(streams) == [0, 1]
