"""FastAPI with sessions: what a request records belongs to the session of whoever made it.

::

    pip install 'otel-replay' fastapi
    python -m otel_replay.examples.fastapi_app http://127.0.0.1:4318 8601
    curl -H 'x-session-id: s1' http://127.0.0.1:8601/ask?q=hello
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import otel_replay
from otel_replay.sdk import SessionMiddleware, chat, current_session

app = FastAPI()
app.add_middleware(SessionMiddleware, set_cookie=True, feature="chat")


@app.get("/ask")
def ask(q: str) -> dict[str, str]:
    """An instrumented client of your model records its calls by itself; here one is recorded by hand."""
    with chat("Questions"):
        if visit := current_session():
            visit.record_interaction(model="gpt-4o-mini", prompt=q, response="Hello!")
    return {"answer": "Hello!"}


@app.get("/stream")
def stream(q: str) -> StreamingResponse:
    """A streamed answer is in the session to its last piece."""

    def pieces() -> Iterator[str]:
        yield "Hel"
        yield "lo!"
        if visit := current_session():
            visit.record_interaction(model="gpt-4o-mini", prompt=q, response="Hello!")

    return StreamingResponse(pieces(), media_type="text/plain")


@app.get("/fail")
def fail() -> None:
    """What a request fails with is recorded in its session."""
    raise RuntimeError("as it was asked to")


def main(endpoint: str = "http://127.0.0.1:4318", port: str = "8601") -> None:
    """Serves until Ctrl-C."""
    recording = otel_replay.instrument(endpoint, "fastapi-example")
    uvicorn.run(app, port=int(port))
    recording.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
