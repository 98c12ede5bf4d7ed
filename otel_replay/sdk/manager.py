"""Sessions of many users, held in memory and kept in the store: limits, expiry, chats, statistics, recovery.

The store is the persistence: sessions, chats and messages are what the telemetry of the application says of them, and a
manager that starts on the store of another finds every session in it. One manager at a time works on a store.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.trace import TracerProvider

from otel_replay.errors import InvalidRequest, NotFound
from otel_replay.sdk import facts
from otel_replay.sdk.chats import Surroundings
from otel_replay.sdk.counting import Responses, SystemStats, UserStats, system_stats, user_stats
from otel_replay.sdk.definitions import NAME, SessionDefinition, listed
from otel_replay.sdk.emitting import SCOPE
from otel_replay.sdk.limits import Limits, check
from otel_replay.sdk.managed import ManagedSession
from otel_replay.sdk.pausing import PAUSES
from otel_replay.sdk.restoring import RestoredSession, restore
from otel_replay.sdk.session import Id, Session, session
from otel_replay.sdk.storing import SessionStore, hand_on, send_what_waits

LOGGER = logging.getLogger("otel_replay.sessions")


class SessionManager:
    """Holds sessions; as a ``with`` block it cleans up at an interval and shuts down at the end.

    ``store`` is what ``otel_replay.instrument()`` records into: a file, ``sqlite:///FILE`` or the address of a server.
    Limits may be None: there is none. A session that is idle for ``session_timeout_s``, or has expired, is ended by
    ``clean_up()``, which ``create`` calls too. With ``records_calls`` a turn records the call to the model; False where
    the model's client is instrumented and its spans tell of the call. ``clock`` gives Unix nanoseconds.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        *,
        max_active_sessions: int | None = 1_000,
        max_sessions_per_user: int | None = 10,
        max_chats_per_session: int | None = 20,
        max_messages_per_chat: int | None = 1_000,
        session_timeout_s: float | None = 1_800.0,
        cleanup_interval_s: float = 60.0,
        records_calls: bool = True,
        key: str | None = None,
        tracer_provider: TracerProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        logger: logging.Logger | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = SessionStore(store, key)
        self._providers: dict[str, Any] = {"tracer_provider": tracer_provider, "logger_provider": logger_provider}
        self._sessions: dict[str, ManagedSession] = {}
        self._timeout_ns = None if session_timeout_s is None else int(session_timeout_s * 10**9)
        self._interval_s = cleanup_interval_s
        self._stopped = threading.Event()
        self._cleaner: threading.Thread | None = None
        self._around = Surroundings(
            clock=clock,
            limits=Limits(
                max_active_sessions=max_active_sessions,
                max_sessions_per_user=max_sessions_per_user,
                max_chats_per_session=max_chats_per_session,
                max_messages_per_chat=max_messages_per_chat,
            ),
            tracer=trace.get_tracer(SCOPE, tracer_provider=tracer_provider),
            records_calls=records_calls,
            save=self._save,
            ended=self._forget,
            lock=threading.RLock(),
            log=logger or LOGGER,
        )

    # Sessions

    def create(
        self,
        user_id: Id,
        name: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        preferences: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        expires_at: facts.Moment | None = None,
        auto_save: bool = False,
        session_id: str | None = None,
        **described: str,
    ) -> ManagedSession:
        """A new session of a user; ``described`` are ``feature``, ``label`` and ``variant``.

        With ``auto_save`` every change is handed to the store before the call returns, else within seconds.
        Raises ``LimitReached`` when there are as many sessions as may be, of this user or of all.
        """
        definition = SessionDefinition(
            session_id=session_id or uuid.uuid4().hex,
            user_id=str(user_id),
            name=name,
            metadata=dict(metadata or {}),
            preferences=dict(preferences or {}),
            tags=listed(tags),
            expires_unix_nano=None if expires_at is None else facts.unix_nano(expires_at),
            auto_save=auto_save,
            described=described,
        )
        self.clean_up()
        with self._around.lock:
            self._check_limits(definition.user_id)
            if definition.session_id in self._sessions:
                raise InvalidRequest(f"session {definition.session_id} is there already", hint="get() gives it")
            now = self._around.clock()
            made = ManagedSession(definition, self._visit(definition), self._around, now)
            self._sessions[made.session_id] = made
        made.visit.start(timestamp=now, **definition.values())
        self._around.log.info("session %s of %s starts", made.session_id, user_id)
        made.changed(now)
        return made

    def get(self, session_id: str) -> ManagedSession:
        """A session that is held. Raises ``NotFound``; ``load`` looks into the store as well."""
        found = self._sessions.get(session_id)
        if found is None:
            raise NotFound(f"no session {session_id[:80]} is held", hint="load() reads it from the store")
        return found

    def active_sessions(self) -> list[ManagedSession]:
        """All that are neither paused nor ended."""
        return [one for one in self._held() if one.state == "active"]

    def user_sessions(self, user_id: Id) -> list[ManagedSession]:
        """Those of one user, paused ones too; the oldest first."""
        return [one for one in self._held() if one.user_id == str(user_id)]

    # Statistics

    def user_stats(self, user_id: Id) -> UserStats:
        sessions = self.user_sessions(user_id)
        return user_stats(str(user_id), [one.stats() for one in sessions], _responses(sessions))

    def stats(self) -> SystemStats:
        """Of everything that is held."""
        sessions = self._held()
        return system_stats([one.stats() for one in sessions], _responses(sessions))

    # The store

    def save(self, session_id: str) -> None:
        """Hand everything there is of a session to the store now."""
        self.get(session_id).save()

    def load(self, session_id: str) -> ManagedSession:
        """A session, from the store where it is not held; one that has ended can be read, but takes no messages.

        Raises ``NotFound`` when the store knows of no such session of a manager.
        """
        if held := self._sessions.get(session_id):
            return held
        self._settle()
        found = self._read(session_id)
        if found is None:
            raise NotFound(f"the store holds no managed session {session_id[:80]}")
        return found

    def delete(self, session_id: str) -> None:
        """Forget a session and erase everything that is stored of it, for good.

        A server with keys wants one with the scope ``admin`` for this.
        """
        self._settle()  # what is on its way would arrive afterwards
        with self._around.lock:
            held = self._sessions.pop(session_id, None)
            if held is not None:
                held.state = "ended"
        self._store.erase(session_id)
        self._around.log.info("session %s was deleted", session_id)

    def stored_sessions(self, user_id: Id | None = None) -> list[str]:
        """Ids of the managed sessions in the store, of one user or of all, ended ones too; the newest first."""
        self._settle()
        return [row["session_id"] for row in self._store.sessions(user=user_id) if NAME in row["attributes"]]

    def recover(self) -> list[ManagedSession]:
        """Take over every session of the store that has not ended, after a restart or a crash; gives them.

        Limits hold for new sessions; what is recovered is there already. What has expired meanwhile is ended.
        """
        self._settle()
        rows = [row for state in ("active", "paused") for row in self._store.sessions(state=state)]
        ids = [row["session_id"] for row in rows if NAME in row["attributes"]]
        found = [one for session_id in ids if session_id not in self._sessions and (one := self._read(session_id))]
        self._around.log.info("%d sessions were recovered", len(found))
        self.clean_up()
        return [one for one in found if one.state != "ended"]

    # Time

    def start(self) -> None:
        """Clean up at the interval, on a thread, until ``shutdown()``."""
        if self._cleaner is None:
            self._cleaner = threading.Thread(target=self._run, name="otel-replay-sessions", daemon=True)
            self._cleaner.start()

    def clean_up(self) -> list[ManagedSession]:
        """End the sessions that have expired or were idle for too long; gives them."""
        now = self._around.clock()
        ended = [(one, reason) for one in self._held() if (reason := self._overdue(one, now))]
        for one, reason in ended:
            one.close(reason)
        return [one for one, _ in ended]

    def shutdown(self) -> None:
        """Stop cleaning up and save everything. Sessions do not end: ``recover()`` of the next manager has them."""
        self._stopped.set()
        if self._cleaner is not None:
            self._cleaner.join()
        self._save()
        self._store.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self.clean_up()
            except Exception:  # the next time may do better
                self._around.log.exception("sessions were not cleaned up")

    def _overdue(self, one: ManagedSession, now: int) -> str | None:
        if one.is_expired(now):
            return "expired"
        is_idle = self._timeout_ns is not None and now - one.last_activity_unix_nano >= self._timeout_ns
        return "timeout" if is_idle else None

    def _check_limits(self, user_id: str) -> None:
        limits = self._around.limits
        held = self._held()
        own = sum(one.user_id == user_id for one in held)
        check(len(held) + 1, limits.max_active_sessions, f"there are {len(held)} sessions", "max_active_sessions")
        check(own + 1, limits.max_sessions_per_user, f"user {user_id} has {own} sessions", "max_sessions_per_user")

    def _held(self) -> list[ManagedSession]:
        with self._around.lock:
            return list(self._sessions.values())

    def _visit(self, definition: SessionDefinition) -> Session:
        more: dict[str, Any] = {"user_id": definition.user_id, **definition.described, **self._providers}
        return session(definition.session_id, **more)

    def _read(self, session_id: str) -> ManagedSession | None:
        restored = restore(session_id, self._store.entries(session_id))
        return self._take_over(restored) if restored else None

    def _take_over(self, restored: RestoredSession) -> ManagedSession:
        definition = restored.definition
        made = ManagedSession(definition, self._visit(definition), self._around, restored.created_unix_nano)
        made.state, made.last_activity_unix_nano = restored.state, restored.last_activity_unix_nano
        for one in restored.chats:
            chat = made.adopt(one.definition, one.created_unix_nano)
            chat.responses, chat.history = one.responses, one.history
        made.current_chat = made.chats.get(restored.current_chat or "")
        with self._around.lock:
            if held := self._sessions.get(made.session_id):
                return held  # somebody else has read it meanwhile
            if made.state == "paused":
                PAUSES.begin(made.session_id, self._around.clock())
            if made.state != "ended":
                self._sessions[made.session_id] = made
        return made

    def _forget(self, one: ManagedSession) -> None:
        self._sessions.pop(one.session_id, None)

    def _save(self) -> None:
        hand_on(**self._providers)

    def _settle(self) -> None:
        """Before the store is read: what is on its way, and what waits on disk, also of processes that are gone."""
        self._save()
        send_what_waits(self._around.log)


def _responses(sessions: Iterable[ManagedSession]) -> list[Responses]:
    return [chat.responses for one in sessions for chat in one.chats.values()]
