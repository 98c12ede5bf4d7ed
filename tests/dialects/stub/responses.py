"""OpenAI's responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from tests.dialects.conversation import ERROR, Tokens
from tests.dialects.stub.exchange import TOO_MANY, Event, Exchange, Json, Turn, event, texts

_CREATED = 1_763_596_800


def turns(body: Mapping[str, Any]) -> list[Turn]:
    asked = body["input"]
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    found = []
    for item in items:
        if item.get("type") == "function_call_output":
            found.append(Turn(texts(item.get("output")), is_result=True))
        elif item.get("role") == "user":
            found.append(Turn(texts(item["content"])))
    return found


def whole(exchange: Exchange) -> Json:
    return _response(exchange, "completed", [_item(exchange)], usage(exchange.reply.tokens))


def events(exchange: Exchange) -> Iterator[Event]:
    numbers = count()

    def told(kind: str, tokens: Tokens | None = None, **fields: Any) -> Event:
        return event({"type": kind, "sequence_number": next(numbers), **fields}, kind, tokens)

    yield told("response.created", response=_response(exchange, "in_progress", [], None))
    yield told("response.in_progress", response=_response(exchange, "in_progress", [], None))
    item = _item(exchange)
    if exchange.reply.call:
        begun = {**item, "arguments": "", "status": "in_progress"}
        yield told("response.output_item.added", output_index=0, item=begun)
        place = {"item_id": item["id"], "output_index": 0}
        yield told("response.function_call_arguments.delta", delta=item["arguments"], **place)
        yield told("response.function_call_arguments.done", arguments=item["arguments"], name=item["name"], **place)
    else:
        begun = {**item, "content": [], "status": "in_progress"}
        yield told("response.output_item.added", output_index=0, item=begun)
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        yield told("response.content_part.added", part=_text(""), **place)
        for piece in exchange.pieces():
            yield told("response.output_text.delta", delta=piece, logprobs=[], **place)
        yield told("response.output_text.done", text=exchange.reply.text, logprobs=[], **place)
        yield told("response.content_part.done", part=_text(exchange.reply.text), **place)
    yield told("response.output_item.done", output_index=0, item=item)
    yield told("response.completed", exchange.reply.tokens, response=whole(exchange))


def error(status: int) -> Json:
    kind, code = ("requests", "rate_limit_exceeded") if status == TOO_MANY else ("server_error", None)
    return {"error": {"message": ERROR, "type": kind, "param": None, "code": code}}


def usage(tokens: Tokens) -> Json:
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cache_read, "cache_write_tokens": tokens.cache_write},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


def _item(exchange: Exchange) -> Json:
    call = exchange.reply.call
    if call is None:
        message: Json = {"type": "message", "id": exchange.id("msg_"), "status": "completed", "role": "assistant"}
        return {**message, "content": [_text(exchange.reply.text)]}
    return {
        "type": "function_call",
        "id": f"fc_{call.id}",
        "call_id": call.id,
        "name": call.name,
        "arguments": exchange.arguments(),
        "status": "completed",
    }


def _text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(exchange: Exchange, status: str, output: list[Json], used: Json | None) -> Json:
    """The object with what the request asked for repeated in it, as the API does."""
    body = exchange.body
    return {
        "id": exchange.id("resp_"),
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": exchange.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": used,
        "user": None,
        "metadata": {},
    }
