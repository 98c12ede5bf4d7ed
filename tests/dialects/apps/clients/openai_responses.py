"""OpenAI's client, responses."""

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
    BUSY,
    COUNT,
    DATA_URL,
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

TOOL = {"type": "function", "name": TOOL_NAME, "description": TOOL_DESCRIPTION, "parameters": TOOL_PARAMETERS}


def play(stub: str, key: str) -> None:
    client = OpenAI(base_url=f"{stub}/v1", api_key=key, max_retries=0)
    create: Any = partial(
        client.responses.create, model=VENDOR.model, temperature=TEMPERATURE, max_output_tokens=MAX_TOKENS
    )
    history: list[dict[str, Any]] = [_said("user", QUESTION)]
    with step("tools"):
        call = create(instructions=SYSTEM, input=history, tools=[TOOL]).output[0]
        asked = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
        result = {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps(TOOL_RESULT)}
        history += [asked, result]
        answer = create(instructions=SYSTEM, input=history, tools=[TOOL]).output_text
    with step("stream"):
        history += [_said("assistant", answer), _said("user", FOLLOW_UP)]
        for _ in create(instructions=SYSTEM, input=history, stream=True):
            pass
    with step("error"), suppress(openai.InternalServerError):
        create(input=FAIL)
    with step("abandoned"):
        stream = create(input=COUNT, stream=True)
        list(islice(stream, CHUNKS_READ))
        del stream
    with step("image"):
        picture = {"type": "input_image", "image_url": DATA_URL}
        create(input=[_said("user", [{"type": "input_text", "text": LOOK}, picture])])
    with step("refused"), suppress(openai.RateLimitError):
        create(input=BUSY)
    with step("retried"):
        client.max_retries = 1
        create(input=BUSY)


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}
