"""Parameters of requests: their names in the words of the conventions, and values that are written as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_replay.genai.values import from_json

PARAMETERS = {
    **{
        name: name
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "max_tokens",
            "seed",
            "stop_sequences",
            "frequency_penalty",
            "presence_penalty",
            "choice_count",
            "stream",
            "reasoning_level",
        )
    },
    "candidate_count": "choice_count",
    "frequencyPenalty": "frequency_penalty",
    "maxOutputTokens": "max_tokens",
    "maxTokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "n": "choice_count",
    "presencePenalty": "presence_penalty",
    "reasoning_effort": "reasoning_level",
    "stop": "stop_sequences",
    "stopSequences": "stop_sequences",
    "topK": "top_k",
    "topP": "top_p",
}
"""Parameters of requests, in the spellings of providers and libraries, to those of the conventions."""

_NUMBERS = frozenset(
    ("choice_count", "frequency_penalty", "max_tokens", "presence_penalty", "seed", "temperature", "top_k", "top_p")
)

_TRUTHS: Mapping[str, Any] = {"True": True, "False": False}
"""As LiteLLM writes them."""


def parameter_value(name: str, value: Any) -> Any:
    """The value of a parameter, by its name in the conventions; Spring AI writes all of them as text."""
    if not isinstance(value, str):
        return value
    number = from_json(value) if name in _NUMBERS else None
    return number if isinstance(number, int | float) else _TRUTHS.get(value, value)
