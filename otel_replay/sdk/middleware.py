"""Every request of a web application inside the session it belongs to: pure ASGI and WSGI, for any framework.

Whose session it is, is told by the first of: the baggage of the request (the recorder in the page sends it, and so does
every instrumented service), the header ``x-session-id``, a cookie. The trace goes on from ``traceparent``. Where an
outer instrumentation has taken these from the request already, what it found is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from otel_replay.sdk.incoming import Headers, Incoming, Request, Told

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[AsgiMessage]]
AsgiSend = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[AsgiScope, AsgiReceive, AsgiSend], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

FLUSH_MILLIS = 5_000
"""How long the end of an application waits for what was recorded."""


class SessionMiddleware(Incoming):
    """For ASGI: ``SessionMiddleware(app)``, or ``app.add_middleware(SessionMiddleware)`` of a framework.

    ``header`` and ``cookie`` are names. With ``set_cookie`` a request that names no session begins one, and its answer
    sets the cookie; without it such a request is in no session. ``attributes`` describe every session:
    ``feature="chat"``. Each request is a server span, where nothing outside of this has made one. When the application
    has shut down, what was recorded is sent.
    """

    def __init__(self, app: AsgiApp, /, **options: Any) -> None:
        super().__init__(**options)
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, _flushing(send))
            return
        request = self.request(_told_by_scope(scope))
        with request:
            await self._app(scope, receive, _answering(send, request))


class WsgiSessionMiddleware(Incoming):
    """The same for WSGI: ``app.wsgi_app = WsgiSessionMiddleware(app.wsgi_app)``."""

    def __init__(self, app: WsgiApp, /, **options: Any) -> None:
        super().__init__(**options)
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = self.request(_told_by_environ(environ))

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            request.answered(int(status.split(" ")[0]))
            cookies = [("Set-Cookie", request.new_cookie)] if request.new_cookie else []
            return start_response(status, [*headers, *cookies], *exc_info)

        return _in_request(request, lambda: self._app(environ, start))


class _Body:
    """A body that is read in the context of its request, also after the application has returned it."""

    def __init__(self, parts: Generator[bytes, None, None]) -> None:
        self._context = copy_context()
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._context.run(next, self._parts)

    def close(self) -> None:
        self._context.run(self._parts.close)


def _in_request(request: AbstractContextManager[None], app: Callable[[], Iterable[bytes]]) -> Iterable[bytes]:
    """Runs an application and gives its body, all in a context of the request's own.

    The application runs at once, as servers and frameworks expect; the request ends with its body.
    """
    body = _Body(_parts(request, app))
    next(body)
    return body


def _parts(request: AbstractContextManager[None], app: Callable[[], Iterable[bytes]]) -> Generator[bytes, None, None]:
    """First nothing, once the application has returned; then the body."""
    with request:
        body = app()
        try:
            yield b""
            yield from body
        finally:
            if hasattr(body, "close"):
                body.close()


def _answering(send: AsgiSend, request: Request) -> AsgiSend:
    async def sent(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            request.answered(message["status"])
        if request.new_cookie and message["type"] in ("http.response.start", "websocket.accept"):
            headers = [*message.get("headers", ()), (b"set-cookie", request.new_cookie.encode())]
            message = {**message, "headers": headers}
        await send(message)

    return sent


def _flushing(send: AsgiSend) -> AsgiSend:
    """Sends what was recorded before a server hears that the lifespan is over.

    uvicorn then hands a signal on, which ends the process without ``atexit`` (its ``Server.capture_signals``).
    """

    async def sent(message: AsgiMessage) -> None:
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            for provider in (trace.get_tracer_provider(), get_logger_provider()):
                if isinstance(provider, TracerProvider | LoggerProvider):
                    provider.force_flush(FLUSH_MILLIS)
        await send(message)

    return sent


def _told_by_scope(scope: AsgiScope) -> Told:
    headers: dict[str, list[str]] = {}
    for name, value in scope.get("headers", ()):
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return Told(scope.get("method", "GET"), scope.get("scheme", "http"), scope.get("path", "/"), headers)


def _told_by_environ(environ: Mapping[str, Any]) -> Told:
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}" or "/"
    path = path.encode("latin-1", "replace").decode("utf-8", "replace")  # WSGI has bytes in texts: PEP 3333
    scheme = environ.get("wsgi.url_scheme", "http")
    return Told(environ.get("REQUEST_METHOD", "GET"), scheme, path, _headers(environ))


def _headers(environ: Mapping[str, Any]) -> Headers:
    prefix = "HTTP_"
    return {
        name.removeprefix(prefix).replace("_", "-").lower(): [value]
        for name, value in environ.items()
        if name.startswith(prefix) and isinstance(value, str)
    }
