"""OpenAI's client, chat completions."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import openai
from openai import OpenAI

from tests.dialects.apps.steps import CHUNKS_READ, step
from tests.dialects.conversation import (
    COUNT,
    DATA_URL,
    EMBEDDED,
    FAIL,
    FOLLOW_UP,
    LOOK,
    MAX_TOKENS,
    QUESTION,
    SYSTEM,
    TEMPERATURE,
    TOOL_DESCRIPTION,
    TOOL_NAME,
    TOOL_PARAMETERS,
    TOOL_RESULT,
)
from tests.dialects.conversation import OPENAI as VENDOR

TOOL = {
    "type": "function",
    "function": {"name": TOOL_NAME, "description": TOOL_DESCRIPTION, "parameters": TOOL_PARAMETERS},
}


def play(stub: str, key: str) -> None:
    client = OpenAI(base_url=f"{stub}/v1", api_key=key, max_retries=0)
    create: Any = partial(
        client.chat.completions.create, model=VENDOR.model, temperature=TEMPERATURE, max_tokens=MAX_TOKENS
    )
    history: list[dict[str, Any]] = [_said("system", SYSTEM), _said("user", QUESTION)]
    with step("tools"):
        asked = create(messages=history, tools=[TOOL]).choices[0].message
        calls = [call.model_dump() for call in asked.tool_calls]
        history += [
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": calls[0]["id"], "content": json.dumps(TOOL_RESULT)},
        ]
        answer = create(messages=history, tools=[TOOL]).choices[0].message.content
    with step("stream"):
        history += [_said("assistant", answer), _said("user", FOLLOW_UP)]
        for _ in create(messages=history, stream=True, stream_options={"include_usage": True}):
            pass
    with step("error"), suppress(openai.InternalServerError):
        create(messages=[_said("user", FAIL)])
    with step("abandoned"):
        stream = create(messages=[_said("user", COUNT)], stream=True)
        list(islice(stream, CHUNKS_READ))
        del stream
    with step("image"):
        picture = {"type": "image_url", "image_url": {"url": DATA_URL}}
        create(messages=[_said("user", [{"type": "text", "text": LOOK}, picture])])
    with step("embedding"):
        client.embeddings.create(model=VENDOR.embedding_model, input=EMBEDDED)


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}
