"""A managed session as its timeline tells it: what it is, its chats, their counts, and what was said. Pure.

What the store holds is telemetry from wherever: nothing here raises for what an entry holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_replay.events import CHAT, SESSION_END, SESSION_PAUSE, SESSION_RESUME, SESSION_START, SESSION_UPDATE
from otel_replay.sdk.context import CONVERSATION_ID
from otel_replay.sdk.counting import Responses
from otel_replay.sdk.definitions import CURRENT_CHAT, NAME, REVISION, TURN_MESSAGES, ChatDefinition, SessionDefinition

STATES = {SESSION_START: "active", SESSION_RESUME: "active", SESSION_PAUSE: "paused", SESSION_END: "ended"}
_TELLING = (SESSION_START, SESSION_UPDATE)

Message = dict[str, str]
"""``{"role": ..., "content": ...}``, as clients of models take them."""


@dataclass(slots=True)
class RestoredChat:
    definition: ChatDefinition
    created_unix_nano: int
    responses: Responses = field(default_factory=Responses)
    history: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class RestoredSession:
    definition: SessionDefinition
    state: str
    created_unix_nano: int
    last_activity_unix_nano: int
    chats: list[RestoredChat]
    current_chat: str | None


def restore(session_id: str, entries: Iterable[Any]) -> RestoredSession | None:
    """From the entries of a session's timeline; None when no manager made the session."""
    ordered = sorted(entries, key=_order)
    telling = [entry for entry in ordered if _event(entry) in _TELLING]
    told: dict[str, Any] = {}
    for entry in telling:
        told |= _attributes(entry)
    if NAME not in told:
        return None
    states = [STATES[event] for entry in ordered if (event := _event(entry)) in STATES]
    chats = _chats(ordered)
    current = told.get(CURRENT_CHAT)
    return RestoredSession(
        definition=SessionDefinition.read(session_id, told),
        state=states[-1] if states else "active",
        created_unix_nano=telling[0].raw_start_unix_nano,
        last_activity_unix_nano=max(entry.end_unix_nano for entry in ordered),
        chats=list(chats.values()),
        current_chat=current if isinstance(current, str) and current in chats else next(reversed(chats), None),
    )


def _order(entry: Any) -> tuple[int, int, str]:
    revision = _attributes(entry).get(REVISION)
    return entry.raw_start_unix_nano, revision if isinstance(revision, int) else 0, entry.id


def _chats(entries: Sequence[Any]) -> dict[str, RestoredChat]:
    chats: dict[str, RestoredChat] = {}
    for entry in entries:
        attributes = _attributes(entry)
        chat_id = attributes.get(CONVERSATION_ID)
        if _event(entry) == CHAT and isinstance(chat_id, str):
            definition = ChatDefinition.read(chat_id, attributes)
            created = chats[chat_id].created_unix_nano if chat_id in chats else entry.raw_start_unix_nano
            chats[chat_id] = RestoredChat(definition, created)
    for entry in entries:
        _note_turn(entry, chats)
        _note_history(entry, chats)
    return chats


def _note_turn(entry: Any, chats: Mapping[str, RestoredChat]) -> None:
    attributes = _attributes(entry)
    chat, messages = chats.get(str(attributes.get(CONVERSATION_ID))), attributes.get(TURN_MESSAGES)
    if not isinstance(messages, int) or isinstance(messages, bool) or messages <= 0:
        return
    if chat and entry.status != "error":
        chat.responses.add(messages, entry.end_unix_nano - entry.start_unix_nano, entry.end_unix_nano)


def _note_history(entry: Any, chats: Mapping[str, RestoredChat]) -> None:
    """The last call of a chat was told everything before it."""
    chat = chats.get(str(entry.detail.get("conversation_id")))
    if chat and entry.kind == "interaction" and entry.status != "error":
        said = [*(entry.detail.get("input_messages") or ()), *(entry.detail.get("output_messages") or ())]
        history = [message for one in said if (message := _message(one))]
        chat.history = history or chat.history


def _message(told: Any) -> Message | None:
    """The texts of a message of the user or the model; tool calls and their results are the application's affair."""
    if not isinstance(told, Mapping) or told.get("role") not in ("user", "assistant"):
        return None
    parts = told.get("parts")
    texts = [part.get("content") for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
    content = "".join(text for text in texts if isinstance(text, str))
    return {"role": told["role"], "content": content} if content else None


def _event(entry: Any) -> Any:
    return entry.detail.get("event_name")


def _attributes(entry: Any) -> Mapping[str, Any]:
    found = entry.detail.get("attributes")
    return found if isinstance(found, Mapping) else {}
