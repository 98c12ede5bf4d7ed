"""What travels with the OpenTelemetry context: which session, conversation and user the code below works for.

The session id and the user id are W3C baggage, so that the next service knows them too; everything else (feature,
label, conversation, other attributes) stays in this process under one context key.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from types import MappingProxyType
from typing import Self

from opentelemetry import baggage
from opentelemetry.context import Context, attach, create_key, detach, get_value, set_value
from opentelemetry.util.types import AttributeValue

from otel_replay.errors import ReplayError

SESSION_ID = "session.id"
USER_ID = "user.id"
CONVERSATION_ID = "gen_ai.conversation.id"
CONVERSATION_NAME = "otel_replay.conversation.name"

BAGGAGE_KEYS = (SESSION_ID, USER_ID, CONVERSATION_ID)
"""All that is taken from baggage: it may come from anybody's browser, and other keys are none of our business."""

MAX_BAGGAGE_VALUE = 256
"""Characters; a longer value is not an id. The whole header may hold 8,192 bytes, and each goes on every span."""

_ATTRIBUTES = create_key("otel-replay-attributes")
_SYSTEM_PROMPT = create_key("otel-replay-system-prompt")
_NOTHING: Mapping[str, AttributeValue] = MappingProxyType({})


def session_attributes(context: Context | None = None) -> dict[str, AttributeValue]:
    """What the context (None: the current one) says about session, user, conversation and the rest, by attribute name.

    What was set in this process wins over what came in as baggage.
    """
    return _from_baggage(context) | dict(local_attributes(context))


def local_attributes(context: Context | None = None) -> Mapping[str, AttributeValue]:
    """The attributes that were set in this process and are not sent to others."""
    found = get_value(_ATTRIBUTES, context)
    return found if isinstance(found, Mapping) else _NOTHING


def with_local(attributes: Mapping[str, AttributeValue], context: Context | None = None) -> Context:
    """A context that has the attributes beside those it had."""
    return set_value(_ATTRIBUTES, MappingProxyType({**local_attributes(context), **attributes}), context)


def with_system_prompt(text: str | None, context: Context | None = None) -> Context:
    """A context whose recorded interactions have this system prompt; None: no system prompt."""
    return set_value(_SYSTEM_PROMPT, text, context)


def system_prompt_of(context: Context | None = None) -> str | None:
    found = get_value(_SYSTEM_PROMPT, context)
    return found if isinstance(found, str) else None


def outside_of_sessions(context: Context | None = None) -> Context:
    """The context without the session it may be in: for a session that starts inside another one."""
    cleared = with_system_prompt(None, set_value(_ATTRIBUTES, _NOTHING, context))
    for key in BAGGAGE_KEYS:
        cleared = baggage.remove_baggage(key, cleared)
    return cleared


def _from_baggage(context: Context | None) -> dict[str, AttributeValue]:
    received = baggage.get_all(context)
    values = ((key, received.get(key)) for key in BAGGAGE_KEYS)
    return {key: value for key, value in values if isinstance(value, str) and 0 < len(value) <= MAX_BAGGAGE_VALUE}


class Attached:
    """Makes a context current for the length of one ``with`` or ``async with`` block."""

    _token: Token[Context] | None = None

    def _context(self) -> Context:
        """The context to make current, made from the one that is current at entry."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._token is not None:
            raise ReplayError(
                f"this {type(self).__name__.lower()} is entered already",
                hint="to go on in another place, open a new one with the same id",
            )
        self._token = attach(self._context())
        return self

    def __exit__(self, *exc_info: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            detach(token)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__(*exc_info)
