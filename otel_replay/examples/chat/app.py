"""The chat application: a page, and an API that asks the model and streams its answer."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from openai import AsyncOpenAI, AsyncStream, OpenAIError
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from otel_replay.sdk import chat

_STATIC = Path(__file__).parent / "static"
_SYSTEM_PROMPT = "You answer questions of the customers of Acorn Books, in two sentences."
_MAX_MESSAGE = 4_000
_MAX_CONVERSATIONS = 100
_MAX_TURNS = 20


@dataclass(frozen=True, slots=True)
class ChatConfig:
    """``receiver``: where the page loads its recorder from and sends it to; ``model_url``: an OpenAI-compatible API."""

    receiver: str
    model_url: str
    model: str = "gpt-4o-mini"
    api_key: str = "not-needed-by-the-stub"


@dataclass(frozen=True, slots=True)
class Question:
    """What the page asks, checked."""

    message: str
    conversation_id: str

    @classmethod
    def from_json(cls, body: bytes) -> Question:
        """Raises ``ValueError`` that says what is wrong."""
        try:
            asked = json.loads(body)
        except ValueError:
            raise ValueError("the body is not JSON") from None
        if not isinstance(asked, dict):
            raise ValueError("the body is not a JSON object")
        return cls(_field(asked, "message", _MAX_MESSAGE), _field(asked, "conversation_id", 64))


class Conversations:
    """The latest turns of the latest conversations, in memory."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, list[ChatCompletionMessageParam]] = OrderedDict()

    def prompt(self, question: Question) -> list[ChatCompletionMessageParam]:
        """What the model is asked: instructions, the conversation so far, and the new message."""
        earlier = self._turns.get(question.conversation_id, [])
        return [
            {"role": "system", "content": _SYSTEM_PROMPT},
            *earlier[-2 * _MAX_TURNS :],
            {"role": "user", "content": question.message},
        ]

    def add(self, question: Question, answer: str) -> None:
        """Remember a turn; the conversation that was quiet for longest is forgotten."""
        turns = self._turns.setdefault(question.conversation_id, [])
        turns += [{"role": "user", "content": question.message}, {"role": "assistant", "content": answer}]
        self._turns.move_to_end(question.conversation_id)
        while len(self._turns) > _MAX_CONVERSATIONS:
            self._turns.popitem(last=False)


def create_app(config: ChatConfig) -> Starlette:
    """The page at ``/`` and ``POST /api/chat {"message", "conversation_id"}``, answered as a stream of plain text."""
    client = AsyncOpenAI(base_url=config.model_url, api_key=config.api_key, max_retries=0)
    conversations = Conversations()
    page = _page(config)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    async def index(_: Request) -> Response:
        return page

    async def ask(request: Request) -> Response:
        try:
            question = Question.from_json(await request.body())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        try:
            with chat("Customer questions", question.conversation_id):
                stream = await client.chat.completions.create(
                    model=config.model,
                    messages=conversations.prompt(question),
                    stream=True,
                    stream_options={"include_usage": True},
                )
        except OpenAIError as error:
            return JSONResponse({"error": f"The model could not answer: {error}"}, 502)
        return StreamingResponse(
            _answer(stream, conversations, question), media_type="text/plain", headers={"cache-control": "no-store"}
        )

    routes = [
        Route("/", index),
        Route("/api/chat", ask, methods=["POST"]),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _answer(
    stream: AsyncStream[ChatCompletionChunk], conversations: Conversations, question: Question
) -> AsyncIterator[str]:
    """The answer's text as it comes; a whole answer is remembered."""
    said: list[str] = []
    async with stream:
        async for chunk in stream:
            text = chunk.choices[0].delta.content if chunk.choices else None
            if text:
                said.append(text)
                yield text
    conversations.add(question, "".join(said))


def _page(config: ChatConfig) -> HTMLResponse:
    """The page, under a policy that lets it reach this server and the receiver and nobody else."""
    html = Template((_STATIC / "index.html").read_text("utf-8")).substitute(receiver=escape(config.receiver))
    policy = (
        f"default-src 'none'; script-src 'self' {config.receiver}; connect-src 'self' {config.receiver}; "
        "style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return HTMLResponse(html, headers={"content-security-policy": policy, "cache-control": "no-store"})


def _field(asked: dict[str, Any], name: str, longest: int) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name!r} is not a text")
    if len(value) > longest:
        raise ValueError(f"{name!r} has more than {longest} characters")
    return value
