"""The shape of a dialect: one table of the keys in which it writes what an :class:`Interaction` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    markers: tuple[bytes, ...]
    """Every span of the dialect holds one of these in its serialised form."""
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
