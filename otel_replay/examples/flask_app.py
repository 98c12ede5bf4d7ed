"""Flask with sessions: what a request records belongs to the session of whoever made it.

::

    pip install 'otel-replay' flask
    python -m otel_replay.examples.flask_app http://127.0.0.1:4318 8602
    curl -H 'x-session-id: s1' http://127.0.0.1:8602/ask?q=hello
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, got_request_exception, request, stream_with_context

import otel_replay
from otel_replay.sdk import WsgiSessionMiddleware, chat, current_session

app = Flask(__name__)


@app.get("/ask")
def ask() -> dict[str, str]:
    """An instrumented client of your model records its calls by itself; here one is recorded by hand."""
    with chat("Questions"):
        if visit := current_session():
            visit.record_interaction(model="gpt-4o-mini", prompt=request.args["q"], response="Hello!")
    return {"answer": "Hello!"}


@app.get("/stream")
def stream() -> Response:
    """A streamed answer is in the session to its last piece."""

    def pieces() -> Iterator[str]:
        yield "Hel"
        yield "lo!"
        if visit := current_session():
            visit.record_interaction(model="gpt-4o-mini", prompt=request.args["q"], response="Hello!")

    return Response(stream_with_context(pieces()), mimetype="text/plain")


@app.get("/fail")
def fail() -> str:
    """Flask answers for what a view raises, and no middleware sees it: its signal tells."""
    raise RuntimeError("as it was asked to")


def record_error(_app: Flask, exception: BaseException, **_more: Any) -> None:
    """For the signal."""
    if visit := current_session():
        visit.record_error(exception)


def main(endpoint: str = "http://127.0.0.1:4318", port: str = "8602") -> None:
    """Serves until Ctrl-C."""
    recording = otel_replay.instrument(endpoint, "flask-example")
    got_request_exception.connect(record_error, app)
    app.wsgi_app = WsgiSessionMiddleware(app.wsgi_app, set_cookie=True, feature="chat")  # type: ignore[method-assign]
    app.run(port=int(port))
    recording.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
