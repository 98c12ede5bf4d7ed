"""OpenLIT: OpenTelemetry's conventions with operations, cost and a time to the first token of its own.

Keys: openlit.semcov. Its time to the first token is the duration where the call is no stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_replay.genai.dialect import STEP, Apart, Dialect, Operation
from otel_replay.genai.sources import InEvents, Payload
from otel_replay.model import AiKind

_SDK, _PROVIDER, _TOP_K = "telemetry.sdk.name", "gen_ai.provider.name", "gen_ai.request.top_k"


def _apart(attributes: Mapping[str, Any]) -> Sequence[str]:
    """Anthropic's API leaves the cache out of the input, Gemini's thoughts out of the output, and it hands both on.

    What it hears from LangChain is whole; of a call to Anthropic itself it always tells a ``top_k``, asked for or not.
    """
    if attributes.get(_SDK) != "openlit":
        return ()
    if attributes.get(_PROVIDER) == "anthropic" and _TOP_K in attributes:
        return ("input",)
    return ("output",) if attributes.get(_PROVIDER) == "gemini" else ()


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
    apart=Apart((_SDK, _PROVIDER, _TOP_K), _apart),
    parameters={"gen_ai.request.is_stream": "stream"},
)
