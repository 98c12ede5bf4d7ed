"""Spring AI: OpenTelemetry's conventions by way of Micrometer, to which every value is a text, and ``none`` no value.

Keys: org.springframework.ai.*.observation (``spring.ai.*``). Clients, advisors and tools are of the operation
``framework``; their kind says which. What was said goes to the application's own log, not into telemetry.
"""

from __future__ import annotations

from otel_replay.genai.dialect import EMBEDDINGS, EXECUTE_TOOL, RETRIEVAL, STEP, Dialect
from otel_replay.genai.sources import Texts

SPRING_AI = Dialect(
    name="spring-ai",
    namespaces=("spring.ai.", "gen_ai."),
    kinds={
        **dict.fromkeys(("chat_client", "advisor"), STEP),
        "tool_call": EXECUTE_TOOL,
        "vector_store": RETRIEVAL,
        "embedding": EMBEDDINGS,
    },
    operation=("spring.ai.kind", "gen_ai.operation.name"),
    tool_name=("spring.ai.tool.definition.name",),
    tool_arguments=("spring.ai.tool.call.arguments",),
    tool_result=("spring.ai.tool.call.result",),
    input_messages=(Texts("db.vector.query.content", "user"),),
)
