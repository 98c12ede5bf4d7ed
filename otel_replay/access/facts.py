"""What a request says for itself: where it comes from, and with which credentials."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qs

LOGIN_COOKIE, SHARE_COOKIE = "otel_replay_login", "otel_replay_share"
"""Two, so that opening a share does not end a login."""

_LOOPBACK = re.compile(rb"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_FORWARDING = frozenset({b"forwarded", b"via", b"x-real-ip"})
_FORWARDED_AS = b"x-forwarded-"


class HttpFacts:
    """Of an ASGI scope. Each fact is looked up when it is asked for: most requests are asked for three."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._told: dict[bytes, bytes] = dict(self._headers)

    def is_local(self) -> bool:
        """Whether it asks for a name of loopback, and nobody handed it on."""
        told = self._told
        if not _FORWARDING.isdisjoint(told) or _FORWARDED_AS in b" ".join(told):
            return False
        if len(told) != len(self._headers) and sum(name == b"host" for name, _ in self._headers) > 1:
            return False
        return _is_loopback(told.get(b"host", b""))

    @property
    def origin(self) -> str | None:
        """The origin of the page that sends it; None where no browser says so."""
        return self._text(b"origin")

    @property
    def is_same_origin(self) -> bool:
        """Whether no page, or one of this server, sends it. Behind a proxy that ends TLS only the names are equal."""
        site = self._told.get(b"sec-fetch-site", b"none")
        origin = self.origin
        host = self._text(b"host") or ""
        return site in (b"same-origin", b"none") and (origin is None or origin.partition("://")[2] == host)

    @property
    def is_json(self) -> bool:
        return self._told.get(b"content-type", b"").split(b";")[0].strip().lower() == b"application/json"

    @property
    def is_navigation(self) -> bool:
        """Whether a person opens it, as far as the browser tells: no picture or frame of some page."""
        return self._told.get(b"sec-fetch-dest", b"document") == b"document" and b"sec-purpose" not in self._told

    @property
    def changes(self) -> bool:
        return str(self._scope["method"]) not in ("GET", "HEAD", "OPTIONS")

    @property
    def has_body(self) -> bool:
        """Also where it only says of which type a body would be, as every form does."""
        told = self._told
        said = told.get(b"content-length", b"0").strip() != b"0" or b"transfer-encoding" in told
        return str(self._scope["method"]) != "DELETE" and (said or b"content-type" in told)

    @property
    def credential(self) -> str | None:
        return _credential(self._told.get(b"authorization"), self._told.get(b"x-api-key"))

    @cached_property
    def query_credential(self) -> str | None:
        """``?auth=``: beacons of browsers cannot set headers."""
        query: bytes = self._scope["query_string"]
        if b"auth=" not in query:
            return None
        return parse_qs(query.decode("latin-1")).get("auth", [None])[0]

    def cookie(self, name: str) -> str | None:
        pairs = (part.strip().partition("=") for part in (self._text(b"cookie") or "").split(";"))
        return next((value for key, _, value in pairs if key == name), None)

    def _text(self, name: bytes) -> str | None:
        value = self._told.get(name)
        return None if value is None else value.decode("latin-1")


class RpcFacts:
    """Of an RPC's metadata. Browsers speak no gRPC, so no page can lead them to a name of its own."""

    def __init__(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        self._told = dict(metadata)

    def is_local(self) -> bool:
        """Whether nobody handed it on."""
        return not any(name.encode() in _FORWARDING or name.startswith("x-forwarded-") for name in self._told)

    @property
    def credential(self) -> str | None:
        return _credential(*(_bytes(self._told.get(name)) for name in ("authorization", "x-api-key")))


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _credential(authorization: bytes | None, api_key: bytes | None) -> str | None:
    """``Bearer KEY``, or the key alone, as some browser SDKs send it."""
    given = authorization or api_key
    if not given:
        return None
    text = given.decode("latin-1").strip()
    return text[7:].strip() if text[:7].lower() == "bearer " else text


@lru_cache(maxsize=64)
def _is_loopback(host: bytes) -> bool:
    return _LOOPBACK.fullmatch(host) is not None
