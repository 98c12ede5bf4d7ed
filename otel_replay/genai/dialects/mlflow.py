"""MLflow Tracing: every value is JSON, inputs and outputs of a span are whatever the traced function took and gave.

Keys: mlflow.tracing.constant; its integrations of openai and anthropic keep request and answer as they are.
``mlflow.llm.model`` is the model that answered where the answer was kept, else the one that was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_replay.genai.dialect import (
    CHAT,
    EMBEDDINGS,
    EXECUTE_TOOL,
    INVOKE_AGENT,
    INVOKE_WORKFLOW,
    RERANK,
    RETRIEVAL,
    STEP,
    At,
    Dialect,
    Operation,
)
from otel_replay.genai.listings import Listed, document, tool_definition
from otel_replay.genai.payloads import instructions_of, response_id_of, response_model_of, tools_of
from otel_replay.genai.sources import Payload
from otel_replay.genai.usages import counted
from otel_replay.genai.values import from_json, list_at, member, within
from otel_replay.model import AiKind


def _object(value: Any) -> Any:
    found = from_json(value)
    return found if isinstance(found, Mapping) else None


INPUTS, OUTPUTS, USAGE = "mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.chat.tokenUsage"

MLFLOW = Dialect(
    name="mlflow",
    namespaces=("mlflow.",),
    kinds={
        "chat_model": CHAT,
        "llm": Operation(AiKind.INTERACTION),
        "embedding": EMBEDDINGS,
        "tool": EXECUTE_TOOL,
        "agent": INVOKE_AGENT,
        "workflow": INVOKE_WORKFLOW,
        "retriever": RETRIEVAL,
        "reranker": RERANK,
        **dict.fromkeys(("chain", "task", "guardrail", "evaluator", "parser"), STEP),
    },
    marks={"mlflow.chat.tokenUsage": AiKind.INTERACTION, "mlflow.llm.model": AiKind.INTERACTION},
    operation=(At("mlflow.spanType", from_json),),
    name_of_it=(At("mlflow.spanFunctionName", from_json),),
    provider=(At("mlflow.llm.provider", from_json),),
    request_model=(At("model", from_json), At(INPUTS, within("model")), At("mlflow.llm.model", from_json)),
    response_model=(At(OUTPUTS, response_model_of),),
    response_id=(At(OUTPUTS, response_id_of),),
    tool_arguments=(At(INPUTS, from_json),),
    tool_result=(At(OUTPUTS, from_json),),
    system_instructions=(At(INPUTS, instructions_of),),
    input_messages=(Payload(INPUTS, "user", is_json=True),),
    output_messages=(Payload(OUTPUTS, "assistant", is_json=True),),
    tool_definitions=(
        Listed("mlflow.chat.tools", tool_definition),
        Listed(INPUTS, tool_definition, tools_of),
    ),
    documents=(Listed(OUTPUTS, document, list_at()),),
    input_tokens=(At(USAGE, member("input_tokens")), At(OUTPUTS, counted("input", "usage"))),
    output_tokens=(At(USAGE, member("output_tokens")), At(OUTPUTS, counted("output", "usage"))),
    cache_read_tokens=(At(USAGE, member("cache_read_input_tokens")), At(OUTPUTS, counted("cache_read", "usage"))),
    cache_write_tokens=(At(USAGE, member("cache_creation_input_tokens")), At(OUTPUTS, counted("cache_write", "usage"))),
    reasoning_tokens=(At(OUTPUTS, counted("reasoning", "usage")),),
    cost_usd=(At("mlflow.llm.cost", member("total_cost")),),
    first_token_events=("mlflow.chunk.item.0",),
    parameter_objects=(At(INPUTS, _object),),
)
