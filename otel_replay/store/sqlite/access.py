"""Keys, and what links and cookies stand for, in the file: secrets as hashes only."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from otel_replay.access.keys import Key, Shared, Token
from otel_replay.access.registry import Stored
from otel_replay.access.scopes import Kind, Scope
from otel_replay.store.sqlite.database import ReadConnections

T = TypeVar("T")

_KEY = (
    "id, project, name, scopes, origins, requests_per_second, bytes_per_second, secret_hash, created_unix_nano,"
    " expires_unix_nano, revoked_unix_nano"
)
_TOKEN = (
    "id, kind, hash, project, key_id, share_id, scopes, shared_kind, shared_id, created_unix_nano, expires_unix_nano"
)


class Run(Protocol):
    """Of :meth:`otel_replay.store.sqlite.writer.GroupWriter.run`."""

    def __call__(self, task: Callable[[], T], *, durable: bool = True) -> Future[T]: ...


class SqliteAccess:
    """An :class:`~otel_replay.access.registry.AccessTable` of the file that ``run`` writes to."""

    def __init__(self, connection: Any, run: Run, reading: ReadConnections) -> None:
        self._connection = connection
        self._run = run
        self._reading = reading

    def load(self, now_unix_nano: int) -> Stored:
        with self._reading.snapshot() as connection:
            projects = dict(connection.execute("SELECT id, name FROM projects"))
            keys = [_key(row) for row in connection.execute(f"SELECT {_KEY} FROM keys ORDER BY id")]
            query = f"SELECT {_TOKEN} FROM tokens WHERE expires_unix_nano > ? ORDER BY id"
            return Stored(projects, keys, [_token(row) for row in connection.execute(query, (now_unix_nano,))])

    def add_project(self, name: str) -> None:
        self._write(lambda: self._connection.execute("INSERT INTO projects (name) VALUES (?)", (name,)))

    def add_key(self, key: Key, replaces: Key | None = None, *, closes: bool = False) -> int:
        return self._write(lambda: self._add_key(key, replaces, closes))

    def revoke_key(self, key_id: int, now_unix_nano: int) -> None:
        def revoke() -> None:
            execute = self._connection.execute
            execute("UPDATE keys SET revoked_unix_nano = ? WHERE id = ?", (now_unix_nano, key_id))
            execute("DELETE FROM tokens WHERE key_id = ?", (key_id,))

        self._write(revoke)

    def add_token(self, token: Token, uses_up: int | None = None) -> int:
        return self._write(lambda: self._add_token(token, uses_up))

    def remove_token(self, token_id: int) -> None:
        self._write(lambda: self._connection.execute("DELETE FROM tokens WHERE ? IN (id, share_id)", (token_id,)))

    def _write(self, task: Callable[[], T]) -> T:
        return self._run(task).result()

    def _add_key(self, key: Key, replaces: Key | None, closes: bool) -> int:
        row = (
            None,
            key.project,
            key.name,
            " ".join(sorted(key.scopes)),
            json.dumps(key.origins),
            key.requests_per_second,
            key.bytes_per_second,
            key.secret_hash,
            key.created_unix_nano,
            key.expires_unix_nano,
            key.revoked_unix_nano,
        )
        execute = self._connection.execute
        key_id = int(execute(f"INSERT INTO keys ({_KEY}) VALUES ({_marks(row)})", row).lastrowid)
        if closes:
            execute("DELETE FROM tokens WHERE key_id = 0")
        if replaces is not None:
            execute("UPDATE keys SET expires_unix_nano = ? WHERE id = ?", (replaces.expires_unix_nano, replaces.id))
            execute("UPDATE tokens SET key_id = ? WHERE key_id = ?", (key_id, replaces.id))
        return key_id

    def _add_token(self, token: Token, uses_up: int | None) -> int:
        row = (
            None,
            token.kind,
            token.hash,
            token.project,
            token.key_id,
            token.share_id,
            " ".join(sorted(token.scopes)),
            token.shared.kind if token.shared else None,
            token.shared.id if token.shared else None,
            token.created_unix_nano,
            token.expires_unix_nano,
        )
        execute = self._connection.execute
        execute("DELETE FROM tokens WHERE expires_unix_nano <= ? OR id = ?", (token.created_unix_nano, uses_up))
        return int(execute(f"INSERT INTO tokens ({_TOKEN}) VALUES ({_marks(row)})", row).lastrowid)


def _marks(row: tuple[Any, ...]) -> str:
    return ", ".join("?" * len(row))


def _key(row: Any) -> Key:
    key_id, project, name, scopes, origins, requests, size, secret_hash, created, expires, revoked = row
    key = Key(key_id, project, name, _scopes(scopes), secret_hash, created, tuple(json.loads(origins)), requests, size)
    return replace(key, expires_unix_nano=expires, revoked_unix_nano=revoked)


def _token(row: Any) -> Token:
    token_id, kind, digest, project, key_id, share_id, scopes, shared_kind, shared_id, created, expires = row
    shared = Shared(Kind(shared_kind), shared_id) if shared_kind else None
    return Token(token_id, kind, digest, project, key_id, share_id, _scopes(scopes), shared, created, expires)


def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(map(Scope, text.split()))
