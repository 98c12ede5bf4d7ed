"""The decision about every request: who sends it, and whether they may.

Without an admin key the server is open to this machine alone: a listener bound to loopback, asked for by a name of
loopback, by nobody who forwards for others. The first admin key ends that for good, also when it is revoked or expires:
a lapse must not open what was closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

from otel_replay.access.allowance import Allowance
from otel_replay.access.facts import LOGIN_COOKIE, SHARE_COOKIE, HttpFacts, RpcFacts
from otel_replay.access.keys import Key, Shared, TokenKind, origin_matches, read_key_text
from otel_replay.access.registry import SERVER_PROJECT, Registry
from otel_replay.access.scopes import Kind, Rule, Scope
from otel_replay.errors import Forbidden, Unauthenticated, UnsupportedRequest
from otel_replay.model import DEFAULT_PROJECT, Source


class Listener(NamedTuple):
    """How the server was started. ``origins`` is a pattern of the web origins that may send without a locked key."""

    is_loopback: bool
    allow_unauthenticated: bool
    origins: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request that was let in."""

    project: int
    key_id: int
    scopes: frozenset[Scope]
    source: Source = Source.SERVER
    shared: Shared | None = None
    """All that this caller may see, where that is one thing."""
    allowance: Allowance | None = None

    def admit(self) -> None:
        """Counts one request. Raises :class:`RateLimited`."""
        if self.allowance is not None:
            self.allowance.admit()

    def charge(self, size: int) -> None:
        """Counts the bytes of a request once they are known."""
        if self.allowance is not None:
            self.allowance.charge(size)


KEYLESS = Caller(DEFAULT_PROJECT, 0, frozenset(Scope))
_KEYLESS_BROWSER = Caller(DEFAULT_PROJECT, 0, frozenset(Scope), Source.BROWSER)
NOBODY = Caller(0, 0, frozenset())
"""Who calls what anybody may."""

RPC_CALLER: ContextVar[Caller] = ContextVar("RPC_CALLER", default=KEYLESS)
"""The caller of the RPC that this thread answers; set for every one that is not keyless."""


class Guard:
    """Lets requests in, or raises :class:`Unauthenticated`, :class:`Forbidden` or :class:`RateLimited`.

    No error holds a credential, not even a wrong one.
    """

    def __init__(self, registry: Registry, listener: Listener) -> None:
        self.registry = registry
        self._listener = listener

    def http(self, facts: HttpFacts, rule: Rule, named: str = "") -> Caller:
        """Who sends this request; ``named`` is the id in its path."""
        if rule.scope is Scope.INGEST:
            caller = self._permitted(self._sender(facts, rule), rule, named)
        else:
            _check_page(facts)
            caller = NOBODY if rule.scope is None else self._visitor(facts, rule, named)
        caller.admit()
        return caller

    def rpc(self, facts: RpcFacts, rule: Rule) -> Caller:
        """Who calls this RPC."""
        if rule.scope is None:
            return NOBODY
        caller = self._permitted(self._by_header(facts.credential) or self._keyless(facts), rule, "")
        caller.admit()
        return caller

    def visitor(self, facts: HttpFacts) -> Caller:
        """Who looks at the page; :data:`NOBODY` before a login."""
        if self._is_open(facts):
            return KEYLESS
        return next(self._visits(facts), NOBODY)

    def may_send_from(self, origin: str) -> bool:
        """Whether a browser may be told that pages from there may send: with which key, is seen when they do."""
        if self._listener.origins.fullmatch(origin):
            return True
        return any(origin_matches(origin, key.origins) for key in self.registry.all_keys())

    # Telemetry

    def _sender(self, facts: HttpFacts, rule: Rule) -> Caller:
        query = facts.query_credential if rule.query_key else None
        key = self._known(facts.credential) or (self._known_in_address(query) if query else None)
        self._check_origin(facts, key)
        if key is not None:
            return self._caller(key, from_browser=facts.origin is not None)
        caller = self._keyless(facts)
        return caller if facts.origin is None else _KEYLESS_BROWSER

    def _known_in_address(self, text: str) -> Key | None:
        """Addresses end up in logs and histories: only a key that could stand in a page may stand there."""
        key = self._known(text)
        if key is not None and key.scopes != {Scope.INGEST}:
            raise Forbidden(
                "this key does more than ingest and must not stand in an address", hint="send it as a header"
            )
        return key

    def _check_origin(self, facts: HttpFacts, key: Key | None) -> None:
        """CORS alone keeps a page of another origin from reading the answer, not from sending text/plain."""
        origin = facts.origin
        if key is not None and key.origins:
            if origin is None or not origin_matches(origin, key.origins):
                raise Forbidden(
                    f"this key is for pages of {', '.join(key.origins)}", hint="not for others, nor servers"
                )
        elif origin is not None and not self._listener.origins.fullmatch(origin) and not facts.is_same_origin:
            raise Forbidden(f"origin {origin[:200]!r} may not send here", hint="allow it with --browser-origins")

    # Everything else

    def _visitor(self, facts: HttpFacts, rule: Rule, named: str) -> Caller:
        """By header; else by the cookie of a login, else of a share; else without a key."""
        caller = self._by_header(facts.credential)
        if caller is not None:
            return self._permitted(caller, rule, named)
        if self._is_open(facts):
            return self._permitted(KEYLESS, rule, named)
        callers = list(self._visits(facts))
        good = (caller for caller in callers if _refusal(caller, rule, named) is None)
        return next(good, None) or self._permitted(callers[0] if callers else self._keyless(facts), rule, named)

    def _visits(self, facts: HttpFacts) -> Iterator[Caller]:
        for secret in filter(None, map(facts.cookie, (LOGIN_COOKIE, SHARE_COOKIE))):
            token = self.registry.token(secret, TokenKind.LOGIN)
            if token is not None:
                yield Caller(token.project, token.key_id, token.scopes, Source.BROWSER, token.shared)

    # Both

    def _by_header(self, text: str | None) -> Caller | None:
        key = self._known(text)
        return None if key is None else self._caller(key, from_browser=False)

    def _known(self, text: str | None) -> Key | None:
        """The key of a credential. Where none is needed, what is not even written like one of ours is passed over:
        some SDKs send something always."""
        if not text or (not self.registry.needs_key and read_key_text(text) is None):
            return None
        return self.registry.key(text)

    def _caller(self, key: Key, *, from_browser: bool) -> Caller:
        source = Source.BROWSER if from_browser or key.origins else Source.SERVER
        return Caller(key.project, key.id, key.scopes, source, None, self.registry.allowance(key))

    def _keyless(self, facts: HttpFacts | RpcFacts) -> Caller:
        if self._is_open(facts):
            return KEYLESS
        if self.registry.needs_key or not self._listener.is_loopback:
            raise Unauthenticated(
                "a key is needed", hint="send it as 'authorization: Bearer KEY' or as 'x-api-key: KEY'"
            )
        raise Unauthenticated(
            "a key is needed: this was not sent to a name of loopback, or was forwarded for someone else",
            hint="ask for 127.0.0.1 or localhost, or make a key: otel-replay keys create",
        )

    def _is_open(self, facts: HttpFacts | RpcFacts) -> bool:
        """Whether no key is needed."""
        if self.registry.needs_key:
            return False
        return self._listener.allow_unauthenticated or (self._listener.is_loopback and facts.is_local())

    @staticmethod
    def _permitted(caller: Caller, rule: Rule, named: str) -> Caller:
        words = _refusal(caller, rule, named)
        if words is not None:
            raise Forbidden(words)
        return caller


def _check_page(facts: HttpFacts) -> None:
    """What changes something is JSON from a page of this server, or from no page: a form elsewhere can send neither."""
    if not facts.changes:
        return
    if not facts.is_same_origin:
        raise Forbidden("a page of another origin may not change anything here")
    if facts.has_body and not facts.is_json:
        raise UnsupportedRequest("this route takes JSON", hint="send content-type: application/json")


def _refusal(caller: Caller, rule: Rule, named: str) -> str | None:
    """Why not; None where the rule lets this caller in."""
    if rule.scope not in caller.scopes:
        return f"this takes the scope {rule.scope}, which the key does not have"
    if rule.server and caller.project != SERVER_PROJECT:
        return "this speaks of all projects, and takes an admin key of the default one"
    if caller.shared is not None and not _shows(caller.shared, rule, named):
        return f"what was shared is one {caller.shared.kind}, and nothing else"
    return None


def _shows(shared: Shared, rule: Rule, named: str) -> bool:
    wanted = named.lower() if shared.kind is Kind.TRACE else named
    return rule.shared is shared.kind and wanted == shared.id
