"""What a timeline should say of each call of the conversation."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from tests.dialects.conversation import (
    ANSWER,
    BUSY,
    COLOUR,
    COUNT,
    EMBEDDED,
    EMBEDDING_TOKENS,
    FAIL,
    FOLLOW_UP,
    FREE,
    LOOK,
    MAX_TOKENS,
    PNG,
    QUESTION,
    REPLIES,
    SYSTEM,
    TOMORROW,
    TOOL_ARGUMENTS,
    TOOL_NAME,
    TOOL_RESULT,
    WEATHER_CALL,
    Tokens,
    Vendor,
)

Facts = dict[str, Any]

STEPS = {
    "tools": ("question", "answer"),
    "stream": ("stream",),
    "error": ("error",),
    "refused": ("refused",),
    "retried": ("retried",),
    "abandoned": ("abandoned",),
    "image": ("image",),
    "embedding": ("embedding",),
}
"""The application's span of each step, and the calls below it in the order in which they start."""

LOST = "no interaction"
SOME_OF_IT = "the first words of the counting"

TOKEN_NAMES = tuple(field.name for field in fields(Tokens))

TOKENS = {(reply.question, reply.after_result): reply.tokens for reply in REPLIES}

WEATHER_TOOL = {"name": TOOL_NAME, "call_id": WEATHER_CALL.id, "arguments": TOOL_ARGUMENTS, "result": TOOL_RESULT}


def expected(vendor: Vendor) -> dict[str, Facts]:
    """Each call as a dialect that carries everything tells it."""
    return {**_talk(vendor), **_single_calls(vendor)}


def _talk(vendor: Vendor) -> dict[str, Facts]:
    """A question, a tool's result, a further question: each call repeats what was said before."""
    call = _part("tool_call", id=WEATHER_CALL.id, name=TOOL_NAME, arguments=TOOL_ARGUMENTS)
    result = _part("tool_call_response", id=WEATHER_CALL.id, response=TOOL_RESULT)
    asked, follow_up = _message("user", _text(QUESTION)), _message("user", _text(FOLLOW_UP))
    called, answered = _message("assistant", call), _message("tool", result)
    answer = _message("assistant", _text(ANSWER))
    common = {**_common(vendor), "system": SYSTEM}
    return {
        "question": {
            **common,
            "input": [asked],
            "output": [called],
            "tools": [TOOL_NAME],
            "finish_reasons": [vendor.finish_with_call],
            **_tokens(TOKENS[QUESTION, False], vendor),
        },
        "answer": {
            **common,
            "input": [asked, called, answered],
            "output": [answer],
            "tools": [TOOL_NAME],
            **_tokens(TOKENS[QUESTION, True], vendor),
        },
        "stream": {
            **common,
            "input": [asked, called, answered, answer, follow_up],
            "output": [_message("assistant", _text(TOMORROW))],
            "first_token": True,
            **_tokens(TOKENS[FOLLOW_UP, False], vendor),
        },
    }


def _single_calls(vendor: Vendor) -> dict[str, Facts]:
    common = _common(vendor)
    nothing = {"response_model": None, "finish_reasons": None, "output": None, **_tokens(None, vendor)}
    picture = _part("blob", mime_type="image/png", content=PNG)
    return {
        "error": {**common, **nothing, "input": [_message("user", _text(FAIL))], "failed": True, "error": True},
        "refused": {**common, **nothing, "input": [_message("user", _text(BUSY))], "failed": True, "error": True},
        "retried": {
            **common,
            "input": [_message("user", _text(BUSY))],
            "output": [_message("assistant", _text(FREE))],
            **_tokens(TOKENS[BUSY, False], vendor),
        },
        "abandoned": {
            **common,
            "input": [_message("user", _text(COUNT))],
            "output": SOME_OF_IT,
            "finish_reasons": None,
            "first_token": True,
            **_tokens(vendor.counted_at_once, vendor),
        },
        "image": {
            **common,
            "input": [_message("user", _text(LOOK), picture)],
            "output": [_message("assistant", _text(COLOUR))],
            **_tokens(TOKENS[LOOK, False], vendor),
        },
        "embedding": {
            **common,
            **nothing,
            "operation": "embeddings",
            "request_model": vendor.embedding_model,
            "response_model": vendor.embedding_model,
            "input": [_message("user", _text(EMBEDDED))],
            "temperature": None,
            "max_tokens": None,
            "input_tokens": EMBEDDING_TOKENS,
        },
    }


def _common(vendor: Vendor) -> Facts:
    return {
        "operation": vendor.operation,
        "provider": vendor.provider,
        "request_model": vendor.model,
        "response_model": vendor.answering,
        "system": None,
        "tools": None,
        "finish_reasons": ["stop"],
        "first_token": False,
        "temperature": vendor.temperature,
        "max_tokens": MAX_TOKENS,
        "conversation": None,
        "agent": None,
        "failed": False,
        "error": False,
        "in_trace": True,
    }


def _message(role: str, *parts: Facts) -> Facts:
    return {"role": role, "parts": list(parts)}


def _part(kind: str, **fields: Any) -> Facts:
    return {"type": kind, **fields}


def _text(content: str) -> Facts:
    return _part("text", content=content)


def _tokens(tokens: Tokens | None, vendor: Vendor) -> Facts:
    """A count that is 0 may as well be left out."""
    counts = asdict(tokens) if tokens else dict.fromkeys(TOKEN_NAMES)
    return {f"{name}_tokens": None if name in vendor.uncounted else count or None for name, count in counts.items()}
