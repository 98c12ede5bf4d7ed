"""A session that a manager holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from otel_replay.errors import InvalidRequest, NotFound
from otel_replay.events import CHAT, SESSION_UPDATE
from otel_replay.sdk import facts
from otel_replay.sdk.chats import ManagedChat, Surroundings
from otel_replay.sdk.context import CONVERSATION_ID
from otel_replay.sdk.counting import SessionStats, average_ns
from otel_replay.sdk.definitions import CURRENT_CHAT, END_REASON, ChatDefinition, SessionDefinition, listed
from otel_replay.sdk.limits import check
from otel_replay.sdk.session import Session
from otel_replay.sdk.turns import Turn


class ManagedSession:
    """A user's session with several chats, one of which is the current one; made by ``SessionManager.create``.

    ``definition`` says what it is; ``visit`` is the session itself: ``visit.record_action(...)``, ``with visit: ...``.
    """

    def __init__(
        self, definition: SessionDefinition, visit: Session, around: Surroundings, created_unix_nano: int
    ) -> None:
        self.definition = definition
        self.visit = visit
        self.state = "active"
        """``active``, ``paused`` or ``ended``."""
        self.chats: dict[str, ManagedChat] = {}
        self.current_chat: ManagedChat | None = None
        self.created_unix_nano = created_unix_nano
        self.last_activity_unix_nano = created_unix_nano
        self._around = around

    @property
    def session_id(self) -> str:
        return self.definition.session_id

    @property
    def user_id(self) -> str:
        return self.definition.user_id

    @property
    def name(self) -> str | None:
        return self.definition.name

    def create_chat(
        self,
        name: str | None = None,
        *,
        provider: str | None = None,
        model: str | None = None,
        system_prompt: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        max_messages: int | None = None,
        chat_id: str | None = None,
    ) -> ManagedChat:
        """A new chat, which becomes the current one.

        Raises ``LimitReached`` when there are as many as may be, ``InvalidRequest`` for an id that is taken.
        """
        definition = ChatDefinition(
            chat_id=chat_id or uuid.uuid4().hex,
            name=name,
            provider=provider,
            model=model,
            system_prompt=system_prompt,
            metadata=dict(metadata or {}),
            tags=listed(tags),
            max_messages=max_messages,
        )
        with self._around.lock:
            self.check_open()
            count, limit = len(self.chats), self._around.limits.max_chats_per_session
            if definition.chat_id in self.chats:
                raise InvalidRequest(
                    f"chat {definition.chat_id[:80]} is there already", hint="switch_to() goes on with it"
                )
            check(count + 1, limit, f"session {self.session_id} has {count} chats", "max_chats_per_session")
            chat = self.current_chat = self.adopt(definition, self._around.clock())
        told = {CONVERSATION_ID: chat.chat_id, **definition.values()}
        self.visit.tell(CHAT, told, timestamp=chat.created_unix_nano)
        self._tell()
        return chat

    def switch_to(self, chat_id: str) -> ManagedChat:
        """Messages go to this chat from now on. Raises ``NotFound`` when the session has none of this id."""
        with self._around.lock:
            self.check_open()
            chat = self.chats.get(chat_id)
            if chat is None:
                raise NotFound(f"session {self.session_id} has no chat {chat_id[:80]}")
            self.current_chat = chat
        self._tell()
        return chat

    def message(self, text: str) -> Turn:
        """A message to the current chat: see :class:`.turns.Turn`."""
        chat = self.current_chat
        if chat is None:
            raise InvalidRequest(f"session {self.session_id} has no chat", hint="create_chat() makes one")
        return chat.message(text)

    def update(
        self,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        preferences: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        expires_at: facts.Moment | None = None,
    ) -> None:
        """Say something else of the session; what is not given stays."""
        with self._around.lock:
            self.check_open()
            one = self.definition
            one.name = one.name if name is None else name
            one.metadata = one.metadata if metadata is None else dict(metadata)
            one.preferences = one.preferences if preferences is None else dict(preferences)
            one.tags = one.tags if tags is None else listed(tags)
            one.expires_unix_nano = one.expires_unix_nano if expires_at is None else facts.unix_nano(expires_at)
        self._tell()

    def pause(self) -> None:
        """Take no messages and record nothing until ``resume()``."""
        with self._around.lock:
            self.check_open()
            self.state = "paused"
        at = self._around.clock()
        self.visit.pause(timestamp=at)
        self.changed(at)

    def resume(self) -> None:
        """Go on after a pause; without effect on an active session."""
        with self._around.lock:
            if self.state != "paused":
                self.check_open()
                return
            self.state = "active"
        at = self._around.clock()
        self.visit.resume(timestamp=at)
        self.changed(at)

    def close(self, reason: str = "closed") -> None:
        """The session is over. Safe to repeat."""
        with self._around.lock:
            if self.state == "ended":
                return
            self.state = "ended"
            self._around.ended(self)
        at = self._around.clock()
        self.visit.end(timestamp=at, **{END_REASON: reason})
        self._around.log.info("session %s of %s ended: %s", self.session_id, self.user_id, reason)
        self.changed(at)

    def save(self) -> None:
        """Hand what is on its way to the store now; with ``auto_save`` every change does.

        Raises ``StoreUnavailable`` when it was not taken.
        """
        self._around.save()

    def stats(self) -> SessionStats:
        with self._around.lock:
            responses = [chat.responses for chat in self.chats.values()]
        return SessionStats(
            session_id=self.session_id,
            user_id=self.user_id,
            name=self.name,
            state=self.state,
            chats=len(responses),
            messages=sum(one.messages for one in responses),
            created_unix_nano=self.created_unix_nano,
            last_activity_unix_nano=self.last_activity_unix_nano,
            average_response_ns=average_ns(responses),
        )

    # What chats and the manager need

    def adopt(self, definition: ChatDefinition, created_unix_nano: int) -> ManagedChat:
        """A chat that is there, without telling anybody."""
        chat = ManagedChat(self, definition, self._around, created_unix_nano)
        self.chats[chat.chat_id] = chat
        return chat

    def check_open(self) -> None:
        """Raises ``InvalidRequest`` for a session that takes nothing now."""
        if self.state == "paused":
            raise InvalidRequest(f"session {self.session_id} is paused", hint="resume() goes on")
        if self.state == "ended":
            raise InvalidRequest(f"session {self.session_id} has ended", hint="create() makes a new one")
        if self.is_expired(self._around.clock()):
            raise InvalidRequest(f"session {self.session_id} has expired", hint="create() makes a new one")

    def is_expired(self, now_unix_nano: int) -> bool:
        expires = self.definition.expires_unix_nano
        return expires is not None and expires <= now_unix_nano

    def changed(self, at_unix_nano: int) -> None:
        """Something happened then: the session is not idle, and saved at once where that was asked for."""
        self.last_activity_unix_nano = max(self.last_activity_unix_nano, at_unix_nano)
        if self.definition.auto_save:
            try:
                self._around.save()
            except Exception:  # it was told: the next change, or the exporter by itself, saves it too
                self._around.log.exception("session %s was not saved", self.session_id)

    def _tell(self) -> None:
        with self._around.lock:
            self.definition.revision += 1
            current = {CURRENT_CHAT: self.current_chat.chat_id} if self.current_chat else {}
            values = {**self.definition.values(), **current}
        at = self._around.clock()
        self.visit.tell(SESSION_UPDATE, values, timestamp=at)
        self.changed(at)
