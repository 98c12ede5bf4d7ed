"""Differences that several dialects share."""

from __future__ import annotations

from tests.dialects.conversation import TOOL_ARGUMENTS, TOOL_NAME
from tests.dialects.dialect import of

UNREAD = "a span ends when its stream is read to the end"
ABANDONED_FAILS = of("abandoned", "failed", True, "an abandoned stream is an error, of type _OTHER")
ONE_MODEL = "one name: the model that answered, or the one asked for until it has"
NO_PROVIDER = of("*", "provider", None, "names no provider")
NO_EMBEDDED = of("embedding", "input", None, "keeps no input of embeddings")
NO_FIRST_TOKEN = of("stream abandoned", "first_token", False, "says nothing of the first token")
NO_FINISH = of("*", "finish_reasons", None, "the responses API has none, and none is made up")
NO_PARTIAL = of("abandoned", "output", None, "keeps only whole answers")

WEATHER_PART = {"type": "tool_call", "name": TOOL_NAME, "arguments": TOOL_ARGUMENTS}
"""The model's tool call but for its id."""
