"""Queries answered by a running server, over its HTTP interface."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
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
from otel_replay.query.recordings import StreamRecording
from otel_replay.query.traces import Attributes, attribute_texts, duration_text, time_text
from otel_replay.recording.untrusted import storable
from otel_replay.timeline import Timeline
from otel_replay.timeline.parse import gap_from_dict, timeline_from_dict

TIMEOUT_S = 30.0
_ERRORS: dict[int, type[ReplayError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    413: RequestTooLarge,
    429: RateLimited,
    503: StoreUnavailable,
}


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
        pages = list(self._http.pages(f"/api/v1/{kind}/{quote(value, safe='')}/timeline"))
        return timeline_from_dict({**pages[0], "entries": [entry for page in pages for entry in page["entries"]]})

    def trace(self, trace_id: str) -> bytes:
        path = f"/api/v1/traces/{quote(trace_id, safe='')}"
        data: bytes = self._http.get(path, accept="application/x-protobuf").content
        return data

    def trace_json(self, trace_id: str) -> dict[str, Any]:
        return self._http.document(f"/api/v1/traces/{quote(trace_id, safe='')}")

    def sessions(
        self,
        *,
        user: str | None = None,
        feature: str | None = None,
        label: str | None = None,
        service: str | None = None,
        model: str | None = None,
        state: str | None = None,
        has_error: bool | None = None,
        text: str | None = None,
        since_unix_nano: int | None = None,
        until_unix_nano: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        page: int | None = None,
    ) -> dict[str, Any]:
        parameters = {
            "user": user,
            "feature": feature,
            "label": label,
            "service": service,
            "model": model,
            "state": state,
            "has_error": None if has_error is None else str(has_error).lower(),
            "q": text,
            "since": time_text(since_unix_nano),
            "until": time_text(until_unix_nano),
            "limit": limit,
            "cursor": cursor,
            "page": page,
        }
        return self._http.document("/api/v1/sessions", parameters)

    def stats(
        self,
        by: str = "model",
        *,
        session_id: str | None = None,
        conversation_id: str | None = None,
        user: str | None = None,
        feature: str | None = None,
        label: str | None = None,
        service: str | None = None,
        model: str | None = None,
        since_unix_nano: int | None = None,
        until_unix_nano: int | None = None,
        limit: int | None = None,
        wait_ns: int = 0,
    ) -> dict[str, Any]:
        parameters = {
            "by": by,
            "session": session_id,
            "conversation": conversation_id,
            "user": user,
            "feature": feature,
            "label": label,
            "service": service,
            "model": model,
            "since": time_text(since_unix_nano),
            "until": time_text(until_unix_nano),
            "limit": limit,
            "wait": duration_text(wait_ns),
        }
        return self._http.document("/api/v1/stats", parameters)

    def search(
        self,
        text: str,
        *,
        session_id: str | None = None,
        conversation_id: str | None = None,
        user: str | None = None,
        feature: str | None = None,
        label: str | None = None,
        service: str | None = None,
        model: str | None = None,
        since_unix_nano: int | None = None,
        until_unix_nano: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        wait_ns: int = 0,
    ) -> dict[str, Any]:
        parameters = {
            "q": text,
            "session": session_id,
            "conversation": conversation_id,
            "user": user,
            "feature": feature,
            "label": label,
            "service": service,
            "model": model,
            "since": time_text(since_unix_nano),
            "until": time_text(until_unix_nano),
            "limit": limit,
            "cursor": cursor,
            "wait": duration_text(wait_ns),
        }
        return self._http.document("/api/v1/search", parameters)

    def traces(
        self,
        *,
        service: str | None = None,
        operation: str | None = None,
        attributes: Attributes = (),
        status: str | None = None,
        min_duration_ns: int | None = None,
        max_duration_ns: int | None = None,
        since_unix_nano: int | None = None,
        until_unix_nano: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        parameters = {
            "service": service and storable(service),
            "operation": operation and storable(operation),
            "attr": attribute_texts(attributes),
            "status": status,
            "min_duration": duration_text(min_duration_ns),
            "max_duration": duration_text(max_duration_ns),
            "since": time_text(since_unix_nano),
            "until": time_text(until_unix_nano),
            "limit": limit,
            "cursor": cursor,
        }
        return self._http.document("/api/v1/traces", parameters)

    def services(self) -> list[str]:
        found: list[str] = self._http.document("/api/v1/services")["services"]
        return found

    def operations(self, service: str) -> list[str]:
        path = f"/api/v1/services/{quote(storable(service), safe='')}/operations"
        found: list[str] = self._http.document(path)["operations"]
        return found

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
        for page in self._http.pages(path, {"stream": stream, "from": from_unix_nano, "to": to_unix_nano}):
            for part in page["streams"]:
                found = _stream(part)
                before = streams.get(found.stream_id)
                streams[found.stream_id] = _joined(before, found) if before else found
        return list(streams.values())

    def upload(self, session_id: str, events: Sequence[dict[str, Any]], *, stream: str = "main") -> int:
        """Stores rrweb events as the stream's next chunk; returns its sequence number. The same events again are the
        same chunk."""
        path = f"/api/v1/sessions/{quote(session_id, safe='')}/events"
        answer = self._http.post(path, json.dumps({"stream_id": stream, "events": list(events)}).encode())
        return int(answer["seq"])


class Http:
    """One server; ``ca`` is a PEM file of the authorities to trust instead of the usual ones."""

    def __init__(self, url: str, key: str | None = None, ca: str | None = None) -> None:
        self._url = url.rstrip("/")
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
        found: dict[str, Any] = self.get(path, parameters).json()
        return found

    def pages(self, path: str, parameters: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            page = self.document(path, {**(parameters or {}), "cursor": cursor})
            yield page
            cursor = page["next_cursor"]
            if not cursor:
                return

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("POST", path, data=body, headers={"content-type": "application/json"}).json()
        return found

    def close(self) -> None:
        self._session.close()

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The answer. Raises what the server's error stands for."""
        try:
            answer = self._session.request(method, self._url + path, timeout=TIMEOUT_S, **options)
        except requests.RequestException as error:
            raise RetryableError(
                f"no answer from {self._url}: {error}", hint="is the server running? otel-replay serve"
            ) from error
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
    return StreamRecording(part["stream_id"], part["from_seq"], part["to_seq"], gaps, part["events"])


def _joined(before: StreamRecording, after: StreamRecording) -> StreamRecording:
    return StreamRecording(
        before.stream_id,
        before.from_seq,
        after.to_seq,
        [*before.gaps, *after.gaps],
        before.events + after.events,
    )
