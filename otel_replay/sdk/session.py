"""Sessions and conversations in the user's code.

::

    with session(user_id="u1", feature="chat") as s:
        with s.chat("Code review"):
            client.chat.completions.create(...)
        s.record_interaction(model="gpt-4o-mini", prompt="Hi", response="Hello", latency_ms=840)
        s.end()

    @session(feature="nightly")
    async def job(): ...
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, Self

from opentelemetry import baggage, trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.trace import TracerProvider

from otel_replay.errors import InvalidRequest
from otel_replay.events import SESSION_END, SESSION_PAUSE, SESSION_RESUME, SESSION_START, SESSION_UPDATE
from otel_replay.sdk import facts
from otel_replay.sdk.context import (
    CONVERSATION_ID,
    CONVERSATION_NAME,
    MAX_BAGGAGE_VALUE,
    SESSION_ID,
    USER_ID,
    Attached,
    Later,
    outside_of_sessions,
    session_attributes,
    with_local,
    with_system_prompt,
)
from otel_replay.sdk.decorating import Decorating
from otel_replay.sdk.pausing import PAUSES
from otel_replay.sdk.recorder import Recorder
from otel_replay.texts import storable

_SESSION = create_key("otel-replay-session")

Id = str | int | uuid.UUID
"""Of a session, a user, a conversation: a text, or what a database has instead, which is told as its text."""


def session(
    session_id: Id | None = None,
    *,
    user_id: Id | None = None,
    feature: str | None = None,
    label: str | None = None,
    variant: str | None = None,
    tracer_provider: TracerProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    **attributes: Any,
) -> Session:
    """A user's visit, for use as ``with session(...) as s:``, ``async with`` or ``@session(...)``.

    Spans that start inside the block carry ``session.id``, ``user.id``, ``feature``, ``label``, ``variant`` (of an A/B
    experiment) and the other attributes when the provider has a ``SessionSpanProcessor``. Without an id a new session
    begins: its id has 32 hex digits, and a decorator makes another one for each call.
    Raises ``InvalidRequest`` for an id of more than 256 characters.
    """
    described = {"feature": feature, "label": label, "variant": variant, **attributes}
    return Session(
        _checked(session_id, SESSION_ID),
        user_id=_checked(user_id, USER_ID),
        attributes=facts.attributes_of(described),
        tracer_provider=tracer_provider,
        logger_provider=logger_provider,
    )


def chat(
    conversation_name: str | None = None, conversation_id: Id | None = None, system_prompt: str | None = None
) -> Chat:
    """A conversation in whatever session the context is in, for use as ``with``, ``async with`` or ``@chat(...)``.

    Spans that start inside the block carry ``gen_ai.conversation.id``: a new id of 32 hex digits when none is given.
    """
    return Chat(_checked(conversation_id, CONVERSATION_ID), conversation_name, system_prompt)


def current_session() -> Session | None:
    """The session that the current context is in, to record into; None outside of sessions."""
    found, known = session_attributes().get(SESSION_ID), get_value(_SESSION)
    if isinstance(known, Session) and known.session_id == found:
        return known
    return session(found) if isinstance(found, str) else None


class Chat(Attached, Decorating):
    """One conversation; made by ``chat`` or ``Session.chat``."""

    def __init__(
        self, conversation_id: str | None, name: str | None, system_prompt: str | None, session: Session | None = None
    ) -> None:
        self.conversation_id = conversation_id or _new_id()
        self.name = name
        self.system_prompt = system_prompt
        self._given_id = conversation_id
        self._session = session

    def _again(self) -> Self:
        return type(self)(self._given_id, self.name, self.system_prompt, self._session)

    def _context(self) -> Context:
        around = self._session._context() if self._session else None
        described = {CONVERSATION_ID: self.conversation_id, CONVERSATION_NAME: self.name}
        return with_system_prompt(self.system_prompt, with_local(facts.attributes_of(described), around))


class Session(Attached, Decorating, Recorder):
    """One user's visit; made by ``session``. What is recorded through it belongs to it wherever it is called.

    A new session says that it starts when it is entered; it goes on after the block, until ``end()``.
    """

    def __init__(
        self,
        session_id: str | None,
        *,
        user_id: str | None,
        attributes: dict[str, Any],
        tracer_provider: TracerProvider | None,
        logger_provider: LoggerProvider | None,
    ) -> None:
        super().__init__(tracer_provider, logger_provider)
        self.session_id = session_id or _new_id()
        self.user_id = user_id
        self._given_id = session_id
        self._attributes = attributes
        self._providers: dict[str, Any] = {"tracer_provider": tracer_provider, "logger_provider": logger_provider}
        self._has_started = bool(session_id)
        self._later = Later()

    def chat(
        self, conversation_name: str | None = None, conversation_id: Id | None = None, system_prompt: str | None = None
    ) -> Chat:
        """A conversation of this session: see the function ``chat``."""
        return Chat(_checked(conversation_id, CONVERSATION_ID), conversation_name, system_prompt, self)

    def start(self, *, timestamp: facts.Moment | None = None, **attributes: Any) -> None:
        """Say that the session starts, with everything that describes it; a new one does so when it is entered."""
        self._has_started = True
        self.tell(SESSION_START, attributes, timestamp=timestamp)

    def update(self, *, user_id: Id | None = None, timestamp: facts.Moment | None = None, **attributes: Any) -> None:
        """Say something more about the session, such as who it is that has logged in, or something else than before.

        It holds at once for all that is recorded inside of the session, also where that was entered before.
        """
        said = facts.attributes_of(attributes)
        self._attributes = {**self._attributes, **said}
        if known := _checked(user_id, USER_ID):
            self.user_id = said[USER_ID] = known
        self._later.attributes = {**self._later.attributes, **said}
        self._tell_span_under_way(said)
        self.tell(SESSION_UPDATE, {}, timestamp=timestamp)

    def _tell_span_under_way(self, said: Mapping[str, Any]) -> None:
        """The current one: it is read as of its end, and would say then what was so at its start."""
        current = trace.get_current_span()
        known = getattr(current, "attributes", None) or {}
        if current.is_recording() and known.get(SESSION_ID) == self.session_id:
            current.set_attributes({key: value for key, value in said.items() if key in known or key == USER_ID})

    def pause(self, *, timestamp: facts.Moment | None = None) -> None:
        """Record nothing of the session until ``resume()``: neither by hand nor what an exporter gets of its spans."""
        at = _time_of(timestamp)
        self.tell(SESSION_PAUSE, {}, timestamp=at)
        PAUSES.begin(self.session_id, at + 1)

    def resume(self, *, timestamp: facts.Moment | None = None) -> None:
        """Go on recording."""
        at = _time_of(timestamp)
        PAUSES.end(self.session_id, at)
        self.tell(SESSION_RESUME, {}, timestamp=at)

    def end(self, *, timestamp: facts.Moment | None = None, **attributes: Any) -> None:
        """Say that the session is over; what is recorded later still belongs to it."""
        at = _time_of(timestamp)
        PAUSES.end(self.session_id, at)
        self.tell(SESSION_END, attributes, timestamp=at)

    def tell(self, event: str, values: Mapping[str, Any], *, timestamp: facts.Moment | None = None) -> None:
        """Emit an event of the session as a whole, whatever conversation is current."""
        self._emit(event, values, timestamp, self._own_context())

    @property
    def is_paused(self) -> bool:
        return PAUSES.is_paused(self.session_id)

    def __enter__(self) -> Self:
        super().__enter__()
        if not self._has_started:
            self.start()
        return self

    def _again(self) -> Self:
        return type(self)(self._given_id, user_id=self.user_id, attributes=self._attributes, **self._providers)

    def _context(self) -> Context:
        """The current context, in this session: what another session left in it is not taken over."""
        context = None if baggage.get_baggage(SESSION_ID) == self.session_id else outside_of_sessions()
        context = baggage.set_baggage(SESSION_ID, self.session_id, context)
        if self.user_id:
            context = baggage.set_baggage(USER_ID, self.user_id, context)
        return set_value(_SESSION, self, with_local(self._attributes, context, self._later))

    def _own_context(self) -> Context:
        """The session and no conversation in it: for what is said of the session as a whole."""
        context = with_local(self._attributes, baggage.set_baggage(SESSION_ID, self.session_id, outside_of_sessions()))
        return baggage.set_baggage(USER_ID, self.user_id, context) if self.user_id else context


def _checked(value: Id | None, key: str) -> str | None:
    text = None if value is None else storable(str(value))
    if text is not None and len(text) > MAX_BAGGAGE_VALUE:
        raise InvalidRequest(
            f"{key} has {len(text)} characters", hint=f"an id is sent with every request: at most {MAX_BAGGAGE_VALUE}"
        )
    return text


def _new_id() -> str:
    return uuid.uuid4().hex


def _time_of(timestamp: facts.Moment | None) -> int:
    return time.time_ns() if timestamp is None else facts.unix_nano(timestamp)
