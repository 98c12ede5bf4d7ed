"""An endpoint of your own backend that takes recordings from pages and hands them on to a receiver.

Pages then know neither the receiver nor its key, and your own middleware says who may send::

    app.add_route("/api/session-record", AsgiForwarder("http://replay:4318", key=KEY), methods=["POST"])  # Starlette
    forwarder = WsgiForwarder("http://replay:4318", key=KEY)  # a Flask view returns it

A page posts ``{"sessionId", "events", "metadata"?}``, at most 50 MB. The body goes through a temporary file, so that it
takes no memory and can be sent again while the receiver is busy, and the page gets the receiver's answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

MAX_BYTES = 50_000_000
CONCURRENT = 16
"""Recordings on their way at once: with their bodies in temporary files they take 800 MB of disk at most."""

PATH = "/api/v1/session-record"
_PIECE_BYTES = 64 * 1024
_ANSWER_BYTES = 64 * 1024
_CONNECT_S, _ANSWER_S = 5.0, 30.0
_ATTEMPTS, _LONGEST_WAIT_S = 4, 10.0
_BUSY = (429, 502, 503, 504)
_HANDED_ON = ("content-type", "content-encoding", "x-otel-replay-stream", "x-otel-replay-seq", "x-otel-replay-sent-at")

_log = logging.getLogger(__name__)

Headers = Mapping[str, str]
"""By names in lower case."""

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[AsgiMessage]]
AsgiSend = Callable[[AsgiMessage], Awaitable[None]]


class Answer(NamedTuple):
    """What the page is told."""

    status: int
    body: bytes
    content_type: str = "application/problem+json"
    retry_after: str | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        told = [("content-type", self.content_type), ("content-length", str(len(self.body)))]
        return [*told, ("retry-after", self.retry_after)] if self.retry_after else told


class _Refused(Exception):
    """Said before anything is handed on."""

    def __init__(self, status: int, words: str, *, retry_after: str | None = None) -> None:
        super().__init__(words)
        self.answer = _problem(status, words, retry_after)


class Forwarder:
    """What both interfaces share. ``url`` is the receiver's; ``key`` one that may ingest, and stays on this server.

    Browsers say where a request comes from: pages of other sites are refused unless ``origins`` has theirs
    (``https://app.example.com``). Safe to use from any thread.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        origins: Collection[str] = (),
        max_bytes: int = MAX_BYTES,
        concurrent: int = CONCURRENT,
    ) -> None:
        self._url = url.rstrip("/") + PATH
        self._origins = frozenset(origins)
        self._max_bytes = max_bytes
        self._places = threading.BoundedSemaphore(concurrent)
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy of the environment is not meant for the receiver
        adapter = HTTPAdapter(pool_maxsize=concurrent, max_retries=_patience())
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)
        if key:
            self._http.headers["authorization"] = f"Bearer {key}"

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise _Refused(503, "too many recordings are on their way", retry_after="1")
        try:
            yield
        finally:
            self._places.release()

    def _check(self, method: str, headers: Headers) -> None:
        """Raises :class:`_Refused` for what needs no body to be refused."""
        if method != "POST":
            raise _Refused(405, "recordings are posted")
        elsewhere = headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if elsewhere and headers.get("origin") not in self._origins:
            raise _Refused(403, "pages of other sites may not send here")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_bytes:
            raise self._too_large()

    def _keep(self, body: IO[bytes], piece: bytes) -> None:
        if body.tell() + len(piece) > self._max_bytes:
            raise self._too_large()
        body.write(piece)

    def _too_large(self) -> _Refused:
        return _Refused(413, f"the body is over {self._max_bytes} bytes")

    def _forward(self, body: IO[bytes], headers: Headers) -> Answer:
        """Sends the file to the receiver, again while that is busy."""
        body.seek(0)
        handed_on = {name: headers[name] for name in _HANDED_ON if name in headers}
        try:
            with self._http.post(
                self._url,
                data=body,
                headers=handed_on,
                timeout=(_CONNECT_S, _ANSWER_S),
                allow_redirects=False,
                stream=True,
            ) as answer:
                return _handed_back(answer)
        except requests.RequestException as error:
            _log.warning("a recording was not handed on: %s", type(error).__name__)
            return _problem(503, "the receiver of recordings cannot be reached", "5")


class AsgiForwarder(Forwarder):
    """An ASGI application, on threads of its own."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        workers = options.get("concurrent", CONCURRENT)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="otel-replay-forward")

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":
            raise ValueError(f"recordings come over HTTP, not as {scope['type']}")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check(scope["method"], headers)
            with self._place(), tempfile.TemporaryFile() as body:
                if not await self._read(receive, body):
                    return  # nobody is there to be answered
                answer = await self._on_thread(self._forward, body, headers)
        except _Refused as refused:
            answer = refused.answer
        told = [(name.encode(), value.encode()) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": told})
        await send({"type": "http.response.body", "body": answer.body})

    def close(self) -> None:
        self._threads.shutdown()
        super().close()

    async def _read(self, receive: AsgiReceive, body: IO[bytes]) -> bool:
        """Whether the body came whole."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            if piece := message.get("body", b""):
                await self._on_thread(self._keep, body, piece)
            if not message.get("more_body", False):
                return True

    async def _on_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


class WsgiForwarder(Forwarder):
    """A WSGI application, which a Flask view may return as its answer."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = _wsgi_headers(environ)
        try:
            self._check(environ["REQUEST_METHOD"], headers)
            with self._place(), tempfile.TemporaryFile() as body:
                self._read(environ, headers, body)
                answer = self._forward(body, headers)
        except _Refused as refused:
            answer = refused.answer
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
        return [answer.body]

    def _read(self, environ: Mapping[str, Any], headers: Headers, body: IO[bytes]) -> None:
        """Servers that end the input themselves say so; from others no more may be read than was announced."""
        given, ends = environ["wsgi.input"], environ.get("wsgi.input_terminated", False)
        length = headers.get("content-length", "")
        left = int(length) if length.isdecimal() else self._max_bytes + 1 if ends else 0
        while left > 0 and (piece := given.read(min(left, _PIECE_BYTES))):
            self._keep(body, piece)
            left -= len(piece)
        if left > 0 and length.isdecimal():
            raise _Refused(400, "the body ends too early")


class _Patience(Retry):
    """urllib3's retries, which wait as long as they are asked to, but not hours."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        asked = super().get_retry_after(response)
        return None if asked is None else min(asked, _LONGEST_WAIT_S)


def _patience() -> Retry:
    """A recording is the same when it comes again: the receiver knows it by its bytes."""
    return _Patience(
        total=_ATTEMPTS,
        redirect=0,
        status_forcelist=_BUSY,
        allowed_methods=None,
        backoff_factor=0.3,
        raise_on_status=False,
    )


def _handed_back(answer: requests.Response) -> Answer:
    """The receiver's answer, but for one about this server's own key: the page could do nothing about it."""
    if answer.status_code in (401, 403):
        _log.error("the receiver does not take this server's key: it answered %d", answer.status_code)
        return _problem(502, "the receiver of recordings does not take this server's key")
    body = answer.raw.read(_ANSWER_BYTES, decode_content=True)
    kind = answer.headers.get("content-type", "application/octet-stream")
    return Answer(answer.status_code, body, kind, answer.headers.get("retry-after"))


def _problem(status: int, words: str, retry_after: str | None = None) -> Answer:
    """``application/problem+json`` (RFC 9457)."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": words}
    return Answer(status, json.dumps(document).encode(), retry_after=retry_after)


def _wsgi_headers(environ: Mapping[str, Any]) -> dict[str, str]:
    headers = {"content-type": environ.get("CONTENT_TYPE", ""), "content-length": environ.get("CONTENT_LENGTH", "")}
    prefix = "HTTP_"
    named = {name.removeprefix(prefix): value for name, value in environ.items() if name.startswith(prefix)}
    headers |= {name.replace("_", "-").lower(): str(value) for name, value in named.items()}
    return {name: value for name, value in headers.items() if value}
