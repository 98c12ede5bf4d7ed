"""Statistics of managed chats and sessions, of users, and of everything a manager holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Responses:
    """How many messages a chat has, and how long its answers took; grows with every turn."""

    messages: int = 0
    answers: int = 0
    total_ns: int = 0
    last_unix_nano: int | None = None

    def add(self, messages: int, duration_ns: int, end_unix_nano: int) -> None:
        """A turn that was answered after ``duration_ns``."""
        self.messages += messages
        self.answers += 1
        self.total_ns += duration_ns
        self.last_unix_nano = max(end_unix_nano, self.last_unix_nano or 0)

    @property
    def average_response_ns(self) -> int | None:
        return average_ns([self])


def average_ns(responses: Iterable[Responses]) -> int | None:
    """Of all answers together; None without any."""
    found = list(responses)
    answers = sum(one.answers for one in found)
    return sum(one.total_ns for one in found) // answers if answers else None


@dataclass(frozen=True, slots=True)
class ChatStats:
    """``messages`` are prompts and answers, one each."""

    chat_id: str
    name: str | None
    messages: int
    created_unix_nano: int
    last_message_unix_nano: int | None
    average_response_ns: int | None


@dataclass(frozen=True, slots=True)
class SessionStats:
    """``state`` is ``active``, ``paused`` or ``ended``."""

    session_id: str
    user_id: str | None
    name: str | None
    state: str
    chats: int
    messages: int
    created_unix_nano: int
    last_activity_unix_nano: int
    average_response_ns: int | None


@dataclass(frozen=True, slots=True)
class UserStats:
    """Of the sessions of one user that a manager holds."""

    user_id: str
    sessions: int
    active_sessions: int
    chats: int
    messages: int
    last_activity_unix_nano: int | None
    average_response_ns: int | None


@dataclass(frozen=True, slots=True)
class SystemStats:
    """Of everything that a manager holds; the times are those of the oldest and the newest session."""

    sessions: int
    active_sessions: int
    paused_sessions: int
    users: int
    chats: int
    messages: int
    average_chats_per_session: float
    average_response_ns: int | None
    oldest_unix_nano: int | None
    newest_unix_nano: int | None


def user_stats(user_id: str, sessions: Sequence[SessionStats], responses: Iterable[Responses]) -> UserStats:
    return UserStats(
        user_id=user_id,
        sessions=len(sessions),
        active_sessions=sum(one.state == "active" for one in sessions),
        chats=sum(one.chats for one in sessions),
        messages=sum(one.messages for one in sessions),
        last_activity_unix_nano=max((one.last_activity_unix_nano for one in sessions), default=None),
        average_response_ns=average_ns(responses),
    )


def system_stats(sessions: Sequence[SessionStats], responses: Iterable[Responses]) -> SystemStats:
    chats = sum(one.chats for one in sessions)
    return SystemStats(
        sessions=len(sessions),
        active_sessions=sum(one.state == "active" for one in sessions),
        paused_sessions=sum(one.state == "paused" for one in sessions),
        users=len({one.user_id for one in sessions if one.user_id}),
        chats=chats,
        messages=sum(one.messages for one in sessions),
        average_chats_per_session=chats / len(sessions) if sessions else 0.0,
        average_response_ns=average_ns(responses),
        oldest_unix_nano=min((one.created_unix_nano for one in sessions), default=None),
        newest_unix_nano=max((one.created_unix_nano for one in sessions), default=None),
    )
