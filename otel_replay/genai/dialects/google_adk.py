"""Google's Agent Development Kit: OpenTelemetry's conventions, with requests and answers whole, as Gemini has them.

Keys: google.adk.telemetry. Its count of output tokens is Gemini's of the candidates, without thoughts.
"""

from __future__ import annotations

from typing import Any

from otel_replay.genai.dialect import At, Dialect, Operation
from otel_replay.genai.listings import Listed, tool_definition
from otel_replay.genai.payloads import instructions_of, response_model_of, tools_of
from otel_replay.genai.sources import Payload
from otel_replay.genai.values import at_path, count, from_json, peek, within
from otel_replay.model import AiKind

REQUEST, RESPONSE = "gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response"


def _operation(value: Any) -> str | None:
    """Version 1 writes no operation down. Its tools have a request that is empty."""
    return "call_llm" if at_path(peek(value), "contents") else None


def _output_tokens(value: Any) -> int | None:
    usage = at_path(from_json(value), "usage_metadata")
    found = [at_path(usage, key) for key in ("candidates_token_count", "thoughts_token_count")]
    counts = [count(one) for one in found if one is not None]
    return sum(counts) if counts else None


GOOGLE_ADK = Dialect(
    name="google-adk",
    namespaces=("gcp.vertex.agent.",),
    kinds={"call_llm": Operation(AiKind.INTERACTION, "generate_content")},
    operation=(At(REQUEST, _operation),),
    response_model=(At(RESPONSE, response_model_of),),
    tool_arguments=("gcp.vertex.agent.tool_call_args",),
    tool_result=("gcp.vertex.agent.tool_response",),
    system_instructions=(At(REQUEST, instructions_of),),
    input_messages=(Payload(REQUEST, "user"),),
    output_messages=(Payload(RESPONSE, "assistant"),),
    tool_definitions=(Listed(REQUEST, tool_definition, tools_of),),
    output_tokens=(At(RESPONSE, _output_tokens),),
    cache_read_tokens=(At(RESPONSE, within("usage_metadata", "cached_content_token_count")),),
    reasoning_tokens=(At(RESPONSE, within("usage_metadata", "thoughts_token_count")),),
    failure=(At(RESPONSE, within("error_code")),),
    error_message=(At(RESPONSE, within("error_message")),),
    parameter_objects=(At(REQUEST, within("config")),),
)
