"""Answers to questions: on threads of their own, errors by the one table, JSON in ASCII."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response

from otel_replay.receiver.answers import problem

QUERY_THREADS = 8


class QueryThreads:
    """The threads that questions over HTTP are answered on: slow readers cannot stop ingest."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(QUERY_THREADS)

    def answering(self, call: Callable[[Request], Response]) -> Callable[[Request], Any]:
        """A route that answers what ``call`` gives or raises."""

        async def answer(request: Request) -> Response:
            try:
                return await anyio.to_thread.run_sync(call, request, limiter=self._limiter)
            except Exception as error:  # noqa: BLE001 - the one table answers for every error
                return problem(error)

        return answer


def json_answer(document: Any) -> Response:
    """ASCII: lone surrogates of a recording survive as escapes, and no sniffing can misread the bytes."""
    return json_text(json.dumps(document))


def json_text(text: str) -> Response:
    """The same for what is JSON in ASCII already."""
    return Response(text, headers={"content-type": "application/json"})
