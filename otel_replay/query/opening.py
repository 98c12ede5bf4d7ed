"""``otel_replay.open``: a file or a server, one interface."""

from __future__ import annotations

import os
from pathlib import Path

from otel_replay.errors import UnsupportedRequest
from otel_replay.query.local import LocalReplay
from otel_replay.query.remote import RemoteReplay
from otel_replay.store.sqlite import SqliteReader


def open_replay(
    target: str | os.PathLike[str], *, key: str | None = None, ca: str | None = None
) -> LocalReplay | RemoteReplay:
    """Opens a database file for reading (also while a server writes it), or a server by its ``http(s)://`` address.

    ``key`` is for a server that wants one, with the scope ``read``; ``ca`` a PEM file of the authority it is known by.

    Raises :class:`StoreError` for a file that cannot be read, :class:`UnsupportedRequest` for other kinds of address.
    """
    text = os.fspath(target)
    if text.startswith(("http://", "https://")):
        return RemoteReplay(text, key=key, ca=ca)
    if "://" in text:
        raise UnsupportedRequest(
            f"{text[:80]!r} cannot be opened", hint="give a file, or the http:// address of a server"
        )
    return LocalReplay(SqliteReader(Path(text)))
