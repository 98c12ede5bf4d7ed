"""Several receivers as one: the same questions as to one of them, and what is missing said with every answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Unpack

from otel_replay.errors import InvalidRequest, StoreError
from otel_replay.model import DEFAULT_PROJECT, Session
from otel_replay.query.facts import Question
from otel_replay.query.fan_out import FanOut
from otel_replay.query.filters import CallFilters, SessionFilters, SpanFilters, session_filter
from otel_replay.query.gathering import Gathered
from otel_replay.query.local import LocalReplay
from otel_replay.query.merged_lists import After, list_sessions
from otel_replay.query.missing import Missing, Names, TraceBytes, names, trace_bytes
from otel_replay.query.parts import Part, RemotePart
from otel_replay.query.recordings import RecordingPage, StreamRecording
from otel_replay.query.remote import RemoteRecordings
from otel_replay.query.sessions import DEFAULT_LIMIT, check_limit, decode_cursor, session_dict, skipped
from otel_replay.recording.events import Event
from otel_replay.timeline import Timeline
from otel_replay.timeline.entry import Entry


class SeveralReplay(LocalReplay):
    """The questions of :class:`~otel_replay.query.local.LocalReplay`, asked of all the receivers.

    Every answer says in ``missing`` which receivers gave none, ``[{"receiver", "reason"}]``: documents in a field,
    timelines, lists of names and traces in an attribute. Only when none answers that is a :class:`StoreUnavailable`; so
    is what is not found while one is away.
    """

    def __init__(self, parts: Sequence[Part], own: LocalReplay | None = None) -> None:
        """``own`` answers for projects beside the default one: the key of upstreams is of one project, and through it
        nobody else may look at that."""
        self._own = own
        self._several = FanOut(parts)
        self.recordings: SeveralRecordings = SeveralRecordings(self._several)  # type: ignore[assignment]

    def of_project(self, project: int) -> LocalReplay:
        """The keys of the receivers name their projects; a server answers for its other projects by itself."""
        return self if self._own is None or project == DEFAULT_PROJECT else self._own.of_project(project)

    def timeline(
        self, trace_id: str | None = None, *, session_id: str | None = None, conversation_id: str | None = None
    ) -> Timeline:
        def ask(replay: LocalReplay, gathered: Gathered) -> Timeline:
            if session_id:
                _look_ahead(gathered, session_id)
            found = replay.timeline(trace_id, session_id=session_id, conversation_id=conversation_id)
            return _timeline(found, _missing(gathered))

        return self._several.answered(ask)

    def trace(self, trace_id: str) -> TraceBytes:
        return self._several.answered(
            lambda replay, gathered: trace_bytes(replay.trace(trace_id), missing=_missing(gathered))
        )

    def trace_json(self, trace_id: str) -> dict[str, Any]:
        return self._document(lambda replay: replay.trace_json(trace_id))

    def sessions(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        page: int | None = None,
        **filters: Unpack[SessionFilters],
    ) -> dict[str, Any]:
        wanted = session_filter(**filters)
        after, skip = _decode(cursor), skipped(page, check_limit(limit), cursor)

        def ask(_: LocalReplay, gathered: Gathered) -> dict[str, Any]:
            listed = list_sessions(gathered, wanted, limit, after, skip)
            return {
                "sessions": [session_dict(summary) for summary in listed.sessions],
                "total": listed.total,
                "total_at_least": listed.total_at_least,
                "next_cursor": _encode(listed.go_on),
                "missing": _missing(gathered),
            }

        return self._several.answered(ask)

    def session(self, session_id: str) -> dict[str, Any]:
        return self._document(lambda replay: replay.session(session_id))

    def folded(self, session_id: str) -> Session:
        return self._several.answered(lambda replay, _: replay.folded(session_id))

    def stats(
        self, by: str = "model", *, limit: int = 100, wait_ns: int = 0, **filters: Unpack[CallFilters]
    ) -> dict[str, Any]:
        return self._document(lambda replay: replay.stats(by, limit=limit, wait_ns=wait_ns, **filters))

    def search(
        self,
        text: str,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        wait_ns: int = 0,
        **filters: Unpack[CallFilters],
    ) -> dict[str, Any]:
        return self._document(
            lambda replay: replay.search(text, limit=limit, cursor=cursor, wait_ns=wait_ns, **filters)
        )

    def traces(
        self, *, limit: int = DEFAULT_LIMIT, cursor: str | None = None, **filters: Unpack[SpanFilters]
    ) -> dict[str, Any]:
        return self._document(lambda replay: replay.traces(limit=limit, cursor=cursor, **filters))

    def services(self) -> Names:
        return self._several.answered(lambda replay, gathered: names(replay.services(), missing=_missing(gathered)))

    def operations(self, service: str) -> Names:
        return self._several.answered(
            lambda replay, gathered: names(replay.operations(service), missing=_missing(gathered))
        )

    def has_session(self, session_id: str) -> bool:
        return self._several.answered(lambda replay, _: replay.has_session(session_id))

    def close(self) -> None:
        self._several.close()

    def _document(self, ask: Callable[[LocalReplay], dict[str, Any]]) -> dict[str, Any]:
        return self._several.answered(lambda replay, gathered: {**ask(replay), "missing": _missing(gathered)})


@dataclass(frozen=True, slots=True)
class TimelineOfSeveral(Timeline):
    """Also says which receivers are away."""

    missing: Sequence[Missing] = ()

    def to_dict_of(self, entries: Sequence[Entry], next_cursor: str | None) -> dict[str, Any]:
        return {**Timeline.to_dict_of(self, entries, next_cursor), "missing": list(self.missing)}


class PageOfSeveral(RecordingPage):
    """Also says which receivers are away."""

    missing: Sequence[Missing] = ()

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "missing": list(self.missing)}


class SeveralRecordings:
    """Recordings of several receivers: each stream in sequence, wherever its chunks are."""

    def __init__(self, several: FanOut) -> None:
        self._several = several

    def download(
        self,
        session_id: str,
        stream: str | None = None,
        *,
        from_unix_nano: int | None = None,
        to_unix_nano: int | None = None,
    ) -> list[StreamRecording]:
        """As of one receiver."""
        return self.page(
            session_id, stream=stream, from_unix_nano=from_unix_nano, to_unix_nano=to_unix_nano, max_bytes=2**62
        ).streams

    def page(self, session_id: str, **asked: Any) -> RecordingPage:
        """As of one receiver; its document has ``missing``."""

        def ask(replay: LocalReplay, gathered: Gathered) -> RecordingPage:
            found = PageOfSeveral(*replay.recordings.page(session_id, **asked))
            found.missing = _missing(gathered)
            return found

        return self._several.answered(ask)

    def pages(self, session_id: str, *, stream: str | None = None) -> Iterator[RecordingPage]:
        """As of one receiver."""
        return self._several.answered(lambda replay, _: replay.recordings.pages(session_id, stream=stream))

    def upload(self, session_id: str, events: Iterable[Event], *, stream: str = "main") -> int:
        """Stores them at the receiver that has the stream, else at the first that answers."""
        told = self._several.answered(lambda _, gathered: gathered.ask("stream_infos", session_id))
        having = [part for part, streams in told if any(one.stream_id == stream for one in streams)]
        for part in (*having, *(part for part, _ in told)):
            if isinstance(part, RemotePart):
                return RemoteRecordings(part.http).upload(session_id, events, stream=stream)
        raise StoreError("none of these takes recordings", hint="name the address of a server among them")


def _look_ahead(gathered: Gathered, session_id: str) -> None:
    """What a timeline asks for trace by trace, in two turns."""
    of_session = ("traces_naming_session", "traces_of_session", "logs_of_session", "stream_infos", "undistilled")
    gathered.ahead([Question(name, (session_id,)) for name in of_session])
    traces = {trace for told in gathered.answers("traces_naming_session", session_id) for trace in told}
    of_traces = ("trace", "logs_of_trace")
    gathered.ahead([Question(name, (trace,)) for trace in sorted(traces) for name in of_traces])


def _missing(gathered: Gathered) -> list[Missing]:
    return [{"receiver": name, "reason": reason} for name, reason in gathered.away.items()]


def _timeline(found: Timeline, missing: Sequence[Missing]) -> TimelineOfSeveral:
    told = {one.name: getattr(found, one.name) for one in fields(found)}
    told["warnings"] = (*found.warnings, *map(_warning, missing))
    return TimelineOfSeveral(**told, missing=missing)


def _warning(missing: Missing) -> str:
    return f"what {missing['receiver']} holds is missing: {missing['reason']}"


def _encode(after: After | None) -> str | None:
    """Two positions; as long as the second is none it is the cursor of one receiver."""
    if after is None:
        return None
    told = after.shown if after.listed is None else [*after.shown, *after.listed]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def _decode(cursor: str | None) -> After | None:
    """Raises :class:`InvalidRequest` for one that was not given out."""
    if not cursor:
        return None
    try:
        told = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, RecursionError):
        told = None
    match told:
        case [int(start), str(session_id), int(listed), str(name)] if name.endswith("\0") and "\0" not in session_id:
            return After((start, session_id), (listed, name))
        case [_, _]:
            position = decode_cursor(cursor)
            return After(position) if position else None
    raise InvalidRequest("the cursor is not one that was given out", hint="leave it out to start at the first page")
