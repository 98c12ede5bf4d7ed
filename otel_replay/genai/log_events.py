"""What log events tell of the operation of the span that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_replay.genai.facts import DETAILS_EVENT, Attributes, Told
from otel_replay.genai.outcomes import EVALUATION_EVENT
from otel_replay.genai.told import CONTENT_EVENTS
from otel_replay.genai.values import structured_or_text

_EVENTS = CONTENT_EVENTS.union((EVALUATION_EVENT,))


def told_by_log(name: str, attributes: Attributes, body: Any) -> Told | None:
    """What a log event with this name tells; None for any other record.

    Message events have the message in their body, as they did when they were span events in their attributes.
    """
    if name == DETAILS_EVENT:
        return Told({**body, **attributes} if isinstance(body, Mapping) else attributes)
    if name not in _EVENTS:
        return None
    body = structured_or_text(body)
    said = body if isinstance(body, Mapping) else {} if body is None else {"content": body}
    return Told({}, [(name, {**attributes, **said})])
