"""The sinks that are open in this process, each once: a file has one writer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points

from otel_replay.errors import UnsupportedRequest
from otel_replay.sdk.sink import Sink, SinkFactory

GROUP = "otel_replay.sinks"
"""The entry point group of factories that open a ``Sink``, by URL scheme."""


class Sinks:
    """Open sinks by what they write to, with the number of their users.

    By process too: a sink that a forked child inherits is its parent's, and is neither used nor closed there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[int, str, str], tuple[Sink, int]] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew_lock)

    def acquire(self, url: str) -> Sink:
        """The sink of a URL such as ``sqlite:///replay.db``, to be released. Raises what opening it raises."""
        key = _key(url)
        with self._lock:
            sink, users = self._open.get(key) or (_open_sink(url), 0)
            self._open[key] = (sink, users + 1)
        return sink

    def release(self, sink: Sink) -> None:
        """Closes the sink behind its last user. Not by URL: after ``os.chdir`` a relative one is another file."""
        with self._lock:
            mine = (key for key, (found, _) in self._open.items() if found is sink and key[0] == os.getpid())
            key = next(mine, None)
            if key is None:
                return
            _, users = self._open.pop(key)
            if users > 1:
                self._open[key] = (sink, users - 1)
            else:
                sink.close()

    @contextmanager
    def borrowed(self, url: str) -> Iterator[Sink]:
        """The same for the length of a block."""
        sink = self.acquire(url)
        try:
            yield sink
        finally:
            self.release(sink)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


SINKS = Sinks()


def _key(url: str) -> tuple[int, str, str]:
    """``replay.db`` and its absolute path are one file."""
    scheme, path = _parts(url)
    return os.getpid(), scheme, os.path.realpath(path)


def _parts(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme, rest.removeprefix("/")


def _open_sink(url: str) -> Sink:
    scheme, path = _parts(url)
    for entry in entry_points(group=GROUP, name=scheme):
        factory: SinkFactory = entry.load()
        return factory(path)
    raise UnsupportedRequest(
        f"nothing installed can keep spans at {url!r}: no entry point {scheme!r} in the group {GROUP!r}",
        hint="install otel-replay again, or send to a receiver: http://HOST:4318",
    )
