"""pydantic-ai on OpenAI's chat completions: it runs the tools itself."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, ModelSettings, Tool
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.dialects.apps.steps import CHUNKS_READ, step
from tests.dialects.conversation import (
    COUNT,
    FAIL,
    FOLLOW_UP,
    LOOK,
    MAX_TOKENS,
    PNG,
    QUESTION,
    SYSTEM,
    TEMPERATURE,
    TOOL_DESCRIPTION,
    TOOL_NAME,
    TOOL_RESULT,
)
from tests.dialects.conversation import OPENAI as VENDOR


async def get_weather(city: str) -> dict[str, Any]:
    return TOOL_RESULT


def play(stub: str, key: str) -> None:
    asyncio.run(_play(stub, key))


async def _play(stub: str, key: str) -> None:
    model = model_of(stub, key)
    settings = ModelSettings(temperature=TEMPERATURE, max_tokens=MAX_TOKENS)
    tool: Any = Tool(get_weather, name=TOOL_NAME, description=TOOL_DESCRIPTION)
    expert = Agent(model, name="Weather", instructions=SYSTEM, model_settings=settings, tools=[tool])
    brief = Agent(model, name="Weather", instructions=SYSTEM, model_settings=settings)
    plain = Agent(model, name="Plain", model_settings=settings)
    with step("tools"):
        answered = await expert.run(QUESTION, conversation_id=key)
    with step("stream"):
        async with brief.run_stream(FOLLOW_UP, message_history=answered.all_messages()) as stream:
            async for _ in stream.stream_text(delta=True):
                pass
    with step("error"), suppress(ModelHTTPError):
        await plain.run(FAIL, conversation_id=key)
    with step("abandoned"):
        await _abandon(plain, key)
    with step("image"):
        picture = BinaryContent(base64.b64decode(PNG), media_type="image/png")
        await plain.run([LOOK, picture], conversation_id=key)


async def _abandon(agent: Agent, conversation: str) -> None:
    read = 0
    async with agent.run_stream(COUNT, conversation_id=conversation) as stream:
        async for _ in stream.stream_text(delta=True, debounce_by=None):
            read += 1
            if read == CHUNKS_READ:
                break


def model_of(stub: str, key: str) -> OpenAIChatModel:
    client = AsyncOpenAI(base_url=f"{stub}/v1", api_key=key, max_retries=0)
    return OpenAIChatModel(VENDOR.model, provider=OpenAIProvider(openai_client=client))
