"""What spans mean: LLM calls of any dialect, tools, agents, user actions, sessions. Pure.

One table per dialect (:mod:`.dialects`), read by :func:`interpret`; user actions by :func:`user_action`.
"""

from __future__ import annotations

from otel_replay.genai.actions import ACTION_MARKERS, event_action, user_action
from otel_replay.genai.facts import DETAILS_EVENT, Told
from otel_replay.genai.identity import SESSION_MARKERS, session_of
from otel_replay.genai.interpret import AI_MARKERS, interpret
from otel_replay.genai.log_events import told_by_log
from otel_replay.genai.told import is_told

__all__ = [
    "ACTION_MARKERS",
    "AI_MARKERS",
    "DETAILS_EVENT",
    "SESSION_MARKERS",
    "Told",
    "event_action",
    "interpret",
    "is_told",
    "session_of",
    "told_by_log",
    "user_action",
]
