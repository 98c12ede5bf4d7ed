"""LiteLLM in front of OpenAI's chat completions."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import litellm

from tests.dialects.apps.clients.openai_chat import TOOL
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
    TOOL_RESULT,
)
from tests.dialects.conversation import OPENAI as VENDOR


def play(stub: str, key: str) -> None:
    address: dict[str, Any] = {"api_base": f"{stub}/v1", "api_key": key, "max_retries": 0}
    complete: Any = partial(
        litellm.completion,
        model=f"openai/{VENDOR.model}",
        temperature=TEMPERATURE,
        max_tokens=MAX_TOKENS,
        **address,
    )
    history: list[dict[str, Any]] = [_said("system", SYSTEM), _said("user", QUESTION)]
    with step("tools"):
        asked = complete(messages=history, tools=[TOOL]).choices[0].message
        calls = [call.model_dump() for call in asked.tool_calls]
        history += [
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": calls[0]["id"], "content": json.dumps(TOOL_RESULT)},
        ]
        answer = complete(messages=history, tools=[TOOL]).choices[0].message.content
    with step("stream"):
        history += [_said("assistant", answer), _said("user", FOLLOW_UP)]
        for _ in complete(messages=history, stream=True, stream_options={"include_usage": True}):
            pass
    with step("error"), suppress(litellm.exceptions.InternalServerError):
        complete(messages=[_said("user", FAIL)])
    with step("abandoned"):
        stream = complete(messages=[_said("user", COUNT)], stream=True)
        list(islice(stream, CHUNKS_READ))
        del stream
    with step("image"):
        picture = {"type": "image_url", "image_url": {"url": DATA_URL}}
        complete(messages=[_said("user", [{"type": "text", "text": LOOK}, picture])])
    with step("embedding"):
        litellm.embedding(model=f"openai/{VENDOR.embedding_model}", input=[EMBEDDED], **address)


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}
