"""Where the messages of a span may stand: in one attribute, in many numbered ones, or in span events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from otel_replay.genai.facts import Attributes, SpanFacts, in_order
from otel_replay.genai.messages import Message, Warn, message, read_messages, text_message
from otel_replay.genai.payloads import messages_of
from otel_replay.genai.values import UnreadableError, from_json, is_empty, json_value, structured_or_text
from otel_replay.model import AiKind


class Places(NamedTuple):
    """Where content stands: attribute keys, prefixes of numbered ones, names of events and keys of their attributes."""

    keys: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    event_keys: tuple[str, ...] = ()


class MessageSource(Protocol):
    """A place for messages: none found is an empty list, none that can be read is an UnreadableError."""

    @property
    def name(self) -> str:
        """The key, prefix or event, for warnings."""

    @property
    def places(self) -> Places: ...

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]: ...


@dataclass(frozen=True, slots=True)
class InAttribute:
    """``KEY``: a list of messages, structured or as JSON."""

    name: str
    role: str

    @property
    def places(self) -> Places:
        return Places(keys=(self.name,))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        value = facts.attributes.get(self.name)
        return [] if is_empty(value) else read_messages(value, self.role, warn)


@dataclass(frozen=True, slots=True)
class Texts:
    """``KEY``: a text or a list of texts, each a message. ``is_json``: each is a JSON string."""

    name: str
    role: str
    is_json: bool = False

    @property
    def places(self) -> Places:
        return Places(keys=(self.name,))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        value = facts.attributes.get(self.name)
        texts = value if isinstance(value, list) else [] if is_empty(value) else [value]
        if not all(isinstance(one, str) for one in texts):
            raise UnreadableError(f"expected text, got {type(value).__name__}")
        return [text_message(self.role, from_json(one) if self.is_json else one) for one in texts]


@dataclass(frozen=True, slots=True)
class Payload:
    """``KEY``: whatever a span was given or gave, which a library writes down in its own or its provider's shape.

    Where it plainly holds messages these are taken, anything else is one text. ``mime_key`` is where its type stands,
    if anywhere; ``is_json``: a text is quoted, too; ``is_call``: it is a model's request or answer, and says
    nothing if it has no messages. What a tool was given and gave are no messages, nor are the
    documents that a retrieval found and the vectors of an embedding.
    """

    name: str
    role: str
    mime_key: str = ""
    is_json: bool = False
    is_call: bool = False

    @property
    def places(self) -> Places:
        return Places(keys=(self.name,))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        value = facts.attributes.get(self.name)
        if is_empty(value) or facts.kind is AiKind.TOOL:
            return []
        if self.role == "assistant" and (facts.kind is AiKind.RETRIEVAL or facts.operation == "embeddings"):
            return []
        parsed = self._parsed(value, facts.attributes.get(self.mime_key))
        if is_empty(parsed) or (isinstance(parsed, Mapping) and all(one is None for one in parsed.values())):
            return []
        if isinstance(parsed, str):
            return [text_message(self.role, parsed)]
        found = messages_of(parsed, self.role)
        if found is not None or self.is_call:
            return found or []
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
        return [text_message(self.role, text)]

    def _parsed(self, value: Any, mime_type: Any) -> Any:
        if mime_type == "application/json" and isinstance(value, str):
            return json_value(value)
        if mime_type == "text/plain":
            return value
        return from_json(value) if self.is_json else structured_or_text(value)


def _with_calls_in_order(item: Mapping[str, Any]) -> Mapping[str, Any]:
    calls = item.get("tool_calls")
    return {**item, "tool_calls": in_order(calls)} if isinstance(calls, Mapping) else item


@dataclass(frozen=True, slots=True)
class Numbered:
    """``PREFIX.N.role``, ``PREFIX.N.content``, ``PREFIX.N.tool_calls.M.name``, ...: one attribute per leaf.

    ``shape`` makes what :func:`message` reads of what stands under a number.
    """

    name: str
    role: str
    shape: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _with_calls_in_order

    @property
    def places(self) -> Places:
        return Places(prefixes=(self.name,))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        return [message(self.shape(item), self.role) for item in facts.numbered(self.name) if isinstance(item, Mapping)]


@dataclass(frozen=True, slots=True)
class InEvents:
    """One message per span event; ``roles`` says which events, and the role of a message that names none.

    The body stands in the event's attributes or, as JSON, in ``gen_ai.event.content``; a choice nests its message.
    """

    roles: Mapping[str, str]

    @property
    def name(self) -> str:
        return "events " + ", ".join(self.roles)

    @property
    def places(self) -> Places:
        return Places(events=tuple(self.roles), event_keys=("content", "message", "tool_calls", "gen_ai.event.content"))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        return [message(event_body(body), self.roles[name]) for name, body in facts.events if name in self.roles]


def event_body(attributes: Attributes) -> dict[str, Any]:
    """The message in a message event: without what says which event of which library it is."""
    body = dict(attributes)
    for key in ("gen_ai.event.content", "message"):
        nested = structured_or_text(body.get(key))
        if isinstance(nested, Mapping):
            del body[key]
            body |= nested
    return {key: value for key, value in body.items() if not str(key).startswith(("gen_ai.", "event."))}


@dataclass(frozen=True, slots=True)
class InEventAttribute:
    """All messages in one attribute of one span event: JSON, or plain text for a single message."""

    event: str
    key: str
    role: str

    @property
    def name(self) -> str:
        return f"event {self.event}"

    @property
    def places(self) -> Places:
        return Places(events=(self.event,), event_keys=(self.key,))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        values = [attributes.get(self.key) for name, attributes in facts.events if name == self.event]
        return [one for value in values if not is_empty(value) for one in self._messages(value, warn)]

    def _messages(self, value: Any, warn: Warn) -> list[Message]:
        value = structured_or_text(value)
        if isinstance(value, str):
            return [message({"content": value}, self.role)]
        return read_messages(value, self.role, warn)
