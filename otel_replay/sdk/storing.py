"""Where managed sessions are kept and read back from: a database file or a server, through ``otel_replay.open``."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, get_logger_provider
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.trace import TracerProvider

from otel_replay.errors import NotFound, ReplayError, StoreUnavailable

TIMEOUT_S = 30.0
SPOOL_S = 10.0
"""How long to wait for what is on disk: it is sent at once where the receiver takes it."""
_SQLITE = "sqlite:///"


class SessionStore:
    """``target`` is a file, ``sqlite:///FILE`` or the ``http(s)://`` address of a server; ``key`` is for that.

    Made without I/O: opened when something is asked.
    """

    def __init__(self, target: str | os.PathLike[str], key: str | None) -> None:
        told = os.fspath(target).removeprefix(_SQLITE)
        self._is_server = told.startswith(("http://", "https://"))
        self._target = told if self._is_server else os.path.abspath(told)
        self._key = key
        self._opened: Any = None

    def entries(self, session_id: str) -> list[Any]:
        """The entries of a session's timeline; none when nothing is known of it."""
        if not self._exists:
            return []
        try:
            with _unobserved():
                return list(self._replay.timeline(session_id=session_id).entries)
        except NotFound:
            return []

    def sessions(self, state: str | None = None, user: object = None) -> Iterator[dict[str, Any]]:
        """Rows of the list of sessions, newest first."""
        cursor, wanted = None, None if user is None else str(user)
        while self._exists:
            with _unobserved():
                page = self._replay.sessions(state=state, user=wanted, limit=1_000, cursor=cursor)
            yield from page["sessions"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def erase(self, session_id: str) -> None:
        """Everything that is stored of a session, for good."""
        if self._is_server:
            with _unobserved():
                _erase_at(self._target, session_id, self._key)
        else:
            from otel_replay.sdk.sinks import SINKS

            with SINKS.borrowed(f"{_SQLITE}{self._target}") as sink:
                sink.erase_session(session_id)

    def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    @property
    def _replay(self) -> Any:
        if self._opened is None:
            import otel_replay

            self._opened = otel_replay.open(self._target, key=self._key)
        return self._opened

    @property
    def _exists(self) -> bool:
        """A file is there once something was written to it."""
        return self._is_server or Path(self._target).exists()


def hand_on(*, tracer_provider: TracerProvider | None, logger_provider: LoggerProvider | None) -> None:
    """Flush what was recorded with the providers (None: the global ones).

    Raises ``StoreUnavailable`` where one could not hand on what it has.
    """
    providers = (tracer_provider or trace.get_tracer_provider(), logger_provider or get_logger_provider())
    flushes = [flush for provider in providers if (flush := getattr(provider, "force_flush", None))]
    results = [flush() for flush in flushes]  # of all of them, whatever the first one gives
    if False in results:
        raise StoreUnavailable("sessions were not saved", hint="is the receiver running?")


def send_what_waits(log: logging.Logger) -> None:
    """From the disk, what this process, and those before it that are gone, could not send."""
    from otel_replay.sdk.exporter import EXPORTERS

    deadline = time.monotonic() + SPOOL_S
    if left := sum(exporter.drain(max(0.0, deadline - time.monotonic())) for exporter in list(EXPORTERS)):
        log.warning("%d records wait on disk for the receiver: what they tell is missing", left)


@contextmanager
def _unobserved() -> Iterator[None]:
    """What a manager asks its store is no call of the application: an instrumented client makes no span for it."""
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        yield
    finally:
        detach(token)


def _erase_at(url: str, session_id: str, key: str | None) -> None:
    from urllib.parse import quote

    import requests

    with requests.Session() as http:
        http.trust_env = False  # a proxy of the environment is not meant for a receiver
        headers = {"authorization": f"Bearer {key}"} if key else {}
        address = f"{url.rstrip('/')}/api/v1/sessions/{quote(session_id, safe='')}"
        try:
            answer = http.delete(address, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            raise ReplayError(f"no answer from {url}: {error}", hint="is the server running?") from error
    if answer.status_code >= 300:
        raise ReplayError(f"the server answered {answer.status_code}", hint="erasing takes a key with the scope admin")
