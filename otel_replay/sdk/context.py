"""What travels with the OpenTelemetry context: which session, conversation and user the code below works for.

The session id and the user id are W3C baggage, so that the next service knows them too, and the conversation id becomes
baggage when a request leaves; everything else (feature, label, other attributes) stays in this process under one key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import Token
from types import MappingProxyType
from typing import NamedTuple, Self

from opentelemetry import baggage
from opentelemetry.context import Context, attach, create_key, detach, get_current, get_value, set_value
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

_BAGGAGE = next(iter(baggage.set_baggage(SESSION_ID, "", Context())))
"""Where a context has its baggage: the same object there is the same baggage, in all contexts made from one."""

_KNOWN = create_key("otel-replay-attributes")
_SYSTEM_PROMPT = create_key("otel-replay-system-prompt")

Attributes = Mapping[str, AttributeValue]


class Later:
    """What is said of a session while contexts that were made from it are in use, on whatever thread: it holds there
    from then on, or what is recorded next would say again what was so before."""

    def __init__(self) -> None:
        self.attributes: Attributes = MappingProxyType({})


class _Known(NamedTuple):
    """What was set in this process, the baggage it was set beside, and both together: asked for with every span."""

    local: Attributes
    later: Later
    received: object
    together: Attributes


_NOTHING = _Known(MappingProxyType({}), Later(), None, {})


def session_attributes(context: Context | None = None) -> Attributes:
    """What the context (None: the current one) says about session, user, conversation and the rest, by attribute name.

    What was set in this process wins over what came in as baggage. Not to be changed: it is the context's own.
    """
    context = get_current() if context is None else context
    known: _Known = context.get(_KNOWN, _NOTHING)  # type: ignore[assignment]  # as below, but for every span
    if known.received is context.get(_BAGGAGE) and not known.later.attributes:
        return known.together
    return _together(context, local_attributes(context))


def local_attributes(context: Context | None = None) -> Attributes:
    """The attributes that were set in this process and are not sent to others."""
    known = _known(get_current() if context is None else context)
    return {**known.local, **known.later.attributes} if known.later.attributes else known.local


def with_local(attributes: Attributes, context: Context | None = None, later: Later | None = None) -> Context:
    """A context that has the attributes beside those it had, and what is said in ``later`` (None: where it was)."""
    context = get_current() if context is None else context
    local = {**local_attributes(context), **attributes}
    later = later or _known(context).later
    known = _Known(MappingProxyType(local), later, context.get(_BAGGAGE), _together(context, local))
    return set_value(_KNOWN, known, context)


def _known(context: Context) -> _Known:
    found = context.get(_KNOWN)
    return found if isinstance(found, _Known) else _NOTHING


def _together(context: Context, local: Attributes) -> dict[str, AttributeValue]:
    """A dict: the SDK takes that a tenth faster than other mappings."""
    received, found = baggage.get_all(context), dict[str, AttributeValue]()
    for key in BAGGAGE_KEYS:
        value = received.get(key)
        if isinstance(value, str) and 0 < len(value) <= MAX_BAGGAGE_VALUE:
            found[key] = value
    return found | dict(local)


def with_system_prompt(text: str | None, context: Context | None = None) -> Context:
    """A context whose recorded interactions have this system prompt; None: no system prompt."""
    return set_value(_SYSTEM_PROMPT, text, context)


def system_prompt_of(context: Context | None = None) -> str | None:
    found = get_value(_SYSTEM_PROMPT, context)
    return found if isinstance(found, str) else None


def outside_of_sessions(context: Context | None = None) -> Context:
    """The context without the session it may be in: for a session that starts inside another one."""
    cleared = with_system_prompt(None, set_value(_KNOWN, _NOTHING, context))
    for key in BAGGAGE_KEYS:
        cleared = baggage.remove_baggage(key, cleared)
    return cleared


class Attached(ABC):
    """Makes a context current for the length of one ``with`` or ``async with`` block."""

    _token: Token[Context] | None = None

    @abstractmethod
    def _context(self) -> Context:
        """The context to make current, made from the one that is current at entry."""

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
