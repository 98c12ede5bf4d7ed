"""Messages as OpenAI's chat completions have them, for the clients that speak of nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.dialects.conversation import (
    DATA_URL,
    FOLLOW_UP,
    LOOK,
    QUESTION,
    SYSTEM,
    TOOL_DESCRIPTION,
    TOOL_NAME,
    TOOL_PARAMETERS,
    TOOL_RESULT,
)

Message = dict[str, Any]

TOOL = {
    "type": "function",
    "function": {"name": TOOL_NAME, "description": TOOL_DESCRIPTION, "parameters": TOOL_PARAMETERS},
}


def said(role: str, content: Any) -> Message:
    return {"role": role, "content": content}


PICTURE = said("user", [{"type": "text", "text": LOOK}, {"type": "image_url", "image_url": {"url": DATA_URL}}])


class History:
    """What was said so far, each request with all of it."""

    def __init__(self) -> None:
        self.messages = [said("system", SYSTEM), said("user", QUESTION)]

    def called(self, calls: Sequence[Any]) -> None:
        """The model has called the tool, which has answered."""
        asked = [call.model_dump() for call in calls]
        self.messages += [
            {"role": "assistant", "content": None, "tool_calls": asked},
            {"role": "tool", "tool_call_id": asked[0]["id"], "content": json.dumps(TOOL_RESULT)},
        ]

    def answered(self, answer: str) -> None:
        """The model has answered, and is asked again."""
        self.messages += [said("assistant", answer), said("user", FOLLOW_UP)]
