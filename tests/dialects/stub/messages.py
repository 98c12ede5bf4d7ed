"""Anthropic's messages: counts leave what the cache served or took out of ``input_tokens``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.dialects.conversation import ERROR, Tokens
from tests.dialects.stub.exchange import TOO_MANY, Event, Exchange, Json, Turn, event, texts


def turns(body: Mapping[str, Any]) -> list[Turn]:
    return [_turn(message["content"]) for message in body["messages"] if message["role"] == "user"]


def whole(exchange: Exchange) -> Json:
    head = _head(exchange, usage(exchange.reply.tokens))
    return {**head, "content": [_block(exchange)], "stop_reason": _stop(exchange)}


def events(exchange: Exchange) -> Iterator[Event]:
    tokens = exchange.reply.tokens
    begun = Tokens(tokens.input, 1, tokens.cache_read, tokens.cache_write)
    head = {**_head(exchange, usage(begun)), "content": [], "stop_reason": None}
    yield _event("message_start", begun, message=head)
    if exchange.reply.call:
        yield _event("content_block_start", index=0, content_block={**_block(exchange), "input": {}})
        delta = {"type": "input_json_delta", "partial_json": exchange.arguments()}
        yield _event("content_block_delta", index=0, delta=delta)
    else:
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield _event("ping")
        for piece in exchange.pieces():
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield _event("content_block_stop", index=0)
    stop = {"stop_reason": _stop(exchange), "stop_sequence": None}
    yield _event("message_delta", tokens, delta=stop, usage=usage(tokens))
    yield _event("message_stop")


def error(status: int) -> Json:
    kind = "rate_limit_error" if status == TOO_MANY else "api_error"
    return {"type": "error", "error": {"type": kind, "message": ERROR}, "request_id": None}


def usage(tokens: Tokens) -> Json:
    return {
        "input_tokens": tokens.input - tokens.cache_read - tokens.cache_write,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_creation": {"ephemeral_5m_input_tokens": tokens.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens.output,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        "service_tier": "standard",
    }


def _turn(content: Any) -> Turn:
    blocks = content if isinstance(content, list) else []
    return Turn(texts(content), any(block.get("type") == "tool_result" for block in blocks))


def _head(exchange: Exchange, used: Json) -> Json:
    return {
        "id": exchange.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": exchange.model,
        "stop_sequence": None,
        "usage": used,
    }


def _block(exchange: Exchange) -> Json:
    call = exchange.reply.call
    if call is None:
        return {"type": "text", "text": exchange.reply.text}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def _stop(exchange: Exchange) -> str:
    return "tool_use" if exchange.reply.call else "end_turn"


def _event(kind: str, told: Tokens | None = None, **fields: Any) -> Event:
    return event({"type": kind, **fields}, kind, told)
