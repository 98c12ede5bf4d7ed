"""A pydantic-ai agent that asks another, which calls a tool: four model calls in one run."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import asyncio
from typing import Any

from pydantic_ai import Agent, Tool

from tests.dialects.apps.clients.pydantic_agent import get_weather, model_of
from tests.dialects.apps.steps import step
from tests.dialects.conversation import EXPERT_TOOL, SYSTEM, TOOL_DESCRIPTION, TOOL_NAME, TRIP


def play(stub: str, key: str) -> None:
    model = model_of(stub, key)
    weather: Any = Tool(get_weather, name=TOOL_NAME, description=TOOL_DESCRIPTION)
    expert = Agent(model, name="Weather", instructions=SYSTEM, tools=[weather])

    async def ask(input: str) -> str:  # noqa: A002  # the argument that the model sends
        answered: str = (await expert.run(input)).output
        return answered

    asks: Any = Tool(ask, name=EXPERT_TOOL, description="Knows the weather.")
    planner = Agent(model, name="Planner", instructions="Plan days.", tools=[asks])
    with step("trip"):
        asyncio.run(planner.run(TRIP))
