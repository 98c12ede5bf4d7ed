"""Routes that tell of visits in plain JSON: ``/api/session-replay/...``, starting a session, and whole recordings.

They are ingest like OTLP's: the same keys, limits and CORS, and what they make goes the same way into the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.access.guard import Caller
from otel_replay.access.projects import project_named
from otel_replay.access.registry import Registry
from otel_replay.errors import InvalidRequest, RequestTooLarge
from otel_replay.events import SESSION_START, SESSION_UPDATE
from otel_replay.query import LocalReplay
from otel_replay.receiver.answers import JSON, problem
from otel_replay.receiver.bodies import check_json
from otel_replay.receiver.http import HttpReceiver, IngestRoute, caller_of, sender
from otel_replay.receiver.recordings import upload_facts
from otel_replay.receiver.records import NewSession, read_record
from otel_replay.receiver.telling import Value, read_told
from otel_replay.receiver.visits import (
    ActionBody,
    CallBody,
    End,
    Start,
    Told,
    action_told,
    call_told,
    end_told,
    metadata_told,
    snapshot_told,
    start_told,
)
from otel_replay.recording.events import check_id

MAX_CALL_BYTES = 16 * 1024 * 1024
"""Of a call: a prompt may hold pictures. As a span it takes this several times while it is made."""

_ON_SPANS = ("user.id", "feature", "label", "variant")
"""What of a session stands on its spans, as the SDK writes them: statistics go by it."""

Answer = Callable[[Request, bytes], dict[str, Any]]


class _Telling(IngestRoute):
    """A route that makes something of a body of JSON; ``answer`` runs on a thread."""

    name = "told"

    def __init__(self, receiver: HttpReceiver, answer: Answer) -> None:
        super().__init__(receiver)
        self._answer = answer

    def work(self, request: Request, body: bytes) -> Response:
        check_json(body)
        try:
            return Response(json.dumps(self._answer(request, body)), headers={"content-type": JSON})
        except RecursionError as error:
            raise InvalidRequest("the body is nested too deeply") from error

    def failed(self, request: Request, error: Exception) -> Response:
        return problem(error)


class VisitRoutes:
    """``new_id`` gives ids for sessions that bring none."""

    def __init__(
        self, receiver: HttpReceiver, replay: LocalReplay, registry: Registry, new_id: Callable[[], str]
    ) -> None:
        self._receiver = receiver
        self._replay = replay
        self._registry = registry
        self._new_id = new_id

    def routes(self) -> list[Route]:
        served: dict[str, Answer] = {
            "/api/session-replay/recording/start": self._start,
            "/api/session-replay/recording/interaction": self._call,
            "/api/session-replay/recording/user-action": self._action,
            "/api/session-replay/{session_id:any}/snapshot": self._snapshot,
            "/api/session-replay/{session_id:any}/end": self._end,
            "/api/v1/sessions/": self._new_session,
            "/api/v1/session-record": self._record,
        }
        return [self._receiver.route(path, _Telling(self._receiver, call)) for path, call in served.items()]

    def _start(self, request: Request, body: bytes) -> dict[str, Any]:
        told = read_told(body, Start)
        session_id = told.session_id or self._new_id()
        self._store(request, start_told(session_id, told, self._receiver.clock()))
        return {"sessionId": session_id}

    def _call(self, request: Request, body: bytes) -> dict[str, Any]:
        told = read_told(body, CallBody, MAX_CALL_BYTES)
        of_session = self._of_session(request, told.session_id)
        return self._stored(request, call_told(told, body, of_session, self._receiver.clock()))

    def _action(self, request: Request, body: bytes) -> dict[str, Any]:
        told = read_told(body, ActionBody)
        of_session = self._of_session(request, told.session_id)
        return self._stored(request, action_told(told, body, of_session, self._receiver.clock()))

    def _snapshot(self, request: Request, body: bytes) -> dict[str, Any]:
        session_id = _session_id(request)
        self._of_session(request, session_id)
        return self._stored(request, snapshot_told(session_id, body, self._receiver.clock()))

    def _end(self, request: Request, body: bytes) -> dict[str, Any]:
        """A session that has ended stays as it is, however often it is said."""
        session_id, told = _session_id(request), read_told(body, End)
        check_id("sessionId", session_id)
        replay = self._of(caller_of(request.scope))
        if replay.folded(session_id).state != "ended":
            self._store(request, end_told(session_id, told, self._receiver.clock()))
        session = replay.folded(session_id)
        return {"sessionId": session_id, "duration": (session.end_unix_nano - session.start_unix_nano) // 10**6}

    def _new_session(self, request: Request, body: bytes) -> dict[str, Any]:
        told = read_told(body, NewSession)
        project_named(self._registry, caller_of(request.scope), told.project_id)
        session_id = self._new_id()
        told_of = metadata_told(session_id, SESSION_START, told.metadata or {}, self._receiver.clock())
        self._store(request, told_of)
        return {"id": session_id}

    def _record(self, request: Request, body: bytes) -> dict[str, Any]:
        """The body is kept as it came, as one chunk."""
        record = read_record(body)
        facts = upload_facts(record.session_id, request.headers, body)
        # At the time of the recording, so that the same body says the same again.
        at = facts.payload.summary.end_unix_nano
        told = metadata_told(record.session_id, SESSION_UPDATE, record.metadata, at)
        receipt = self._receiver.handler.upload(*facts, sender(request))
        if record.metadata:
            self._store(request, told)
        return {"sessionId": record.session_id, "stream_id": facts.stream_id, **receipt._asdict()}

    def _stored(self, request: Request, told: Told) -> dict[str, Any]:
        self._store(request, told)
        return {"id": told.id}

    def _store(self, request: Request, told: Told) -> None:
        if len(told.body) > self._receiver.max_body_bytes:
            raise RequestTooLarge(f"as OTLP it is over {self._receiver.max_body_bytes} bytes")
        self._receiver.handler.export(told.signal, told.body, sender(request))

    def _of_session(self, request: Request, session_id: str) -> dict[str, Value]:
        """What describes a session, for its spans. Raises :class:`NotFound` for an unknown one."""
        check_id("sessionId", session_id)
        attributes = self._of(caller_of(request.scope)).folded(session_id).attributes
        return {name: value for name in _ON_SPANS if isinstance(value := attributes.get(name), str)}

    def _of(self, caller: Caller) -> LocalReplay:
        return self._replay.of_project(caller.project)


def _session_id(request: Request) -> str:
    return str(request.path_params["session_id"])
