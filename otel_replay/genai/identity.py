"""Which session, user and conversation a span or log record says it belongs to.

Only keys with a clear meaning: a guess would put one user's calls into another's session. The places that count, the
first that names one wins: the record's own attributes, those of a span's events in their order, those of the scope,
those of the resource. Baggage counts where a processor wrote it: as attributes of the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.genai.markers import shortest
from otel_replay.otlp.attributes import attributes_under

SPAN_SESSION_KEYS = (
    "session.id",
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "lmnr.association.properties.session_id",
    "ai.telemetry.metadata.sessionId",
    "ai.settings.context.sessionId",
    "langfuse.trace.metadata.langfuse_session_id",
    "langfuse.observation.metadata.langfuse_session_id",
    "langsmith.metadata.session_id",
    "mlflow.trace.session",
    "microsoft.session.id",
    "splunk.rumSessionId",
)
"""On a span, span event, log record or scope, in order of precedence."""

RESOURCE_SESSION_KEYS = ("session.id", "rum.sessionId", "splunk.rumSessionId", "browser.session.id")
"""On a resource, asked when nothing else says it: browser SDKs make one resource per session."""

USER_KEYS = (
    "user.id",
    "enduser.id",
    "enduser.pseudo.id",
    "langfuse.user.id",
    "traceloop.association.properties.user_id",
    "lmnr.association.properties.user_id",
    "ai.telemetry.metadata.userId",
    "ai.settings.context.userId",
    "langfuse.trace.metadata.langfuse_user_id",
    "langfuse.observation.metadata.langfuse_user_id",
    "gen_ai.user",
    "llm.user",
    "gen_ai.request.user",
    "mlflow.trace.user",
    "userId",
)
"""In any place. The last one is what pages give to `HyperDX.setGlobalAttributes`, by its documentation and types."""

CONVERSATION_KEYS = (
    "gen_ai.conversation.id",
    "thread_id",
    "langsmith.metadata.thread_id",
    "langsmith.metadata.conversation_id",
    "gcp.vertex.agent.session_id",
    "spring.ai.chat.client.conversation.id",
)
"""On a span that is known to be an AI span. A session holds several conversations: one never stands for the other."""


SESSION_KEYS = frozenset(SPAN_SESSION_KEYS + RESOURCE_SESSION_KEYS)

IDENTITY_KEYS = SESSION_KEYS.union(USER_KEYS)
"""The keys that name a session or a user, in any place."""

Attributes = Mapping[str, Any]


SESSION_MARKERS = shortest(SESSION_KEYS)
"""A serialised span, log record, scope or resource that holds none of these byte strings certainly names no session."""

USER_MARKERS = shortest(USER_KEYS)
"""The same for users."""


class Identity(NamedTuple):
    """The session and the user that one or more places name; empty: none."""

    session_id: str = ""
    user_id: str = ""

    def or_else(self, other: Identity) -> Identity:
        """What this one leaves open, as the next place has it."""
        return Identity(self.session_id or other.session_id, self.user_id or other.user_id)


_NOBODY = Identity()


def identity(attributes: Attributes, session_keys: Iterable[str] = SPAN_SESSION_KEYS) -> Identity:
    """What one place names: a span, span event, log record or scope, or with its own keys a resource."""
    if not attributes:
        return _NOBODY
    return Identity(_first_id(attributes, session_keys) or "", _first_id(attributes, USER_KEYS) or "")


def resource_identity(attributes: Attributes) -> Identity:
    """What a resource names."""
    return identity(attributes, RESOURCE_SESSION_KEYS)


def record_identity(record: Span | LogRecord, attributes: Attributes | None = None) -> Identity:
    """What a span or log record names itself, a span by its events too.

    ``attributes`` are the record's, for a caller that has decoded those under :data:`IDENTITY_KEYS` already.
    """
    named = identity(attributes_under(record.attributes, IDENTITY_KEYS) if attributes is None else attributes)
    for event in record.events if isinstance(record, Span) else ():
        named = named.or_else(identity(attributes_under(event.attributes, IDENTITY_KEYS)))
    return named


def scope_identity(scope: InstrumentationScope, resource: Resource) -> Identity:
    """What the records of a scope are told by their surroundings."""
    own = identity(attributes_under(scope.attributes, IDENTITY_KEYS))
    return own.or_else(resource_identity(attributes_under(resource.attributes, IDENTITY_KEYS)))


def session_of(record: Span | LogRecord, scope: InstrumentationScope, resource: Resource) -> str:
    """The session of a span or log record in its surroundings; empty when nothing names one."""
    return record_identity(record).session_id or scope_identity(scope, resource).session_id


def _first_id(attributes: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    """The first non-blank string or integer; other types are no ids."""
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value
    return None
