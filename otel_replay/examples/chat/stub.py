"""A stand-in for a language model behind OpenAI's chat completions API: deterministic answers, streamed or whole."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = "gpt-4o-mini"
RESPONSE_MODEL = "gpt-4o-mini-2024-07-18"
_CREATED = 1_763_596_800  # A fixed moment: the same question gives the same bytes.

_ANSWERS = (
    (
        ("return", "refund"),
        "You can return any book within 30 days of delivery. Keep it as you received it, print the label from your "
        "order page, and the refund arrives within five working days.",
    ),
    (
        ("deliver", "ship", "arrive"),
        "Standard delivery takes two to four working days and is free for orders over 35 euros. Express takes one "
        "working day if you choose it before 4 pm.",
    ),
    (
        ("gift", "card", "voucher"),
        "Gift cards come by e-mail within a few minutes and never expire. You can pay with several of them at once, "
        "and what is left stays on the card.",
    ),
)
_ELSE = (
    "I am a small stand-in for a language model and know about returns, delivery and gift cards only. "
    "You wrote: “{message}”. Ask me about one of those and I will help."
)


@dataclass(frozen=True, slots=True)
class Delays:
    """How long the model thinks before its first token, and between tokens, in seconds."""

    first_token: float = 0.15
    per_token: float = 0.03


def answer_to(message: str) -> str:
    """The answer to a message; the same one every time."""
    asked = message.lower()
    for words, answer in _ANSWERS:
        if any(word in asked for word in words):
            return answer
    return _ELSE.format(message=message.strip()[:200])


def tokens_of(text: str) -> list[str]:
    """The text in pieces of one word or mark each, spaces kept: joined they are the text again."""
    return re.findall(r"\s*(?:\w+|[^\w\s])|\s+$", text)


def usage_of(messages: Sequence[Mapping[str, Any]], answer: str) -> dict[str, Any]:
    """Token counts: the pieces of every message and 4 for its frame, and the pieces of the answer."""
    prompt = sum(4 + len(tokens_of(_text(message))) for message in messages)
    completion = len(tokens_of(answer))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def create_stub(delays: Delays | None = None) -> Starlette:
    """The server; the message ``fail`` is answered with status 500 and an OpenAI error."""
    pace = delays or Delays()

    async def complete(request: Request) -> Response:
        body = await request.json()
        messages = body.get("messages") or []
        asked = _text(messages[-1]) if messages else ""
        if asked.strip().lower() == "fail":
            return _error(500, "server_error", "The model failed, as it was asked to.")
        reply = _Reply(
            _digest(body), body.get("model") or MODEL, answer_to(asked), usage_of(messages, answer_to(asked))
        )
        if not body.get("stream"):
            await asyncio.sleep(pace.first_token)
            return JSONResponse(reply.whole())
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return StreamingResponse(reply.stream(pace, with_usage), media_type="text/event-stream")

    async def models(_: Request) -> Response:
        model = {"id": MODEL, "object": "model", "created": _CREATED, "owned_by": "otel-replay"}
        return JSONResponse({"object": "list", "data": [model]})

    routes = [Route("/v1/chat/completions", complete, methods=["POST"]), Route("/v1/models", models)]
    return Starlette(routes=routes)


@dataclass(frozen=True, slots=True)
class _Reply:
    """One completion in OpenAI's shapes."""

    digest: str
    model: str
    answer: str
    usage: Mapping[str, Any]

    def whole(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.answer, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage}

    async def stream(self, pace: Delays, with_usage: bool) -> AsyncIterator[str]:
        await asyncio.sleep(pace.first_token)
        yield self._chunk({"role": "assistant", "content": ""})
        for token in tokens_of(self.answer):
            yield self._chunk({"content": token})
            await asyncio.sleep(pace.per_token)
        yield self._chunk({}, "stop")
        if with_usage:
            yield _event({**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage})
        yield "data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return _event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        model = RESPONSE_MODEL if self.model == MODEL else self.model
        return {"id": f"chatcmpl-{self.digest}", "object": kind, "created": _CREATED, "model": model}


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:24]


def _event(payload: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(payload, separators=(',', ':'))}\n\n"


def _error(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": None}}, status)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""
