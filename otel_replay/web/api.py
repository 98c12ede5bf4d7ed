"""The JSON interface: timelines, traces, sessions, recordings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.errors import InvalidRequest
from otel_replay.query import LocalReplay
from otel_replay.query.recordings import MAX_PAGE_BYTES
from otel_replay.query.sessions import DEFAULT_LIMIT
from otel_replay.query.statistics import DEFAULT_GROUPS
from otel_replay.query.times import parse_duration, parse_time
from otel_replay.receiver.http import PROTOBUF, caller_of, problem
from otel_replay.timeline import Timeline, page
from otel_replay.timeline.paging import DEFAULT_LIMIT as DEFAULT_ENTRIES

QUERY_THREADS = 8


class Api:
    """The read routes. ``now`` gives Unix nanoseconds, for times such as ``15m`` ago."""

    def __init__(self, replay: LocalReplay, now: Callable[[], int]) -> None:
        self._replay = replay
        self._now = now
        # A pool of its own: slow readers cannot stop ingest.
        self._threads = anyio.CapacityLimiter(QUERY_THREADS)

    def routes(self) -> list[Route]:
        served = [
            ("/api/v1/sessions", self._sessions),
            ("/api/v1/stats", self._stats),
            ("/api/v1/search", self._search),
            ("/api/v1/sessions/{id:any}/timeline", self._session_timeline),
            ("/api/v1/sessions/{id:any}/recording", self._recording),
            ("/api/v1/conversations/{id:any}/timeline", self._conversation_timeline),
            ("/api/v1/traces", self._traces),
            ("/api/v1/services", self._services),
            ("/api/v1/services/{id:any}/operations", self._operations),
            ("/api/v1/traces/{id}/timeline", self._trace_timeline),
            ("/api/v1/traces/{id}", self._trace),
        ]
        return [Route(path, self._answering(call), methods=["GET"]) for path, call in served]

    def _answering(self, call: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                return await anyio.to_thread.run_sync(call, request, limiter=self._threads)
            except Exception as error:  # noqa: BLE001 - the one table answers for every error
                return problem(error)

        return answer

    def _sessions(self, request: Request) -> Response:
        given = request.query_params
        known = "user feature label service model state has_error q since until limit cursor page"
        _refuse_unknown(given, known)
        found = self._of(request).sessions(
            user=given.get("user"),
            feature=given.get("feature"),
            label=given.get("label"),
            service=given.get("service"),
            model=given.get("model"),
            state=given.get("state"),
            has_error=_boolean("has_error", given.get("has_error")),
            text=given.get("q"),
            since_unix_nano=self._time(given.get("since")),
            until_unix_nano=self._time(given.get("until")),
            limit=_whole("limit", given.get("limit"), DEFAULT_LIMIT),
            cursor=given.get("cursor"),
            page=_whole("page", given["page"], 1) if "page" in given else None,
        )
        return _json(found)

    def _stats(self, request: Request) -> Response:
        given = request.query_params
        known = "by session conversation user feature label service model since until limit wait"
        _refuse_unknown(given, known)
        found = self._of(request).stats(
            given.get("by", "model"),
            session_id=given.get("session"),
            conversation_id=given.get("conversation"),
            user=given.get("user"),
            feature=given.get("feature"),
            label=given.get("label"),
            service=given.get("service"),
            model=given.get("model"),
            since_unix_nano=self._time(given.get("since")),
            until_unix_nano=self._time(given.get("until")),
            limit=_whole("limit", given.get("limit"), DEFAULT_GROUPS),
            wait_ns=_duration(given.get("wait")) or 0,
        )
        return _json(found)

    def _search(self, request: Request) -> Response:
        given = request.query_params
        known = "q session conversation user feature label service model since until limit cursor wait"
        _refuse_unknown(given, known)
        found = self._of(request).search(
            given.get("q", ""),
            session_id=given.get("session"),
            conversation_id=given.get("conversation"),
            user=given.get("user"),
            feature=given.get("feature"),
            label=given.get("label"),
            service=given.get("service"),
            model=given.get("model"),
            since_unix_nano=self._time(given.get("since")),
            until_unix_nano=self._time(given.get("until")),
            limit=_whole("limit", given.get("limit"), DEFAULT_LIMIT),
            cursor=given.get("cursor"),
            wait_ns=_duration(given.get("wait")) or 0,
        )
        return _json(found)

    def _traces(self, request: Request) -> Response:
        given = request.query_params
        known = "service operation attr status min_duration max_duration since until limit cursor"
        _refuse_unknown(given, known)
        found = self._of(request).traces(
            service=given.get("service"),
            operation=given.get("operation"),
            attributes=given.getlist("attr"),
            status=given.get("status"),
            min_duration_ns=_duration(given.get("min_duration")),
            max_duration_ns=_duration(given.get("max_duration")),
            since_unix_nano=self._time(given.get("since")),
            until_unix_nano=self._time(given.get("until")),
            limit=_whole("limit", given.get("limit"), DEFAULT_LIMIT),
            cursor=given.get("cursor"),
        )
        return _json(found)

    def _services(self, request: Request) -> Response:
        _refuse_unknown(request.query_params, "")
        return _json({"services": self._of(request).services()})

    def _operations(self, request: Request) -> Response:
        _refuse_unknown(request.query_params, "")
        return _json({"operations": self._of(request).operations(request.path_params["id"])})

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
            return Response(self._of(request).trace(trace_id), headers={"content-type": PROTOBUF})
        return _json(self._of(request).trace_json(trace_id))

    def _recording(self, request: Request) -> Response:
        given = request.query_params
        _refuse_unknown(given, "stream from to max_bytes cursor")
        found = self._of(request).recordings.page(
            request.path_params["id"],
            stream=given.get("stream"),
            from_unix_nano=self._time(given.get("from")),
            to_unix_nano=self._time(given.get("to")),
            max_bytes=min(_whole("max_bytes", given.get("max_bytes"), MAX_PAGE_BYTES), MAX_PAGE_BYTES),
            cursor=given.get("cursor"),
        )
        return _json(found.to_dict())

    def _of(self, request: Request) -> LocalReplay:
        """What the caller's project holds."""
        return self._replay.of_project(caller_of(request.scope).project)

    def _time(self, text: str | None) -> int | None:
        return None if text is None else parse_time(text, self._now())


def _timeline_page(timeline: Timeline, request: Request) -> Response:
    given = request.query_params
    _refuse_unknown(given, "kinds around window limit cursor")
    trace_id, _, span_id = given.get("around", "").partition(":")
    return _json(
        page(
            timeline,
            kinds=given["kinds"].split(",") if given.get("kinds") else None,
            around=(trace_id.lower(), span_id.lower()) if trace_id else None,
            window_ns=parse_duration(given["window"]) if "window" in given else None,
            limit=min(_whole("limit", given.get("limit"), DEFAULT_ENTRIES), DEFAULT_ENTRIES),
            cursor=given.get("cursor"),
        )
    )


def _refuse_unknown(given: Any, known: str) -> None:
    """A misspelt filter must not look like one that matched everything."""
    unknown = sorted(set(given) - set(known.split()))
    if unknown:
        raise InvalidRequest(f"unknown parameter {unknown[0][:40]!r}", hint=f"this route takes: {known or 'none'}")


def _duration(text: str | None) -> int | None:
    return None if text is None else parse_duration(text)


def _boolean(name: str, text: str | None) -> bool | None:
    if text not in (None, "true", "false"):
        raise InvalidRequest(f"{name} {text[:40]!r} is neither true nor false")
    return None if text is None else text == "true"


def _whole(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest(f"{name} {text[:40]!r} is not a whole number")
    return int(text)


def _json(document: Any) -> Response:
    # ASCII: lone surrogates of a recording survive as escapes, and no sniffing can misread the bytes.
    return Response(json.dumps(document), headers={"content-type": "application/json"})
