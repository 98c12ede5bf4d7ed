"""Gemini's generateContent and embedContent: ``candidatesTokenCount`` leaves the thoughts out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.dialects.conversation import ERROR, Tokens
from tests.dialects.stub.exchange import TOO_MANY, Event, Exchange, Json, Turn, event, texts


def turns(body: Mapping[str, Any]) -> list[Turn]:
    return [
        Turn(texts(content["parts"]), any("functionResponse" in part for part in content["parts"]))
        for content in body["contents"]
        if content.get("role", "user") != "model"
    ]


def whole(exchange: Exchange) -> Json:
    call = exchange.reply.call
    part: Json = {"text": exchange.reply.text}
    if call:
        part = {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}}
    return _answer(exchange, part, "STOP", usage(exchange.reply.tokens))


def events(exchange: Exchange) -> Iterator[Event]:
    """Chunks count the prompt; only the last counts what was answered."""
    tokens = exchange.reply.tokens
    if exchange.reply.call:
        yield event(whole(exchange), told=tokens)
        return
    begun = {"promptTokenCount": tokens.input, "totalTokenCount": tokens.input}
    for piece in exchange.pieces():
        yield event(_answer(exchange, {"text": piece}, None, begun), told=Tokens(tokens.input, 0))
    yield event(_answer(exchange, {"text": ""}, "STOP", usage(tokens)), told=tokens)


def error(status: int) -> Json:
    kind = "RESOURCE_EXHAUSTED" if status == TOO_MANY else "INTERNAL"
    return {"error": {"code": status, "message": ERROR, "status": kind}}


def embeddings(body: Mapping[str, Any]) -> Json:
    """The same three numbers for every input."""
    embedding = {"values": [0.25, 0.5, 0.75]}
    if "requests" in body:
        return {"embeddings": [embedding for _ in body["requests"]]}
    return {"embedding": embedding}


def usage(tokens: Tokens) -> Json:
    return {
        "promptTokenCount": tokens.input,
        "cachedContentTokenCount": tokens.cache_read,
        "candidatesTokenCount": tokens.output - tokens.reasoning,
        "thoughtsTokenCount": tokens.reasoning,
        "totalTokenCount": tokens.input + tokens.output,
    }


def _answer(exchange: Exchange, part: Json, finish: str | None, used: Json) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": [part]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": used,
        "modelVersion": exchange.model,
        "responseId": exchange.id("gemini-"),
    }
