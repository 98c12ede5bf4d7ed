"""Which session and user an AI span belongs to that names no session: those of its trace. Pure.

Where the spans, log records and recordings of a trace name one session, all of it is that session's; where they name
several, what names none stays without one: a guess would put one user's calls into another's session.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

Id = TypeVar("Id")
Name = TypeVar("Name")


class Inherited(NamedTuple, Generic[Id, Name]):
    """What such a span is told by its trace; None: nothing."""

    session: Id | None
    user: Name | None


def inherited(sessions: Iterable[Id], users: Iterable[Name]) -> Inherited[Id, Name]:
    """``sessions`` are those that a trace names, ``users`` those that its AI spans name beside a session."""
    session = _only(sessions)
    return Inherited(session, None if session is None else _only(users))


def _only(names: Iterable[Name]) -> Name | None:
    found = set(names)
    return found.pop() if len(found) == 1 else None
