"""The keys, links and logins of a server, in memory: a request costs no query, a change is on disk before it counts.

Only the process that writes the file changes them, so what is in memory is never behind; links that go with what they
show, as it is erased, are followed by :meth:`Registry.refresh`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from otel_replay.access.allowance import Allowance
from otel_replay.access.keys import (
    SECRET_BYTES,
    SHARE_BYTES,
    Key,
    Shared,
    Token,
    TokenKind,
    hashed,
    is_secret_of,
    key_text,
    read_key_text,
    secret_text,
)
from otel_replay.access.scopes import Scope
from otel_replay.errors import NotFound, Unauthenticated
from otel_replay.model import DEFAULT_PROJECT

_SECOND_NS = 10**9
LINK_NS = 10 * 60 * _SECOND_NS
LOGIN_NS = 12 * 3600 * _SECOND_NS
BROWSER_SCOPES = frozenset({Scope.READ, Scope.SHARE})
"""A cookie never carries more: what a page in a browser could be tricked into ends there."""


class Stored(NamedTuple):
    """All that is kept: names of projects by id, keys, and tokens."""

    projects: Mapping[int, str]
    keys: Sequence[Key]
    tokens: Sequence[Token]


class AccessTable(Protocol):
    """Where it is kept; each method is one durable transaction and may raise :class:`RetryableError`."""

    def load(self, now_unix_nano: int) -> Stored:
        """Everything but tokens that have expired."""

    def add_project(self, name: str) -> None: ...

    def add_key(self, key: Key, replaces: Key | None = None, *, closes: bool = False) -> int:
        """The id it was given. What it ``replaces`` gets the times of that, and hands its tokens on. If it ``closes``
        the server, tokens made without a key end."""

    def revoke_key(self, key_id: int, now_unix_nano: int) -> None:
        """Marks it, and removes its tokens."""

    def add_token(self, token: Token, uses_up: int | None = None) -> int:
        """The id it was given; with it the one it ``uses_up`` goes, and tokens that have expired by its creation."""

    def remove_token(self, token_id: int) -> None:
        """And the logins that came from it."""


class _State(NamedTuple):
    projects: Mapping[int, str]
    keys: Mapping[int, Key]
    tokens: Mapping[bytes, Token]
    by_id: Mapping[int, Token]
    needs_key: bool


class Registry:
    """``clock`` gives Unix nanoseconds, ``randomness`` so many random bytes. Safe to use from any thread."""

    def __init__(self, table: AccessTable, clock: Callable[[], int], randomness: Callable[[int], bytes]) -> None:
        self._table = table
        self._clock = clock
        self._randomness = randomness
        self._lock = threading.RLock()
        self._allowances: dict[int, Allowance] = {}
        self._state = self._load()

    # Who is this

    @property
    def needs_key(self) -> bool:
        """Whether there has ever been an admin key: from then on nothing is open, even when none is left."""
        return self._state.needs_key

    @property
    def has_keys(self) -> bool:
        """Whether any key holds now."""
        now = self._clock()
        return any(key.state(now) == "live" for key in self._state.keys.values())

    def key(self, text: str) -> Key:
        """The key written so. Raises :class:`Unauthenticated`; what does not hold any more is told to its holder."""
        parts = read_key_text(text)
        found = self._state.keys.get(parts[0]) if parts else None
        if not (parts and found and is_secret_of(found, parts[1])):
            raise Unauthenticated("this key is not known here", hint="otel-replay keys list shows which are")
        state = found.state(self._clock())
        if state != "live":
            raise Unauthenticated(f"this key is {state}", hint="otel-replay keys create makes another")
        return found

    def token(self, secret: str, *kinds: str) -> Token | None:
        """The token of this secret while it holds, and all that it rests on."""
        found = self._state.tokens.get(hashed(secret))
        if found is None or found.kind not in kinds or not self._holds(found):
            return None
        return found

    def allowance(self, key: Key) -> Allowance | None:
        """The buckets of a key that has limits."""
        return self._allowances.get(key.id)

    def _holds(self, token: Token) -> bool:
        now = self._clock()
        if token.expires_unix_nano <= now:
            return False
        if token.key_id:
            key = self._state.keys.get(token.key_id)
            if key is None or key.state(now) != "live":
                return False
        share = self._state.by_id.get(token.share_id) if token.share_id else None
        return not token.share_id or (share is not None and self._holds(share))

    # Keys

    def all_keys(self) -> list[Key]:
        return list(self._state.keys.values())

    def key_by_id(self, key_id: int) -> Key:
        """Raises :class:`NotFound`."""
        if key_id not in self._state.keys:
            raise NotFound(f"no key {key_id:08x}", hint="otel-replay keys list shows them")
        return self._state.keys[key_id]

    def create(self, key: Key) -> tuple[Key, str]:
        """Stores a key, but for its id and secret as given; gives it with its text, which is shown this once."""
        return self._add(key, None)

    def rotate(self, key_id: int, overlap_ns: int) -> tuple[Key, str]:
        """A new key like this one; the old one holds for ``overlap_ns`` more."""
        with self._lock:
            old = self.key_by_id(key_id)
            now = self._clock()
            if old.state(now) != "live":
                raise NotFound(f"key {key_id:08x} is {old.state(now)}", hint="otel-replay keys create makes another")
            ends = min(now + overlap_ns, old.expires_unix_nano or now + overlap_ns)
            return self._add(replace(old, created_unix_nano=now), replace(old, expires_unix_nano=ends))

    def revoke(self, key_id: int) -> Key:
        """Ends a key now, and with it the links and logins it made."""
        with self._lock:
            if self.key_by_id(key_id).revoked_unix_nano is None:
                self._table.revoke_key(key_id, self._clock())
                self._state = self._load()
            return self.key_by_id(key_id)

    def _add(self, key: Key, replaces: Key | None) -> tuple[Key, str]:
        secret = secret_text(self._randomness(SECRET_BYTES))
        with self._lock:
            closes = Scope.ADMIN in key.scopes and not self.needs_key
            key_id = self._table.add_key(replace(key, secret_hash=hashed(secret)), replaces, closes=closes)
            self._state = self._load()
            return self._state.keys[key_id], key_text(key_id, secret)

    # Projects

    def project_name(self, project: int) -> str:
        return self._state.projects.get(project, str(project))

    def project(self, name: str, *, create: bool = False) -> int:
        """Its id. Raises :class:`NotFound` for an unknown one that is not to be created."""
        with self._lock:
            ids = {known: project for project, known in self._state.projects.items()}
            if name not in ids and create:
                self._table.add_project(name)
                self._state = self._load()
                return self.project(name)
            if name not in ids:
                raise NotFound(f"no project {name[:80]!r}", hint=f"there are {', '.join(sorted(ids))}")
            return ids[name]

    # Links and logins

    def refresh(self) -> None:
        """Forgets links and logins that went from the file with what they showed."""
        with self._lock:
            self._state = self._load()

    def share(self, project: int, key_id: int, shared: Shared, lasts_ns: int) -> tuple[Token, str]:
        """A link to one thing, with the secret of its address."""
        scopes = frozenset({Scope.READ})
        return self._issue(TokenKind.SHARE, project, key_id, lasts_ns, scopes, shared=shared, size=SHARE_BYTES)

    def link(self, project: int, key_id: int) -> tuple[Token, str]:
        """A link that logs a browser in, once, within minutes."""
        return self._issue(TokenKind.LINK, project, key_id, LINK_NS, BROWSER_SCOPES)

    def log_in(self, key: Key) -> tuple[Token, str]:
        """A login with what of the key's scopes a browser may have. Raises :class:`Unauthenticated` for none."""
        scopes = key.scopes & BROWSER_SCOPES
        if Scope.READ not in scopes:
            raise Unauthenticated("this key reads nothing", hint="log in with one that has the scope read")
        return self._issue(TokenKind.LOGIN, key.project, key.id, LOGIN_NS, scopes)

    def exchange(self, secret: str) -> tuple[Token, str]:
        """A login for the secret of a link or a share. Raises :class:`NotFound`."""
        with self._lock:
            found = self.token(secret, TokenKind.LINK, TokenKind.SHARE)
            if found is None:
                raise NotFound("this link is not valid any more", hint="ask for a new one")
            lasts = min(LOGIN_NS, found.expires_unix_nano - self._clock()) if found.shared else LOGIN_NS
            is_share = found.kind == TokenKind.SHARE
            return self._issue(
                TokenKind.LOGIN,
                found.project,
                found.key_id,
                lasts,
                found.scopes,
                shared=found.shared,
                share_id=found.id if is_share else 0,
                uses_up=None if is_share else found.id,
            )

    def shares(self, project: int) -> list[Token]:
        """Links of a project that hold."""
        tokens = self._state.tokens.values()
        wanted = [one for one in tokens if one.kind == TokenKind.SHARE and one.project == project]
        return [one for one in wanted if self._holds(one)]

    def remove_share(self, project: int, share_id: int) -> None:
        """Takes a link back, and ends the visits it led to. Raises :class:`NotFound`."""
        with self._lock:
            if share_id not in {one.id for one in self.shares(project)}:
                raise NotFound(f"no share {share_id}")
            self._table.remove_token(share_id)
            self._state = self._load()

    def log_out(self, secret: str) -> None:
        with self._lock:
            found = self.token(secret, TokenKind.LOGIN)
            if found is not None:
                self._table.remove_token(found.id)
                self._state = self._load()

    def _issue(
        self,
        kind: str,
        project: int,
        key_id: int,
        lasts_ns: int,
        scopes: frozenset[Scope],
        *,
        shared: Shared | None = None,
        share_id: int = 0,
        uses_up: int | None = None,
        size: int = SECRET_BYTES,
    ) -> tuple[Token, str]:
        secret = secret_text(self._randomness(size))
        with self._lock:
            now = self._clock()
            token = Token(0, kind, hashed(secret), project, key_id, share_id, scopes, shared, now, now + lasts_ns)
            token_id = self._table.add_token(token, uses_up)
            self._state = self._load()
            return self._state.by_id[token_id], secret

    def _load(self) -> _State:
        stored = self._table.load(self._clock())
        for key in stored.keys:
            if key.id not in self._allowances and (key.requests_per_second or key.bytes_per_second):
                allowance = Allowance(key.requests_per_second, key.bytes_per_second, self._clock)
                self._allowances[key.id] = allowance
        return _State(
            stored.projects,
            {key.id: key for key in stored.keys},
            {token.hash: token for token in stored.tokens},
            {token.id: token for token in stored.tokens},
            any(Scope.ADMIN in key.scopes for key in stored.keys),
        )


SERVER_PROJECT = DEFAULT_PROJECT
"""Admin keys of this project manage all of them."""
