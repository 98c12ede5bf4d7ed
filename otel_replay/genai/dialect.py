"""The shape of a dialect: one table of the keys in which it writes what an :class:`Interaction` holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from otel_replay.genai.listings import ListSource
from otel_replay.genai.sources import MessageSource
from otel_replay.model import AiKind

Take = Callable[[Any], Any]


class At(NamedTuple):
    """An attribute whose value is taken apart first.

    ``take`` gives what a plain key would hold, None where the value does not say it, or raises an UnreadableError.
    """

    key: str
    take: Take


Keys = tuple[str | At, ...]
"""Attribute keys of one meaning; the first that says something readable wins."""


class Operation(NamedTuple):
    """What an operation stands for, and its name in the words of the conventions (None: the name it has)."""

    kind: AiKind | None
    """None: a plain span, whatever marks it bears."""
    name: str | None = None


CHAT = Operation(AiKind.INTERACTION, "chat")
TEXT_COMPLETION = Operation(AiKind.INTERACTION, "text_completion")
EMBEDDINGS = Operation(AiKind.INTERACTION, "embeddings")
EXECUTE_TOOL = Operation(AiKind.TOOL, "execute_tool")
INVOKE_AGENT = Operation(AiKind.AGENT, "invoke_agent")
INVOKE_WORKFLOW = Operation(AiKind.AGENT, "invoke_workflow")
STEP = Operation(AiKind.AGENT)
RETRIEVAL = Operation(AiKind.RETRIEVAL, "retrieval")
RERANK = Operation(AiKind.RETRIEVAL, "rerank")


class Apart(NamedTuple):
    """That some of a dialect's totals are told without their parts, as a provider's API has them."""

    keys: tuple[str, ...]
    """What ``totals`` looks at."""
    totals: Callable[[Mapping[str, Any]], Iterable[str]]
    """Of a span's attributes those that are: ``input`` without the cache, ``output`` without reasoning."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing AI telemetry into spans.

    A span may mix dialects: for each field the tables are asked in the order of ``dialects.DIALECTS``.
    """

    name: str
    namespaces: tuple[str, ...]
    """What the dialect's attribute keys begin with, or whole keys."""
    kinds: Mapping[str, Operation] = field(default_factory=dict)
    """What the keys of ``operation`` may hold (lower case)."""
    marks: Mapping[str, AiKind] = field(default_factory=dict)
    """Keys that no other span has, and what a span with one of them is where its operation does not tell."""
    operation: Keys = ()
    name_of_it: Keys = ()
    """The name of whatever the span is: a tool, an agent, a model."""
    provider: Keys = ()
    product: Keys = ()
    """Whose model it is, where the provider is only the host."""
    request_model: Keys = ()
    response_model: Keys = ()
    response_id: Keys = ()
    previous_response_id: Keys = ()
    agent: Keys = ()
    tool_name: Keys = ()
    tool_call_id: Keys = ()
    tool_arguments: Keys = ()
    tool_result: Keys = ()
    system_instructions: Keys = ()
    input_messages: tuple[MessageSource, ...] = ()
    output_messages: tuple[MessageSource, ...] = ()
    tool_definitions: tuple[ListSource, ...] = ()
    documents: tuple[ListSource, ...] = ()
    input_tokens: Keys = ()
    """With those read from and written to a cache."""
    output_tokens: Keys = ()
    """With those of reasoning."""
    cache_read_tokens: Keys = ()
    cache_write_tokens: Keys = ()
    reasoning_tokens: Keys = ()
    apart: Apart | None = None
    usage_details: Mapping[str, str] = field(default_factory=dict)
    """Key of a count of tokens that others contain already, to its name: ``audio.input``."""
    cost_usd: Keys = ()
    input_cost_usd: Keys = ()
    output_cost_usd: Keys = ()
    finish_reasons: Keys = ()
    seconds_to_first_token: Keys = ()
    is_stream: Keys = ()
    """Whether the answer was asked for in pieces: without, no time to the first of them is one."""
    first_token_at: Keys = ()
    """A time, in RFC 3339."""
    first_token_events: tuple[str, ...] = ()
    """Span events of which the first is the first token."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Key to the name of the parameter."""
    parameter_objects: Keys = ()
    """Objects of parameters, under the names of the provider's API."""
    failure: Keys = ()
    """What says that it failed where the span's status may not: anything that is not empty."""
    error_type: Keys = ()
    error_message: Keys = ()


KEY_FIELDS = tuple(one.name for one in fields(Dialect) if one.type == "Keys")
"""The fields that are found under keys."""


class Place(NamedTuple):
    """That a key may stand for a field: with its rank among those of the field, and how to take its value apart."""

    field: str
    rank: int
    take: Take | None


KeyIndex = Mapping[str, Sequence[Place]]


def key_index(
    dialects: Sequence[Dialect], asked_first: Mapping[str, Sequence[Dialect]], further: Mapping[str, Keys]
) -> KeyIndex:
    """All tables as one: what a span is asked costs as much as it has attributes, however many dialects there are.

    ``asked_first`` are those that for a field go before all others, ``further`` fields whose keys stand elsewhere.
    """
    fields_of = {
        name: [entry for one in (*asked_first.get(name, ()), *dialects) for entry in getattr(one, name)]
        for name in KEY_FIELDS
    }
    index: dict[str, list[Place]] = {}
    for name, found in (*fields_of.items(), *further.items()):
        for rank, entry in enumerate(dict.fromkeys(found)):
            key, take = entry if isinstance(entry, At) else (entry, None)
            index.setdefault(key, []).append(Place(name, rank, take))
    return index


def plain_keys(keys: Iterable[str | At]) -> list[str]:
    """The keys themselves."""
    return [entry.key if isinstance(entry, At) else entry for entry in keys]
