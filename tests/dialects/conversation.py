"""The one conversation that every library plays: what is asked, what the model answers, what it counts.

Standard library only: the stub, the applications in their own environments and the tests all read it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SYSTEM = "You are a weather assistant. Be brief."
TEMPERATURE = 0.5
MAX_TOKENS = 200

QUESTION = "What is the weather in Paris?"
FOLLOW_UP = "And tomorrow?"
FAIL = "Fail, please."
BUSY = "Are you busy?"
COUNT = "Count for ever."
LOOK = "What colour is this picture?"
EMBEDDED = "Paris in spring"
TRIP = "Plan my day in Paris."

ANSWER = "It is 18 degrees and clear in Paris."
TOMORROW = "Tomorrow it will rain in Paris."
COLOUR = "It is red."
FREE = "Not any more."
PLAN = "Take a hat: it is 18 degrees and clear in Paris."

TOOL_NAME = "get_weather"
TOOL_DESCRIPTION = "The weather in a city."
TOOL_PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL_ARGUMENTS = {"city": "Paris"}
TOOL_RESULT = {"degrees": 18, "sky": "clear"}
CALL_ID = "call_weather_1"

EXPERT_TOOL = "ask_weather_expert"
EXPERT_CALL_ID = "call_expert_1"

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
"""One red pixel, base64."""

DATA_URL = f"data:image/png;base64,{PNG}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts as the semantic conventions define them: input includes what the cache served, output the reasoning."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model asks for."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says to ``question``; ``after_result`` when a tool has answered since.

    ``tokens`` of an endless reply are what it counts before its first word. The first ``refusals`` times that a caller
    asks, the answer is that it asks too often.
    """

    question: str
    tokens: Tokens = field(default_factory=lambda: Tokens(0, 0))
    after_result: bool = False
    text: str = ""
    call: Call | None = None
    status: int = 200
    endless: bool = False
    refusals: int = 0


WEATHER_CALL = Call(CALL_ID, TOOL_NAME, TOOL_ARGUMENTS)

# Every count of every reply differs from every other, and none is 0: what is equal was read from the right place.
REPLIES = (
    Reply(QUESTION, Tokens(61, 17, 11, 3, 6), call=WEATHER_CALL),
    Reply(QUESTION, Tokens(97, 13, 64, 4, 2), after_result=True, text=ANSWER),
    Reply(FOLLOW_UP, Tokens(128, 14, 96, 5, 7), text=TOMORROW),
    Reply(LOOK, Tokens(301, 12, 22, 8, 1), text=COLOUR),
    Reply(TRIP, Tokens(71, 23, 19, 9, 10), call=Call(EXPERT_CALL_ID, EXPERT_TOOL, {"input": QUESTION})),
    Reply(TRIP, Tokens(141, 25, 72, 15, 16), after_result=True, text=PLAN),
    Reply(BUSY, Tokens(83, 29, 27, 21, 28), text=FREE, refusals=2),
    Reply(FAIL, status=500),
    Reply(COUNT, Tokens(41, 1, 18, 20, 0), endless=True),
)
EMBEDDING_TOKENS = 33

ERROR = "The model failed, as it was asked to."


def counting(number: int) -> str:
    """A piece of the endless reply."""
    return f"{number} "


@dataclass(frozen=True, slots=True)
class Vendor:
    """A model API: what the conventions call it, the model asked for, the model that answers."""

    provider: str
    model: str
    answering: str
    embedding_model: str = ""
    operation: str = "chat"
    temperature: float | None = TEMPERATURE
    finish_with_call: str = "tool_call"
    """The reason to stop when a tool is called."""
    uncounted: frozenset[str] = frozenset()
    """Counts that the API has no field for."""
    counted_at_once: Tokens | None = None
    """What a stream counts before its first word, and so of one that is abandoned."""


OPENAI = Vendor("openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "text-embedding-3-small")
ANTHROPIC = Vendor(
    "anthropic",
    "claude-sonnet-4-5",
    "claude-sonnet-4-5-20250929",
    temperature=None,
    counted_at_once=REPLIES[-1].tokens,
)
GEMINI = Vendor(
    "gcp.gemini",
    "gemini-2.5-flash",
    "gemini-2.5-flash-001",
    "gemini-embedding-001",
    operation="generate_content",
    finish_with_call="stop",
    uncounted=frozenset(("cache_write",)),
    counted_at_once=Tokens(REPLIES[-1].tokens.input, 0),
)
ANSWERING = {vendor.model: vendor.answering for vendor in (OPENAI, ANTHROPIC, GEMINI)}
