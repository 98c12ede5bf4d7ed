"""LiteLLM in front of OpenAI's chat completions."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

import litellm

from tests.dialects.apps.chat import PICTURE, TOOL, History, said
from tests.dialects.apps.steps import CHUNKS_READ, step
from tests.dialects.conversation import COUNT, EMBEDDED, FAIL, MAX_TOKENS, TEMPERATURE
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
    history = History()
    with step("tools"):
        history.called(complete(messages=history.messages, tools=[TOOL]).choices[0].message.tool_calls)
        history.answered(complete(messages=history.messages, tools=[TOOL]).choices[0].message.content)
    with step("stream"):
        for _ in complete(messages=history.messages, stream=True, stream_options={"include_usage": True}):
            pass
    with step("error"), suppress(litellm.exceptions.InternalServerError):
        complete(messages=[said("user", FAIL)])
    with step("abandoned"):
        stream = complete(messages=[said("user", COUNT)], stream=True)
        list(islice(stream, CHUNKS_READ))
        del stream
    with step("image"):
        complete(messages=[PICTURE])
    with step("embedding"):
        litellm.embedding(model=f"openai/{VENDOR.embedding_model}", input=[EMBEDDED], **address)
