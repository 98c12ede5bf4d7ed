"""Messages of every shape to one: ``{"role": ..., "parts": [{"type": ..., ...}], ...}``.

The shape is that of ``gen_ai.input.messages``. Part types and keys that are not known here are kept as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_replay.genai.values import UnreadableError, json_value, structured_or_text

Warn = Callable[[str], None]
Message = dict[str, Any]

_REPLACED_BY_PARTS = ("content", "tool_calls", "tool_call_id")


def read_messages(value: Any, role: str, warn: Warn) -> list[Message]:
    """Messages from a list, one object, or the JSON of either. ``role`` is for messages that name none.

    An item that is no message is left out with a warning and takes nothing else with it.
    """
    if isinstance(value, str):
        value = json_value(value)
    items = [value] if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        raise UnreadableError(f"expected a list of messages, got {type(value).__name__}")
    messages = []
    for index, item in enumerate(items):
        item = structured_or_text(item)
        if isinstance(item, str):
            item = {"content": item}
        if isinstance(item, Mapping):
            messages.append(message(item, role))
        else:
            warn(f"message {index} left out: expected an object, got {type(item).__name__}")
    return messages


def message(item: Mapping[str, Any], role: str) -> Message:
    """One message with ``parts``, also from the older ``content`` and ``tool_calls`` form."""
    named = item.get("role")
    role = named if isinstance(named, str) and named else role
    parts = item.get("parts")
    if isinstance(parts, list):
        return {**item, "role": role, "parts": [_part(part) for part in parts]}
    rest = {key: value for key, value in item.items() if key not in ("role", "parts", *_REPLACED_BY_PARTS)}
    return {"role": role, "parts": _parts_of_old_form(item, role), **rest}


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


def _parts_of_old_form(item: Mapping[str, Any], role: str) -> list[Any]:
    content = structured_or_text(item.get("content"))
    if role == "tool" and item.get("tool_call_id") is not None:
        return [{"type": "tool_call_response", "id": item["tool_call_id"], "response": content}]
    calls = structured_or_text(item.get("tool_calls"))
    return _content_parts(item.get("content"), content) + [_tool_call(call) for call in _as_list(calls)]


def _content_parts(original: Any, content: Any) -> list[Any]:
    """Parts of a ``content``: text, or a list of typed items. JSON that is not such a list is text like any other."""
    if content is None or content == "":
        return []
    if isinstance(content, list) and all(isinstance(part, str) or _is_typed(part) for part in content):
        return [_part(part) for part in content]
    if _is_typed(content):
        return [_part(content)]
    return [{"type": "text", "content": original}]


def _is_typed(part: Any) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("type"), str)


def _part(part: Any) -> Any:
    """A part as the conventions write it: bare strings and ``{"type": "text", "text": ...}`` become text parts."""
    if isinstance(part, str):
        return {"type": "text", "content": part}
    if _is_typed(part) and part["type"] == "text" and "content" not in part and "text" in part:
        return {**{key: value for key, value in part.items() if key != "text"}, "content": part["text"]}
    return part


def _tool_call(call: Any) -> Any:
    """A tool call as a part; OpenAI nests name and arguments under ``function``."""
    if not isinstance(call, Mapping):
        return {"type": "tool_call", "name": None, "arguments": call}
    function = call.get("function")
    source = function if isinstance(function, Mapping) else call
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": source.get("name"),
        "arguments": structured_or_text(source.get("arguments")),
    }


def _as_list(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]
