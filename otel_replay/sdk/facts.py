"""From facts to attributes and times: calls that are over, code, verdicts, errors. Pure."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from opentelemetry.util.types import AttributeValue

from otel_replay.events import CODE_LANGUAGE, CODE_SNIPPET, CODE_WORKSPACE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Prompt = str | Sequence[Mapping[str, Any]]
"""The text of one message, or messages: ``{"role": ..., "content": ...}`` or with OpenTelemetry's ``parts``."""

Moment = datetime | int
"""A ``datetime`` (a naive one is local time), or Unix nanoseconds."""


def unix_nano(moment: Moment) -> int:
    """Unix nanoseconds of a moment; an ``int`` is taken as such, a naive ``datetime`` as local time."""
    if isinstance(moment, int):
        return moment
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1_000


def duration_ns(milliseconds: float | Decimal) -> int:
    """Nanoseconds of milliseconds, in decimal: 0.1 ms is 100,000 ns, not one less."""
    return max(0, int(Decimal(str(milliseconds)) * 1_000_000))


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
    prompt: Prompt,
    response: Prompt,
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
        "gen_ai.input.messages": messages_json(prompt, "user"),
        "gen_ai.output.messages": messages_json(response, "assistant"),
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
    messages = [{"role": role, "content": content}] if isinstance(content, str) else content
    return json.dumps([_message(message, role) for message in messages], ensure_ascii=False, default=str)


def instructions_json(text: str) -> str:
    """System instructions as the GenAI conventions want them: a JSON array of text parts."""
    return json.dumps([{"type": "text", "content": text}], ensure_ascii=False)


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
    """The values as attributes: None is left out, a number of another type is a float, other objects become JSON."""
    return {key: _attribute(value) for key, value in values.items() if value is not None}


def _message(message: Mapping[str, Any], role: str) -> dict[str, Any]:
    if "parts" in message:
        return dict(message)
    content = message.get("content", "")
    return {"role": message.get("role", role), "parts": [{"type": "text", "content": content}]}


def _attribute(value: Any) -> AttributeValue:
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Decimal):
        return float(value)
    return json.dumps(value, ensure_ascii=False, default=str)
