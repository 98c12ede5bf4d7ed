"""Parts of messages, in whatever shape a provider's or library's API has them, to those of the conventions.

``text``, ``reasoning``, ``tool_call`` (with parsed arguments), ``tool_call_response``, ``blob``, ``uri``, ``file``. A
part of any other type, or one that lacks what its type promises, stays as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_replay.genai.media import MEDIA_TYPED, MEDIA_UNTYPED, Object, Part, Read
from otel_replay.genai.values import at_path, compact, first_said, listed, structured_or_text


def part(item: Any) -> Any:
    """One item of a message's content."""
    if isinstance(item, str):
        return text_part(item)
    if not isinstance(item, Mapping):
        return item
    kind = item.get("type")
    if isinstance(kind, str):
        read = _TYPED.get(kind)
    else:
        read = next((read for key, read in _UNTYPED.items() if item.get(key) is not None), None)
    found = read(item) if read else None
    return item if found is None else found


def is_part(item: Any) -> bool:
    """Whether an item of a content is one by its looks: text, typed, or with a key that only parts have."""
    return (
        isinstance(item, str) or is_typed(item) or (isinstance(item, Mapping) and not _UNTYPED.keys().isdisjoint(item))
    )


def is_typed(item: Any) -> bool:
    """Whether it says itself what type it is of."""
    return isinstance(item, Mapping) and isinstance(item.get("type"), str)


def text_part(content: Any) -> Part:
    return {"type": "text", "content": content}


def tool_call(identity: Any, name: Any, arguments: Any) -> Part:
    """``arguments`` may be JSON."""
    return {"type": "tool_call", "id": identity, "name": name, "arguments": structured_or_text(arguments)}


def tool_response(identity: Any, response: Any) -> Part:
    """``response`` may be JSON, or parts; of several texts it is their concatenation."""
    response = structured_or_text(response)
    if isinstance(response, list) and response and all(is_typed(one) and one["type"] in _TYPED for one in response):
        response = [part(one) for one in response]
        contents = [one.get("content") for one in response if one["type"] == "text"]
        if len(contents) == len(response) and all(isinstance(one, str) for one in contents):
            response = structured_or_text("".join(contents))
    return {"type": "tool_call_response", "id": identity, "response": response}


def _rest(item: Object, *taken: str) -> dict[str, Any]:
    """What else a part says."""
    return {key: value for key, value in compact(item).items() if key not in ("type", *taken)}


def _text(item: Object) -> Part | None:
    if "content" in item:
        return {**item, "type": "text"}
    return {"type": "text", "content": item["text"], **_rest(item, "text")} if "text" in item else None


def _gemini_text(item: Object) -> Part:
    kind = "reasoning" if item.get("thought") is True else "text"
    return {"type": kind, "content": item["text"], **_rest(item, "text", "thought")}


def _reasoning(item: Object) -> Part | None:
    """Also a list of summaries, as OpenAI's Responses have it."""
    for key in ("content", "thinking", "text", "reasoning"):
        if isinstance(item.get(key), str):
            return {"type": "reasoning", "content": item[key], **_rest(item, "content", key)}
    texts = [at_path(one, "text") for key in ("summary", "content") for one in listed(item.get(key))]
    if not texts or not all(isinstance(one, str) for one in texts):
        return None
    return {"type": "reasoning", "content": "\n".join(texts), **_rest(item, "summary", "content", "status", "id")}


def called(item: Object) -> Part:
    """A tool call of the conventions, Anthropic, OpenAI (under ``function`` or not), LangChain, or Vercel AI SDK."""
    function = item.get("function")
    source = function if isinstance(function, Mapping) else item
    identity = first_said(item, "call_id", "id", "toolCallId", "tool_call_id")
    name = first_said(source, "name", "toolName", "tool_name")
    arguments = first_said(source, "arguments", "input", "args")
    taken = ("call_id", "id", "toolCallId", "tool_call_id", "name", "toolName", "tool_name", "function")
    return {**tool_call(identity, name, arguments), **_rest(item, *taken, "arguments", "input", "args", "status")}


def _call(item: Object) -> Part | None:
    found = called(item)
    return None if found["name"] is None else found


def _answer(item: Object) -> Part | None:
    """What a tool said: of the conventions, Anthropic, OpenAI's Responses, or the Vercel AI SDK."""
    identity = first_said(item, "tool_use_id", "call_id", "toolCallId", "tool_call_id", "id")
    response = first_said(item, "response", "result", "content", "output")
    if isinstance(response, Mapping) and isinstance(response.get("type"), str) and "value" in response:
        response = response["value"]
    taken = ("id", "tool_use_id", "call_id", "toolCallId", "tool_call_id", "toolName")
    said = _rest(item, *taken, "response", "result", "content", "output", "status")
    if said.get("is_error") is False:
        del said["is_error"]
    return None if identity is None and response is None else {**tool_response(identity, response), **said}


def _nested_call(*keys: str) -> Callable[[Object], Part | None]:
    """Gemini, Bedrock and Genkit nest a call in a part without a type."""

    def read(item: Object) -> Part | None:
        call = first_said(item, *keys)
        if not isinstance(call, Mapping):
            return None
        return tool_call(
            first_said(call, "id", "toolUseId", "ref"), call.get("name"), first_said(call, "args", "input", "arguments")
        )

    return read


def _nested_answer(*keys: str) -> Callable[[Object], Part | None]:
    def read(item: Object) -> Part | None:
        answer = first_said(item, *keys)
        if not isinstance(answer, Mapping):
            return None
        return tool_response(
            first_said(answer, "id", "toolUseId", "ref"), first_said(answer, "response", "output", "content")
        )

    return read


_TYPED: Mapping[str, Read] = {
    **dict.fromkeys(("text", "input_text", "output_text"), _text),
    **dict.fromkeys(("reasoning", "thinking"), _reasoning),
    **dict.fromkeys(("tool_call", "tool_use", "tool-call", "function_call", "function"), _call),
    **dict.fromkeys(("tool_call_response", "tool_result", "tool-result", "function_call_output"), _answer),
    **MEDIA_TYPED,
}
"""By ``type``: the conventions, OpenAI, Anthropic, LangChain, Vercel AI SDK."""

_UNTYPED: Mapping[str, Read] = {
    "text": _gemini_text,
    **dict.fromkeys(("function_call", "functionCall"), _nested_call("function_call", "functionCall")),
    **dict.fromkeys(("function_response", "functionResponse"), _nested_answer("function_response", "functionResponse")),
    **MEDIA_UNTYPED,
    "toolUse": _nested_call("toolUse"),
    "toolResult": _nested_answer("toolResult"),
    "toolRequest": _nested_call("toolRequest"),
    "toolResponse": _nested_answer("toolResponse"),
    "reasoning": _reasoning,
}
"""By the key that a part without a type has: Gemini, Bedrock (``toolUse``), Genkit (``toolRequest``)."""
