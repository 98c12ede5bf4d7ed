"""LiveKit Agents: OpenTelemetry's conventions, and beside them ``lk.*``, lately ``lk.pii.*`` for what users said.

Keys: livekit.agents.telemetry.trace_types. Speech to text and text to speech are plain spans. Of the three spans of a
call, ``llm_node`` > ``llm_request`` > ``llm_request_run``, the middle one is the call: the outer one leads to it, the
inner ones are attempts at it. All name the model; older versions name no operation.
"""

from __future__ import annotations

from otel_replay.genai.dialect import STEP, At, Dialect, Operation
from otel_replay.genai.sources import Payload, Texts
from otel_replay.model import AiKind

LIVEKIT = Dialect(
    name="livekit",
    namespaces=("lk.",),
    kinds={"llm_node": STEP, "llm_request_run": Operation(None)},
    operation=(
        At("lk.retry_count", lambda _: "llm_request_run"),
        At("lk.chat_ctx", lambda _: "llm_node"),
        At("lk.pii.chat_ctx", lambda _: "llm_node"),
    ),
    marks={"lk.function_tool.name": AiKind.TOOL},
    agent=("lk.agent_name",),
    tool_name=("lk.function_tool.name",),
    tool_call_id=("lk.function_tool.id",),
    tool_arguments=("lk.function_tool.arguments", "lk.pii.function_tool.arguments"),
    tool_result=("lk.function_tool.output", "lk.pii.function_tool.output"),
    system_instructions=("lk.instructions", "lk.pii.instructions"),
    input_messages=(
        Payload("lk.chat_ctx", "user"),
        Payload("lk.pii.chat_ctx", "user"),
        Texts("lk.user_input", "user"),
        Texts("lk.pii.user_input", "user"),
        Texts("lk.user_transcript", "user"),
        Texts("lk.pii.user_transcript", "user"),
        Texts("lk.input_text", "user"),
        Texts("lk.pii.input_text", "user"),
    ),
    output_messages=(
        Texts("lk.response.text", "assistant"),
        Texts("lk.pii.response.text", "assistant"),
        Payload("lk.response.function_calls", "assistant"),
        Payload("lk.pii.response.function_calls", "assistant"),
    ),
    seconds_to_first_token=("lk.response.ttft",),
)
