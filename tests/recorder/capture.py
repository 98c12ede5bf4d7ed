"""A web application with the recorder in its page, and a receiver that keeps what the recorder sends.

Both are the same Starlette application: served twice, they are two origins.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

PAGE = """<!doctype html><meta charset="utf-8"><title>Shop</title>
<main id="main">
  <button id="send">Send  the
     question</button>
  <a id="home" href="#home">Home</a>
  <p id="plain">plain text</p>
  <form id="form"><input name="q" id="q"><button id="go">Go</button></form>
  <input id="secret">
</main>
<script src="/otel-replay.js"></script>
<script>
  document.getElementById("form").addEventListener("submit", (event) => event.preventDefault());
</script>
"""


@dataclass
class Capture:
    """What arrived. ``answers`` are given to chunk requests first, each a status and headers; then 200.

    ``pages`` are further pages by their path, with ``page_headers`` on all of them, and ``scripts`` their scripts.
    """

    recorder: Path
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    chunk_delay_s: float = 0.0
    pages: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    page_headers: dict[str, str] = field(default_factory=dict)
    call_delay_s: float = 0.0
    call_headers: dict[str, str] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    session_ids: set[str] = field(default_factory=set)
    traces: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def app(self) -> Starlette:
        routes = [
            Route("/shop", lambda _: HTMLResponse(PAGE, headers=self.page_headers)),
            Route("/otel-replay.js", lambda _: FileResponse(self.recorder, media_type="text/javascript")),
            Route("/api/v1/sessions/{session_id}/events", self.receive_chunk, methods=["POST"]),
            Route("/v1/traces", self.receive_traces, methods=["POST"]),
            Route("/v1/logs", self.receive_logs, methods=["POST"]),
            Route("/api/chat", self.receive_call, methods=["GET", "POST"]),
            Route("/{path:path}", self.further_page),
        ]
        cors = Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "Server-Timing"],
            max_age=7200,
        )
        return Starlette(routes=routes, middleware=[cors])

    async def further_page(self, request: Request) -> Response:
        if script := self.scripts.get(request.url.path):
            return Response(script, media_type="text/javascript")
        page = self.pages.get(request.url.path)
        return Response("", 404) if page is None else HTMLResponse(page, headers=self.page_headers)

    async def receive_chunk(self, request: Request) -> Response:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            chunk = await body_of(request) | {"session_id": request.path_params["session_id"]}
            await asyncio.sleep(self.chunk_delay_s)
            self.session_ids.add(request.path_params["session_id"])
            self.headers.append(dict(request.headers))
            self.attempts.append(chunk)
            status, headers = self.answers.pop(0) if self.answers else (200, {})
            if status == 200:
                self.accepted.append(chunk)
            return JSONResponse({}, status_code=status, headers=headers)
        finally:
            self.in_flight -= 1

    async def receive_traces(self, request: Request) -> Response:
        self.traces.append(await body_of(request))
        return JSONResponse({})

    async def receive_logs(self, request: Request) -> Response:
        self.logs.append(await body_of(request))
        return JSONResponse({})

    async def receive_call(self, request: Request) -> Response:
        self.calls.append(dict(request.headers) | {"method": request.method, "body": (await request.body()).decode()})
        await asyncio.sleep(self.call_delay_s)
        status = int(request.query_params.get("status", "200"))
        return JSONResponse({"answer": "42"}, status_code=status, headers=self.call_headers)

    def events(self) -> list[dict[str, Any]]:
        return [event for chunk in self.accepted for event in chunk["events"]]

    def custom(self, tag: str) -> list[dict[str, Any]]:
        """Payloads of the rrweb custom events with this tag."""
        found = (event["data"] for event in self.events() if event["type"] == 5)
        return [data["payload"] for data in found if data["tag"] == tag]

    def spans(self) -> Iterator[dict[str, Any]]:
        for request in self.traces:
            for resource_spans in request["resourceSpans"]:
                for scope_spans in resource_spans["scopeSpans"]:
                    yield from scope_spans["spans"]

    def log_records(self) -> Iterator[dict[str, Any]]:
        for request in self.logs:
            for resource_logs in request["resourceLogs"]:
                for scope_logs in resource_logs["scopeLogs"]:
                    yield from scope_logs["logRecords"]

    def named(self, event_name: str) -> list[dict[str, Any]]:
        """The log events of this name."""
        return [record for record in self.log_records() if record.get("eventName") == event_name]


async def body_of(request: Request) -> Any:
    body = await request.body()
    return json.loads(gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body)


def attributes(owner: dict[str, Any]) -> dict[str, Any]:
    """OTLP/JSON attributes as a dict; integers stay the decimal strings they travel as."""
    return {item["key"]: next(iter(item["value"].values())) for item in owner["attributes"]}
