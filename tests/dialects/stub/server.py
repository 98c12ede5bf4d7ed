"""The model APIs on one local address, which remembers the tokens that it has reported to each caller."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from decimal import Decimal
from itertools import count
from types import ModuleType
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from otel_replay.examples.chat.serving import RunningServer
from tests.dialects.conversation import EMBEDDING_TOKENS, Reply, Tokens
from tests.dialects.stub import chat_completions, gemini, messages, responses
from tests.dialects.stub.exchange import TOO_MANY, Exchange, reply_to

FIRST_EVENT_S, EVENT_S = 0.02, 0.002


class Told(NamedTuple):
    """The counts last reported of one request."""

    model: str
    tokens: Tokens


class Stub:
    """Deterministic models behind OpenAI's, Anthropic's and Gemini's HTTP APIs.

    Callers are told apart by their API key; ``told`` holds what each was told, request by request, and ``calls`` how
    often each has asked, whatever the answer; a request that its client repeats by itself is no other.
    """

    def __init__(self) -> None:
        self.told: dict[str, dict[int, Told]] = {}
        self.calls: Counter[str] = Counter()
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(count)
        self._refused: Counter[tuple[str, str]] = Counter()
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat_completions, methods=["POST"]),
                Route("/v1/responses", self._responses, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1beta/models/{model}:{method}", self._gemini, methods=["POST"]),
            ]
        )

    def sum_of(self, key: str) -> Tokens:
        """All tokens reported to one caller."""
        return Tokens(*map(sum, zip(*(astuple(one.tokens) for one in self.told[key].values()), strict=True)))

    def cost_of(self, key: str, price: Callable[[str, Tokens], Decimal]) -> Decimal:
        """What they cost, by a price for the tokens of one request."""
        return sum((price(*one) for one in self.told[key].values()), Decimal())

    async def _chat_completions(self, request: Request) -> Response:
        body = await request.json()
        return self._answer(request, chat_completions, body, bool(body.get("stream")))

    async def _responses(self, request: Request) -> Response:
        body = await request.json()
        return self._answer(request, responses, body, bool(body.get("stream")))

    async def _messages(self, request: Request) -> Response:
        body = await request.json()
        return self._answer(request, messages, body, bool(body.get("stream")))

    async def _embeddings(self, request: Request) -> Response:
        body = await request.json()
        caller = _key(request)
        self.calls[caller] += 1
        self.told.setdefault(caller, {})[next(self._numbers[caller])] = Told(body["model"], Tokens(EMBEDDING_TOKENS, 0))
        return JSONResponse(chat_completions.embeddings(body))

    async def _gemini(self, request: Request) -> Response:
        method = request.path_params["method"]
        body = {**await request.json(), "model": request.path_params["model"]}
        if method in ("embedContent", "batchEmbedContents"):
            return JSONResponse(gemini.embeddings(body))
        return self._answer(request, gemini, body, method == "streamGenerateContent")

    def _answer(self, request: Request, api: ModuleType, body: Mapping[str, Any], stream: bool) -> Response:
        self.calls[_key(request)] += request.headers.get("x-stainless-retry-count", "0") == "0"
        reply = reply_to(api.turns(body))
        if reply is None:
            return JSONResponse({"error": {"message": "Nobody has taught the stub to answer this."}}, 400)
        status = self._status(_key(request), reply)
        if status != 200:
            return JSONResponse(api.error(status), status, {"retry-after-ms": "1"})
        exchange = Exchange(_key(request), next(self._numbers[_key(request)]), body, reply)
        if stream:
            return StreamingResponse(self._events(api, exchange), media_type="text/event-stream")
        self._tell(exchange, reply.tokens)
        return JSONResponse(api.whole(exchange))

    def _status(self, caller: str, reply: Reply) -> int:
        if self._refused[caller, reply.question] < reply.refusals:
            self._refused[caller, reply.question] += 1
            return TOO_MANY
        return reply.status

    async def _events(self, api: ModuleType, exchange: Exchange) -> AsyncIterator[str]:
        await asyncio.sleep(FIRST_EVENT_S)
        for event in api.events(exchange):
            if event.told:
                self._tell(exchange, event.told)
            yield event.encoded()
            await asyncio.sleep(EVENT_S)

    def _tell(self, exchange: Exchange, tokens: Tokens) -> None:
        self.told.setdefault(exchange.caller, {})[exchange.number] = Told(exchange.model, tokens)


@contextmanager
def serving(stub: Stub) -> Iterator[str]:
    """The stub's address, for the length of the block."""
    server = RunningServer(stub.app)
    try:
        server.wait_until_started()
        yield server.url
    finally:
        server.stop()


def _key(request: Request) -> str:
    headers = request.headers
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return headers.get("x-api-key") or headers.get("x-goog-api-key") or bearer or request.query_params.get("key", "")
