"""What each dialect writes of the conversation, and what it cannot say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_replay.model import Usage

from .conversation import ANSWER, EXPECTED, INPUT, OPENAI_MESSAGES, OUTPUT, TOOL
from .spans_of_conventions import DEPRECATED, MESSAGE_EVENTS, OPENINFERENCE, OTEL, OTEL_CONTENT, TRACELOOP, VERCEL
from .spans_of_products import (
    GENKIT,
    GOOGLE_ADK,
    LAMINAR,
    LANGFUSE,
    LANGSMITH,
    LIVEKIT,
    LOGFIRE,
    MLFLOW,
    OPENLIT,
    PYDANTIC_AI,
    PYDANTIC_AI_V1,
)


@dataclass(frozen=True)
class Written:
    """A span, the log events of its trace, and the fields of :data:`EXPECTED` that the dialect has otherwise."""

    attributes: Mapping[str, Any]
    lacks: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """Span events; their times are the start and 250 ms."""
    logs: Sequence[tuple[str, Mapping[str, Any], Any]] = ()
    """(event name, attributes, body)"""


TOTALS = Usage(input=100, output=20)
_NO_PARTS = {"usage": TOTALS, "cost_usd": None, "time_to_first_token_ns": None}
_NO_TOOLS = {"tool_definitions": None}

WRITTEN = {
    "otel": Written({**OTEL, **OTEL_CONTENT}, {}),
    "otel, structured": Written(
        {
            **OTEL,
            "gen_ai.input.messages": INPUT,
            "gen_ai.output.messages": OUTPUT,
            "gen_ai.tool.definitions": [TOOL],
        },
        {},
    ),
    "otel, details as a log": Written(
        OTEL,
        {},
        logs=[
            (
                "gen_ai.client.inference.operation.details",
                {
                    "gen_ai.input.messages": INPUT,
                    "gen_ai.output.messages": [{**OUTPUT[0], "name": None}],
                    "gen_ai.tool.definitions": [TOOL],
                },
                None,
            )
        ],
    ),
    "otel, message events": Written(DEPRECATED, {**_NO_PARTS, **_NO_TOOLS}, events=MESSAGE_EVENTS),
    "otel, message events as logs": Written(
        DEPRECATED,
        {**_NO_PARTS, **_NO_TOOLS},
        logs=[(name, {"gen_ai.system": "openai"}, body) for name, body in MESSAGE_EVENTS],
    ),
    "otel, content events (Spring AI)": Written(
        DEPRECATED,
        {**_NO_PARTS, **_NO_TOOLS},
        events=[
            ("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps(OPENAI_MESSAGES)}),
            ("gen_ai.content.completion", {"gen_ai.completion": ANSWER}),
        ],
    ),
    "openinference": Written(OPENINFERENCE, {}, events=[("First Token Stream Event", {})]),
    "openinference, requests whole": Written(
        {key: value for key, value in OPENINFERENCE.items() if "messages" not in key},
        {"time_to_first_token_ns": None},
    ),
    "traceloop": Written(
        TRACELOOP,
        {"cost_usd": None, "parameters": {**EXPECTED.parameters, "stream": True}},
        events=[("gen_ai.content.completion.chunk", {})],
    ),
    "vercel": Written(VERCEL, {"conversation_id": None, "cost_usd": None}),
    "vercel, the first chunk as an event": Written(
        {key: value for key, value in VERCEL.items() if "msTo" not in key},
        {"conversation_id": None, "cost_usd": None},
        events=[("ai.stream.firstChunk", {})],
    ),
    "langfuse": Written(LANGFUSE, {"provider": None, "request_model": None, "response_id": None}),
    "pydantic-ai": Written(PYDANTIC_AI, {}),
    "pydantic-ai, version 1": Written(PYDANTIC_AI_V1, _NO_PARTS),
    "logfire": Written(LOGFIRE, {"time_to_first_token_ns": None}),
    "mlflow": Written(MLFLOW, {}, events=[("mlflow.chunk.item.0", {"mlflow.chunk.value": "It"})]),
    "openlit": Written(
        OPENLIT,
        {"usage": Usage(100, 20, None, None, 5), "parameters": {**EXPECTED.parameters, "stream": True}},
    ),
    "google-adk": Written(
        GOOGLE_ADK,
        {
            "response_model": None,
            "response_id": None,
            "input_messages": INPUT[1:],
            "usage": Usage(100, 20, 64, None, 5),
            "cost_usd": None,
            "time_to_first_token_ns": None,
        },
    ),
    "genkit": Written(
        GENKIT,
        {
            "response_model": None,
            "response_id": None,
            "conversation_id": None,
            "usage": Usage(100, 20, 64, None, 5),
            "cost_usd": None,
            "time_to_first_token_ns": None,
        },
    ),
    "livekit": Written(LIVEKIT, {"usage": TOTALS, "cost_usd": None, **_NO_TOOLS}),
    "langsmith": Written(LANGSMITH, _NO_PARTS),
    "laminar": Written(LAMINAR, {**_NO_PARTS, **_NO_TOOLS}),
}
