"""Sessions and conversations in the user's code, and the facts that can be recorded in them by hand.

::

    with session(user_id="u1", feature="chat") as s:
        with s.chat("Code review"):
            client.chat.completions.create(...)
        s.record_interaction(model="gpt-4o-mini", prompt="Hi", response="Hello", latency_ms=840)
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, SpanKind, TracerProvider

from otel_replay.errors import InvalidRequest
from otel_replay.sdk import facts
from otel_replay.sdk.context import (
    CONVERSATION_ID,
    CONVERSATION_NAME,
    MAX_BAGGAGE_VALUE,
    SESSION_ID,
    USER_ID,
    Attached,
    outside_of_sessions,
    session_attributes,
    system_prompt_of,
    with_local,
    with_system_prompt,
)


def session(
    session_id: str | None = None,
    *,
    user_id: str | None = None,
    feature: str | None = None,
    label: str | None = None,
    tracer_provider: TracerProvider | None = None,
    **attributes: Any,
) -> Session:
    """A user's visit, for use as ``with session(...) as s:`` or ``async with``.

    Spans that start inside the block carry ``session.id``, ``user.id``, ``feature``, ``label`` and the other
    attributes when the provider has a ``SessionSpanProcessor``. A new id of 32 hex digits is made when none is given.
    Raises ``InvalidRequest`` for an id of more than 256 characters.
    """
    described = {"feature": feature, "label": label, **attributes}
    return Session(
        _checked(session_id, SESSION_ID) or uuid.uuid4().hex,
        user_id=_checked(user_id, USER_ID),
        attributes=facts.attributes_of(described),
        tracer_provider=tracer_provider,
    )


def chat(
    conversation_name: str | None = None, conversation_id: str | None = None, system_prompt: str | None = None
) -> Chat:
    """A conversation in whatever session the context is in, for use as ``with chat(...)`` or ``async with``.

    Spans that start inside the block carry ``gen_ai.conversation.id``: a new id of 32 hex digits when none is given.
    """
    return Chat(_checked(conversation_id, CONVERSATION_ID) or uuid.uuid4().hex, conversation_name, system_prompt)


class Chat(Attached):
    """One conversation; made by ``chat`` or ``Session.chat``."""

    def __init__(
        self, conversation_id: str, name: str | None, system_prompt: str | None, session: Session | None = None
    ) -> None:
        self.conversation_id = conversation_id
        self.name = name
        self.system_prompt = system_prompt
        self._session = session

    def _context(self) -> Context:
        around = self._session._context() if self._session else None
        described = {CONVERSATION_ID: self.conversation_id, CONVERSATION_NAME: self.name}
        return with_system_prompt(self.system_prompt, with_local(facts.attributes_of(described), around))


class Session(Attached):
    """One user's visit; made by ``session``. What is recorded through it belongs to it wherever it is called."""

    def __init__(
        self,
        session_id: str,
        *,
        user_id: str | None,
        attributes: dict[str, Any],
        tracer_provider: TracerProvider | None,
    ) -> None:
        self.session_id = session_id
        self.user_id = user_id
        self._attributes = attributes
        self._tracer = trace.get_tracer("otel_replay.sdk", tracer_provider=tracer_provider)

    def chat(
        self, conversation_name: str | None = None, conversation_id: str | None = None, system_prompt: str | None = None
    ) -> Chat:
        """A conversation of this session: see the function ``chat``."""
        made = chat(conversation_name, conversation_id, system_prompt)
        return Chat(made.conversation_id, made.name, made.system_prompt, self)

    def record_interaction(
        self,
        *,
        model: str,
        prompt: facts.Prompt,
        response: facts.Prompt,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost: float | Decimal | None = None,
        latency_ms: float | Decimal | None = None,
        provider: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timestamp: datetime | int | None = None,
    ) -> SpanContext:
        """Record a call to a model that is over, as the span its instrumentation would have made; gives its ids.

        ``timestamp`` is when the call began (a ``datetime``, or Unix nanoseconds); without it the call ends now.
        ``cost`` is in US dollars, tokens include cached and reasoning tokens.
        """
        start, end = facts.span_times(timestamp, latency_ms, time.time_ns())
        context = self._context()
        instructions = system_prompt_of(context)
        values = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.request.temperature": temperature,
            "gen_ai.request.max_tokens": max_tokens,
            "gen_ai.system_instructions": facts.instructions_json(instructions) if instructions else None,
            "gen_ai.input.messages": facts.messages_json(prompt, "user"),
            "gen_ai.output.messages": facts.messages_json(response, "assistant"),
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
            "gen_ai.usage.cost": cost,
        }
        return self._record(f"chat {model}", SpanKind.CLIENT, values, start, end, context)

    def record_action(
        self, action: str, target: str | None = None, *, timestamp: datetime | int | None = None, **detail: Any
    ) -> SpanContext:
        """Record what the user did: ``record_action("click", target="#send")``; gives the ids of its span.

        A target that begins with ``#`` is the id of a widget, another one its name. ``timestamp`` as for
        ``record_interaction``; ``detail`` becomes attributes of the span.
        """
        at, _ = facts.span_times(timestamp, None, time.time_ns())
        values = {**detail, "browser.action": action}
        if target:
            values |= {"app.widget.id": target[1:]} if target.startswith("#") else {"app.widget.name": target}
        return self._record(action, SpanKind.INTERNAL, values, at, at, self._context())

    def _record(
        self, name: str, kind: SpanKind, values: dict[str, Any], start: int, end: int, context: Context
    ) -> SpanContext:
        """A span from start to end in Unix nanoseconds; it says its session itself, whatever processors there are."""
        attributes = {**session_attributes(context), **facts.attributes_of(values)}
        span = self._tracer.start_span(name, context, kind, attributes, start_time=start)
        span.end(end)
        return span.get_span_context()

    def _context(self) -> Context:
        """The current context, in this session: what another session left in it is not taken over."""
        context = None if baggage.get_baggage(SESSION_ID) == self.session_id else outside_of_sessions()
        context = baggage.set_baggage(SESSION_ID, self.session_id, context)
        if self.user_id:
            context = baggage.set_baggage(USER_ID, self.user_id, context)
        return with_local(self._attributes, context)


def _checked(value: str | None, key: str) -> str | None:
    if value is not None and len(value) > MAX_BAGGAGE_VALUE:
        raise InvalidRequest(
            f"{key} has {len(value)} characters", hint=f"an id is sent with every request: at most {MAX_BAGGAGE_VALUE}"
        )
    return value
