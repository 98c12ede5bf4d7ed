"""The example application by itself: its model, its answers, and the spans that it exports."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from openai import InternalServerError, OpenAI
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.errors import ReplayError
from otel_replay.examples.chat import start, telemetry
from otel_replay.examples.chat.app import ChatConfig, Conversations, Question, create_app
from otel_replay.examples.chat.serving import RunningServer, start_chat
from otel_replay.examples.chat.stub import Delays, answer_to, create_stub, tokens_of
from tests.e2e import processes

pytestmark = pytest.mark.slow

AT_ONCE = Delays(0, 0)
NOWHERE = "http://127.0.0.1:9"
PARENT = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
HEADERS = {"traceparent": "00-{}-{}-01".format(*PARENT), "baggage": "session.id=s1,user.id=u1,secret=x"}


@pytest.fixture
def serve() -> Iterator[Callable[[Starlette], str]]:
    """Serves an application for the length of the test; gives its address."""
    with ExitStack() as running:

        def start_server(app: Starlette) -> str:
            server = RunningServer(app)
            running.callback(server.stop)
            server.wait_until_started()
            return server.url

        yield start_server


@pytest.fixture
def model(serve: Callable[[Starlette], str]) -> Iterator[OpenAI]:
    """The official client on the stub."""
    with OpenAI(base_url=f"{serve(create_stub(AT_ONCE))}/v1", api_key="x", max_retries=0) as client:
        yield client


class Application:
    """The application with its spans kept in memory, and the headers that its model received."""

    def __init__(self, serve: Callable[[Starlette], str]) -> None:
        self.model_headers: list[dict[str, str]] = []
        self._exporter = InMemorySpanExporter()
        self._provider = telemetry.configure(self._exporter)
        app = create_app(ChatConfig(receiver=NOWHERE, model_url=f"{serve(self._listening_stub())}/v1"))
        telemetry.instrument_app(app, self._provider)
        self.url = serve(app)

    def ask(self, message: str, conversation_id: str = "c1", **headers: str) -> requests.Response:
        body = {"message": message, "conversation_id": conversation_id}
        return requests.post(f"{self.url}/api/chat", json=body, headers=headers, timeout=20)

    def spans(self) -> dict[str, ReadableSpan]:
        """By the first word of their name, once the server's span is there: it ends after its answer is read."""
        deadline = time.monotonic() + 10
        while True:
            self._provider.force_flush()
            spans = {span.name.split()[0]: span for span in self._exporter.get_finished_spans()}
            if "POST" in spans or time.monotonic() > deadline:
                return spans
            time.sleep(0.01)

    def close(self) -> None:
        telemetry.shut_down(self._provider)

    def _listening_stub(self) -> Starlette:
        stub = create_stub(AT_ONCE)
        (complete, _) = (route.endpoint for route in stub.routes if isinstance(route, Route))

        async def listen(request: Request) -> Response:
            self.model_headers.append(dict(request.headers))
            answer: Response = await complete(request)
            return answer

        return Starlette(routes=[Route("/v1/chat/completions", listen, methods=["POST"])])


@pytest.fixture
def application(serve: Callable[[Starlette], str]) -> Iterator[Application]:
    made = Application(serve)
    yield made
    made.close()


def test_the_stub_streams_its_answer_with_usage(model: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "May I return it?"}]
    stream = model.chat.completions.create(
        model="gpt-4o-mini", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert "".join(pieces) == answer_to("May I return it?")
    assert 25 <= len(pieces) <= 40
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (4 + 5, len(pieces))
    assert [choice.finish_reason for chunk in chunks[-2:] for choice in chunk.choices] == ["stop"]


def test_the_stub_answers_whole_and_the_same_each_time(model: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "Hello"}]
    first, second = (model.chat.completions.create(model="gpt-4o-mini", messages=messages) for _ in range(2))
    assert first == second
    assert "Hello" in (first.choices[0].message.content or "")
    assert [listed.id for listed in model.models.list()] == ["gpt-4o-mini"]


def test_the_stub_fails_on_request(model: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "fail"}]
    with pytest.raises(InternalServerError, match="as it was asked to"):
        model.chat.completions.create(model="gpt-4o-mini", messages=messages)


def test_tokens_joined_are_the_text() -> None:
    for text in ("", "One.", "  two  words ", "a\nb, c!"):
        assert "".join(tokens_of(text)) == text


@pytest.mark.feature("C1")
def test_the_browsers_session_is_on_every_span(application: Application) -> None:
    assert application.ask("Can I return it?", **HEADERS).text == answer_to("Can I return it?")
    spans = application.spans()
    assert sorted(spans) == ["POST", "chat"]
    for span in spans.values():
        said = span.attributes or {}
        assert (said["session.id"], said["user.id"], "secret" in said) == ("s1", "u1", False)
        assert format(span.context.trace_id, "032x") == PARENT[0]
    said = spans["chat"].attributes or {}
    assert said["gen_ai.conversation.id"] == "c1"
    assert json.loads(str(said["gen_ai.output.messages"]))[0]["parts"][0]["content"] == answer_to("Can I return it?")
    assert spans["chat"].parent == spans["POST"].context


def test_nothing_of_the_session_is_sent_to_the_model(application: Application) -> None:
    application.ask("Can I return it?", **HEADERS)
    (headers,) = application.model_headers
    assert not {"baggage", "traceparent", "tracestate"} & set(headers)
    assert "s1" not in headers.values()


def test_the_model_hears_the_earlier_turns_of_a_conversation_only(application: Application) -> None:
    application.ask("Can I return it?")
    application.ask("Anything else?", conversation_id="c2")
    application.ask("And delivery?")
    asked = json.loads(str((application.spans()["chat"].attributes or {})["gen_ai.input.messages"]))
    assert [message["role"] for message in asked] == ["system", "user", "assistant", "user"]
    assert asked[1]["parts"][0]["content"] == "Can I return it?"


@pytest.mark.feature("K18")
def test_a_failing_model_is_told_to_the_page_and_to_the_span(application: Application) -> None:
    answer = application.ask("fail")
    assert answer.status_code == 502
    assert "as it was asked to" in answer.json()["error"]
    chat_span = application.spans()["chat"]
    assert (chat_span.status.is_ok, (chat_span.attributes or {})["error.type"]) == (False, "openai.InternalServerError")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"message": " ", "conversation_id": "c"}',
        b'{"message": "x", "conversation_id": 1}',
    ],
)
def test_what_is_no_question_is_refused(application: Application, body: bytes) -> None:
    answer = requests.post(f"{application.url}/api/chat", data=body, timeout=20)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


def test_the_page_reaches_itself_and_the_receiver_only(application: Application) -> None:
    answer = requests.get(application.url, timeout=20)
    assert f'<script src="{NOWHERE}/otel-replay.js" defer>' in answer.text
    policy = answer.headers["content-security-policy"]
    assert f"script-src 'self' {NOWHERE};" in policy
    assert "unsafe" not in policy


def test_conversations_are_bounded() -> None:
    conversations = Conversations()
    for number in range(300):
        conversations.add(Question("q", f"c{number}"), "a")
        conversations.add(Question("q", "kept"), f"a{number}")
    assert len(conversations.prompt(Question("q", "c0"))) == 2
    assert len(conversations.prompt(Question("q", "c299"))) == 4
    kept = conversations.prompt(Question("q", "kept"))
    assert (len(kept), kept[-2]) == (42, {"role": "assistant", "content": "a299"})


def test_it_stops_without_a_receiver_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    running = start_chat(NOWHERE, delays=AT_ONCE)
    assert requests.get(running.url, timeout=20).ok
    with pytest.raises(ReplayError, match="already in this process"):
        start(NOWHERE)
    running.stop()
    running.stop()
    assert set(threading.enumerate()) <= before


def test_a_taken_port_is_named_and_nothing_is_left_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = set(threading.enumerate())
        for _ in range(2):
            with pytest.raises(ReplayError, match="cannot listen on"):
                start(NOWHERE, taken.getsockname()[1])
        assert set(threading.enumerate()) <= before


def test_the_module_runs_until_it_is_told_to_stop() -> None:
    with processes.running("otel_replay.examples.chat", "--receiver", NOWHERE, "--port", "0") as program:
        url = program.wait_for(r"chat example: (http://\S+)")
        assert requests.get(url, timeout=20).ok
        assert program.stop() == 0


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['openai'] = None; from otel_replay.examples.chat import start; start('http://x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "needs the package 'openai" in done.stderr
    assert "(pip install 'otel-replay[demo]')" in done.stderr
