"""One message of a user and the model's answer to it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Self

from opentelemetry import trace

from otel_replay.sdk.context import session_attributes
from otel_replay.sdk.definitions import TURN_MESSAGES
from otel_replay.sdk.restoring import Message

if TYPE_CHECKING:
    from otel_replay.sdk.chats import ManagedChat


class Turn:
    """Made by ``message()``; the model is asked inside of it, and its answer assigned to ``answer``.

    ::

        with session.message("Hello") as turn:
            turn.answer = ask_the_model(turn.model, turn.messages)

    It is a span, in the session and the conversation, and so is everything below it. Where nothing instruments the
    model's client the call is recorded too; then ``input_tokens``, ``output_tokens`` and ``cost`` may be assigned. A
    turn that fails adds nothing to the chat.
    """

    def __init__(self, chat: ManagedChat, text: str) -> None:
        self.text = text
        self.model = chat.definition.model
        self.provider = chat.definition.provider
        self.answer: str | None = None
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cost: float | Decimal | None = None
        self._chat = chat
        self._prompt: list[Message] = []
        self._parts = ExitStack()
        self._start = 0
        self._end: int | None = None

    @property
    def messages(self) -> list[Message]:
        """What the model is to be asked: the system prompt, what was said before, and the new message."""
        prompt = self._chat.definition.system_prompt
        return [*([{"role": "system", "content": prompt}] if prompt else []), *self._prompt]

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            self._prompt = self._chat.begin(self)
            parts.callback(self._chat.let_go, self)
            self._start = self._chat.clock()
            parts.enter_context(self._chat.scope())
            attributes = session_attributes()
            self._span = self._chat.tracer.start_span("message", attributes=attributes, start_time=self._start)
            parts.callback(lambda: self._span.end(self._end or self._chat.clock()))
            parts.enter_context(trace.use_span(self._span))
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(kind, error, traceback)
        if self._end is not None:
            self._chat.changed(self._end)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Saving may wait for a server: not on the event loop."""
        self._leave(kind, error, traceback)
        if self._end is not None:
            await asyncio.to_thread(self._chat.changed, self._end)

    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._parts.__exit__(kind, error, traceback)

    def _finish(self) -> None:
        self._end = end = self._chat.clock()
        said = [{"role": "user", "content": self.text}]
        if self.answer is not None:
            said.append({"role": "assistant", "content": self.answer})
            if self._chat.records_calls:
                self._record(self.answer, end)
        self._span.set_attribute(TURN_MESSAGES, len(said))
        self._chat.add(self, said, end - self._start, end)

    def _record(self, answer: str, end: int) -> None:
        self._chat.visit.record_interaction(
            model=self.model or "unknown",
            provider=self.provider,
            prompt=self._prompt,
            response=answer,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost=self.cost,
            timestamp=self._start,
            latency_ms=Decimal(end - self._start) / 1_000_000,
        )
