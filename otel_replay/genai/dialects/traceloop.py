"""OpenLLMetry (Traceloop): decorated workflows and tools, and calls with one attribute for each leaf of a message.

Keys: opentelemetry.semconv_ai; calls are ``gen_ai.*`` beside ``llm.*``.
"""

from __future__ import annotations

from otel_replay.genai.dialect import (
    CHAT,
    EMBEDDINGS,
    EXECUTE_TOOL,
    INVOKE_AGENT,
    INVOKE_WORKFLOW,
    RERANK,
    STEP,
    TEXT_COMPLETION,
    Dialect,
)
from otel_replay.genai.listings import NumberedListed, tool_definition
from otel_replay.genai.sources import Numbered, Payload

TRACELOOP = Dialect(
    name="traceloop",
    namespaces=("traceloop.", "llm."),
    kinds={
        "workflow": INVOKE_WORKFLOW,
        "task": STEP,
        "agent": INVOKE_AGENT,
        "tool": EXECUTE_TOOL,
        "chat": CHAT,
        "completion": TEXT_COMPLETION,
        "embedding": EMBEDDINGS,
        "rerank": RERANK,
    },
    operation=("traceloop.span.kind", "llm.request.type"),
    name_of_it=("traceloop.entity.name",),
    tool_arguments=("traceloop.entity.input",),
    tool_result=("traceloop.entity.output",),
    input_messages=(Numbered("gen_ai.prompt", "user"), Payload("traceloop.entity.input", "user")),
    output_messages=(Numbered("gen_ai.completion", "assistant"), Payload("traceloop.entity.output", "assistant")),
    tool_definitions=(NumberedListed("llm.request.functions", tool_definition),),
    reasoning_tokens=("llm.usage.reasoning_tokens",),
    finish_reasons=("llm.response.finish_reason", "llm.response.stop_reason"),
    first_token_events=("gen_ai.content.completion.chunk", "llm.content.completion.chunk"),
    parameters={
        "llm.top_k": "top_k",
        "llm.is_streaming": "stream",
        "llm.frequency_penalty": "frequency_penalty",
        "llm.presence_penalty": "presence_penalty",
        "llm.chat.stop_sequences": "stop_sequences",
    },
)
