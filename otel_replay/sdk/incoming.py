"""Requests that come in: from their headers to the trace, the session and the span they are handled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from opentelemetry import baggage, propagate, trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from otel_replay.sdk.context import MAX_BAGGAGE_VALUE, SESSION_ID, session_attributes
from otel_replay.sdk.emitting import SCOPE
from otel_replay.sdk.metrics import ACTIVE_REQUESTS
from otel_replay.sdk.session import Session, session

HEADER = "x-session-id"
COOKIE = "otel-replay-session"

Headers = Mapping[str, list[str]]
"""By lower-case name."""

_ID = re.compile(rf"[\x21-\x7e]{{1,{MAX_BAGGAGE_VALUE}}}")
"""What an id from outside may be: visible ASCII."""


class Told(NamedTuple):
    """What a request says of itself. The query of its address may hold secrets, and is not told."""

    method: str
    scheme: str
    path: str
    headers: Headers


class Incoming:
    """What the middleware for ASGI and that for WSGI have in common."""

    def __init__(
        self,
        *,
        header: str = HEADER,
        cookie: str = COOKIE,
        set_cookie: bool = False,
        tracer_provider: TracerProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        **attributes: Any,
    ) -> None:
        self._header = header.lower()
        self._cookie = cookie
        self._set_cookie = set_cookie
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._described = {**attributes, "tracer_provider": tracer_provider, "logger_provider": logger_provider}

    def request(self, told: Told) -> Request:
        """For a ``with`` block around the handling of a request."""
        context = _received(told.headers)
        found = session_attributes(context).get(SESSION_ID) or self._named(told.headers)
        if isinstance(found, str):
            context = baggage.set_baggage(SESSION_ID, found, context)
            return Request(told, self._tracer, context, session(found, **self._described))
        if not self._set_cookie:
            return Request(told, self._tracer, context, None)
        made = session(**self._described)
        flags = "; Secure" if told.scheme in ("https", "wss") else ""
        cookie = f"{self._cookie}={made.session_id}; Path=/; HttpOnly; SameSite=Lax{flags}"
        return Request(told, self._tracer, context, made, cookie)

    def _named(self, headers: Headers) -> str | None:
        """By header or cookie; what cannot be an id is nobody's."""
        told = [value.strip() for value in headers.get(self._header, ())]
        for cookies in headers.get("cookie", ()):
            pairs = (pair.partition("=") for pair in cookies.split(";"))
            told += [value.strip() for name, _, value in pairs if name.strip() == self._cookie]
        return next((one for one in told if _ID.fullmatch(one)), None)


class Request:
    """One request: inside the block it is in its trace and its session, and what it fails with is recorded.

    It is a server span, unless an outer instrumentation has made one: then that is told the session. Inner
    instrumentations stay in the context of whatever span is current, and would leave the session where there is none.
    """

    def __init__(
        self, told: Told, tracer: Tracer, context: Context, visit: Session | None, new_cookie: str | None = None
    ) -> None:
        self.new_cookie = new_cookie
        """The value of a ``Set-Cookie`` header for the answer."""
        self._told = told
        self._tracer = tracer
        self._context = context
        self._session = visit
        self._parts = ExitStack()
        self._span: Span | None = None

    def __enter__(self) -> None:
        with ExitStack() as parts:
            parts.enter_context(ACTIVE_REQUESTS.one_more())
            parts.callback(detach, attach(self._context))
            if self._session is not None:
                parts.enter_context(self._session)
            self._enter_span(parts)
            if self._session is not None:
                parts.enter_context(_recording_errors(self._session))
            self._parts = parts.pop_all()

    def __exit__(self, *exc_info: Any) -> None:
        self._parts.__exit__(*exc_info)

    def answered(self, status: int) -> None:
        """With this HTTP status."""
        if self._span is not None:
            self._span.set_attribute("http.response.status_code", status)
            if status >= 500:
                self._span.set_status(Status(StatusCode.ERROR))

    def _enter_span(self, parts: ExitStack) -> None:
        outer, own = trace.get_current_span(), session_attributes()
        if outer.is_recording():
            said = getattr(outer, "attributes", None) or {}
            outer.set_attributes({key: value for key, value in own.items() if key not in said})
            return
        about = {
            "http.request.method": self._told.method,
            "url.scheme": self._told.scheme,
            "url.path": self._told.path,
        }
        self._span = self._tracer.start_span(self._told.method, kind=SpanKind.SERVER, attributes={**own, **about})
        parts.enter_context(trace.use_span(self._span, end_on_exit=True, record_exception=False))


class _HeaderGetter(Getter[Headers]):
    def get(self, carrier: Headers, key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: Headers) -> list[str]:
        return list(carrier)


_GETTER = _HeaderGetter()


def _received(headers: Headers) -> Context:
    """The context that a request brings along; the current one where somebody has taken it from the request already."""
    if trace.get_current_span().get_span_context().is_valid:
        return get_current()
    return propagate.extract(headers, getter=_GETTER)


@contextmanager
def _recording_errors(visit: Session) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        visit.record_error(error)
        raise
