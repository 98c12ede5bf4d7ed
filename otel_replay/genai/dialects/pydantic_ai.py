"""pydantic-ai and Logfire: OpenTelemetry's conventions, and beside them what earlier versions wrote under short names.

Version 1 of the format keeps message events as a JSON list in ``events`` and ``all_messages_events``; from 2 on agents
have ``pydantic_ai.all_messages``. ``gen_ai.aggregated_usage.*`` sums the calls below and is no usage. Logfire's own
instrumentations of openai and anthropic copy request and answer into ``request_data`` and ``response_data``, and the
provider's usage into ``gen_ai.usage.raw``; of a stream they make two spans, the second with what it brought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_ERROR

from otel_replay.genai.dialect import At, Dialect
from otel_replay.genai.facts import SpanFacts
from otel_replay.genai.listings import Listed, tool_definition
from otel_replay.genai.messages import Message, Warn, message
from otel_replay.genai.payloads import instructions_of, tools_of
from otel_replay.genai.sources import InAttribute, Payload, Places, event_body
from otel_replay.genai.usages import counted
from otel_replay.genai.values import UnreadableError, is_empty, json_value, listed, mapping
from otel_replay.model import AiKind

_CHOICE = "gen_ai.choice"


@dataclass(frozen=True, slots=True)
class EventList:
    """``KEY``: message events as a JSON list; either the choices of the model, or what went before."""

    name: str
    choices: bool

    @property
    def places(self) -> Places:
        return Places(keys=(self.name,))

    def read(self, facts: SpanFacts, warn: Warn) -> list[Message]:
        value = facts.attributes.get(self.name)
        if is_empty(value):
            return []
        if isinstance(value, str):
            value = json_value(value)
        if not isinstance(value, list):
            raise UnreadableError(f"expected a list of events, got {type(value).__name__}")
        return [found for index, item in enumerate(value) if (found := self._message(index, item, warn))]

    def _message(self, index: int, item: Any, warn: Warn) -> Message | None:
        if not isinstance(item, Mapping):
            warn(f"event {index} left out: expected an object, got {type(item).__name__}")
            return None
        name = item.get("event.name")
        if (name == _CHOICE) != self.choices:
            return None
        return message(event_body(item), _ROLES.get(name, "user") if isinstance(name, str) else "user")


_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    _CHOICE: "assistant",
}


def _offered(value: Any) -> list[Any]:
    """The tools of pydantic-ai's ModelRequestParameters."""
    told = mapping(value)
    return [*listed(told.get("function_tools")), *listed(told.get("output_tools"))]


def _is_error(value: Any) -> bool | None:
    """By the numbers of OpenTelemetry's severities, as Logfire writes its levels; None where it is less."""
    return True if isinstance(value, int) and value >= SEVERITY_NUMBER_ERROR else None


PYDANTIC_AI = Dialect(
    name="pydantic-ai",
    namespaces=(
        "pydantic_ai.",
        "agent_name",
        "all_messages_events",
        "events",
        "final_result",
        "model_name",
        "model_request_parameters",
        "operation.cost",
        "request_data",
        "response_data",
        "tool_arguments",
        "tool_response",
    ),
    marks={"all_messages_events": AiKind.AGENT},
    request_model=("model_name",),
    agent=("agent_name",),
    tool_arguments=("tool_arguments",),
    tool_result=("tool_response",),
    system_instructions=(At("request_data", instructions_of),),
    input_messages=(
        EventList("events", choices=False),
        EventList("all_messages_events", choices=False),
        InAttribute("pydantic_ai.all_messages", "user"),
        Payload("request_data", "user", is_call=True),
    ),
    output_messages=(
        EventList("events", choices=True),
        Payload("response_data", "assistant", is_call=True),
        Payload("final_result", "assistant"),
    ),
    tool_definitions=(
        Listed("model_request_parameters", tool_definition, _offered),
        Listed("request_data", tool_definition, tools_of),
    ),
    cache_read_tokens=(
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        At("gen_ai.usage.raw", counted("cache_read")),
    ),
    cache_write_tokens=(
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        At("gen_ai.usage.raw", counted("cache_write")),
    ),
    reasoning_tokens=("gen_ai.usage.details.reasoning_tokens", At("gen_ai.usage.raw", counted("reasoning"))),
    cost_usd=("operation.cost",),
    seconds_to_first_token=("gen_ai.client.operation.time_to_first_chunk",),
    failure=(At("logfire.level_num", _is_error),),
)
