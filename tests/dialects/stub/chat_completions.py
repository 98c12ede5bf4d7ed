"""OpenAI's chat completions and embeddings."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tests.dialects.conversation import EMBEDDING_TOKENS, ERROR, Tokens
from tests.dialects.stub.exchange import TOO_MANY, Event, Exchange, Json, Turn, event, texts

_CREATED = 1_763_596_800


def turns(body: Mapping[str, Any]) -> list[Turn]:
    return [
        Turn(texts(message.get("content")), message["role"] == "tool")
        for message in body["messages"]
        if message["role"] in ("user", "tool")
    ]


def whole(exchange: Exchange) -> Json:
    reply = exchange.reply
    message: Json = {"role": "assistant", "content": reply.text or None, "refusal": None}
    if reply.call:
        message["tool_calls"] = [_call(exchange)]
    choice = {"index": 0, "message": message, "finish_reason": _finish(exchange), "logprobs": None}
    return {**_head(exchange, "chat.completion"), "choices": [choice], "usage": usage(reply.tokens)}


def events(exchange: Exchange) -> Iterator[Event]:
    yield _chunk(exchange, {"role": "assistant", "content": "", "refusal": None})
    if exchange.reply.call:
        call, arguments = _call(exchange), exchange.arguments()
        call["function"]["arguments"] = ""
        yield _chunk(exchange, {"tool_calls": [{"index": 0, **call}]})
        for piece in (arguments[:5], arguments[5:]):
            yield _chunk(exchange, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    for piece in exchange.pieces():
        yield _chunk(exchange, {"content": piece})
    yield _chunk(exchange, {}, _finish(exchange))
    if (exchange.body.get("stream_options") or {}).get("include_usage"):
        tokens = exchange.reply.tokens
        head = _head(exchange, "chat.completion.chunk")
        yield event({**head, "choices": [], "usage": usage(tokens)}, told=tokens)
    yield Event("[DONE]")


def error(status: int) -> Json:
    kind, code = ("requests", "rate_limit_exceeded") if status == TOO_MANY else ("server_error", None)
    return {"error": {"message": ERROR, "type": kind, "param": None, "code": code}}


def embeddings(body: Mapping[str, Any]) -> Json:
    """The same three numbers for every input."""
    vector: Any = [0.25, 0.5, 0.75]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<3f", *vector)).decode()
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(inputs))],
        "model": body["model"],
        "usage": {"prompt_tokens": EMBEDDING_TOKENS, "total_tokens": EMBEDDING_TOKENS},
    }


def usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call(exchange: Exchange) -> Json:
    call = exchange.reply.call
    assert call is not None
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": exchange.arguments()}}


def _finish(exchange: Exchange) -> str:
    return "tool_calls" if exchange.reply.call else "stop"


def _chunk(exchange: Exchange, delta: Mapping[str, Any], finish_reason: str | None = None) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return event({**_head(exchange, "chat.completion.chunk"), "choices": [choice]})


def _head(exchange: Exchange, kind: str) -> Json:
    return {"id": exchange.id("chatcmpl-"), "object": kind, "created": _CREATED, "model": exchange.model}
