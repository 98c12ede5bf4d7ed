"""An agent of OpenAI's agents SDK that asks another, which calls a tool: four model calls in one run."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio

from agents import Agent, RunConfig, Runner, set_default_openai_client
from openai import AsyncOpenAI

from tests.dialects.apps.clients.openai_agents import SETTINGS, get_weather
from tests.dialects.apps.steps import step
from tests.dialects.conversation import EXPERT_TOOL, SYSTEM, TRIP
from tests.dialects.conversation import OPENAI as VENDOR


def play(stub: str, key: str) -> None:
    set_default_openai_client(AsyncOpenAI(base_url=f"{stub}/v1", api_key=key, max_retries=0), use_for_tracing=False)
    expert = Agent("Weather", instructions=SYSTEM, model=VENDOR.model, model_settings=SETTINGS, tools=[get_weather])
    asks = expert.as_tool(EXPERT_TOOL, "Knows the weather.")
    planner = Agent("Planner", instructions="Plan days.", model=VENDOR.model, model_settings=SETTINGS, tools=[asks])
    with step("trip"):
        asyncio.run(Runner.run(planner, TRIP, run_config=RunConfig(group_id=key)))
