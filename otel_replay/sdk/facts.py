"""From facts to attributes and times: calls that are over, code, verdicts, errors. Pure."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from opentelemetry.trace import Span, SpanContext
from opentelemetry.util.types import AttributeValue

from otel_replay.errors import InvalidRequest
from otel_replay.events import CODE_LANGUAGE, CODE_SNIPPET, CODE_WORKSPACE
from otel_replay.texts import storable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ENTRY = re.compile(r"span:([0-9a-f]{32}):([0-9a-f]{16})")


class Dumping(Protocol):
    """An answer as clients of models give it, which they take back as a message: an object of pydantic."""

    def model_dump(self) -> dict[str, Any]: ...


Message = Mapping[str, Any] | Dumping
"""``{"role": ..., "content": ...}`` as clients of models take it, with tool calls, images and whatever else it has, or
with OpenTelemetry's ``parts``."""

Prompt = str | Message | Iterable[str | Message]
"""The text of one message, a message, or several."""

Moment = datetime | int
"""A ``datetime`` (a naive one is local time), or Unix nanoseconds."""


def unix_nano(moment: Moment) -> int:
    """Unix nanoseconds of a moment; an ``int`` is taken as such, a naive ``datetime`` as local time.

    Raises ``InvalidRequest`` for anything else.
    """
    if isinstance(moment, int):
        return moment
    if not isinstance(moment, datetime):
        raise InvalidRequest(f"a moment is {moment!r}", hint="a datetime, or Unix nanoseconds: time.time_ns()")
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1_000


def duration_ns(milliseconds: float | Decimal) -> int:
    """Nanoseconds of milliseconds, in decimal: 0.1 ms is 100,000 ns, not one less; 0 for NaN and infinity."""
    told = Decimal(str(milliseconds))
    return max(0, int(told * 1_000_000)) if told.is_finite() else 0


def span_times(timestamp: Moment | None, latency_ms: float | Decimal | None, now: int) -> tuple[int, int]:
    """Start and end of a call: it began at ``timestamp``; without one it ends ``now``. In Unix nanoseconds."""
    latency = duration_ns(latency_ms or 0)
    if timestamp is None:
        return now - latency, now
    start = unix_nano(timestamp)
    return start, start + latency


def interaction_values(
    *,
    model: str,
    provider: str | None,
    prompt: Prompt | None,
    response: Prompt | None,
    input_tokens: int | None,
    output_tokens: int | None,
    cost: float | Decimal | None,
    error_type: str | None,
) -> dict[str, Any]:
    """A call to a model that is over (GenAI conventions, inference spans); the cost in US dollars."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.input.messages": None if prompt is None else messages_json(prompt, "user"),
        "gen_ai.output.messages": None if response is None else messages_json(response, "assistant"),
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
        "gen_ai.usage.cost": cost,
        "error.type": error_type,
    }


def action_values(action: str, target: str | None) -> dict[str, Any]:
    """What the user did, and to what: a target that begins with ``#`` is the id of a widget, another one its name."""
    widget = {} if not target else {"app.widget.id": target[1:]} if target[0] == "#" else {"app.widget.name": target}
    return {"browser.action": action, **widget}


def messages_json(content: Prompt, role: str) -> str:
    """Messages as the GenAI conventions want them on spans: a JSON array of ``{role, parts}``."""
    return _json([_message(message, role) for message in _one_by_one(content)])


def instructions_json(text: str) -> str:
    """System instructions as the GenAI conventions want them: a JSON array of text parts."""
    return _json([{"type": "text", "content": text}])


def code_values(
    file: str | None,
    line: int | None,
    column: int | None,
    snippet: str | None,
    language: str | None,
    workspace: Any,
) -> dict[str, Any]:
    """Where somebody is at work (semantic conventions, ``code.*``; lines and columns from 1)."""
    return {
        "code.file.path": file,
        "code.line.number": line,
        "code.column.number": column,
        CODE_SNIPPET: snippet,
        CODE_LANGUAGE: language,
        CODE_WORKSPACE: workspace,
    }


def evaluation_values(
    name: str, score: float | None, label: str | None, comment: str | None, response_id: str | None
) -> dict[str, Any]:
    """A verdict on an answer (GenAI conventions, event ``gen_ai.evaluation.result``)."""
    return {
        "gen_ai.evaluation.name": name,
        "gen_ai.evaluation.score.value": None if score is None else float(score),
        "gen_ai.evaluation.score.label": label,
        "gen_ai.evaluation.explanation": comment,
        "gen_ai.response.id": response_id,
    }


def ids_of_call(interaction: SpanContext | Span | str) -> SpanContext:
    """Of a call that was recorded: as they are, of its span, or from the id of its entry in a timeline.

    Raises ``InvalidRequest`` for anything else.
    """
    if isinstance(interaction, SpanContext):
        return interaction
    if isinstance(interaction, Span):
        return interaction.get_span_context()
    found = _ENTRY.fullmatch(interaction) if isinstance(interaction, str) else None
    if found is None:
        raise InvalidRequest(
            f"interaction is {str(interaction)[:80]!r}",
            hint="what record_interaction() gives, or the id of the call's entry in a timeline: span:TRACE:SPAN",
        )
    return SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True)


def error_values(error: BaseException) -> dict[str, Any]:
    """An exception (semantic conventions, exceptions in logs)."""
    return {
        "exception.type": type_name(error),
        "exception.message": str(error),
        "exception.stacktrace": "".join(traceback.format_exception(error)),
    }


def type_name(error: BaseException) -> str:
    """``KeyError``, ``http.client.BadStatusLine``: with its module where that is not Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def attributes_of(values: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """The values as attributes: None is left out, a number of another type is a float, other objects become JSON.

    What OTLP cannot hold becomes what it can: an exporter would leave the whole attribute out.
    """
    return {key: _attribute(value) for key, value in values.items() if value is not None}


def _one_by_one(content: Any) -> Iterable[Any]:
    """An object of pydantic can be iterated as well, but gives its fields then."""
    is_one = isinstance(content, str | Mapping) or hasattr(content, "model_dump") or not isinstance(content, Iterable)
    return [content] if is_one else content


def _message(told: str | Message, role: str) -> dict[str, Any]:
    """A plain text in OpenTelemetry's form, anything else as it came: the receiver knows the forms of all clients."""
    message = told if isinstance(told, Mapping) else _dumped(told)
    content = message.get("content")
    if isinstance(content, str) and message.keys() <= {"role", "content"}:
        return {"role": message.get("role", role), "parts": [{"type": "text", "content": content}]}
    return {"role": role, **message}


def _dumped(told: str | Dumping) -> dict[str, Any]:
    if isinstance(told, str) or not hasattr(told, "model_dump"):
        return {"content": str(told)}
    return {key: value for key, value in told.model_dump().items() if value is not None}


def _attribute(value: Any) -> AttributeValue:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal):
        return float(value)
    return _json(value)


def _json(value: Any) -> str:
    """What JSON cannot hold, such as a tuple for a key, is told as Python shows it."""
    try:
        return storable(json.dumps(value, ensure_ascii=False, default=str))
    except (TypeError, ValueError):
        return storable(json.dumps(repr(value), ensure_ascii=False))
