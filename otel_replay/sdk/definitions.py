"""What a managed session and a chat are, as events tell it and as it is read back from them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from otel_replay.sdk.context import CONVERSATION_NAME, USER_ID

NAME = "session.name"
METADATA = "otel_replay.session.metadata"
PREFERENCES = "otel_replay.session.preferences"
TAGS = "otel_replay.session.tags"
EXPIRES = "otel_replay.session.expires_unix_nano"
AUTO_SAVE = "otel_replay.session.auto_save"
REVISION = "otel_replay.session.revision"
"""Counts what was told of a session: two moments may be the same."""

CURRENT_CHAT = "otel_replay.session.current_chat"
END_REASON = "otel_replay.session.end_reason"

CHAT_PROVIDER = "otel_replay.chat.provider"
CHAT_MODEL = "otel_replay.chat.model"
CHAT_SYSTEM_PROMPT = "otel_replay.chat.system_prompt"
CHAT_METADATA = "otel_replay.chat.metadata"
CHAT_TAGS = "otel_replay.chat.tags"
CHAT_MAX_MESSAGES = "otel_replay.chat.max_messages"

TURN_MESSAGES = "otel_replay.turn.messages"
"""On the span of a turn: how many messages it added to its chat."""


@dataclass(slots=True)
class SessionDefinition:
    """``metadata`` and ``preferences`` are what JSON can hold; ``described`` are feature, label and variant."""

    session_id: str
    user_id: str
    name: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    preferences: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    expires_unix_nano: int | None = None
    auto_save: bool = False
    described: dict[str, str] = field(default_factory=dict)
    revision: int = 0

    def values(self) -> dict[str, Any]:
        """Attributes for an event of the session. A name is always told: by it managed sessions are found again."""
        return {
            NAME: self.name or "",
            METADATA: self.metadata,
            PREFERENCES: self.preferences,
            TAGS: self.tags,
            EXPIRES: self.expires_unix_nano or 0,
            AUTO_SAVE: self.auto_save,
            REVISION: self.revision,
        }

    @classmethod
    def read(cls, session_id: str, told: Mapping[str, Any]) -> Self:
        """From the attributes of the session's events, later ones over earlier ones; what is malformed is left out."""
        return cls(
            session_id=session_id,
            user_id=_text(told, USER_ID) or "",
            name=_text(told, NAME),
            metadata=_object(told, METADATA),
            preferences=_object(told, PREFERENCES),
            tags=_texts(told, TAGS),
            expires_unix_nano=_whole(told, EXPIRES),
            auto_save=told.get(AUTO_SAVE) is True,
            described={key: text for key in ("feature", "label", "variant") if (text := _text(told, key))},
            revision=_whole(told, REVISION) or 0,
        )


@dataclass(slots=True)
class ChatDefinition:
    """``max_messages`` is the chat's own limit; None: the manager's."""

    chat_id: str
    name: str | None = None
    provider: str | None = None
    model: str | None = None
    system_prompt: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    max_messages: int | None = None

    def values(self) -> dict[str, Any]:
        return {
            CONVERSATION_NAME: self.name,
            CHAT_PROVIDER: self.provider,
            CHAT_MODEL: self.model,
            CHAT_SYSTEM_PROMPT: self.system_prompt,
            CHAT_METADATA: self.metadata,
            CHAT_TAGS: self.tags,
            CHAT_MAX_MESSAGES: self.max_messages,
        }

    @classmethod
    def read(cls, chat_id: str, told: Mapping[str, Any]) -> Self:
        return cls(
            chat_id=chat_id,
            name=_text(told, CONVERSATION_NAME),
            provider=_text(told, CHAT_PROVIDER),
            model=_text(told, CHAT_MODEL),
            system_prompt=_text(told, CHAT_SYSTEM_PROMPT),
            metadata=_object(told, CHAT_METADATA),
            tags=_texts(told, CHAT_TAGS),
            max_messages=_whole(told, CHAT_MAX_MESSAGES),
        )


def listed(tags: Iterable[str]) -> list[str]:
    """One tag is a text as well: nobody means its letters."""
    return [tags] if isinstance(tags, str) else list(tags)


def _text(told: Mapping[str, Any], key: str) -> str | None:
    value = told.get(key)
    return value if isinstance(value, str) and value else None


def _whole(told: Mapping[str, Any], key: str) -> int | None:
    """A number above 0; in JSON one beyond 2^53 is a text."""
    value = told.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _object(told: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = _json(told, key)
    return value if isinstance(value, dict) else {}


def _texts(told: Mapping[str, Any], key: str) -> list[str]:
    value = _json(told, key)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _json(told: Mapping[str, Any], key: str) -> Any:
    try:
        return json.loads(_text(told, key) or "null")
    except (ValueError, RecursionError):
        return None
