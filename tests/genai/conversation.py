"""One conversation: the interaction that it should be, and the shapes in which providers' APIs have it."""

from __future__ import annotations

import json
from typing import Any

from otel_replay.model import AiKind, Interaction, Usage

START = 1_763_600_000_000_000_000

SYSTEM = "Be brief."
QUESTION = "Weather in Paris?"
ARGUMENTS = {"city": "Paris"}
RESULT = "sunny"
ANSWER = "It is sunny."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
MODEL, SERVED = "gpt-4o-mini", "gpt-4o-mini-2024-07-18"


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


CALL = {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": ARGUMENTS}
INPUT = [
    text("system", SYSTEM),
    text("user", QUESTION),
    {"role": "assistant", "parts": [CALL]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": RESULT}]},
]
OUTPUT = [text("assistant", ANSWER)]
TOOL = {"type": "function", "name": "get_weather", "description": "The weather", "parameters": SCHEMA}

EXPECTED = Interaction(
    kind=AiKind.INTERACTION,
    operation="chat",
    provider="openai",
    request_model=MODEL,
    response_model=SERVED,
    response_id="chatcmpl-1",
    conversation_id="conv-1",
    input_messages=INPUT,
    output_messages=OUTPUT,
    system_instructions=[{"type": "text", "content": SYSTEM}],
    tool_calls=[],
    usage=Usage(input=100, output=20, cache_read=64, cache_write=8, reasoning=5),
    cost_usd="0.0012",
    finish_reasons=["stop"],
    time_to_first_token_ns=250_000_000,
    parameters={"temperature": 0.2, "max_tokens": 100},
    tool_definitions=[TOOL],
)

# The conversation in the shapes of providers

OPENAI_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": json.dumps(ARGUMENTS)},
}
OPENAI_MESSAGES = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": RESULT},
]
OPENAI_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather", "parameters": SCHEMA},
}
OPENAI_ANSWER: dict[str, Any] = {
    "role": "assistant",
    "content": ANSWER,
    "refusal": None,
    "annotations": [],
    "tool_calls": None,
}
OPENAI_REQUEST = {
    "model": MODEL,
    "messages": OPENAI_MESSAGES,
    "tools": [OPENAI_TOOL],
    "temperature": 0.2,
    "max_tokens": 100,
}
OPENAI_RESPONSE = {
    "id": "chatcmpl-1",
    "choices": [{"finish_reason": "stop", "index": 0, "logprobs": None, "message": OPENAI_ANSWER}],
    "created": 1_763_600_000,
    "model": SERVED,
    "object": "chat.completion",
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 64, "cache_write_tokens": 8},
        "completion_tokens_details": {"audio_tokens": 0, "reasoning_tokens": 5},
    },
}
VERCEL_PROMPT = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
    {
        "role": "assistant",
        "content": [{"type": "tool-call", "toolCallId": "call_1", "toolName": "get_weather", "input": ARGUMENTS}],
    },
    {
        "role": "tool",
        "content": [
            {
                "type": "tool-result",
                "toolCallId": "call_1",
                "toolName": "get_weather",
                "output": {"type": "text", "value": RESULT},
            }
        ],
    },
]
GENKIT_TOOL = {"name": "get_weather", "description": "The weather", "inputSchema": SCHEMA}
GENKIT_MESSAGES = [
    {"role": "system", "content": [{"text": SYSTEM}]},
    {"role": "user", "content": [{"text": QUESTION}]},
    {"role": "model", "content": [{"toolRequest": {"name": "get_weather", "ref": "call_1", "input": ARGUMENTS}}]},
    {"role": "tool", "content": [{"toolResponse": {"name": "get_weather", "ref": "call_1", "output": RESULT}}]},
]
GEMINI_CONTENTS = [
    {"role": "user", "parts": [{"text": QUESTION}]},
    {"role": "model", "parts": [{"function_call": {"id": "call_1", "name": "get_weather", "args": ARGUMENTS}}]},
    {
        "role": "user",
        "parts": [{"function_response": {"id": "call_1", "name": "get_weather", "response": RESULT}}],
    },
]
