"""How much a session manager holds at a time."""

from __future__ import annotations

from dataclasses import dataclass

from otel_replay.errors import PermanentError


class LimitReached(PermanentError):
    """One more would be too many; ``setting`` is the argument of ``SessionManager`` that says how many there may be."""

    def __init__(self, what: str, limit: int, setting: str) -> None:
        super().__init__(f"{what} already: {limit} is the limit", hint=f"{setting} raises it")
        self.limit = limit
        self.setting = setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None: no limit."""

    max_active_sessions: int | None = 1_000
    max_sessions_per_user: int | None = 10
    max_chats_per_session: int | None = 20
    max_messages_per_chat: int | None = 1_000


def check(count: int, limit: int | None, what: str, setting: str) -> None:
    """Raises ``LimitReached`` when ``count`` things are more than there may be."""
    if limit is not None and count > limit:
        raise LimitReached(what, limit, setting)
