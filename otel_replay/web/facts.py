"""``POST /api/v1/facts``: what others put together who ask several receivers (:mod:`otel_replay.query.facts`)."""

from __future__ import annotations

import json
from typing import Any

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.errors import InvalidRequest, RequestTooLarge
from otel_replay.query.facts import Facts, answers_document, read_questions
from otel_replay.receiver.answers import problem
from otel_replay.receiver.http import caller_of
from otel_replay.store.base import Reader
from otel_replay.store.sqlite.shared_rows import SharedRows
from otel_replay.web.answering import json_answer

THREADS = 4
"""Of its own: a receiver that is named as its own upstream waits for itself, and must not wait for ever."""

MOST_BYTES = 4 * 1024 * 1024
"""Of questions: 2,000 of them, or 5,000 ids."""


class FactsRoutes:
    """Answers from the receiver's own file alone, also when it has upstreams: so there are no loops."""

    def __init__(self, reader: Reader, rows: SharedRows) -> None:
        self._reader = reader
        self._rows = rows
        self._limiter = anyio.CapacityLimiter(THREADS)

    def routes(self) -> list[Route]:
        return [Route("/api/v1/facts", self._facts, methods=["POST"])]

    async def _facts(self, request: Request) -> Response:
        try:
            document = _parsed(await _body(request))
            return await anyio.to_thread.run_sync(self._answered, request, document, limiter=self._limiter)
        except Exception as error:  # noqa: BLE001 - the one table answers for every error
            return problem(error)

    def _answered(self, request: Request, document: Any) -> Response:
        facts = Facts(self._reader, self._rows, caller_of(request.scope).project)
        return json_answer(answers_document(read_questions(document), facts.answer))


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                raise RequestTooLarge(f"more than {MOST_BYTES} bytes of questions", hint="ask in several requests")
    except ClientDisconnect as error:
        raise InvalidRequest("the request broke off") from error
    return bytes(body)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from error
