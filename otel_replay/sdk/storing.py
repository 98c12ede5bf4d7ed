"""Where managed sessions are kept and read back from: a database file or a server, through ``otel_replay.open``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, get_logger_provider
from opentelemetry.trace import TracerProvider

from otel_replay.errors import NotFound, ReplayError, StoreUnavailable

TIMEOUT_S = 30.0
_SQLITE = "sqlite:///"


class SessionStore:
    """``target`` is a file, ``sqlite:///FILE`` or the ``http(s)://`` address of a server; ``key`` is for that.

    Made without I/O: opened when something is asked.
    """

    def __init__(self, target: str | os.PathLike[str], key: str | None) -> None:
        self._target = os.fspath(target).removeprefix(_SQLITE)
        self._key = key
        self._opened: Any = None

    def entries(self, session_id: str) -> list[Any]:
        """The entries of a session's timeline; none when nothing is known of it."""
        if not self._exists:
            return []
        try:
            return list(self._replay.timeline(session_id=session_id).entries)
        except NotFound:
            return []

    def sessions(self, state: str | None = None, user: str | None = None) -> Iterator[dict[str, Any]]:
        """Rows of the list of sessions, newest first."""
        cursor = None
        while self._exists:
            page = self._replay.sessions(state=state, user=user, limit=1_000, cursor=cursor)
            yield from page["sessions"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def erase(self, session_id: str) -> None:
        """Everything that is stored of a session, for good."""
        if self._is_server:
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
    def _is_server(self) -> bool:
        return self._target.startswith(("http://", "https://"))

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
