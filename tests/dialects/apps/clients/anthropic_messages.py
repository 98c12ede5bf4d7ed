"""Anthropic's client, which has no temperature any more."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import anthropic

from tests.dialects.apps.steps import CHUNKS_READ, step
from tests.dialects.conversation import ANTHROPIC as VENDOR
from tests.dialects.conversation import (
    BUSY,
    COUNT,
    FAIL,
    FOLLOW_UP,
    LOOK,
    MAX_TOKENS,
    PNG,
    QUESTION,
    SYSTEM,
    TOOL_DESCRIPTION,
    TOOL_NAME,
    TOOL_PARAMETERS,
    TOOL_RESULT,
)

TOOL = {"name": TOOL_NAME, "description": TOOL_DESCRIPTION, "input_schema": TOOL_PARAMETERS}


def play(stub: str, key: str) -> None:
    client = anthropic.Anthropic(base_url=stub, api_key=key, max_retries=0)
    create: Any = partial(client.messages.create, model=VENDOR.model, max_tokens=MAX_TOKENS)
    history = [_said("user", QUESTION)]
    with step("tools"):
        call = create(system=SYSTEM, messages=history, tools=[TOOL]).content[0]
        asked = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
        result = {"type": "tool_result", "tool_use_id": call.id, "content": json.dumps(TOOL_RESULT)}
        history += [_said("assistant", [asked]), _said("user", [result])]
        answer = create(system=SYSTEM, messages=history, tools=[TOOL]).content[0].text
    with step("stream"):
        history += [_said("assistant", answer), _said("user", FOLLOW_UP)]
        for _ in create(system=SYSTEM, messages=history, stream=True):
            pass
    with step("error"), suppress(anthropic.InternalServerError):
        create(messages=[_said("user", FAIL)])
    with step("abandoned"):
        stream = create(messages=[_said("user", COUNT)], stream=True)
        list(islice(stream, CHUNKS_READ))
        del stream
    with step("image"):
        picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
        create(messages=[_said("user", [{"type": "text", "text": LOOK}, picture])])
    with step("refused"), suppress(anthropic.RateLimitError):
        create(messages=[_said("user", BUSY)])
    with step("retried"):
        client.max_retries = 1
        create(messages=[_said("user", BUSY)])


def _said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}
