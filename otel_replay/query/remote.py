"""Queries answered by a running server, over its HTTP interface."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Unpack
from urllib.parse import quote

import requests

from otel_replay.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    ReplayError,
    RequestTooLarge,
    RetryableError,
    StoreUnavailable,
    Unauthenticated,
)
from otel_replay.query.filters import CallFilters, SessionFilters, SpanFilters
from otel_replay.query.missing import HEADER, Names, TraceBytes, names, trace_bytes
from otel_replay.query.parameters import SEARCH, SESSIONS, STATS, TRACES, written
from otel_replay.query.recordings import StreamRecording
from otel_replay.query.unanswered import no_answer
from otel_replay.query.uploads import chunk_bodies
from otel_replay.recording.events import Event
from otel_replay.texts import storable
from otel_replay.timeline import Timeline
from otel_replay.timeline.parse import gap_from_dict, timeline_from_dict

TIMEOUT_S = 30.0
WAITS_S = (1.0, 2.0, 4.0)
"""Servers ask to come back after a second."""

_ERRORS: dict[int, type[ReplayError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    413: RequestTooLarge,
    429: RateLimited,
    503: StoreUnavailable,
}


class SessionQuestion(SessionFilters, total=False):
    limit: int
    cursor: str | None
    page: int | None


class StatsQuestion(CallFilters, total=False):
    limit: int
    wait_ns: int


class SearchQuestion(StatsQuestion, total=False):
    cursor: str | None


class TraceQuestion(SpanFilters, total=False):
    limit: int
    cursor: str | None


class RemoteReplay:
    """The same questions as :class:`~otel_replay.query.local.LocalReplay`, asked of the server at ``url``."""

    def __init__(self, url: str, *, key: str | None = None, ca: str | None = None) -> None:
        self._http = Http(url, key, ca)
        self.recordings = RemoteRecordings(self._http)

    def timeline(
        self, trace_id: str | None = None, *, session_id: str | None = None, conversation_id: str | None = None
    ) -> Timeline:
        given = [("traces", trace_id), ("sessions", session_id), ("conversations", conversation_id)]
        wanted = [(kind, value) for kind, value in given if value]
        if len(wanted) != 1:
            raise InvalidRequest("ask for one of trace_id, session_id and conversation_id", hint="exactly one of them")
        kind, value = wanted[0]
        path = f"/api/v1/{kind}/{quote(value, safe='')}/timeline"
        with self._http.reading():
            pages = list(self._http.pages(path))
            return timeline_from_dict({**pages[0], "entries": [entry for page in pages for entry in page["entries"]]})

    def trace(self, trace_id: str) -> TraceBytes:
        path = f"/api/v1/traces/{quote(trace_id, safe='')}"
        answer = self._http.get(path, accept="application/x-protobuf")
        with self._http.reading():
            return trace_bytes(answer.content, json.loads(answer.headers.get(HEADER, "[]")))

    def trace_json(self, trace_id: str) -> dict[str, Any]:
        return self._http.document(f"/api/v1/traces/{quote(trace_id, safe='')}")

    def sessions(self, **asked: Unpack[SessionQuestion]) -> dict[str, Any]:
        return self._http.document("/api/v1/sessions", written(asked, SESSIONS))

    def session(self, session_id: str) -> dict[str, Any]:
        return self._http.document(f"/api/v1/sessions/{quote(session_id, safe='')}")

    def stats(self, by: str = "model", **asked: Unpack[StatsQuestion]) -> dict[str, Any]:
        return self._http.document("/api/v1/stats", written({"by": by, **asked}, STATS))

    def search(self, text: str, **asked: Unpack[SearchQuestion]) -> dict[str, Any]:
        return self._http.document("/api/v1/search", written({"text": text, **asked}, SEARCH))

    def traces(self, **asked: Unpack[TraceQuestion]) -> dict[str, Any]:
        return self._http.document("/api/v1/traces", written(asked, TRACES))

    def services(self) -> Names:
        return self._names("/api/v1/services", "services")

    def operations(self, service: str) -> Names:
        path = f"/api/v1/services/{quote(storable(service), safe='')}/operations"
        return self._names(path, "operations")

    def _names(self, path: str, field: str) -> Names:
        with self._http.reading():
            document = self._http.document(path)
            return names(document[field], document.get("missing", []))

    def close(self) -> None:
        self._http.close()


class RemoteRecordings:
    """Recordings over HTTP."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def download(
        self,
        session_id: str,
        stream: str | None = None,
        *,
        from_unix_nano: int | None = None,
        to_unix_nano: int | None = None,
    ) -> list[StreamRecording]:
        """Every stream of a session (or the one named), each with its rrweb events exactly as they were sent.

        With ``from_unix_nano`` from the nearest earlier full snapshot on.
        """
        path = f"/api/v1/sessions/{quote(session_id, safe='')}/recording"
        streams: dict[str, StreamRecording] = {}
        with self._http.reading():
            for page in self._http.pages(path, {"stream": stream, "from": from_unix_nano, "to": to_unix_nano}):
                for part in page["streams"]:
                    found = _stream(part)
                    before = streams.get(found.stream_id)
                    streams[found.stream_id] = _joined(before, found) if before else found
        return list(streams.values())

    def upload(self, session_id: str, events: Iterable[Event], *, stream: str = "main") -> int:
        """Stores rrweb events behind those of the stream; the number of the last chunk that they are.

        Large recordings go in several chunks. The same events again are the same chunks: what broke off can be sent
        again. Raises :class:`InvalidRequest` that says which event is none, before anything is sent.
        """
        return self.send(session_id, stream, chunk_bodies(stream, events))

    def send(self, session_id: str, _stream: str, bodies: Sequence[bytes]) -> int:
        """Stores chunks, which name their stream, in order; the number of the last one."""
        path = f"/api/v1/sessions/{quote(session_id, safe='')}/events"
        with self._http.reading():
            return [int(self._http.patiently(path, body)["seq"]) for body in bodies][-1]


class Http:
    """One server; ``ca`` is a PEM file of the authorities to trust instead of the usual ones."""

    def __init__(self, url: str, key: str | None = None, ca: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment is not meant for a receiver
        self._session.max_redirects = 0  # a key goes where it was meant to go
        if ca:
            self._session.verify = ca
        if key:
            self._session.headers["authorization"] = f"Bearer {key}"

    def get(self, path: str, parameters: dict[str, Any] | None = None, *, accept: str = "application/json") -> Any:
        return self.ask("GET", path, params=parameters, headers={"accept": accept})

    def document(self, path: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._object(self.get(path, parameters))

    def pages(self, path: str, parameters: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = self.document(path, {**(parameters or {}), "cursor": cursor})
            yield page
            cursor = page["next_cursor"]
            if not cursor:
                return

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        return self._object(self.ask("POST", path, data=body, headers={"content-type": "application/json"}))

    def _object(self, answer: Any) -> dict[str, Any]:
        with self.reading():
            found: dict[str, Any] = {**answer.json()}
        return found

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Raises :class:`RetryableError` for an answer that is none of otel-replay, or of a later one."""
        try:
            yield
        except (ValueError, TypeError, LookupError, AttributeError, StopIteration, RecursionError) as error:
            raise RetryableError(
                f"{self.url} gives an answer that cannot be read: {type(error).__name__}: {error}",
                hint="is it the address of otel-replay?",
            ) from error

    def close(self) -> None:
        self._session.close()

    def patiently(self, path: str, body: bytes) -> dict[str, Any]:
        """As :meth:`post`, to a server that may be busy for a while."""
        for wait_s in WAITS_S:
            try:
                return self.post(path, body)
            except (RateLimited, StoreUnavailable):
                time.sleep(wait_s)
        return self.post(path, body)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The answer. Raises what the server's error stands for."""
        try:
            answer = self._session.request(method, self.url + path, **{"timeout": TIMEOUT_S, **options})
        except requests.RequestException as error:
            raise no_answer(self.url, error) from error
        if answer.status_code >= 400:
            kind = _ERRORS.get(answer.status_code, ReplayError)
            raise kind(_detail(answer))
        return answer


def _detail(answer: Any) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}"


def _stream(part: dict[str, Any]) -> StreamRecording:
    gaps = [gap_from_dict(gap) for gap in part["gaps"]]
    playable = bool(part.get("playable", True))
    return StreamRecording(part["stream_id"], part["from_seq"], part["to_seq"], gaps, part["events"], playable)


def _joined(before: StreamRecording, after: StreamRecording) -> StreamRecording:
    return StreamRecording(
        before.stream_id,
        before.from_seq,
        after.to_seq,
        [*before.gaps, *after.gaps],
        before.events + after.events,
        before.playable,
    )
