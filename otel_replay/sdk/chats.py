"""A conversation of a managed session, and what a manager gives to all that it holds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.trace import Tracer

from otel_replay.errors import InvalidRequest
from otel_replay.sdk.counting import ChatStats, Responses
from otel_replay.sdk.definitions import ChatDefinition
from otel_replay.sdk.limits import Limits, check
from otel_replay.sdk.restoring import Message
from otel_replay.sdk.session import Chat, Session
from otel_replay.sdk.turns import Turn

if TYPE_CHECKING:
    from otel_replay.sdk.managed import ManagedSession


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a manager gives to its sessions. ``clock`` gives Unix nanoseconds, ``lock`` guards the state of all."""

    clock: Callable[[], int]
    limits: Limits
    tracer: Tracer
    records_calls: bool
    save: Callable[[], None]
    ended: Callable[[ManagedSession], None]
    lock: threading.RLock
    log: logging.Logger


class ManagedChat:
    """One conversation of a managed session; made by ``create_chat``. ``definition`` says what it is."""

    def __init__(
        self, session: ManagedSession, definition: ChatDefinition, around: Surroundings, created_unix_nano: int
    ) -> None:
        self.session = session
        self.definition = definition
        self.created_unix_nano = created_unix_nano
        self.responses = Responses()
        self.history: list[Message] = []
        """What was said, prompts and answers in turn."""
        self._around = around
        self._open: set[Turn] = set()
        self.clock, self.tracer, self.records_calls = around.clock, around.tracer, around.records_calls

    @property
    def chat_id(self) -> str:
        return self.definition.chat_id

    @property
    def name(self) -> str | None:
        return self.definition.name

    @property
    def visit(self) -> Session:
        return self.session.visit

    def message(self, text: str) -> Turn:
        """A message to this chat, whichever is the current one: see :class:`.turns.Turn`."""
        return Turn(self, text)

    def stats(self) -> ChatStats:
        return ChatStats(
            chat_id=self.chat_id,
            name=self.name,
            messages=self.responses.messages,
            created_unix_nano=self.created_unix_nano,
            last_message_unix_nano=self.responses.last_unix_nano,
            average_response_ns=self.responses.average_response_ns,
        )

    # What a turn needs

    def scope(self) -> Chat:
        """The session and the conversation, for a ``with`` block."""
        return self.visit.chat(self.name, self.chat_id, self.definition.system_prompt)

    def begin(self, turn: Turn) -> list[Message]:
        """What was said so far and the new message. Raises where the chat takes none."""
        with self._around.lock:
            self.session.check_open()
            self._check_limit()
            if self.records_calls and not self.definition.model:
                raise InvalidRequest(f"chat {self.name or self.chat_id} has no model", hint="create_chat(model=...)")
            self._open.add(turn)
            return [*self.history, {"role": "user", "content": turn.text}]

    def add(self, turn: Turn, said: Iterable[Message], duration_ns: int, end_unix_nano: int) -> None:
        """What a turn that is over has said."""
        with self._around.lock:
            self._open.discard(turn)
            messages = list(said)
            self.history += messages
            self.responses.add(len(messages), duration_ns, end_unix_nano)

    def let_go(self, turn: Turn) -> None:
        """Of a turn that has failed."""
        with self._around.lock:
            self._open.discard(turn)

    def changed(self, at_unix_nano: int) -> None:
        self.session.changed(at_unix_nano)

    def _check_limit(self) -> None:
        """A turn is two messages, also while it is under way."""
        own = self.definition.max_messages
        limit = self._around.limits.max_messages_per_chat if own is None else own
        setting = "max_messages_per_chat" if own is None else "max_messages of create_chat()"
        count = self.responses.messages + 2 * len(self._open)
        check(count + 2, limit, f"chat {self.name or self.chat_id} has {count} messages", setting)
