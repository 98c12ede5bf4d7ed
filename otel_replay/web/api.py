"""The JSON interface: timelines, traces, sessions, recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.access.projects import project_named
from otel_replay.access.registry import Registry
from otel_replay.query import LocalReplay, missing
from otel_replay.query.parameters import SEARCH, SESSIONS, STATS, TRACES, read_parameters, refuse_unknown, whole
from otel_replay.query.recordings import MAX_PAGE_BYTES
from otel_replay.query.times import parse_duration, parse_time
from otel_replay.receiver.answers import PROTOBUF
from otel_replay.receiver.http import caller_of
from otel_replay.recording.uploads import event_texts
from otel_replay.timeline import Timeline, page
from otel_replay.timeline.paging import DEFAULT_LIMIT as DEFAULT_ENTRIES
from otel_replay.web.answering import QueryThreads, json_answer, json_text
from otel_replay.web.session_documents import metadata_of
from otel_replay.web.whole import page_text, recording_pieces, streamed


class Api:
    """The read routes. ``now`` gives Unix nanoseconds, for times such as ``15m`` ago."""

    def __init__(self, replay: LocalReplay, now: Callable[[], int], registry: Registry, threads: QueryThreads) -> None:
        self._replay = replay
        self._now = now
        self._registry = registry
        self._threads = threads

    def routes(self) -> list[Route]:
        served = [
            ("/api/v1/sessions", self._sessions),
            ("/api/v1/stats", self._stats),
            ("/api/v1/search", self._search),
            ("/api/v1/sessions/{id:any}/timeline", self._session_timeline),
            ("/api/v1/sessions/{id:any}/recording", self._recording),
            ("/api/v1/sessions/{id:any}/events", self._events),
            ("/api/v1/sessions/{id:any}", self._session),
            ("/api/v1/projects/{id}/sessions", self._sessions_of_project),
            ("/api/v1/conversations/{id:any}/timeline", self._conversation_timeline),
            ("/api/v1/traces", self._traces),
            ("/api/v1/services", self._services),
            ("/api/v1/services/{id:any}/operations", self._operations),
            ("/api/v1/traces/{id}/timeline", self._trace_timeline),
            ("/api/v1/traces/{id}", self._trace),
        ]
        return [Route(path, self._threads.answering(call), methods=["GET"]) for path, call in served]

    def _sessions(self, request: Request) -> Response:
        return json_answer(self._of(request).sessions(**self._asked(request, SESSIONS)))

    def _sessions_of_project(self, request: Request) -> Response:
        """The same list, by the project's name or number; each with its ``id``."""
        project = project_named(self._registry, caller_of(request.scope), request.path_params["id"])
        found = self._replay.of_project(project).sessions(**self._asked(request, SESSIONS))
        return json_answer({**found, "sessions": [_of_project(one, project) for one in found["sessions"]]})

    def _session(self, request: Request) -> Response:
        refuse_unknown(request.query_params, "")
        found = self._of(request).session(request.path_params["id"])
        return json_answer(_of_project(found, caller_of(request.scope).project))

    def _events(self, request: Request) -> Response:
        """The full recording."""
        refuse_unknown(request.query_params, "stream")
        replay, session_id = self._of(request), request.path_params["id"]
        replay.folded(session_id)
        pages = replay.recordings.pages(session_id, stream=request.query_params.get("stream"))
        about = {"id": session_id, "session_id": session_id}
        return streamed(recording_pieces(about, pages))

    def _stats(self, request: Request) -> Response:
        return json_answer(self._of(request).stats(**self._asked(request, STATS)))

    def _search(self, request: Request) -> Response:
        return json_answer(self._of(request).search(**{"text": "", **self._asked(request, SEARCH)}))

    def _traces(self, request: Request) -> Response:
        return json_answer(self._of(request).traces(**self._asked(request, TRACES)))

    def _asked(self, request: Request, names: str) -> dict[str, Any]:
        return read_parameters(request.query_params, names, self._now())

    def _services(self, request: Request) -> Response:
        refuse_unknown(request.query_params, "")
        return json_answer(missing.document("services", self._of(request).services()))

    def _operations(self, request: Request) -> Response:
        refuse_unknown(request.query_params, "")
        found = self._of(request).operations(request.path_params["id"])
        return json_answer(missing.document("operations", found))

    def _trace_timeline(self, request: Request) -> Response:
        return _timeline_page(self._of(request).timeline(request.path_params["id"]), request)

    def _session_timeline(self, request: Request) -> Response:
        return _timeline_page(self._of(request).timeline(session_id=request.path_params["id"]), request)

    def _conversation_timeline(self, request: Request) -> Response:
        return _timeline_page(self._of(request).timeline(conversation_id=request.path_params["id"]), request)

    def _trace(self, request: Request) -> Response:
        """``TracesData``: OTLP/JSON, or the bytes as received for ``Accept: application/x-protobuf``."""
        trace_id = request.path_params["id"]
        if PROTOBUF in request.headers.get("accept", ""):
            found = self._of(request).trace(trace_id)
            return Response(found, headers={"content-type": PROTOBUF, **missing.header(found)})
        return json_answer(self._of(request).trace_json(trace_id))

    def _recording(self, request: Request) -> Response:
        given = request.query_params
        refuse_unknown(given, "stream from to max_bytes cursor")
        found = self._of(request).recordings.page(
            request.path_params["id"],
            stream=given.get("stream"),
            from_unix_nano=self._time(given.get("from")),
            to_unix_nano=self._time(given.get("to")),
            max_bytes=min(_whole(given, "max_bytes", MAX_PAGE_BYTES), MAX_PAGE_BYTES),
            cursor=given.get("cursor"),
            read=event_texts,
        )
        return json_text(page_text(found))

    def _of(self, request: Request) -> LocalReplay:
        """What the caller's project holds."""
        return self._replay.of_project(caller_of(request.scope).project)

    def _time(self, text: str | None) -> int | None:
        return None if text is None else parse_time(text, self._now())


def _timeline_page(timeline: Timeline, request: Request) -> Response:
    given = request.query_params
    refuse_unknown(given, "kinds around window limit cursor")
    trace_id, _, span_id = given.get("around", "").partition(":")
    return json_answer(
        page(
            timeline,
            kinds=given["kinds"].split(",") if given.get("kinds") else None,
            around=(trace_id.lower(), span_id.lower()) if trace_id else None,
            window_ns=parse_duration(given["window"]) if "window" in given else None,
            limit=min(_whole(given, "limit", DEFAULT_ENTRIES), DEFAULT_ENTRIES),
            cursor=given.get("cursor"),
        )
    )


def _whole(given: Mapping[str, str], name: str, default: int) -> int:
    return whole(name, given[name]) if name in given else default


def _of_project(session: Mapping[str, Any], project: int) -> dict[str, Any]:
    """A session with what it was started with."""
    return {**session, "id": session["session_id"], "project_id": project, "metadata": metadata_of(session)}
