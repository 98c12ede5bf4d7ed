"""From a browser through two services to a model: one session on every span, and none of it told to the model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.examples.chat.serving import RunningServer
from otel_replay.examples.chat.stub import Delays, answer_to, create_stub
from tests.e2e.conversation import chromium
from tests.outside.outside import Outside, eventually, running
from tests.sdk.programs import OPENTELEMETRY_INSTRUMENT, needs_hook, serving
from tests.sdk.test_delivery import free_port

pytest.importorskip("opentelemetry.instrumentation.requests", reason="otel-replay[services] is not installed yet")

QUESTION = "May I return it?"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BROWSER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "baggage": "session.id=visit-1,user.id=u%201,other=x"}
VENDOR = "api.vendor.example"

FRONT = """
import os, sys
import otel_replay
otel_replay.instrument(service_name="front")

import requests, uvicorn
from concurrent.futures import ThreadPoolExecutor
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

BACK = sys.argv[2]
PAGE = '''<!doctype html><meta charset="utf-8"><title>Front</title><button id="send">Ask</button><p id="answer"></p>
<script src="RECEIVER/otel-replay.js"></script>
<script>
  const recorder = OtelReplay.record({ endpoint: "RECEIVER", serviceName: "page", userId: "u 1" });
  document.getElementById("send").addEventListener("click", async () => {
    const answer = await fetch("/ask?q=QUESTION");
    document.getElementById("answer").textContent = await answer.text();
  });
</script>'''.replace("RECEIVER", os.environ["OTEL_REPLAY_ENDPOINT"]).replace("QUESTION", sys.argv[3])
pool = ThreadPoolExecutor(2)

def ask(request):
    question = request.query_params.get("q", "")
    answer = pool.submit(requests.get, BACK + "/answer", params={"q": question}).result()
    return PlainTextResponse(answer.text)

routes = [Route("/", lambda request: HTMLResponse(PAGE)), Route("/ask", ask)]
uvicorn.run(Starlette(routes=routes), port=int(sys.argv[1]), log_level="warning")
"""

BACK = f"""
import socket, sys
import uvicorn
from openai import OpenAI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

# The vendor's name leads here: there are no others in this test.
look_up = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: look_up("127.0.0.1" if host == {VENDOR!r} else host, *rest, **more)

def answer(request):
    messages = [{{"role": "user", "content": request.query_params.get("q", "")}}]
    done = OpenAI().chat.completions.create(model="gpt-4o-mini", messages=messages)
    return PlainTextResponse(done.choices[0].message.content)

uvicorn.run(Starlette(routes=[Route("/answer", answer)]), port=int(sys.argv[1]), log_level="warning")
"""


class Story:
    """The receiver, the address of the front service, and the headers that the model was sent."""

    def __init__(self, outside: Outside, front: str, model_headers: list[dict[str, str]]) -> None:
        self.outside = outside
        self.front = front
        self.model_headers = model_headers


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("services")
    model_headers: list[dict[str, str]] = []
    with ExitStack() as parts:
        outside = parts.enter_context(running(folder / "replay.db"))
        model = RunningServer(listening(model_headers))
        parts.callback(model.stop)
        model.wait_until_started()
        environment = {
            "OTEL_REPLAY_ENDPOINT": outside.url,
            "OTEL_REPLAY_SPOOL": str(folder / "spool"),
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OPENAI_BASE_URL": f"{model.url.replace('127.0.0.1', VENDOR)}/v1",
            "OPENAI_API_KEY": "x",
        }
        back = f"http://127.0.0.1:{free_port()}"
        front = f"http://127.0.0.1:{free_port()}"
        instrumented = (OPENTELEMETRY_INSTRUMENT, "--traces_exporter", "otel_replay", "--service_name", "back")
        for url, program, command, rest in (
            (back, BACK, (*instrumented, sys.executable), ()),
            (front, FRONT, (sys.executable,), (back, QUESTION)),
        ):
            file = written(folder, program, url)
            port = url.rsplit(":", 1)[1]
            parts.enter_context(serving(f"{url}/nothing", *command, str(file), port, *rest, **environment))
        yield Story(outside, front, model_headers)


def written(folder: Path, program: str, url: str) -> Path:
    file = folder / f"service_{url.rsplit(':', 1)[1]}.py"
    file.write_text(program)
    return file


def listening(heard: list[dict[str, str]]) -> Starlette:
    """The model's stub, which writes down the headers of its requests."""
    (complete,) = (
        route.endpoint
        for route in create_stub(Delays(0, 0)).routes
        if isinstance(route, Route) and route.path == "/v1/chat/completions"
    )

    async def listen(request: Request) -> Response:
        heard.append(dict(request.headers))
        answer: Response = await complete(request)
        return answer

    return Starlette(routes=[Route("/v1/chat/completions", listen, methods=["POST"])])


@needs_hook
@pytest.mark.slow
@pytest.mark.feature("C1")
def test_the_session_goes_with_the_call_and_stops_before_the_model(story: Story) -> None:
    answer = requests.get(f"{story.front}/ask", params={"q": QUESTION}, headers=BROWSER, timeout=20)
    assert answer.text == answer_to(QUESTION)

    every_span_says(story.outside, TRACE, {"session.id": "visit-1", "user.id": "u 1"}, SERVICES)
    the_model_was_told_nothing(story, "visit-1")


@needs_hook
@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.feature("C1")
def test_the_session_of_a_page_goes_the_same_way(story: Story) -> None:
    """The recorder in Chromium, the front service, the one behind it, the call of the model."""
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{story.front}/")
        page.locator("#send").click()
        expect(page.locator("#answer")).to_have_text(answer_to(QUESTION), timeout=20_000)
        session_id = page.evaluate("() => recorder.sessionId")
        page.evaluate("() => recorder.flush()")
        trace_id = eventually(lambda: trace_of_the_click(story.outside, session_id), bool)
        every_span_says(story.outside, trace_id, {"session.id": session_id}, {("page", "click"), *SERVICES})
    the_model_was_told_nothing(story, session_id)


SERVICES = {("front", "GET /ask"), ("front", "GET"), ("back", "GET /answer"), ("back", "chat gpt-4o-mini")}


def trace_of_the_click(outside: Outside, session_id: str) -> str:
    """An empty text while it has not arrived."""
    answer = outside.get(f"/api/v1/sessions/{session_id}/timeline", kinds="action")
    entries = answer.json()["entries"] if answer.status_code == 200 else []
    return next((entry["trace_id"] for entry in entries if entry["title"].startswith("click")), "")


def every_span_says(outside: Outside, trace_id: str, facts: dict[str, str], expected: set[tuple[str, str]]) -> None:
    """``expected`` are services and names; the trace has all of these, and others may be beside them."""
    spans = eventually(lambda: spans_of(outside, trace_id), lambda found: expected <= {span[:2] for span in found})
    assert expected - {span[:2] for span in spans} == set()
    for service, name, said in spans:
        assert {key: said.get(key) for key in facts} == facts, (service, name)
        assert "other" not in said


def the_model_was_told_nothing(story: Story, session_id: str) -> None:
    headers = story.model_headers[-1]
    assert "traceparent" in headers
    assert "baggage" not in headers
    assert not any(session_id in value or "u 1" in value for value in headers.values())


def spans_of(outside: Outside, trace_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Service, name and attributes with texts of every span of a trace."""
    answer = outside.get(f"/api/v1/traces/{trace_id}")
    found = []
    for group in answer.json().get("resourceSpans", []) if answer.status_code == 200 else []:
        resource = texts(group["resource"]["attributes"])
        for scope in group["scopeSpans"]:
            found += [(resource["service.name"], one["name"], texts(one["attributes"])) for one in scope["spans"]]
    return found


def texts(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: one["value"].get("stringValue") for one in attributes}
