"""Messages of every shape to one: ``{"role": ..., "parts": [{"type": ..., ...}], ...}``.

The shape is that of ``gen_ai.input.messages``. Part types and keys that are not known here are kept as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

from otel_replay.genai.parts import called, is_part, is_typed, part, text_part, tool_call, tool_response
from otel_replay.genai.values import UnreadableError, compact, first_said, json_value, structured_or_text

Warn = Callable[[str], None]
Message = dict[str, Any]

_TAKEN_WITH_PARTS = frozenset(("role", "parts", "tool_calls", "tool_call_id"))
_TAKEN = _TAKEN_WITH_PARTS.union(("content", "function_call", "reasoning_content"))
_TAKEN_OF_TOOLS = _TAKEN.union(("id",))
"""The keys of a message that its role and parts tell: with parts, and in the older form."""

_ROLES = {
    **dict.fromkeys(("agent", "ai", "aichunk", "bot", "chatbot", "model", "thinking"), "assistant"),
    "function": "tool",
    "human": "user",
}
"""Roles of other APIs (lower case) to those of the conventions; others stay as they are."""

_CHOICE = frozenset(("index", "finish_reason", "finishReason"))
"""What a choice or candidate says beside its message."""

INSTRUCTING = frozenset(("system", "developer"))
"""The roles of instructions."""


def read_messages(value: Any, role: str, warn: Warn) -> list[Message]:
    """Messages from a list, one object, or the JSON of either. ``role`` is for messages that name none.

    An item that is no message is left out with a warning and takes nothing else with it.
    """
    if isinstance(value, str):
        value = json_value(value)
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        raise UnreadableError(f"expected a list of messages, got {type(value).__name__}")
    messages: list[Message] = []
    for index, item in enumerate(items):
        item = structured_or_text(item)
        if isinstance(item, str):
            item = {"content": item}
        if isinstance(item, Mapping):
            messages.append(message(item, role))
        else:
            warn(f"message {index} left out: expected an object, got {type(item).__name__}")
    return [_joined(messages)] if len(messages) == len(items) and _are_pieces(items) else messages


def _are_pieces(items: list[Any]) -> bool:
    """Whether these are the chunks of one answer, as some libraries leave a stream: only the last one is finished."""
    if len(items) < 2 or not all(isinstance(one, Mapping) and one.get("role") == "assistant" for one in items):
        return False
    return all(one.get("finish_reason") == "" for one in items[:-1]) and bool(items[-1].get("finish_reason"))


def _joined(messages: list[Message]) -> Message:
    return {**messages[-1], "parts": one_text([part for one in messages for part in one["parts"]])}


def one_text(parts: list[Any]) -> list[Any]:
    """Parts of an answer, with those texts as one that came one after the other."""
    found: list[Any] = []
    for is_text, group in groupby(parts, _is_plain_text):
        if is_text:
            found.append(text_part("".join([one["content"] for one in group])))
        else:
            found += group
    return found


def _is_plain_text(one: Any) -> bool:
    return (
        is_typed(one)
        and one["type"] == "text"
        and one.keys() == {"type", "content"}
        and isinstance(one["content"], str)
    )


def message(item: Mapping[str, Any], role: str) -> Message:
    """One message with ``parts``, also from the older ``content`` and ``tool_calls`` form."""
    item = unwrapped(item)
    named = item.get("role")
    said_by = named if isinstance(named, str) and named else role
    role = _ROLES.get(said_by.lower(), said_by)
    written = item.get("parts")
    if isinstance(written, list):
        parts, taken = _completed(item, role, [part(one) for one in written]), _TAKEN_WITH_PARTS
    else:
        parts, taken = _parts_of_old_form(item, role), _TAKEN_OF_TOOLS if role == "tool" else _TAKEN
    if said_by == "thinking":
        parts = [{**one, "type": "reasoning"} if is_typed(one) and one["type"] == "text" else one for one in parts]
    if role == "user" and parts and all(is_typed(one) and one["type"] == "tool_call_response" for one in parts):
        role = "tool"  # in some APIs the user hands on what a tool said
    return {"role": role, "parts": parts, **{key: value for key, value in compact(item).items() if key not in taken}}


def text_message(role: str, text: Any) -> Message:
    return {"role": role, "parts": [text_part(text)]}


def tool_calls(messages: list[Message]) -> list[Any]:
    """The ``tool_call`` parts of messages, in order."""
    return [
        part
        for one in messages
        for part in one["parts"]
        if isinstance(part, Mapping) and part.get("type") == "tool_call"
    ]


def text_of(messages: list[Message]) -> str:
    """The text parts of messages, joined by a space."""
    texts = [
        part["content"]
        for one in messages
        for part in one.get("parts", ())
        if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("content"), str)
    ]
    return " ".join(texts)


def parts_of(content: Any) -> list[Any]:
    """Parts of a ``content``: text, one part, or a list of them. Any other JSON is text like any other."""
    if content is None or content == "":
        return []
    value = structured_or_text(content)
    looks_like_one = is_typed if isinstance(content, str) else is_part
    if isinstance(value, list) and all(map(looks_like_one, value)) and (value or not isinstance(content, str)):
        return [part(one) for one in value]
    if not isinstance(value, str) and looks_like_one(value):
        return [part(value)]
    return [text_part(content)]


def unwrapped(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message in what holds one: OpenAI's choices, LangChain's class and arguments or type, Gemini's content."""
    inner = item.get("message")
    if isinstance(inner, Mapping) and "role" not in item and not _CHOICE.isdisjoint(item):
        return {**unwrapped(inner), "finish_reason": first_said(item, "finish_reason", "finishReason")}
    kwargs, path, content = item.get("kwargs"), item.get("id"), item.get("content")
    if isinstance(kwargs, Mapping) and isinstance(path, list) and path:
        role = str(path[-1]).removesuffix("Chunk").removesuffix("Message").lower()
        return {"role": role, **kwargs}
    if isinstance(content, Mapping) and isinstance(content.get("parts"), list):
        return {**item, **content, "content": None}
    kind = item.get("type")
    if "role" not in item and isinstance(kind, str) and (kind in _ROLES or kind in INSTRUCTING or kind == "tool"):
        return {**item, "role": kind, "type": None}
    return item


def _completed(item: Mapping[str, Any], role: str, parts: list[Any]) -> list[Any]:
    """Some libraries write parts for texts only, and leave tools to the older form."""
    types = {one["type"] for one in parts if is_typed(one)}
    if role == "tool" and item.get("tool_call_id") is not None and "tool_call_response" not in types:
        return [tool_response(item["tool_call_id"], parts)]
    calls = [] if "tool_call" in types else _as_list(structured_or_text(item.get("tool_calls")))
    return [*parts, *map(_tool_call, calls)]


def _parts_of_old_form(item: Mapping[str, Any], role: str) -> list[Any]:
    content = item.get("content")
    parts = parts_of(content)
    if role == "tool" and not any(is_typed(one) and one["type"] == "tool_call_response" for one in parts):
        identity = item.get("tool_call_id")
        return [tool_response(item.get("id") if identity is None else identity, content)]
    thought = item.get("reasoning_content")
    before = [{"type": "reasoning", "content": thought}] if isinstance(thought, str) and thought else []
    calls = [*_as_list(structured_or_text(item.get("tool_calls"))), *_as_list(item.get("function_call"))]
    return [*before, *parts, *map(_tool_call, calls)]


def _tool_call(call: Any) -> Any:
    return called(call) if isinstance(call, Mapping) else tool_call(None, None, call)


def _as_list(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]
