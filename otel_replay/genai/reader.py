"""All dialects' tables as one, and what they find in a span."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from typing import Any, TypeVar

from otel_replay.genai.dialect import Take, key_index
from otel_replay.genai.dialects import ASKED_FIRST, DIALECTS
from otel_replay.genai.facts import Attributes, SpanFacts
from otel_replay.genai.identity import CONVERSATION_KEYS
from otel_replay.genai.listings import ListSource
from otel_replay.genai.messages import Message
from otel_replay.genai.parameters import PARAMETERS, parameter_value
from otel_replay.genai.sources import MessageSource, Payload
from otel_replay.genai.values import UnreadableError, count, is_empty, mapping

KEY_INDEX = key_index(DIALECTS, ASKED_FIRST, {"conversation_id": CONVERSATION_KEYS})


def _surest_first(sources: list[MessageSource]) -> tuple[MessageSource, ...]:
    """What is written as messages goes before what a library wrote down whole."""
    return tuple(sorted(sources, key=lambda source: isinstance(source, Payload)))


INPUTS = _surest_first([source for dialect in DIALECTS for source in dialect.input_messages])
OUTPUTS = _surest_first([source for dialect in DIALECTS for source in dialect.output_messages])
TOOL_DEFINITIONS = tuple(source for dialect in DIALECTS for source in dialect.tool_definitions)
DOCUMENTS = tuple(source for dialect in DIALECTS for source in dialect.documents)
PARAMETER_KEYS = {key: name for dialect in reversed(DIALECTS) for key, name in dialect.parameters.items()}
USAGE_DETAIL_KEYS = {key: name for dialect in reversed(DIALECTS) for key, name in dialect.usage_details.items()}

MOST_REASONS = 20
"""Of one attribute: of a list of 200,000 numbers that should be messages each would have its own."""

AND_MORE = "and more that cannot be read"

T = TypeVar("T")


@lru_cache(1024)
def _keys_of_fields(keys: tuple[str, ...]) -> Mapping[str, list[tuple[str, Take | None]]]:
    """For each field those of the keys that may hold it, by precedence. Spans of one library have the same keys."""
    places = [(place.field, place.rank, key, place.take) for key in keys for place in KEY_INDEX[key]]
    places.sort(key=lambda one: one[:2])
    return {field: [(key, take) for _, _, key, take in group] for field, group in groupby(places, lambda one: one[0])}


class Reader:
    """Gives each field the first readable value by precedence, and collects why something could not be read."""

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self._keys = _keys_of_fields(tuple([key for key in attributes if key in KEY_INDEX]))
        self._reasons: dict[str, dict[str, None]] = {}
        """Why something could not be read, by what its keys begin with."""

    def first(self, field: str, convert: Callable[[Any], T]) -> T | None:
        return self._first(self._keys.get(field, ()), convert)

    def _first(self, places: Sequence[tuple[str, Take | None]], convert: Callable[[Any], T]) -> T | None:
        for key, take in places:
            value = self.attributes[key]
            if not value and is_empty(value):
                continue
            try:
                if take is not None and is_empty(value := take(value)):
                    continue
                return convert(value)
            except UnreadableError as error:
                self._warn(key, str(error))
        return None

    def read(self, fields: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
        """What is told of these fields; those of which nothing is are left out, and cost nothing."""
        found = {}
        for field, places in self._keys.items():
            if (convert := fields.get(field)) is not None and (value := self._first(places, convert)) is not None:
                found[field] = value
        return found

    def all(self, field: str, convert: Callable[[Any], T]) -> list[tuple[str, T]]:
        """Every readable value of a field, each with its key, by precedence."""
        found = []
        for key, take in self._keys.get(field, ()):
            value = self.attributes[key]
            try:
                if take is not None:
                    value = take(value)
                if value or not is_empty(value):
                    found.append((key, convert(value)))
            except UnreadableError as error:
                self._warn(key, str(error))
        return found

    def messages(self, sources: Sequence[MessageSource], facts: SpanFacts) -> list[Message] | None:
        """From the first place where something is said; messages without parts are only names of who says nothing."""
        silent: list[Message] | None = None
        for source in sources:
            try:
                found = source.read(facts, partial(self._warn, source.name))
            except UnreadableError as error:
                self._warn(source.name, str(error))
                continue
            if any(one["parts"] for one in found):
                return found
            silent = silent or found
        return silent or None

    def objects(self, sources: Sequence[ListSource], facts: SpanFacts) -> list[Any] | None:
        for source in sources:
            try:
                if found := source.read(facts):
                    return found
            except UnreadableError as error:
                self._warn(source.name, str(error))
        return None

    def parameters(self) -> dict[str, Any]:
        """By the names of the conventions; of objects the members that are known."""
        named = [(PARAMETER_KEYS[key], value) for key, value in self.attributes.items() if key in PARAMETER_KEYS]
        for _, found in self.all("parameter_objects", mapping):
            named += [(PARAMETERS[name], value) for name, value in found.items() if name in PARAMETERS]
        parameters: dict[str, Any] = {}
        for name, value in named:
            if not is_empty(value):
                parameters.setdefault(name, parameter_value(name, value))
        return parameters

    def usage_details(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for key in self.attributes.keys() & USAGE_DETAIL_KEYS.keys():
            try:
                found[USAGE_DETAIL_KEYS[key]] = count(self.attributes[key])
            except UnreadableError as error:
                self._warn(key, str(error))
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(f"{where}: {reason}" for where, reasons in self._reasons.items() for reason in reasons)

    @property
    def unreadable(self) -> tuple[str, ...]:
        return tuple(self._reasons)

    def _warn(self, where: str, reason: str) -> None:
        reasons = self._reasons.setdefault(where, {})
        is_listed = reason in reasons or len(reasons) < MOST_REASONS
        reasons[reason if is_listed else AND_MORE] = None
