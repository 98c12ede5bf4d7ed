"""OpenTelemetry's GenAI conventions, with the deprecated names that libraries still write.

Current names: semantic-conventions-genai (``gen_ai.provider.name``, ``gen_ai.input.messages``, ``cache_write``).
Older: ``gen_ai.system``, ``prompt_tokens``, ``cache_creation``, message events, on spans (Spring AI still) or as logs.
Anthropic's SDK writes the current names itself, and ``anthropic.message.stop_reason``; LiteLLM has a cost of its own.
"""

from __future__ import annotations

from otel_replay.genai.dialect import RERANK, RETRIEVAL, STEP, At, Dialect, Operation
from otel_replay.genai.listings import Listed, document, tool_definition
from otel_replay.genai.sources import InAttribute, InEventAttribute, InEvents, Payload, Texts
from otel_replay.genai.values import unless_none, word
from otel_replay.model import AiKind

OTEL = Dialect(
    name="otel",
    namespaces=("gen_ai.",),
    kinds={
        **dict.fromkeys(
            (
                "chat",
                "completion",
                "embeddings",
                "fetch_response",
                "generate",
                "generate_content",
                "response",
                "text_completion",
            ),
            Operation(AiKind.INTERACTION),
        ),
        "execute_tool": Operation(AiKind.TOOL),
        **dict.fromkeys(("agent_step", "create_agent", "invoke_agent", "invoke_workflow", "plan"), STEP),
        "rerank": RERANK,
        "retrieval": RETRIEVAL,
        "search_memory": Operation(AiKind.RETRIEVAL),
    },
    marks={
        "gen_ai.tool.name": AiKind.TOOL,
        "gen_ai.tool.call.id": AiKind.TOOL,
        "gen_ai.request.model": AiKind.INTERACTION,
        "gen_ai.request_model": AiKind.INTERACTION,
        "gen_ai.response.model": AiKind.INTERACTION,
        "gen_ai.response_model": AiKind.INTERACTION,
        "gen_ai.usage.completion_tokens": AiKind.INTERACTION,
        "gen_ai.usage.prompt_tokens": AiKind.INTERACTION,
    },
    operation=("gen_ai.operation.name",),
    provider=("gen_ai.provider.name", "gen_ai.system"),
    request_model=(At("gen_ai.request.model", unless_none), "gen_ai.request_model"),
    response_model=(At("gen_ai.response.model", unless_none), "gen_ai.response_model"),
    response_id=("gen_ai.response.id",),
    previous_response_id=("gen_ai.request.previous_response.id",),
    agent=("gen_ai.agent.name", "gen_ai.workflow.name", "gen_ai.agent.id"),
    tool_name=("gen_ai.tool.name",),
    tool_call_id=("gen_ai.tool.call.id",),
    tool_arguments=("gen_ai.tool.call.arguments", "gen_ai.tool.input", "gen_ai.tool.args"),
    tool_result=("gen_ai.tool.call.result", "gen_ai.tool.output"),
    system_instructions=("gen_ai.system_instructions",),
    input_messages=(
        InAttribute("gen_ai.input.messages", "user"),
        InEvents(
            {
                "gen_ai.system.message": "system",
                "gen_ai.user.message": "user",
                "gen_ai.assistant.message": "assistant",
                "gen_ai.tool.message": "tool",
            }
        ),
        InEventAttribute("gen_ai.content.prompt", "gen_ai.prompt", "user"),
        Texts("gen_ai.retrieval.query.text", "user"),
        Payload("gen_ai.prompt", "user"),
    ),
    output_messages=(
        InAttribute("gen_ai.output.messages", "assistant"),
        InEvents({"gen_ai.choice": "assistant"}),
        InEventAttribute("gen_ai.content.completion", "gen_ai.completion", "assistant"),
        Payload("gen_ai.completion", "assistant"),
    ),
    tool_definitions=(Listed("gen_ai.tool.definitions", tool_definition),),
    documents=(Listed("gen_ai.retrieval.documents", document),),
    input_tokens=("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    output_tokens=("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    cache_read_tokens=(
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_cached_tokens",
    ),
    cache_write_tokens=(
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ),
    reasoning_tokens=(
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.experimental.reasoning_tokens",
    ),
    usage_details={
        **{
            f"gen_ai.usage.{modality}.{way}_tokens": f"{modality}.{way}"
            for modality in ("text", "audio", "image", "video")
            for way in ("input", "output")
        },
        **{
            f"gen_ai.usage.{modality}.cache_read.input_tokens": f"{modality}.cache_read"
            for modality in ("text", "audio", "image", "video")
        },
    },
    cost_usd=("gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost"),
    finish_reasons=(
        "gen_ai.response.finish_reasons",
        "gen_ai.response.finish_reason",
        "gen_ai.response.stop_reason",
        "anthropic.message.stop_reason",
    ),
    seconds_to_first_token=("gen_ai.response.time_to_first_chunk",),
    is_stream=("gen_ai.request.stream",),
    parameters={
        "gen_ai.request.temperature": "temperature",
        "gen_ai.request.top_p": "top_p",
        "gen_ai.request.top_k": "top_k",
        "gen_ai.retrieval.top_k": "top_k",
        "gen_ai.request.max_tokens": "max_tokens",
        "gen_ai.request.seed": "seed",
        "gen_ai.request.stop_sequences": "stop_sequences",
        "gen_ai.request.frequency_penalty": "frequency_penalty",
        "gen_ai.request.presence_penalty": "presence_penalty",
        "gen_ai.request.choice.count": "choice_count",
        "gen_ai.request.stream": "stream",
        "gen_ai.request.reasoning.level": "reasoning_level",
    },
    failure=(At("gen_ai.response.status", word("failed")),),
    error_type=("error.type",),
)
