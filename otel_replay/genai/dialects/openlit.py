"""OpenLIT: OpenTelemetry's conventions with operations, cost and a time to the first token of its own.

Keys: openlit.semcov. Its time to the first token is the duration where the call is no stream.
"""

from __future__ import annotations

from otel_replay.genai.dialect import STEP, Dialect, Operation
from otel_replay.genai.sources import InEvents, Payload
from otel_replay.model import AiKind

OPENLIT = Dialect(
    name="openlit",
    namespaces=("gen_ai.",),
    kinds={
        **dict.fromkeys(("audio", "image"), Operation(AiKind.INTERACTION)),
        **dict.fromkeys(("agent", "execute_task", "framework", "user_prompt_processing"), STEP),
        "vectordb": Operation(AiKind.RETRIEVAL),
    },
    operation=("gen_ai.operation.name",),
    input_messages=(
        InEvents({"gen_ai.tools.message": "tool"}),
        Payload("gen_ai.workflow.input", "user"),
        Payload("gen_ai.task.input", "user"),
    ),
    output_messages=(
        Payload("gen_ai.workflow.output", "assistant"),
        Payload("gen_ai.task.output", "assistant"),
    ),
    seconds_to_first_token=("gen_ai.server.time_to_first_token",),
    is_stream=("gen_ai.request.is_stream",),
    parameters={"gen_ai.request.is_stream": "stream"},
)
