"""Usage objects of providers' APIs: what a call cost in tokens, in OpenAI's, Anthropic's and Gemini's shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_replay.genai.values import at_path, count, peek

_PATHS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "cache_read": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("cache_read_input_tokens",),
        ("cached_content_token_count",),
    ),
    "cache_write": (
        ("prompt_tokens_details", "cache_write_tokens"),
        ("prompt_tokens_details", "cache_creation_tokens"),
        ("input_tokens_details", "cache_write_tokens"),
        ("cache_creation_input_tokens",),
    ),
    "reasoning": (
        ("completion_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "reasoning_tokens"),
        ("output_tokens_details", "thinking_tokens"),
        ("thoughts_token_count",),
    ),
    "input": (("prompt_tokens",), ("input_tokens",)),
    "output": (("completion_tokens",), ("output_tokens",)),
}

_DETAILS = frozenset(("prompt_tokens_details", "input_tokens_details"))


def counted(name: str, *path: str) -> Callable[[Any], Any]:
    """Takes a count out of the usage object that stands at a path in an attribute; None where there is none.

    Anthropic's count of input is without what was read from or written to a cache, under whatever name libraries hand
    it on: these are added. Counts that have the cache in them tell it in an object of details.
    """

    def take(value: Any) -> Any:
        usage = at_path(peek(value), *path)
        found = first_of(usage, _PATHS[name])
        if name == "input" and found is not None and _DETAILS.isdisjoint(usage):
            beside = (usage.get(key) for key in ("cache_read_input_tokens", "cache_creation_input_tokens"))
            return count(found) + sum(count(one) for one in beside if one is not None)
        return found

    return take


def first_of(value: Any, paths: tuple[tuple[str, ...], ...]) -> Any:
    """What stands at the first of the paths at which something does."""
    return next((found for path in paths if (found := at_path(value, *path)) is not None), None)
