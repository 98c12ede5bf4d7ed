"""Django with sessions, in one file: what a request records belongs to the session of whoever made it.

::

    pip install 'otel-replay' django
    python -m otel_replay.examples.django_app http://127.0.0.1:4318 8603
    curl -H 'x-session-id: s1' http://127.0.0.1:8603/ask?q=hello
"""

# mypy: disable-error-code="import-untyped"
# Django ships no types.

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import make_server

import click
from django.conf import settings
from django.core.signals import got_request_exception
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path

import otel_replay
from otel_replay.sdk import WsgiSessionMiddleware, chat, current_session


def ask(request: HttpRequest) -> JsonResponse:
    """An instrumented client of your model records its calls by itself; here one is recorded by hand."""
    with chat("Questions"):
        if visit := current_session():
            visit.record_interaction(model="gpt-4o-mini", prompt=request.GET["q"], response="Hello!")
    return JsonResponse({"answer": "Hello!"})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """A streamed answer is in the session to its last piece."""

    def pieces() -> Iterator[str]:
        yield "Hel"
        yield "lo!"
        if visit := current_session():
            visit.record_interaction(model="gpt-4o-mini", prompt=request.GET["q"], response="Hello!")

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def fail(_request: HttpRequest) -> JsonResponse:
    """Django answers for what a view raises, and no middleware sees it: its signal tells."""
    raise RuntimeError("as it was asked to")


def record_error(**_sent: Any) -> None:
    """For the signal."""
    if (visit := current_session()) and (error := sys.exception()):
        visit.record_error(error)


urlpatterns = [path("ask", ask), path("stream", stream), path("fail", fail)]


def main(endpoint: str = "http://127.0.0.1:4318", port: str = "8603") -> None:
    """Serves until Ctrl-C."""
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"], LOGGING_CONFIG=None)
    recording = otel_replay.instrument(endpoint, "django-example")
    got_request_exception.connect(record_error)
    app = WsgiSessionMiddleware(get_wsgi_application(), set_cookie=True, feature="chat")
    with make_server("127.0.0.1", int(port), app) as server:
        click.echo(f"running on http://127.0.0.1:{server.server_port}")
        server.serve_forever()
    recording.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
