"""What of a span's attributes and events its :class:`Interaction` tells: where content stands, which keys are read."""

from __future__ import annotations

from otel_replay.genai.dialects import DIALECTS
from otel_replay.genai.facts import DETAILS_EVENT
from otel_replay.genai.interpret import AI_KEYS
from otel_replay.genai.reader import (
    DOCUMENTS,
    INPUTS,
    KEY_INDEX,
    OUTPUTS,
    PARAMETER_KEYS,
    TOOL_DEFINITIONS,
    USAGE_DETAIL_KEYS,
)

_PLACES = (
    *(source.places for source in (*INPUTS, *OUTPUTS)),
    *(source.places for source in (*TOOL_DEFINITIONS, *DOCUMENTS)),
)
_ANYTHING = ("system_instructions", "tool_arguments", "tool_result")

CONTENT_KEYS = frozenset(key for places in _PLACES for key in places.keys).union(
    key for key, places in KEY_INDEX.items() if any(place.field in _ANYTHING and place.take is None for place in places)
)
CONTENT_PREFIXES = tuple(dict.fromkeys(f"{prefix}." for places in _PLACES for prefix in places.prefixes))
CONTENT_EVENTS = frozenset(event for places in _PLACES for event in places.events).union((DETAILS_EVENT,))
CONTENT_EVENT_KEYS = frozenset(key for places in _PLACES for key in places.event_keys).union(
    ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions")
)

_STAYING = ("agent", "name_of_it", "parameter_objects")
"""Fields of which an interaction tells a part: an agent may have a name and an id."""


def _is_all_told(fields: set[str]) -> bool:
    """A failure is told by other fields, or not: a level may be a warning."""
    return fields != {"failure"} and fields.isdisjoint(_STAYING)


_NAMESPACES = tuple(dict.fromkeys(namespace for dialect in DIALECTS for namespace in dialect.namespaces))
_KEYS = CONTENT_KEYS.union(
    AI_KEYS,
    PARAMETER_KEYS,
    USAGE_DETAIL_KEYS,
    (key for key, places in KEY_INDEX.items() if _is_all_told({place.field for place in places})),
)


def is_told(key: str) -> bool:
    """Whether an interaction has a place for what stands under an attribute key.

    Only keys of a dialect's own: of one that any application may use nobody knows whether it was read.
    """
    if not key.startswith(_NAMESPACES):
        return False
    return key in _KEYS or any(
        key.startswith(one) and key[len(one) : len(one) + 1].isdigit() for one in CONTENT_PREFIXES
    )
