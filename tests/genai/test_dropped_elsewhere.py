"""What Phoenix 20.26 and Langfuse 4.16 lose of the telemetry they receive, as read in their code: nothing of it here.

Phoenix: ``phoenix/trace/gen_ai/conversion.py``. Langfuse: ``OtelIngestionProcessor``, which reads the details event of
spans and has no route for logs; that log records join their span is shown in ``tests/timeline`` and
``tests/dialects``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from otel_replay.genai import interpret
from otel_replay.genai.identity import identity
from otel_replay.model import AiKind, Interaction, Usage

from .spans import span

pytestmark = pytest.mark.feature("X5")

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
HI = {"role": "user", "parts": [{"type": "text", "content": "Hi"}]}
DETAILS = "gen_ai.client.inference.operation.details"
PARTS = [
    {"type": "server_tool_call", "id": "s1", "name": "search", "server_tool_call": {"query": "x"}},
    {"type": "server_tool_call_response", "id": "s1", "server_tool_call_response": {"hits": 1}},
    {"type": "file", "mime_type": "text/plain", "modality": "text", "file_id": "f1"},
    {"type": "compaction", "id": "c1", "content": "short"},
]
RESPONSES = [{"type": "tool_call_response", "id": f"c{number}", "response": number} for number in (1, 2)]


def said(found: Interaction) -> Any:
    return found.input_messages


def usage(found: Interaction) -> Any:
    return found.usage


@pytest.mark.parametrize(
    ("attributes", "tell", "expected"),
    [
        pytest.param({"gen_ai.input.messages": [HI]}, said, [HI], id="structured messages"),
        pytest.param({"gen_ai.input.messages": json.dumps([HI, 7])}, said, [HI], id="the others beside a bad message"),
        pytest.param({"gen_ai.prompt.0.content": "Hi"}, said, [HI], id="numbered prompts"),
        pytest.param({"gen_ai.prompt.0.content": "Hi", "input.value": "{}"}, said, [HI], id="before a whole input"),
        pytest.param({"gen_ai.usage.prompt_tokens": 3}, usage, Usage(3), id="old counts"),
        pytest.param(
            {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.cache_write.input_tokens": 4},
            usage,
            Usage(9, cache_write=4),
            id="cache writes",
        ),
        pytest.param(
            {"gen_ai.usage.output_tokens": 9, "gen_ai.usage.reasoning.output_tokens": 4},
            usage,
            Usage(output=9, reasoning=4),
            id="reasoning is part of the output",
        ),
        pytest.param(
            {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.audio.input_tokens": 4},
            lambda found: (found.usage, found.usage_details),
            (Usage(9), {"audio.input": 4}),
            id="modalities are parts of the input",
        ),
        pytest.param(
            {"gen_ai.operation.name": "invoke_workflow"}, lambda found: found.kind, AiKind.AGENT, id="workflows"
        ),
        pytest.param({"gen_ai.operation.name": "plan"}, lambda found: found.kind, AiKind.AGENT, id="plans"),
        pytest.param({"agent.name": "Planner"}, lambda found: found.agent, "Planner", id="agent.name"),
        pytest.param(
            {"gen_ai.input.messages": [{"role": "user", "parts": PARTS}]},
            lambda found: found.input_messages[0]["parts"],
            PARTS,
            id="every part",
        ),
        pytest.param(
            {"gen_ai.input.messages": [{"role": "tool", "parts": RESPONSES}]},
            lambda found: found.input_messages[0]["parts"],
            RESPONSES,
            id="two answers of tools in one message",
        ),
    ],
)
def test_what_others_drop(attributes: dict[str, Any], tell: Callable[[Interaction], Any], expected: Any) -> None:
    found = interpret(span({**CHAT, **attributes}))
    assert found is not None
    assert tell(found) == expected


@pytest.mark.parametrize(
    "event",
    [
        ("gen_ai.user.message", {"content": "Hi"}),
        ("gen_ai.content.prompt", {"gen_ai.prompt": "Hi"}),
        (DETAILS, {"gen_ai.input.messages": [HI]}),
        (DETAILS, {"gen_ai.input.messages": json.dumps([HI])}),
    ],
)
def test_messages_in_events_of_the_span(event: tuple[str, dict[str, Any]]) -> None:
    found = interpret(span(CHAT, events=[event]))
    assert found is not None
    assert found.input_messages == [HI]


def test_counts_in_an_event_of_the_span_are_known_without_content() -> None:
    events = [(DETAILS, {"gen_ai.usage.input_tokens": 3, "gen_ai.request.model": "other"})]
    found = interpret(span(CHAT, events=events), with_content=False)
    assert found is not None
    assert (found.usage, found.request_model) == (Usage(3), "m"), "what the span says itself goes first"


def test_who_asked() -> None:
    assert identity({"user.id": "ada"}).user_id == "ada"
