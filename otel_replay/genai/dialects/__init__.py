"""Every dialect, in the order of precedence.

For each field the first table that finds something readable wins; messages that a library wrote down whole, in its own
or its provider's shape, come after all that are written as messages. What a span is, the observation types of Langfuse
and OpenInference say before any operation, as people set them by hand, and the kinds of Spring AI, whose operation
says no more than framework. Google ADK writes a count of output that its answer corrects.
"""

from __future__ import annotations

from otel_replay.genai.dialect import Dialect
from otel_replay.genai.dialects.genkit import GENKIT
from otel_replay.genai.dialects.google_adk import GOOGLE_ADK
from otel_replay.genai.dialects.haystack import HAYSTACK
from otel_replay.genai.dialects.laminar import LAMINAR
from otel_replay.genai.dialects.langfuse import LANGFUSE
from otel_replay.genai.dialects.langsmith import LANGSMITH
from otel_replay.genai.dialects.livekit import LIVEKIT
from otel_replay.genai.dialects.mlflow import MLFLOW
from otel_replay.genai.dialects.openinference import OPENINFERENCE
from otel_replay.genai.dialects.openlit import OPENLIT
from otel_replay.genai.dialects.otel import OTEL
from otel_replay.genai.dialects.pydantic_ai import PYDANTIC_AI
from otel_replay.genai.dialects.spring_ai import SPRING_AI
from otel_replay.genai.dialects.traceloop import TRACELOOP
from otel_replay.genai.dialects.vercel import VERCEL

DIALECTS: tuple[Dialect, ...] = (
    OTEL,
    OPENINFERENCE,
    TRACELOOP,
    VERCEL,
    PYDANTIC_AI,
    LANGFUSE,
    MLFLOW,
    OPENLIT,
    GOOGLE_ADK,
    LIVEKIT,
    GENKIT,
    LANGSMITH,
    LAMINAR,
    HAYSTACK,
    SPRING_AI,
)

ASKED_FIRST = {"operation": (LANGFUSE, OPENINFERENCE, SPRING_AI), "output_tokens": (GOOGLE_ADK,)}
"""Field to the dialects that go before all others there."""
