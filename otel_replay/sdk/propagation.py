"""Baggage leaves this process towards hosts of one's own only: a model's vendor is told no user and no session.

OpenTelemetry's instrumentations of HTTP clients give a propagator the headers and not the address. But they inject with
the request's own CLIENT span as the current one, and that span says where the request goes. Where it does not, and
where there is no such span, the host counts as somebody else's.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import baggage, trace
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import SpanKind

from otel_replay.sdk.context import CONVERSATION_ID, USER_ID, local_attributes

_log = logging.getLogger(__name__)

VARIABLE = "OTEL_REPLAY_PROPAGATE_TO"

_BAGGAGE_HEADERS = ("baggage", "uberctx-", "ot-baggage-")
"""How they begin: W3C's, Jaeger's and OpenTracing's."""
_URLS = ("url.full", "http.url")
_NAMES = ("server.address", "net.peer.name", "http.host")
"""Where a CLIENT span says its host: by the stable and by the older semantic conventions of HTTP."""

_PRIVATE_DOMAINS = (".localhost", ".local", ".internal")
"""Never public: RFC 6761, RFC 6762, and reserved by ICANN in 2024."""

_PLAIN_NAME = re.compile(r"[a-z]([a-z0-9_-]*[a-z0-9_])?", re.ASCII)
"""A name without a dot. It begins with a letter: ``134744072`` is a public address too."""


class OwnHosts:
    """Loopback, private addresses, names without a dot or in a private domain, and those that are named.

    A name that begins with a dot (``.example.com``) stands for all hosts below it. A port, or a URL's other parts, make
    no difference. What is no name is logged and left aside.
    """

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._names = frozenset(name for told in _each(named) if (name := _named(told)))
        self._domains = (*_PRIVATE_DOMAINS, *(name for name in self._names if name.startswith(".")))

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str) or not host:
            return False
        name = _normal(host.lower())
        if name in self._names or _is_private(name):
            return True
        return bool(_PLAIN_NAME.fullmatch(name)) or name.endswith(self._domains)


def own_hosts(named: Iterable[str]) -> OwnHosts:
    """Those named, and those of ``OTEL_REPLAY_PROPAGATE_TO``, a list with commas."""
    return OwnHosts([*_each(named), *_each(os.environ.get(VARIABLE, ""))])


def _each(named: Iterable[str]) -> Iterable[str]:
    """One name is a text as well, and so is a list with commas."""
    return named.split(",") if isinstance(named, str) else named


def keep_baggage_from_others(headers: object, url: str, hosts: OwnHosts) -> None:
    """Takes it out of the headers of a request for a URL whose host is not one of one's own."""
    if _host_of(url) not in hosts:
        _remove_baggage(headers)


class OwnHostsPropagator(TextMapPropagator):
    """Another propagator, without its baggage where the request goes to a host that is not one's own."""

    def __init__(self, inner: TextMapPropagator, hosts: OwnHosts) -> None:
        self.inner = inner
        self._hosts = hosts

    @property
    def fields(self) -> set[str]:
        return self.inner.fields

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        return self.inner.extract(carrier, context, getter)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        context = get_current() if context is None else context
        if _host(context) in self._hosts:
            context = _with_ids(context)
        else:
            context = baggage.clear(context)
            _remove_baggage(carrier)  # A redirect that is followed still has what the first request was given.
        self.inner.inject(carrier, context, setter)


def _with_ids(context: Context) -> Context:
    """The conversation is baggage only here, and the user may have become known inside of the session."""
    local = local_attributes(context)
    for key in (USER_ID, CONVERSATION_ID):
        if key in local:
            context = baggage.set_baggage(key, local[key], context)
    return context


def _host(context: Context) -> str | None:
    """Where the request of the current CLIENT span goes to; None where nothing says so."""
    span = trace.get_current_span(context)
    said: Any = getattr(span, "attributes", None)
    if getattr(span, "kind", None) is not SpanKind.CLIENT or not isinstance(said, Mapping):
        return None
    for key in _URLS:
        if isinstance(url := said.get(key), str):
            return _host_of(url)
    for key in _NAMES:
        if isinstance(name := said.get(key), str):
            return _host_of(f"//{name}")
    return None


def _host_of(url: str) -> str | None:
    """None too for what clients read in different ways: a backslash ends the host for some (WHATWG URL, 4.4)."""
    try:
        return None if "\\" in url else urlsplit(url).hostname
    except ValueError:
        return None


def _named(told: str) -> str | None:
    """The host of ``host``, ``host:port``, a URL or an address."""
    if not told.strip():
        return None
    name = told.strip().lower().removeprefix("*")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        host = _host_of(name if "//" in name else f"//{name}")
    if host and host.strip("."):
        return _normal(host)
    _log.warning("%r names no host: no session is told there", told)
    return None


def _normal(host: str) -> str:
    """An address as Python writes it, a name without the dot at its end."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.rstrip(".")


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_private


def _remove_baggage(carrier: object) -> None:
    if isinstance(carrier, MutableMapping):
        for name in [name for name in carrier if isinstance(name, str) and name.lower().startswith(_BAGGAGE_HEADERS)]:
            carrier.pop(name, None)
