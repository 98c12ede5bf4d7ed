"""LangSmith's OpenTelemetry export: OpenTelemetry's conventions, inputs and outputs whole in ``gen_ai.prompt``.

Its ``langsmith.trace.session_id`` is the id of a project, and no session.
"""

from __future__ import annotations

from otel_replay.genai.dialect import CHAT, EMBEDDINGS, EXECUTE_TOOL, RETRIEVAL, STEP, At, Dialect
from otel_replay.genai.listings import Listed, tool_definition
from otel_replay.genai.payloads import tools_of
from otel_replay.genai.values import within

USAGE = "langsmith.metadata.usage_metadata"

LANGSMITH = Dialect(
    name="langsmith",
    namespaces=("langsmith.",),
    kinds={
        "llm": CHAT,
        "embedding": EMBEDDINGS,
        "tool": EXECUTE_TOOL,
        "retriever": RETRIEVAL,
        **dict.fromkeys(("chain", "prompt", "parser"), STEP),
    },
    operation=("langsmith.span.kind",),
    provider=("langsmith.metadata.ls_provider",),
    request_model=("langsmith.metadata.ls_model_name",),
    input_tokens=(At(USAGE, within("input_tokens")),),
    output_tokens=(At(USAGE, within("output_tokens")),),
    cache_read_tokens=(At(USAGE, within("input_token_details", "cache_read")),),
    cache_write_tokens=(At(USAGE, within("input_token_details", "cache_creation")),),
    reasoning_tokens=(At(USAGE, within("output_token_details", "reasoning")),),
    cost_usd=(At(USAGE, within("total_cost")),),
    parameters={
        "langsmith.metadata.ls_temperature": "temperature",
        "langsmith.metadata.ls_max_tokens": "max_tokens",
        "langsmith.metadata.ls_stop": "stop_sequences",
        "langsmith.request.streaming": "stream",
    },
    tool_definitions=(Listed("gen_ai.prompt", tool_definition, tools_of),),
    tool_arguments=("gen_ai.prompt",),
    tool_result=("gen_ai.completion",),
)
