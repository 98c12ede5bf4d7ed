"""The conversation as the libraries of products and frameworks write it, some beside OpenTelemetry's conventions.

Shapes: the sources of langfuse 5, pydantic-ai 2.68, logfire 5.4, mlflow 3.18, openlit 1.45, google-adk, genkit,
livekit-agents, langsmith, lmnr.
"""

from __future__ import annotations

import json

from .conversation import (
    ANSWER,
    ARGUMENTS,
    GEMINI_CONTENTS,
    GENKIT_MESSAGES,
    GENKIT_TOOL,
    MODEL,
    OPENAI_ANSWER,
    OPENAI_MESSAGES,
    OPENAI_REQUEST,
    OPENAI_RESPONSE,
    OPENAI_TOOL,
    QUESTION,
    RESULT,
    SCHEMA,
    SERVED,
    SYSTEM,
)
from .spans_of_conventions import DEPRECATED, IN_CONVERSATION, MESSAGE_EVENTS, OTEL, OTEL_CONTENT

LANGFUSE = {
    **IN_CONVERSATION,
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": SERVED,
    "langfuse.observation.model.parameters": json.dumps({"temperature": 0.2, "max_tokens": 100, "top_p": None}),
    "langfuse.observation.input": json.dumps({"tools": [OPENAI_TOOL], "messages": OPENAI_MESSAGES}),
    "langfuse.observation.output": json.dumps(OPENAI_ANSWER),
    "langfuse.observation.usage_details": json.dumps(
        {
            "input": 28,
            "input_cached_tokens": 64,
            "input_cache_creation": 8,
            "output": 15,
            "output_reasoning_tokens": 5,
            "total": 120,
        }
    ),
    "langfuse.observation.cost_details": json.dumps({"input": 0.0007, "output": 0.0005, "total": 0.0012}),
    "langfuse.observation.metadata.finish_reason": '"stop"',
    "langfuse.observation.completion_start_time": '"2025-11-20T00:53:20.250000Z"',
}
PYDANTIC_AI = {
    **OTEL_CONTENT,
    **{
        key: value
        for key, value in OTEL.items()
        if "usage.cost" not in key and "time_to" not in key and "usage.c" not in key
    },
    "gen_ai.system": "openai",
    "gen_ai.usage.details.cache_read_tokens": 64,
    "gen_ai.usage.details.cache_write_tokens": 8,
    "gen_ai.usage.details.reasoning_tokens": 5,
    "gen_ai.client.operation.time_to_first_chunk": 0.25,
    "operation.cost": 0.0012,
    "model_request_parameters": json.dumps({"function_tools": [{"name": "other"}], "output_tools": []}),
    "logfire.json_schema": "{}",
}
PYDANTIC_AI_V1 = {
    **DEPRECATED,
    "events": json.dumps(
        [{**body, "event.name": name, "gen_ai.message.index": at} for at, (name, body) in enumerate(MESSAGE_EVENTS)]
    ),
    "model_request_parameters": json.dumps(
        {
            "function_tools": [
                {"name": "get_weather", "description": "The weather", "parameters_json_schema": SCHEMA, "strict": None}
            ],
            "output_tools": [],
        }
    ),
}
LOGFIRE = {
    **DEPRECATED,
    "request_data": json.dumps(OPENAI_REQUEST),
    "response_data": json.dumps({"message": OPENAI_ANSWER, "usage": OPENAI_RESPONSE["usage"]}),
    "gen_ai.usage.raw": json.dumps(OPENAI_RESPONSE["usage"]),
    "operation.cost": 0.0012,
}
MLFLOW = {
    **IN_CONVERSATION,
    "mlflow.spanType": '"CHAT_MODEL"',
    "mlflow.message.format": '"openai"',
    "mlflow.llm.model": json.dumps(SERVED),
    "model": json.dumps(MODEL),
    "mlflow.llm.provider": '"openai"',
    "mlflow.spanInputs": json.dumps(OPENAI_REQUEST),
    "mlflow.spanOutputs": json.dumps(OPENAI_RESPONSE),
    "mlflow.chat.tools": json.dumps([OPENAI_TOOL]),
    "mlflow.chat.tokenUsage": json.dumps(
        {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "cache_read_input_tokens": 64}
    ),
    "mlflow.llm.cost": json.dumps({"input_cost": 0.0007, "output_cost": 0.0005, "total_cost": 0.0012}),
}
OPENLIT = {
    **DEPRECATED,
    **OTEL_CONTENT,
    "gen_ai.request.is_stream": True,
    "gen_ai.server.time_to_first_token": 0.25,
    "gen_ai.usage.cost": 0.0012,
    "gen_ai.usage.reasoning_tokens": 5,
}
GOOGLE_ADK = {
    "gen_ai.system": "openai",
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": MODEL,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 15,
    "gen_ai.response.finish_reasons": ["stop"],
    "gcp.vertex.agent.session_id": "conv-1",
    "gcp.vertex.agent.llm_request": json.dumps(
        {
            "model": MODEL,
            "config": {
                "system_instruction": SYSTEM,
                "temperature": 0.2,
                "max_output_tokens": 100,
                "tools": [
                    {
                        "function_declarations": [
                            {"name": "get_weather", "description": "The weather", "parameters": SCHEMA}
                        ]
                    }
                ],
            },
            "contents": GEMINI_CONTENTS,
        }
    ),
    "gcp.vertex.agent.llm_response": json.dumps(
        {
            "content": {"parts": [{"text": ANSWER}], "role": "model"},
            "finish_reason": "STOP",
            "usage_metadata": {
                "prompt_token_count": 100,
                "candidates_token_count": 15,
                "thoughts_token_count": 5,
                "cached_content_token_count": 64,
            },
        }
    ),
}
GENKIT = {
    "genkit:type": "action",
    "genkit:metadata:subtype": "model",
    "genkit:name": f"openai/{MODEL}",
    "genkit:input": json.dumps(
        {
            "messages": GENKIT_MESSAGES,
            "tools": [GENKIT_TOOL],
            "config": {"temperature": 0.2, "maxOutputTokens": 100},
        }
    ),
    "genkit:output": json.dumps(
        {
            "message": {"role": "model", "content": [{"text": ANSWER}]},
            "finishReason": "stop",
            "usage": {
                "inputTokens": 100,
                "outputTokens": 15,
                "thoughtsTokens": 5,
                "totalTokens": 120,
                "cachedContentTokens": 64,
            },
        }
    ),
}
LIVEKIT = {
    **DEPRECATED,
    "lk.response.ttft": 0.25,
    "lk.chat_ctx": json.dumps(
        {
            "items": [
                {"id": "item_1", "type": "message", "role": "system", "content": [SYSTEM]},
                {"id": "item_2", "type": "message", "role": "user", "content": [QUESTION]},
                {
                    "id": "item_3",
                    "type": "function_call",
                    "call_id": "call_1",
                    "name": "get_weather",
                    "arguments": json.dumps(ARGUMENTS),
                },
                {
                    "id": "item_4",
                    "type": "function_call_output",
                    "call_id": "call_1",
                    "output": RESULT,
                    "is_error": False,
                },
            ]
        }
    ),
    "lk.response.text": ANSWER,
}
LANGSMITH = {
    **{key: value for key, value in DEPRECATED.items() if key != "gen_ai.conversation.id"},
    "langsmith.span.kind": "llm",
    "langsmith.metadata.thread_id": "conv-1",
    "gen_ai.prompt": json.dumps({"messages": OPENAI_MESSAGES, "tools": [OPENAI_TOOL]}),
    "gen_ai.completion": json.dumps(OPENAI_RESPONSE),
}
LAMINAR = {
    **DEPRECATED,
    "lmnr.span.type": "LLM",
    "lmnr.span.input": json.dumps(OPENAI_MESSAGES),
    "lmnr.span.output": json.dumps([OPENAI_ANSWER]),
}
