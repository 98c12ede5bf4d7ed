"""Redirects that a client follows below its instrumentation, with the headers of its first request.

A host of one's own that answers with somebody else's address would have the baggage handed on to them. ``httpx`` and
``urllib3`` are instrumented hop by hop, where the propagator sees to it; these here are not. Each is changed in the one
place where the library itself takes credentials out, or where it offers to be told.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from otel_replay.sdk.propagation import OwnHosts, keep_baggage_from_others

_Function = Callable[..., Any]


def guard_redirects(hosts: OwnHosts, undo: ExitStack) -> None:
    """Of the clients that are installed and whose instrumentation is, which loads them anyway."""
    for name, guard in _GUARDS.items():
        with suppress(ImportError):
            if find_spec(f"opentelemetry.instrumentation.{name}"):
                guard(hosts, undo)


def _guard_requests(hosts: OwnHosts, undo: ExitStack) -> None:
    def guarded(rebuild_auth: _Function) -> _Function:
        def rebuild(session: Any, prepared_request: Any, response: Any) -> None:
            keep_baggage_from_others(prepared_request.headers, prepared_request.url, hosts)
            rebuild_auth(session, prepared_request, response)

        return rebuild

    _replace(import_module("requests").Session, "rebuild_auth", guarded, undo)


def _guard_urllib(hosts: OwnHosts, undo: ExitStack) -> None:
    def guarded(redirect_request: _Function) -> _Function:
        def redirect(*args: Any, **options: Any) -> Any:
            following = redirect_request(*args, **options)
            if following is not None:
                keep_baggage_from_others(following.headers, following.full_url, hosts)
            return following

        return redirect

    _replace(import_module("urllib.request").HTTPRedirectHandler, "redirect_request", guarded, undo)


def _guard_aiohttp(hosts: OwnHosts, undo: ExitStack) -> None:
    aiohttp, url_of = import_module("aiohttp"), import_module("yarl").URL

    async def on_redirect(session: Any, context: Any, redirect: Any) -> None:
        told = redirect.response.headers
        location = told.get("location") or told.get("uri") or ""
        try:
            following = str(redirect.url.join(url_of(location)))
        except ValueError:  # The client will say so.
            following = ""
        keep_baggage_from_others(redirect.headers, following, hosts)

    def guarded(init: _Function) -> _Function:
        def make(session: Any, *args: Any, trace_configs: Any = None, **options: Any) -> None:
            config = aiohttp.TraceConfig()
            config.on_request_redirect.append(on_redirect)
            init(session, *args, trace_configs=[*(trace_configs or ()), config], **options)

        return make

    _replace(aiohttp.ClientSession, "__init__", guarded, undo)


_GUARDS: dict[str, Callable[[OwnHosts, ExitStack], None]] = {
    "requests": _guard_requests,
    "urllib": _guard_urllib,
    "aiohttp_client": _guard_aiohttp,
}
"""By the names of OpenTelemetry's instrumentations."""


def _replace(owner: Any, name: str, changed: Callable[[_Function], _Function], undo: ExitStack) -> None:
    before = getattr(owner, name)
    setattr(owner, name, wraps(before)(changed(before)))
    undo.callback(setattr, owner, name, before)
