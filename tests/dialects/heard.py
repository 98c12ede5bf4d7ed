"""What a timeline says of each call of the conversation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from tests.dialects.conversation import ERROR, counting
from tests.dialects.expected import SOME_OF_IT, STEPS, TOKEN_NAMES, Facts

_PART_KEYS = {
    "text": ("content",),
    "reasoning": ("content",),
    "tool_call": ("id", "name", "arguments"),
    "tool_call_response": ("id", "response"),
    "blob": ("mime_type", "content"),
    "uri": ("uri",),
}

_VARYING = re.compile(r"(?<= at )0x[0-9a-f]+|(?<=mlflow-attachment://)[^\"]+|ChatMessage\(.*(?=\]})")
"""Addresses of objects, ids of attachments."""


def heard(timeline: Mapping[str, Any], span: str = "") -> dict[str, list[Facts]]:
    """The calls of each step that has any, as a session's timeline tells them; what is within a call comes after it.

    A step is known by the application's span above the call; a call without one is the stream, whose span some
    libraries make when the application's is over. Where a library makes several spans of a call, ``span`` is the name
    of the one to look at.
    """
    spans = {entry["span_id"]: entry for entry in timeline["entries"] if entry["id"].startswith("span:")}
    told = [entry for entry in _of_kind(timeline, "interaction") if span in ("", entry["detail"]["name"])]
    calls: dict[str, list[Facts]] = {}
    for entry in sorted(told, key=lambda entry: len(_above(entry, spans))):
        names = [one["detail"]["name"] for one in _above(entry, spans)]
        step = next((name for name in reversed(names) if name in STEPS), None)
        calls.setdefault(step or "stream", []).append({**_facts(entry), "in_trace": step is not None})
    return calls


def _above(entry: Mapping[str, Any], spans: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The spans above one, the nearest first."""
    parent = spans.get(entry["parent_span_id"])
    return [parent, *_above(parent, spans)] if parent else []


def tokens_of(calls: Mapping[str, list[Facts]]) -> dict[str, int | None]:
    """The sums over all calls, as a timeline writes them."""
    counts = {name: [one[f"{name}_tokens"] for step in calls.values() for one in step] for name in TOKEN_NAMES}
    return {name: sum(filter(None, found)) or None for name, found in counts.items()}


def without(calls: Mapping[str, list[Facts]], left_out: frozenset[str]) -> dict[str, list[Facts]]:
    """All calls but those with these names."""
    named = {step: zip_longest(STEPS.get(step, ()), found) for step, found in calls.items()}
    return {step: [one for name, one in pairs if one and name not in left_out] for step, pairs in named.items()}


def errors_of(calls: Mapping[str, list[Facts]]) -> int:
    """How many calls have failed."""
    return sum(one["failed"] for step in calls.values() for one in step)


def errors_beside(timeline: Mapping[str, Any]) -> int:
    """How many errors log records and other spans tell of; not those that a failed call logged, as OpenLIT's do."""
    failed = {_place(entry) for entry in _of_kind(timeline, "interaction") if entry["status"] == "error"}
    told = (entry for kind in ("log", "span") for entry in _of_kind(timeline, kind) if entry["status"] == "error")
    return sum(_place(entry) not in failed for entry in told)


def _place(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["trace_id"], entry["span_id"]


def tools_run(timeline: Mapping[str, Any]) -> list[Facts]:
    """What the frameworks that run tools say of them."""
    return [entry["detail"]["tool"] for entry in _of_kind(timeline, "tool")]


def agents_run(timeline: Mapping[str, Any]) -> set[str | None]:
    """The names of the agents that were run."""
    return {entry["detail"]["agent"] for entry in _of_kind(timeline, "agent")}


def _of_kind(timeline: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (entry for entry in timeline["entries"] if entry["kind"] == kind)


def _facts(entry: Mapping[str, Any]) -> Facts:
    detail = entry["detail"]
    usage, parameters = detail["usage"], detail["parameters"]
    exceptions = [event["attributes"].get("exception.message") for event in detail["events"]]
    return {
        "operation": detail["operation"],
        "provider": detail["provider"],
        "request_model": detail["request_model"],
        "response_model": detail["response_model"],
        "system": _words(detail["system_instructions"]),
        "input": _messages(detail["input_messages"]),
        "output": _output(detail["output_messages"]),
        "tools": _names(detail["tool_definitions"]),
        "finish_reasons": detail["finish_reasons"],
        "first_token": detail["time_to_first_token_ns"] is not None,
        "temperature": parameters.get("temperature"),
        "max_tokens": parameters.get("max_tokens"),
        "conversation": detail["conversation_id"],
        "agent": detail["agent"],
        "failed": entry["status"] == "error",
        "error": any(ERROR in text for text in (detail["status_message"], *exceptions) if text),
        **{f"{name}_tokens": usage[name] or None for name in TOKEN_NAMES},
    }


def _output(messages: Sequence[Mapping[str, Any]] | None) -> Any:
    """An abandoned answer is as long as it was when nobody listened any more."""
    found = _messages(messages)
    if found and len(found) == 1 and len(found[0]["parts"]) == 1:
        said = found[0]["parts"][0].get("content")
        counted = "".join(map(counting, range(1, 1000)))
        if isinstance(said, str) and said and counted.startswith(said.strip()):
            return SOME_OF_IT
    return found


def _messages(messages: Sequence[Mapping[str, Any]] | None) -> list[Facts] | None:
    """Without system messages, which are compared as instructions, and without what is no part of the message."""
    if messages is None:
        return None
    said = [one for one in messages if one["role"] != "system"]
    return [{"role": one["role"], "parts": [_known(part) for part in one["parts"]]} for one in said] or None


def _known(part: Any) -> Any:
    """A part by the keys that the conventions give it; without what is another in each run."""
    keys = _PART_KEYS.get(part["type"]) if isinstance(part, Mapping) else None
    known = {"type": part["type"], **{key: part.get(key) for key in keys}} if keys else part
    return json.loads(_VARYING.sub("", json.dumps(known)))


def _names(definitions: Any) -> list[str] | None:
    """Of the tools that the model may call, however their definitions are nested."""
    found = [one.get("function", one).get("name") for one in definitions or ()]
    return found or None


def _words(instructions: Any) -> str | None:
    if isinstance(instructions, str) or instructions is None:
        return instructions
    parts: Iterable[Any] = instructions if isinstance(instructions, list) else [instructions]
    return "\n".join(part if isinstance(part, str) else str(part.get("content")) for part in parts)
