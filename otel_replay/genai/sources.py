"""Where the messages of a span may stand: in one attribute, in many numbered ones, or in span events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from otel_replay.genai.messages import Message, Warn, message, read_messages
from otel_replay.genai.values import is_empty, structured_or_text

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """What a dialect may look at: attributes and events as plain Python, and who instrumented."""

    attributes: Attributes
    events: Sequence[tuple[str, Attributes]]
    """(name, attributes), in the order recorded."""
    scope_name: str = ""


class MessageSource(Protocol):
    """A place for messages: none found is an empty list, none that can be read is an UnreadableError."""

    @property
    def name(self) -> str:
        """The key, prefix or event, for warnings."""

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]: ...


@dataclass(frozen=True, slots=True)
class InAttribute:
    """``KEY``: a list of messages, structured or as JSON."""

    name: str
    role: str

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        value = facts.attributes.get(self.name)
        return [] if is_empty(value) else read_messages(value, self.role, warn)


@dataclass(frozen=True, slots=True)
class Numbered:
    """``PREFIX.N.role``, ``PREFIX.N.content``, ``PREFIX.N.tool_calls.M.name``, ...: one attribute per leaf."""

    name: str
    role: str

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        messages: dict[int, dict[str, Any]] = {}
        calls: dict[int, dict[int, dict[str, Any]]] = {}
        for number, path, value in _numbered(facts.attributes, self.name):
            item = messages.setdefault(number, {})
            if call := _TOOL_CALL.fullmatch(path):
                calls.setdefault(number, {}).setdefault(int(call[1]), {})[call[2]] = value
            else:
                item[path] = value
        for number, numbered in calls.items():
            messages[number]["tool_calls"] = [numbered[position] for position in sorted(numbered)]
        return [message(messages[number], self.role) for number in sorted(messages)]


_TOOL_CALL = re.compile(r"tool_calls\.(\d{1,6})\.(\w+)", re.ASCII)
_NUMBERED = re.compile(r"(\d{1,6})\.(.+)", re.ASCII | re.DOTALL)


def _numbered(attributes: Attributes, prefix: str) -> Iterator[tuple[int, str, Any]]:
    start = f"{prefix}."
    for key, value in attributes.items():
        if key.startswith(start) and (match := _NUMBERED.fullmatch(key, len(start))):
            yield int(match[1]), match[2], value


@dataclass(frozen=True, slots=True)
class InEvents:
    """One message per span event; ``roles`` says which events, and the role of a message that names none.

    The body stands in the event's attributes or, as JSON, in ``gen_ai.event.content``; a choice nests its message.
    """

    roles: Mapping[str, str]

    @property
    def name(self) -> str:
        return "events " + ", ".join(self.roles)

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        return [message(_event_body(body), self.roles[name]) for name, body in facts.events if name in self.roles]


def _event_body(attributes: Attributes) -> dict[str, Any]:
    body = dict(attributes)
    for key in ("gen_ai.event.content", "message"):
        nested = structured_or_text(body.get(key))
        if isinstance(nested, Mapping):
            del body[key]
            body |= nested
    return body


@dataclass(frozen=True, slots=True)
class InEventAttribute:
    """All messages in one attribute of one span event: JSON, or plain text for a single message."""

    event: str
    key: str
    role: str

    @property
    def name(self) -> str:
        return f"event {self.event}"

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        values = [attributes.get(self.key) for name, attributes in facts.events if name == self.event]
        return [one for value in values if not is_empty(value) for one in self._messages(value, warn)]

    def _messages(self, value: Any, warn: Warn) -> list[Message]:
        value = structured_or_text(value)
        if isinstance(value, str):
            return [message({"content": value}, self.role)]
        return read_messages(value, self.role, warn)
