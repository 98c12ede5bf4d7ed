"""Where objects that are no messages may stand: the tools a model was offered, the documents that were found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from otel_replay.genai.facts import SpanFacts
from otel_replay.genai.sources import Places
from otel_replay.genai.values import (
    UnreadableError,
    compact,
    first_said,
    from_json,
    is_empty,
    json_value,
    structured_or_text,
)

Shape = Callable[[Any], Any]
"""Makes an entry of an item; None leaves it out."""


def items(value: Any) -> list[Any]:
    """A list, structured or as JSON; of its items those that are JSON are parsed."""
    if isinstance(value, str):
        value = json_value(value)
    if not isinstance(value, list):
        raise UnreadableError(f"expected a list, got {type(value).__name__}")
    return [structured_or_text(item) for item in value]


class ListSource(Protocol):
    """A place for objects: none found is an empty list, none that can be read is an UnreadableError."""

    @property
    def name(self) -> str:
        """The key or prefix, for warnings."""

    @property
    def places(self) -> Places: ...

    def read(self, facts: SpanFacts) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """``KEY``: a list of objects; ``find`` takes it out of the value."""

    name: str
    shape: Shape
    find: Callable[[Any], Iterable[Any]] = items

    @property
    def places(self) -> Places:
        return Places(keys=(self.name,))

    def read(self, facts: SpanFacts) -> list[Any]:
        value = facts.attributes.get(self.name)
        return [] if is_empty(value) else _shaped(self.find(value), self.shape)


@dataclass(frozen=True, slots=True)
class NumberedListed:
    """``PREFIX.N...``: an object for each number."""

    name: str
    shape: Shape

    @property
    def places(self) -> Places:
        return Places(prefixes=(self.name,))

    def read(self, facts: SpanFacts) -> list[Any]:
        return _shaped(facts.numbered(self.name), self.shape)


def _shaped(found: Iterable[Any], shape: Shape) -> list[Any]:
    return [one for one in map(shape, found) if not is_empty(one)]


def tool_definition(item: Any) -> Any:
    """``{"type": "function", "name", "description", "parameters"}`` of a tool as OpenAI, Anthropic, Gemini, Vercel AI
    SDK or pydantic-ai define it; one of another shape as it is."""
    item = structured_or_text(item)
    if not isinstance(item, Mapping):
        return None
    function = item.get("function")
    source = function if isinstance(function, Mapping) else item
    if not isinstance(source.get("name"), str):
        return item
    schema = first_said(source, *_SCHEMAS)
    kind = item.get("type")
    if schema is None and kind not in _FUNCTIONS:
        return item
    said = {
        "type": "function" if kind in _FUNCTIONS else kind,
        "name": source["name"],
        "description": source.get("description"),
        "parameters": from_json(schema),
    }
    return compact(said)


_SCHEMAS = ("parameters", "input_schema", "inputSchema", "parameters_json_schema")
_FUNCTIONS = (None, "custom", "function")
"""Types that say no more than that it is a tool of the user's; ``custom`` is Anthropic's."""


_CONTENTS = ("content", "page_content", "text")


def document(item: Any) -> Any:
    """``{"id", "content", "score", "metadata"}`` and whatever else a found document has."""
    if not isinstance(item, Mapping):
        return {"content": item} if isinstance(item, str) else None
    nested = item.get("document")
    source = nested if isinstance(nested, Mapping) else item
    content = first_said(source, *_CONTENTS)
    rest = {key: value for key, value in source.items() if key not in (*_CONTENTS, "metadata")}
    return compact({**rest, "content": content, "metadata": structured_or_text(source.get("metadata"))})
