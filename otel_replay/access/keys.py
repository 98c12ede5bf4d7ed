"""Keys and tokens: how they are written, what is kept of them, and when they hold."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from otel_replay.access.scopes import Kind, Scope
from otel_replay.errors import InvalidRequest

SECRET_BYTES = 32
SHARE_BYTES = 16
"""A share is guessed at over the network, and expires: 128 bits, in an address that fits on a line."""

_KEY = re.compile(r"orpl_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_ORIGIN = re.compile(r"https?://(\*\.)?(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept. ``origins`` lock it to browsers on pages from there; rates are upper bounds a second."""

    id: int
    project: int
    name: str
    scopes: frozenset[Scope]
    secret_hash: bytes
    created_unix_nano: int
    origins: tuple[str, ...] = ()
    requests_per_second: int | None = None
    bytes_per_second: int | None = None
    expires_unix_nano: int | None = None
    revoked_unix_nano: int | None = None

    def state(self, now_unix_nano: int) -> str:
        """``live``, ``expired`` or ``revoked``."""
        if self.revoked_unix_nano is not None:
            return "revoked"
        expired = self.expires_unix_nano is not None and self.expires_unix_nano <= now_unix_nano
        return "expired" if expired else "live"


class Shared(NamedTuple):
    """The one thing that a link shows."""

    kind: Kind
    id: str


class TokenKind:
    """What a token is: ``SHARE`` and ``LINK`` (which works once) stand in addresses, ``LOGIN`` in a cookie."""

    SHARE, LINK, LOGIN = "share", "link", "login"


@dataclass(frozen=True, slots=True)
class Token:
    """What a link or a cookie stands for; it holds no longer than the key and the share behind it (0: none)."""

    id: int
    kind: str
    hash: bytes
    project: int
    key_id: int
    share_id: int
    scopes: frozenset[Scope]
    shared: Shared | None
    created_unix_nano: int
    expires_unix_nano: int


def secret_text(random: bytes) -> str:
    """Random bytes as they stand in keys, addresses and cookies."""
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def key_text(key_id: int, secret: str) -> str:
    """``orpl_<8 hex digits>_<43 characters>``: found by secret scanners, named by its id without its secret."""
    return f"orpl_{key_id:08x}_{secret}"


def read_key_text(text: str) -> tuple[int, str] | None:
    """Id and secret; None for what is not written like a key."""
    found = _KEY.fullmatch(text)
    return (int(found[1], 16), found[2]) if found else None


def hashed(secret: str) -> bytes:
    """What is kept of a secret. A fast hash is enough: nobody guesses 128 random bits or more, however fast."""
    return hashlib.sha256(secret.encode()).digest()


def is_secret_of(key: Key, secret: str) -> bool:
    return hmac.compare_digest(key.secret_hash, hashed(secret))


def origin_matches(origin: str, origins: Sequence[str]) -> bool:
    """Whether a page's origin is among ``origins``; ``https://*.example.com`` stands for every name below it."""
    return any(origin == one or ("*." in one and _is_below(origin, one)) for one in origins)


def _is_below(origin: str, pattern: str) -> bool:
    scheme, _, suffix = pattern.partition("*")
    rest = origin.removeprefix(scheme)
    return origin.startswith(scheme) and rest.endswith(suffix) and len(rest) > len(suffix)


def check_origins(origins: Sequence[object]) -> tuple[str, ...]:
    """Raises :class:`InvalidRequest` for what no browser would send."""
    for origin in origins:
        if not isinstance(origin, str) or not _ORIGIN.fullmatch(origin):
            raise InvalidRequest(
                f"{str(origin)[:80]!r} is not an origin", hint="write https://app.example.com or https://*.example.com"
            )
    return tuple(map(str, origins))
