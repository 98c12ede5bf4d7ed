"""``/api/session-replay``: listing, reading, exporting, sharing and counting sessions, as clients of that API ask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_replay.access.administration import Administration
from otel_replay.access.keys import Shared
from otel_replay.access.registry import Registry
from otel_replay.access.scopes import Kind
from otel_replay.errors import InvalidRequest
from otel_replay.query import LocalReplay
from otel_replay.query.parameters import refuse_unknown, whole
from otel_replay.query.sessions import MAX_LIMIT
from otel_replay.query.times import parse_duration, parse_time
from otel_replay.receiver.http import caller_of
from otel_replay.recording.events import MAX_TIMESTAMP_MS
from otel_replay.web.access import answering
from otel_replay.web.answering import QueryThreads, json_answer
from otel_replay.web.session_documents import iso, replay_document, statistics_document, summary_document
from otel_replay.web.whole import recording_pieces, streamed

DEFAULT_LIMIT = 20
EXPORT_VERSION = 1

FILTERS = "userId feature label startDate endDate"
_KEYWORDS = {"userId": "user", "feature": "feature", "label": "label"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class SessionReplayRoutes:
    """What these routes read and share; what they write is ingest (:mod:`otel_replay.receiver.visit_routes`)."""

    def __init__(self, replay: LocalReplay, now: Callable[[], int], registry: Registry, threads: QueryThreads) -> None:
        self._replay = replay
        self._now = now
        self._desk = Administration(registry, now)
        self._threads = threads

    def routes(self) -> list[Route]:
        base, of_session = "/api/session-replay", "/api/session-replay/{id:any}"
        export = self._threads.answering(self._export)
        return [
            Route(f"{base}/list", self._threads.answering(self._list), methods=["GET"]),
            Route(f"{base}/stats", self._threads.answering(self._stats), methods=["GET"]),
            Route(f"{of_session}/export", export, methods=["GET", "POST"]),
            Route(f"{of_session}/share", answering(self._share), methods=["POST"]),
            Route(of_session, self._threads.answering(self._session), methods=["GET"]),
        ]

    def _list(self, request: Request) -> Response:
        given = request.query_params
        refuse_unknown(given, f"{FILTERS} page limit")
        page = whole("page", given.get("page", "1"))
        limit = whole("limit", given.get("limit", str(DEFAULT_LIMIT)))
        found = self._of(request).sessions(**self._filters(request), page=page, limit=limit)
        replays = [summary_document(one) for one in found["sessions"]]
        return json_answer({"replays": replays, "total": found["total"], "page": page, "limit": limit})

    def _stats(self, request: Request) -> Response:
        refuse_unknown(request.query_params, FILTERS)
        replay, filters = self._of(request), self._filters(request)
        page = replay.sessions(**filters, limit=MAX_LIMIT)
        total = replay.stats(**filters)["total"]
        return json_answer(statistics_document(page, total, page["sessions"]))

    def _session(self, request: Request) -> Response:
        refuse_unknown(request.query_params, "")
        return json_answer(self._document(self._of(request), request.path_params["id"]))

    def _export(self, request: Request) -> Response:
        refuse_unknown(request.query_params, "")
        replay, session_id = self._of(request), request.path_params["id"]
        name = re.sub(r"[^A-Za-z0-9._-]", "_", session_id)[:100]
        return streamed(self._exported(replay, session_id), f"session-{name}.json")

    def _exported(self, replay: LocalReplay, session_id: str) -> Iterator[str]:
        """All that is asked before the recording is asked now: an unknown session is an answer of its own."""
        timeline = replay.timeline(session_id=session_id)
        about = {
            "version": EXPORT_VERSION,
            **replay_document(replay.session(session_id), timeline),
            "timeline": timeline.to_dict(),
        }
        recording = recording_pieces({"session_id": session_id}, replay.recordings.pages(session_id))
        return _with_recording(about, recording)

    def _share(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        caller, session_id = caller_of(request.scope), str(request.path_params["id"])
        self._of(request).folded(session_id)
        lasts = _lasts(given.get("expiresIn"))
        told = {} if lasts is None else {"expires_in_ns": lasts}
        made = self._desk.share(caller, Shared(Kind.SESSION, session_id), told)
        expires = iso(int(made["expires_unix_nano"]))
        return {"id": made["id"], "url": _address(request, made["path"]), "expiresAt": expires}

    def _document(self, replay: LocalReplay, session_id: str) -> dict[str, Any]:
        return replay_document(replay.session(session_id), replay.timeline(session_id=session_id))

    def _filters(self, request: Request) -> dict[str, Any]:
        """Keywords of the queries; dates are those of the sessions' starts, and both belong to what is asked for."""
        given = request.query_params
        filters: dict[str, Any] = {keyword: given[name] for name, keyword in _KEYWORDS.items() if name in given}
        if "startDate" in given:
            filters["since_unix_nano"] = self._moment("startDate", given["startDate"])
        if "endDate" in given:
            filters["until_unix_nano"] = self._moment("endDate", given["endDate"]) + 10**6
        return filters

    def _moment(self, name: str, text: str) -> int:
        """A date as JavaScript writes or reads it, or Unix milliseconds."""
        if text.isascii() and text.isdigit() and len(text) < 16 and int(text) <= MAX_TIMESTAMP_MS:
            return int(text) * 10**6
        try:
            return parse_time(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text, self._now())
        except InvalidRequest as error:
            raise InvalidRequest(f"{name}: {error.message}", hint="an ISO date, or Unix milliseconds") from None

    def _of(self, request: Request) -> LocalReplay:
        """What the caller's project holds."""
        return self._replay.of_project(caller_of(request.scope).project)


def _with_recording(about: dict[str, Any], recording: Iterator[str]) -> Iterator[str]:
    yield f'{json.dumps(about)[:-1]}, "recording": '
    yield from recording
    yield "}"


def _lasts(told: Any) -> int | None:
    """Nanoseconds of milliseconds, or of a duration such as ``24h``; None for none."""
    if told is None:
        return None
    if isinstance(told, str):
        return parse_duration(told)
    if isinstance(told, int) and not isinstance(told, bool):
        return told * 10**6
    raise InvalidRequest("expiresIn is neither milliseconds nor a duration", hint='send 3600000 or "1h"')


def _address(request: Request, path: str) -> str:
    """As whoever asked would reach it: a proxy that ends TLS says so."""
    scheme = "https" if request.headers.get("x-forwarded-proto") == "https" else request.url.scheme
    return f"{scheme}://{request.url.netloc}{path}"
