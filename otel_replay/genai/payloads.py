"""Requests and answers of model APIs, as libraries copy them whole into one attribute: what messages they hold.

OpenAI (chat completions, completions, Responses), Anthropic, Gemini, Bedrock, LangChain, Genkit, LiveKit, Logfire,
Vercel AI SDK, and what people make of them. Only what plainly is a message is made one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from otel_replay.genai.messages import Message, message, one_text, parts_of, text_message, unwrapped
from otel_replay.genai.parts import is_part, is_typed, part
from otel_replay.genai.values import at_path, compact, first_said, listed, peek, structured_or_text

Object = Mapping[str, Any]

_MESSAGE_KEYS = (
    "role",
    "content",
    "parts",
    "name",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "reasoning_content",
    "finish_reason",
)
"""What is taken over of a message; the rest belongs to the answer as a whole, such as its id."""

_ITEMS = {
    "function_call": "assistant",
    "function_call_output": "tool",
    "reasoning": "assistant",
    "tool_call": "assistant",
}
"""Items of OpenAI's Responses that are no messages, by type, and whose they are."""

_MOST_DEEP = 8
"""Levels of nesting that are looked through for messages."""


def messages_of(value: Any, role: str) -> list[Message] | None:
    """The messages in what a model was asked or what it answered; None where there plainly are none.

    ``role`` is for those that name none. Instructions that stand apart from the messages are not among them.
    """
    return _messages(value, role, 0)


def instructions_of(value: Any) -> list[Any] | None:
    """The instructions that a request, structured or as JSON, gives apart from its messages, as parts."""
    request = structured_or_text(value)
    for path in _INSTRUCTIONS:
        found = at_path(request, *path)
        if isinstance(found, Mapping) and isinstance(found.get("parts"), list):
            found = found["parts"]
        if isinstance(found, str | list) and found:
            return parts_of(found)
    return None


_INSTRUCTIONS = (
    ("system",),
    ("instructions",),
    ("system_instruction",),
    ("systemInstruction",),
    ("config", "system_instruction"),
    ("config", "systemInstruction"),
)


def tools_of(value: Any) -> list[Any]:
    """The tools that a request, structured or as JSON, offers."""
    request = structured_or_text(value)
    found = (at_path(request, *path) for path in (("tools",), ("functions",), ("config", "tools")))
    tools = next((one for one in found if isinstance(one, list) and one), [])
    return list(chain.from_iterable(_declarations(one) for one in tools))


def _declarations(tool: Any) -> list[Any]:
    """Gemini declares several functions in one tool."""
    for key in ("function_declarations", "functionDeclarations"):
        if isinstance(found := at_path(tool, key), list):
            return found
    return [tool]


def response_id_of(value: Any) -> str | None:
    """The id of a provider's answer in JSON; None for anything else that has an id."""
    return _of_answer(value, ("id", "response_id", "responseId"))


def response_model_of(value: Any) -> str | None:
    """The model that a provider's answer in JSON names."""
    return _of_answer(value, ("model", "model_version", "modelVersion"))


def _of_answer(value: Any, keys: tuple[str, ...]) -> str | None:
    if isinstance(value, str):
        value = peek(value) if value.lstrip().startswith("{") else None
    if not isinstance(value, Mapping) or _ANSWERS.isdisjoint(value):
        return None
    found = next((value[key] for key in keys if value.get(key)), None)
    return found if isinstance(found, str) else None


_ANSWERS = frozenset(("choices", "content", "output", "candidates", "data"))


def _messages(value: Any, role: str, depth: int) -> list[Message] | None:
    value = structured_or_text(value)
    if depth > _MOST_DEEP:
        return None
    if isinstance(value, list):
        return _of_list(value, role, depth)
    return _of_object(value, role, depth) if isinstance(value, Mapping) else None


def _of_list(items: list[Any], role: str, depth: int) -> list[Message] | None:
    """Messages, lists of messages, texts or parts; one that is neither makes the whole list something else."""
    if not items:
        return None
    if all(isinstance(item, str) for item in items):
        return [text_message(role, item) for item in items]
    if all(isinstance(item, list) for item in items):
        batches = [_of_list(item, role, depth + 1) for item in items]
        return None if None in batches else [one for batch in batches for one in batch or ()]
    if any(map(_is_message, items)) and all(_is_message(item) or is_typed(item) for item in items):
        return _of_items(items, role)
    if all(map(is_part, items)):
        return [{"role": role, "parts": [part(item) for item in items]}]
    return None


def _is_message(item: Any) -> bool:
    if not isinstance(item, Mapping):
        return False
    one = unwrapped(item)
    if _item_type(item) or isinstance(one.get("parts"), list):
        return True
    return isinstance(one.get("role"), str) and any(key in one for key in ("content", "tool_calls", "function_call"))


def _item_type(item: Object) -> str | None:
    """Of an item that is known; LiveKit leaves out that a call is one."""
    kind = item.get("type")
    if kind is None and item.keys() >= {"call_id", "name", "arguments"}:
        return "function_call"
    return kind if isinstance(kind, str) and kind in _ITEMS and "role" not in item else None


def _of_items(items: list[Any], role: str) -> list[Message]:
    """What an assistant thinks, says and calls in a row is one message, where an API has them apart.

    Items of types that are not known are the assistant's, too: searches, handoffs, and what else happened.
    """
    found: list[Message] = []
    was_item = False
    for item in items:
        one, is_item = _of_item(item, role), not _is_message(item) or _item_type(item) is not None
        if found and (is_item or was_item) and found[-1]["role"] == one["role"] == "assistant":
            said = found[-1]["parts"]
            said += one["parts"]
            found[-1] = {**found[-1], **one, "parts": said}
        else:
            found.append(one)
        was_item = is_item
    return found


def _of_item(item: Object, role: str) -> Message:
    if kind := _item_type(item):
        return {"role": _ITEMS[kind], "parts": [part({**item, "type": kind})]}
    if not _is_message(item):
        return {"role": "assistant", "parts": [part(item)]}
    return message(_known(unwrapped(item)), role)


def _known(item: Object) -> dict[str, Any]:
    return {key: item[key] for key in _MESSAGE_KEYS if key in item}


def _of_object(value: Object, role: str, depth: int) -> list[Message] | None:
    if _is_message(value):
        one = _of_item(value, role) | _reason(value)
        is_gemini = at_path(value, "content", "parts") is not None
        return [{**one, "parts": one_text(one["parts"])} if is_gemini else one]
    for key, read in _READERS:
        if value.get(key) is not None and (found := read(value, role, depth + 1)):
            return found
    return None


def _list_under(key: str) -> Callable[[Object, str, int], list[Message] | None]:
    def read(value: Object, role: str, depth: int) -> list[Message] | None:
        found = structured_or_text(value[key])
        return [text_message(role, found)] if isinstance(found, str) else _messages(found, role, depth)

    return read


def _reason(answer: Object) -> dict[str, Any]:
    """Why a model stopped."""
    found = next((answer[key] for key in ("finish_reason", "finishReason", "stop_reason") if answer.get(key)), None)
    return compact({"finish_reason": found})


def _choices(value: Object, role: str, depth: int) -> list[Message] | None:
    """OpenAI's choices: of a chat, of a stream's last chunk, of a completion."""
    found = value["choices"]
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        return None
    return [message(_choice(one), role) for one in found]


def _choice(choice: Object) -> dict[str, Any]:
    said = next((choice[key] for key in ("message", "delta") if isinstance(choice.get(key), Mapping)), None)
    known = _known(said) if said is not None else {"content": choice.get("text")}
    return known | _reason(choice)


def _candidates(value: Object, role: str, depth: int) -> list[Message] | None:
    """Gemini's, and Genkit's. A stream's texts are so many parts: together they are the text of the answer."""
    found = value["candidates"]
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        return None
    said = [first_said(one, "content", "message") for one in found]
    if not all(isinstance(one, Mapping) for one in said):
        return None
    answers = [message(_known(one), role) for one in said]
    return [
        {**one, "parts": one_text(one["parts"])} | _reason(candidate)
        for one, candidate in zip(answers, found, strict=True)
    ]


def _content(value: Object, role: str, depth: int) -> list[Message] | None:
    """An answer whose role goes without saying."""
    content = value["content"]
    if isinstance(content, str) or (isinstance(content, list) and all(map(is_part, content))):
        return [message({"content": content}, role)]
    return None


def _generations(value: Object, role: str, depth: int) -> list[Message] | None:
    """LangChain's: a list for each prompt, of generations with a message or only a text."""
    flat = [one for each in listed(value["generations"]) for one in (each if isinstance(each, list) else [each])]
    found = [_generation(one, role, depth) for one in flat]
    return None if None in found else [one for each in found for one in each or ()]


def _generation(value: Any, role: str, depth: int) -> list[Message] | None:
    if (said := at_path(value, "message")) is not None:
        return _messages(said, role, depth)
    text = at_path(value, "text")
    return [text_message(role, text)] if isinstance(text, str) else None


_READERS: tuple[tuple[str, Callable[[Object, str, int], list[Message] | None]], ...] = (
    ("choices", _choices),
    ("candidates", _candidates),
    ("generations", _generations),
    ("messages", _list_under("messages")),
    ("contents", _list_under("contents")),
    ("message", _list_under("message")),
    ("output", _list_under("output")),
    ("input", _list_under("input")),
    ("prompt", _list_under("prompt")),
    ("items", _list_under("items")),
    ("combined_chunk_content", _list_under("combined_chunk_content")),
    ("content", _content),
)
"""By the member in which an object has its messages, the surest first."""
