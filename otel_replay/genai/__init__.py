"""What spans mean: LLM calls of any dialect, tools, agents, user actions, sessions. Pure.

One table per dialect (:mod:`.otel`), read by :func:`interpret`; user actions by :func:`user_action`.
"""

from __future__ import annotations

from otel_replay.genai.actions import ACTION_MARKERS, event_action, user_action
from otel_replay.genai.identity import SESSION_MARKERS, conversation_id, session_of
from otel_replay.genai.interpret import AI_MARKERS, AI_NAMESPACES, DETAILS_EVENT, interpret

__all__ = [
    "ACTION_MARKERS",
    "AI_MARKERS",
    "AI_NAMESPACES",
    "DETAILS_EVENT",
    "SESSION_MARKERS",
    "conversation_id",
    "event_action",
    "interpret",
    "session_of",
    "user_action",
]
