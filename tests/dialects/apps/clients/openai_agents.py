"""OpenAI's agents SDK, on responses: it runs the tools itself."""

# mypy: disable-error-code="import-not-found,untyped-decorator"
from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import openai
from agents import Agent, ModelSettings, RunConfig, Runner, function_tool, set_default_openai_client
from openai import AsyncOpenAI

from tests.dialects.apps.steps import CHUNKS_READ, step
from tests.dialects.conversation import (
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
    TOOL_RESULT,
)
from tests.dialects.conversation import OPENAI as VENDOR

SETTINGS = ModelSettings(temperature=TEMPERATURE, max_tokens=MAX_TOKENS)


@function_tool(name_override=TOOL_NAME, description_override=TOOL_DESCRIPTION)
def get_weather(city: str) -> str:
    return json.dumps(TOOL_RESULT)


def play(stub: str, key: str) -> None:
    asyncio.run(_play(stub, key))


async def _play(stub: str, key: str) -> None:
    set_default_openai_client(AsyncOpenAI(base_url=f"{stub}/v1", api_key=key, max_retries=0), use_for_tracing=False)
    config = RunConfig(group_id=key)
    expert = Agent("Weather", instructions=SYSTEM, model=VENDOR.model, model_settings=SETTINGS, tools=[get_weather])
    plain = Agent("Plain", model=VENDOR.model, model_settings=SETTINGS)
    with step("tools"):
        answered = await Runner.run(expert, QUESTION, run_config=config)
    with step("stream"):
        followed = Runner.run_streamed(
            expert.clone(tools=[]), [*answered.to_input_list(), _said(FOLLOW_UP)], run_config=config
        )
        async for _ in followed.stream_events():
            pass
    with step("error"), suppress(openai.InternalServerError):
        await Runner.run(plain, FAIL, run_config=config)
    with step("abandoned"):
        await _abandon(Runner.run_streamed(plain, COUNT, run_config=config))
    with step("image"):
        picture = {"type": "input_image", "image_url": DATA_URL, "detail": "auto"}
        await Runner.run(plain, [_said([{"type": "input_text", "text": LOOK}, picture])], run_config=config)


async def _abandon(run: Any) -> None:
    read = 0
    async for _ in run.stream_events():
        read += 1
        if read == CHUNKS_READ:
            break
    run.cancel()


def _said(content: Any) -> Any:
    return {"role": "user", "content": content}
