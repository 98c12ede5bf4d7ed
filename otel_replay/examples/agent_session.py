"""An agent that thinks, calls a tool and answers; its steps come out of an async generator, inside one session.

::

    python -m otel_replay.examples.agent_session http://127.0.0.1:4318
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import click
from opentelemetry import trace

import otel_replay
from otel_replay.sdk import chat, current_session

tracer = trace.get_tracer(__name__)


@chat("Weather", system_prompt="You look things up before you answer.")
async def steps(question: str) -> AsyncIterator[str]:
    """What the agent says while it works; all of it is one conversation."""
    visit = current_session()
    assert visit is not None  # the caller has entered one
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Forecaster"}
    with tracer.start_as_current_span("invoke_agent Forecaster", attributes=agent):
        yield "Looking it up."
        tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_weather"}
        with tracer.start_as_current_span("execute_tool get_weather", attributes=tool):
            await asyncio.sleep(0)
        visit.record_interaction(model="gpt-4o-mini", prompt=question, response="Sunny.", input_tokens=9)
        yield "Sunny."


async def run() -> str:
    async with otel_replay.session(user_id="eve", feature="agent") as visit:
        said = [step async for step in steps("What is the weather in Graz?")]
        visit.record_action("answer shown", target=said[-1])
        visit.end()
    return visit.session_id


def main(endpoint: str = "http://127.0.0.1:4318") -> str:
    """Records one session; gives its id."""
    recording = otel_replay.instrument(endpoint, "agent-example")
    session_id = asyncio.run(run())
    recording.shutdown()
    return session_id


if __name__ == "__main__":
    click.echo(main(*sys.argv[1:]))
