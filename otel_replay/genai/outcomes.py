"""What became of a call: what went wrong, and how the answer was judged."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.genai.facts import Events
from otel_replay.genai.values import compact

EVALUATION_EVENT = "gen_ai.evaluation.result"


def error_of(
    span: Span, events: Events, said_type: str | None, said_message: str | None, level: str | None
) -> str | None:
    """``type: message`` of what went wrong, or what of it is told; None where nothing did.

    An exception that the application caught is no error of the span: its status, an error type or a level says that it
    failed.
    """
    failed = span.status.code == Status.STATUS_CODE_ERROR or (level or "").upper() == "ERROR"
    if not failed and not said_type:
        return None
    raised = next((attributes for name, attributes in reversed(events) if name == "exception"), {})
    kind = said_type or _text(raised.get("exception.type"))
    message = span.status.message or _text(raised.get("exception.message")) or said_message
    if kind and message and not message.startswith(kind.rpartition(".")[2]):
        return f"{kind}: {message}"
    return message or kind or "failed"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def evaluations_of(events: Events) -> list[dict[str, Any]]:
    """The judgements in evaluation events, in their order."""
    found = (compact(_evaluation(attributes)) for name, attributes in events if name == EVALUATION_EVENT)
    return [one for one in found if one]


def _evaluation(attributes: Any) -> dict[str, Any]:
    names = {"name": "name", "score": "score.value", "label": "score.label", "explanation": "explanation"}
    return {name: attributes.get(f"gen_ai.evaluation.{key}") for name, key in names.items()}
