"""OpenAI's client, chat completions."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import openai
from openai import OpenAI

from tests.dialects.apps.chat import PICTURE, TOOL, History, said
from tests.dialects.apps.steps import CHUNKS_READ, step
from tests.dialects.conversation import BUSY, COUNT, EMBEDDED, FAIL, MAX_TOKENS, TEMPERATURE
from tests.dialects.conversation import OPENAI as VENDOR


def play(stub: str, key: str) -> None:
    client = OpenAI(base_url=f"{stub}/v1", api_key=key, max_retries=0)
    create: Any = partial(
        client.chat.completions.create, model=VENDOR.model, temperature=TEMPERATURE, max_tokens=MAX_TOKENS
    )
    history = History()
    with step("tools"):
        history.called(create(messages=history.messages, tools=[TOOL]).choices[0].message.tool_calls)
        history.answered(create(messages=history.messages, tools=[TOOL]).choices[0].message.content)
    with step("stream"):
        for _ in create(messages=history.messages, stream=True, stream_options={"include_usage": True}):
            pass
    with step("error"), suppress(openai.InternalServerError):
        create(messages=[said("user", FAIL)])
    with step("abandoned"):
        stream = create(messages=[said("user", COUNT)], stream=True)
        list(islice(stream, CHUNKS_READ))
        del stream
    with step("image"):
        create(messages=[PICTURE])
    with step("refused"), suppress(openai.RateLimitError):
        create(messages=[said("user", BUSY)])
    with step("retried"):
        client.max_retries = 1
        create(messages=[said("user", BUSY)])
    with step("embedding"):
        client.embeddings.create(model=VENDOR.embedding_model, input=EMBEDDED)
