"""What became of a call: what went wrong, and how the answer was judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_replay.genai.facts import Events
from otel_replay.genai.values import compact
from otel_replay.otlp.attributes import attribute_map

EVALUATION_EVENT = "gen_ai.evaluation.result"


def has_failed(span: Span, told: Mapping[str, Any]) -> bool:
    """Whether an operation failed: its status says so, an error type, a mark of its dialect, or an exception that left
    the span. An exception that was caught inside is no failure, and recorded all the same.

    ``told`` has an ``error_type`` and a ``failure`` where the span's attributes do.
    """
    if span.status.code == Status.STATUS_CODE_ERROR or "error_type" in told or told.get("failure"):
        return True
    raised = (attribute_map(event.attributes) for event in span.events if event.name == "exception")
    return any(str(one.get("exception.escaped")).lower() == "true" for one in raised)


def error_of(span: Span, events: Events, said_type: str | None, said_message: str | None) -> str:
    """``type: message`` of what went wrong with an operation that failed, or what of it is told."""
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
