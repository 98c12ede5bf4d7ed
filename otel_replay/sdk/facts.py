"""From the facts of a call that is over to the attributes and times of its span. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from opentelemetry.util.types import AttributeValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Prompt = str | Sequence[Mapping[str, Any]]
"""The text of one message, or messages: ``{"role": ..., "content": ...}`` or with OpenTelemetry's ``parts``."""


def unix_nano(moment: datetime | int) -> int:
    """Unix nanoseconds of a moment; an ``int`` is taken as such, a naive ``datetime`` as local time."""
    if isinstance(moment, int):
        return moment
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1_000


def duration_ns(milliseconds: float | Decimal) -> int:
    """Nanoseconds of milliseconds, in decimal: 0.1 ms is 100,000 ns, not one less."""
    return max(0, int(Decimal(str(milliseconds)) * 1_000_000))


def span_times(timestamp: datetime | int | None, latency_ms: float | Decimal | None, now: int) -> tuple[int, int]:
    """Start and end of a call: it began at ``timestamp``; without one it ends ``now``. In Unix nanoseconds."""
    latency = duration_ns(latency_ms or 0)
    if timestamp is None:
        return now - latency, now
    start = unix_nano(timestamp)
    return start, start + latency


def messages_json(content: Prompt, role: str) -> str:
    """Messages as the GenAI conventions want them on spans: a JSON array of ``{role, parts}``."""
    messages = [{"role": role, "content": content}] if isinstance(content, str) else content
    return json.dumps([_message(message, role) for message in messages], ensure_ascii=False, default=str)


def instructions_json(text: str) -> str:
    """System instructions as the GenAI conventions want them: a JSON array of text parts."""
    return json.dumps([{"type": "text", "content": text}], ensure_ascii=False)


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
