"""``otel_replay.open``: a file or a server, or several of them as one, one interface."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, overload

from otel_replay.errors import InvalidRequest, UnsupportedRequest
from otel_replay.model import DEFAULT_PROJECT
from otel_replay.query.facts import Facts
from otel_replay.query.local import LocalReplay
from otel_replay.query.parts import LocalPart, Part, RemotePart
from otel_replay.query.remote import Http, RemoteRecordings, RemoteReplay
from otel_replay.query.several import SeveralReplay
from otel_replay.query.uploads import into_file
from otel_replay.store.sqlite import SqliteReader
from otel_replay.store.sqlite.shared_rows import SharedRows

Target = str | os.PathLike[str]
Targets = list[Any] | tuple[Any, ...]
"""Of :data:`Target`."""

_HTTP = ("http://", "https://")


@overload
def open_replay(target: Target, *, key: str | None = None, ca: str | None = None) -> LocalReplay | RemoteReplay: ...
@overload
def open_replay(target: Targets, *, key: str | None = None, ca: str | None = None) -> SeveralReplay: ...
def open_replay(
    target: Target | Targets, *, key: str | None = None, ca: str | None = None
) -> LocalReplay | RemoteReplay:
    """Opens a database file (also while a server writes it), or a server by its ``http(s)://`` address; or several of
    them, which then answer as one: a session that is spread over them plays as one.

    ``key`` is for servers that want one, with the scope ``read``, and ``ingest`` to upload recordings; ``ca`` a PEM
    file of the authority they are known by.

    Raises :class:`StoreError` for a file that cannot be read, :class:`UnsupportedRequest` for other kinds of address.
    """
    if not isinstance(target, str | os.PathLike):
        return open_several(target, key=key, ca=ca)
    text = os.fspath(target)
    if text.startswith(_HTTP):
        return RemoteReplay(text, key=key, ca=ca)
    if "://" in text:
        raise UnsupportedRequest(
            f"{text[:80]!r} cannot be opened", hint="give a file, or the http:// address of a server"
        )
    path = Path(text)
    write = into_file(path, lambda url: RemoteRecordings(Http(url, key, ca)).send)
    return LocalReplay(SqliteReader(path), write=write)


def open_several(targets: Iterable[Target], *, key: str | None = None, ca: str | None = None) -> SeveralReplay:
    """As :func:`open_replay` does for a list; raises :class:`InvalidRequest` for an empty one."""
    names = list(dict.fromkeys(os.fspath(one).rstrip("/") for one in targets))
    if not names:
        raise InvalidRequest("there is nothing to open", hint="give files, or http:// addresses of servers")
    return SeveralReplay([_part(name, key, ca) for name in names])


def _part(name: str, key: str | None, ca: str | None) -> Part:
    if name.startswith(_HTTP):
        return RemotePart(Http(name, key, ca))
    if "://" in name:
        raise UnsupportedRequest(
            f"{name[:80]!r} cannot be opened", hint="give a file, or the http:// address of a server"
        )
    reader, rows = SqliteReader(Path(name)), SharedRows(Path(name))
    return LocalPart(name, Facts(reader, rows, DEFAULT_PROJECT), rows, reader)
