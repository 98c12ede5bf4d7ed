"""The shape of a dialect: one table of the keys in which it writes what an :class:`Interaction` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from otel_replay.genai.sources import MessageSource
from otel_replay.model import AiKind

Keys = tuple[str, ...]
"""Attribute keys of one meaning; the first that is not empty wins."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing AI telemetry into spans.

    A span may mix dialects: for each field the tables are asked in the order of ``interpret.DIALECTS``.
    """

    name: str
    namespaces: tuple[str, ...]
    """What the dialect's attribute keys begin with."""
    kinds: Mapping[str, AiKind]
    """Operation (lower case) to kind."""
    operation: Keys = ()
    provider: Keys = ()
    request_model: Keys = ()
    response_model: Keys = ()
    response_id: Keys = ()
    conversation_id: Keys = ()
    agent: Keys = ()
    tool_name: Keys = ()
    tool_call_id: Keys = ()
    tool_arguments: Keys = ()
    tool_result: Keys = ()
    system_instructions: Keys = ()
    input_messages: tuple[MessageSource, ...] = ()
    output_messages: tuple[MessageSource, ...] = ()
    input_tokens: Keys = ()
    output_tokens: Keys = ()
    cache_read_tokens: Keys = ()
    cache_write_tokens: Keys = ()
    reasoning_tokens: Keys = ()
    cost_usd: Keys = ()
    finish_reasons: Keys = ()
    seconds_to_first_token: Keys = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Key to the name of the parameter."""


KEY_FIELDS = tuple(one.name for one in fields(Dialect) if one.type == "Keys")
"""The fields that are found under keys."""

KeyIndex = Mapping[str, Sequence[tuple[str, int]]]
"""Attribute key to the fields it may stand for, each with the key's rank among those of the field."""


def key_index(dialects: Sequence[Dialect]) -> KeyIndex:
    """All tables as one: what a span is asked costs as much as it has attributes, however many dialects there are."""
    index: dict[str, list[tuple[str, int]]] = {}
    for name in KEY_FIELDS:
        keys = [key for dialect in dialects for key in getattr(dialect, name)]
        for rank, key in enumerate(dict.fromkeys(keys)):
            index.setdefault(key, []).append((name, rank))
    return index
