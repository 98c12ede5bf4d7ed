"""Queries answered in this process, over any store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Unpack

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_replay.errors import InvalidRequest, NotFound
from otel_replay.genai.identity import session_of
from otel_replay.model import DEFAULT_PROJECT, Session, StoredLog, StoredSpan
from otel_replay.otlp import json as otlp_json
from otel_replay.query.filters import (
    CallFilters,
    SessionFilters,
    SpanFilters,
    interaction_filter,
    session_filter,
    span_filter,
)
from otel_replay.query.following import wait_for
from otel_replay.query.recordings import LocalRecordings
from otel_replay.query.search import search_page_dict
from otel_replay.query.sessions import DEFAULT_LIMIT, check_limit, decode_cursor, page_dict, session_dict, skipped
from otel_replay.query.statistics import DEFAULT_GROUPS, table_dict
from otel_replay.query.traces import trace_page_dict
from otel_replay.query.uploads import WriteChunks
from otel_replay.query.views import merged, near
from otel_replay.recording.streams import find_gaps
from otel_replay.store.base import Reader
from otel_replay.texts import storable
from otel_replay.timeline import StreamView, Subject, Timeline, build_timeline

_TRACE_ID = re.compile(r"[0-9a-f]{32}")


class _Parts(NamedTuple):
    """What belongs to one trace."""

    sessions: list[Session]
    spans: list[StoredSpan]
    logs: list[StoredLog]
    streams: list[StreamView]
    waiting: dict[str, int]


class LocalReplay:
    """Timelines, sessions and recordings of one project; ``close()`` lets go of the store."""

    def __init__(self, reader: Reader, project: int = DEFAULT_PROJECT, write: WriteChunks | None = None) -> None:
        self._reader = reader
        self._project = project
        self.recordings = LocalRecordings(reader, project, write)

    def of_project(self, project: int) -> LocalReplay:
        """The same questions about another project."""
        return LocalReplay(self._reader, project)

    def timeline(
        self, trace_id: str | None = None, *, session_id: str | None = None, conversation_id: str | None = None
    ) -> Timeline:
        """The whole story of exactly one of a trace, a session or a conversation.

        Raises :class:`NotFound` when nothing is known of it, :class:`InvalidRequest` for an id that cannot be one.
        """
        given = [one for one in (trace_id, session_id, conversation_id) if one]
        if len(given) != 1:
            raise InvalidRequest("ask for one of trace_id, session_id and conversation_id", hint="exactly one of them")
        if session_id:
            return self._session_timeline(session_id)
        if trace_id:
            trace_id = check_trace_id(trace_id)
            return self._trace_timeline(Subject("trace", trace_id), [trace_id])
        conversation_id = conversation_id or ""
        traces = self._reader.traces_of_conversation(self._project, conversation_id)
        return self._trace_timeline(Subject("conversation", conversation_id), traces)

    def trace(self, trace_id: str) -> bytes:
        """``TracesData`` of a trace as protobuf: every span, resource and scope as the bytes received."""
        data = self._reader.trace(self._project, check_trace_id(trace_id))
        if not data:
            raise _no_such("trace", trace_id)
        return data

    def trace_json(self, trace_id: str) -> dict[str, Any]:
        """The same in OTLP's JSON mapping."""
        return otlp_json.encode(TracesData.FromString(self.trace(trace_id)))

    def sessions(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        page: int | None = None,
        **filters: Unpack[SessionFilters],
    ) -> dict[str, Any]:
        """A page of sessions, newest first: ``{"sessions": [...], "total", "total_at_least", "next_cursor"}``.

        ``service`` and ``model`` speak of a session's AI spans, ``text`` of what was said in them, ``has_error`` of any
        error. Go on with ``cursor``, the ``next_cursor`` of the page before, or by number with ``page``, from 1.

        Filters: ``user feature label tag service model state has_error text since_unix_nano until_unix_nano``.
        """
        wanted = session_filter(**filters)
        limit, after = check_limit(limit), decode_cursor(cursor)
        skip = skipped(page, limit, cursor)
        return page_dict(self._reader.sessions(self._project, wanted, limit=limit, after=after, skip=skip))

    def session(self, session_id: str) -> dict[str, Any]:
        """One session, as :meth:`sessions` lists it. Raises :class:`NotFound`."""
        found = self._reader.session_summary(self._project, session_id)
        if found is None:
            raise _no_such("session", session_id)
        return session_dict(found)

    def folded(self, session_id: str) -> Session:
        """What is known of a session without looking at what belongs to it. Raises :class:`NotFound`."""
        found = self._reader.session(self._project, session_id)
        if found is None:
            raise _no_such("session", session_id)
        return found

    def stats(
        self,
        by: str = "model",
        *,
        limit: int = DEFAULT_GROUPS,
        wait_ns: int = 0,
        **filters: Unpack[CallFilters],
    ) -> dict[str, Any]:
        """What model calls cost, how long they took and how many failed, by ``model``, ``provider``, ``service``,
        ``operation``, ``user``, ``feature``, ``variant``, ``day``, ``session`` or ``conversation``; the groups with the
        most calls first. Every call is counted once, whoever tells of it.

        The document: :func:`otel_replay.query.statistics.table_dict`. Counting follows storing within moments;
        ``wait_ns`` waits for that, up to 10 s.

        Filters: ``session_id conversation_id user feature label service model provider variant since_unix_nano
        until_unix_nano``.
        """
        wanted = interaction_filter(**filters)
        waiting = wait_for(self._reader, self._project, lambda lag: lag.interactions, wait_ns)
        return table_dict(by, self._reader.statistics(self._project, by, wanted, limit=check_limit(limit)), waiting)

    def search(
        self,
        text: str,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        wait_ns: int = 0,
        **filters: Unpack[CallFilters],
    ) -> dict[str, Any]:
        """What was said in prompts, answers, tool calls and results, newest first; each text once, where it was said
        first. Every word has to occur; ``"words in quotes"`` next to each other; ``refun*`` is the beginning of one.

        The document: :func:`otel_replay.query.search.search_page_dict`. Texts are searchable within moments after they
        are stored; ``wait_ns`` waits for that, up to 10 s. Filters as :meth:`stats` has them.
        """
        wanted = interaction_filter(**filters)
        limit, after = check_limit(limit), decode_cursor(cursor)
        waiting = wait_for(self._reader, self._project, lambda lag: lag.texts, wait_ns)
        return search_page_dict(self._reader.search(self._project, text, wanted, limit=limit, after=after), waiting)

    def traces(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
        **filters: Unpack[SpanFilters],
    ) -> dict[str, Any]:
        """Traces with a span that is all that was asked for, newest first: ``{"traces": [...], "next_cursor"}``.

        ``attributes`` are ``{"http.route": "/cart", "n": 5}`` or ``["http.route=/cart", "n=5"]``; further filters:
        ``service operation status min_duration_ns max_duration_ns since_unix_nano until_unix_nano``.
        """
        wanted = span_filter(**filters)
        after = decode_cursor(cursor)
        return trace_page_dict(self._reader.search_traces(self._project, wanted, limit=check_limit(limit), after=after))

    def services(self) -> list[str]:
        """Names of the services that sent spans, sorted."""
        return self._reader.services(self._project)

    def operations(self, service: str) -> list[str]:
        """Span names of a service, sorted."""
        return self._reader.operations(self._project, storable(service))

    def has_session(self, session_id: str) -> bool:
        return self._reader.session(self._project, session_id) is not None

    def close(self) -> None:
        close = getattr(self._reader, "close", None)
        if close:
            close()

    # Timelines

    def _trace_timeline(self, subject: Subject, traces: Sequence[str]) -> Timeline:
        """Of one trace, or of the traces of a conversation."""
        parts = [self._parts(trace) for trace in traces]
        sessions = {session.session_id: session for part in parts for session in part.sessions}
        spans = [span for part in parts for span in part.spans]
        logs = [log for part in parts for log in part.logs]
        if not sessions and not spans and not logs:
            raise _no_such(subject.kind, subject.id)
        streams = merged([part.streams for part in parts])
        waiting = {session: max(part.waiting.get(session, 0) for part in parts) for session in sessions}
        return self._build(subject, list(sessions.values()), spans, logs, streams, waiting)

    def _parts(self, trace_id: str) -> _Parts:
        spans = self._reader.spans_of_trace(self._project, trace_id)
        logs = self._reader.logs_of_trace(self._project, trace_id)
        sessions = self._sessions_of(trace_id, spans, logs)
        waiting = self._waiting(sessions)
        views = [view for session in sessions for view in self._streams(session.session_id)]
        return _Parts(sessions, spans, logs, near(views, trace_id, spans, logs), waiting)

    def _session_timeline(self, session_id: str) -> Timeline:
        session = self.folded(session_id)
        own_spans = self._reader.spans_of_session(self._project, session_id)
        logs = self._reader.logs_of_session(self._project, session_id)
        traces = {span.trace_id for span in own_spans} | {*self._reader.traces_of_session(self._project, session_id)}
        spans = [span for trace in sorted(traces) for span in self._reader.spans_of_trace(self._project, trace)]
        logs += [log for trace in sorted(traces) for log in self._reader.logs_of_trace(self._project, trace)]
        waiting = self._waiting([session])
        streams = self._streams(session_id)
        return self._build(Subject("session", session_id), [session], spans, logs, streams, waiting)

    def _sessions_of(self, trace_id: str, spans: Sequence[StoredSpan], logs: Sequence[StoredLog]) -> list[Session]:
        """Every session with an edge to the trace: recorded ones, and those that its spans and logs name."""
        named = {session_of(one.span, one.scope, one.resource) for one in spans}
        named |= {session_of(one.record, one.scope, one.resource) for one in logs}
        named |= {*self._reader.sessions_of_trace(self._project, trace_id)}
        found = [self._reader.session(self._project, session_id) for session_id in sorted(filter(None, named))]
        return [session for session in found if session]

    def _waiting(self, sessions: Iterable[Session]) -> dict[str, int]:
        """Chunks not distilled yet, by session. To be asked before the streams are read: distilled meanwhile, they are
        warned of for nothing, where the other order would leave them out without a word."""
        return {one.session_id: self._reader.undistilled(self._project, one.session_id) for one in sessions}

    def _streams(self, session_id: str) -> list[StreamView]:
        views = []
        for stream_id in self._reader.streams(self._project, session_id):
            stream = (self._project, session_id, stream_id)
            gaps = find_gaps(stream_id, self._reader.chunk_infos(*stream), self._reader.damaged_chunks(*stream))
            events = self._reader.dom_events(*stream)
            views.append(StreamView(session_id, stream_id, events, gaps))
        return views

    def _build(
        self,
        subject: Subject,
        sessions: Sequence[Session],
        spans: Sequence[StoredSpan],
        logs: Sequence[StoredLog],
        streams: Sequence[StreamView],
        waiting: Mapping[str, int],
    ) -> Timeline:
        costs = self._reader.costs_of_traces(self._project, {span.trace_id for span in spans})
        timeline = build_timeline(
            subject=subject, sessions=sessions, spans=spans, logs=logs, streams=streams, costs=costs
        )
        if not any(waiting.values()):
            return timeline
        warning = f"{sum(waiting.values())} chunks of the recording are stored but not distilled yet"
        return replace(timeline, warnings=(*timeline.warnings, warning))


def check_trace_id(trace_id: str) -> str:
    """In lower case; raises :class:`InvalidRequest` for anything but 32 hexadecimal digits."""
    if not _TRACE_ID.fullmatch(trace_id.lower()):
        raise InvalidRequest(f"{trace_id[:80]!r} is not a trace id", hint="a trace id has 32 hexadecimal digits")
    return trace_id.lower()


def _no_such(what: str, wanted: str) -> NotFound:
    return NotFound(f"no {what} {wanted[:200]}", hint="otel-replay sessions lists what there is")
