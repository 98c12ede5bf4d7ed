"""Laminar: OpenTelemetry's conventions under spans with a type, their input and output in whatever shape."""

from __future__ import annotations

from otel_replay.genai.dialect import CHAT, EXECUTE_TOOL, INVOKE_AGENT, STEP, Dialect
from otel_replay.genai.sources import Payload

LAMINAR = Dialect(
    name="laminar",
    namespaces=("lmnr.",),
    kinds={
        **dict.fromkeys(("llm", "cached"), CHAT),
        "tool": EXECUTE_TOOL,
        "executor": INVOKE_AGENT,
        **dict.fromkeys(("pipeline", "evaluator", "human_evaluator", "evaluation"), STEP),
    },
    operation=("lmnr.span.type",),
    tool_arguments=("lmnr.span.input",),
    tool_result=("lmnr.span.output",),
    input_messages=(Payload("lmnr.span.input", "user"),),
    output_messages=(Payload("lmnr.span.output", "assistant"),),
)
