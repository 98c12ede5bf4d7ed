"""Sessions, their edges to traces, and lists of them."""

from __future__ import annotations

from typing import cast

from otel_replay.model import AiKind, Session
from otel_replay.store.base import (
    COUNTED_SESSIONS,
    Reader,
    SessionFilter,
    SessionPage,
    SessionSighting,
    SessionSummary,
)
from otel_replay.store.folding import plain_attributes
from otel_replay.store.managed import listed_tags
from otel_replay.store.memory.counting import CountingInMemory
from otel_replay.store.memory.held import key_of, owned
from otel_replay.store.memory.recordings import RecordingsInMemory
from otel_replay.store.page_errors import page_errors
from otel_replay.store.said import sessions_that_said
from otel_replay.timeline.counted import CALL, TOKENS


class SessionsInMemory(CountingInMemory, RecordingsInMemory):
    """Every session is looked at for each list."""

    def sessions_of_trace(self, project: int, trace_id: str) -> list[str]:
        return sorted(session for owner, session, trace in self._edges if (owner, trace) == (project, trace_id))

    def traces_of_session(self, project: int, session_id: str) -> list[str]:
        return sorted(trace for owner, session, trace in self._edges if (owner, session) == (project, session_id))

    def traces_of_conversation(self, project: int, conversation_id: str) -> list[str]:
        rows = owned(self._interactions, project)
        return sorted({row.trace_id for row in rows if row.conversation_id == conversation_id})

    def session(self, project: int, session_id: str) -> Session | None:
        sighting = self._sightings.get((project, session_id))
        return _session(project, sighting) if sighting else None

    def session_summary(self, project: int, session_id: str) -> SessionSummary | None:
        session = self.session(project, session_id)
        return self._summary(session) if session else None

    def sessions(
        self,
        project: int,
        wanted: SessionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
        skip: int = 0,
    ) -> SessionPage:
        matching = [one for one in self._described(project, wanted) if self._has_calls(one, wanted)]
        more = False
        if wanted.text is not None:
            said = sessions_that_said(cast(Reader, self), project, wanted.text)
            matching, more = [one for one in matching if one.session_id in said.session_ids], said.more
        matching.sort(key=_position, reverse=True)
        rest = [session for session in matching if after is None or _position(session) < after][skip:]
        page = rest[:limit]
        total, last = len(matching), _position(page[-1]) if len(rest) > limit else None
        summaries = [self._summary(one) for one in page]
        return SessionPage(summaries, min(total, COUNTED_SESSIONS), last, more or total > COUNTED_SESSIONS)

    def _described(self, project: int, wanted: SessionFilter) -> list[Session]:
        """The sessions that are, by what was said of them, those that are asked for."""
        everything = [_session(owner, told) for (owner, _), told in self._sightings.items() if owner == project]
        return [session for session in everything if _is_described(session, wanted)]

    def _has_calls(self, session: Session, wanted: SessionFilter) -> bool:
        """Whether the AI spans of a session, and what failed, are as they are asked for."""
        calls = self._calls(session.project).values()
        rows = [row for row in calls if row.session_id == session.session_id]
        if wanted.service is not None and all(row.service != wanted.service for row in rows):
            return False
        if wanted.model is not None and all(
            wanted.model not in (row.request_model, row.response_model) for row in rows
        ):
            return False
        failed = any(row.status == "error" for row in rows) or self._other_errors(session.project, session.session_id)
        return wanted.has_error is None or wanted.has_error == bool(failed)

    def _other_errors(self, project: int, session_id: str) -> list[int]:
        """When something failed in a session that is no AI span, nor the record of one that did."""
        calls = self._calls(project)

        def is_of_call(key: tuple[str, str]) -> bool:
            return key in calls and (calls[key].status, calls[key].session_id) == ("error", session_id)

        told = self._errors.get((project, session_id), {}).values()
        pages = (events for stream, events in self._distilled.items() if stream[:2] == (project, session_id))
        of_pages = [error.unix_nano for events in pages for error in page_errors(events)]
        return [one.unix_nano for one in told if not is_of_call((one.trace_id.hex(), one.span_id.hex()))] + of_pages

    def _summary(self, session: Session) -> SessionSummary:
        project, session_id = session.project, session.session_id
        bits = self._counting(project)
        spans = [row for row in self._calls(project).values() if row.session_id == session_id]
        calls = [row for row in spans if bits[key_of(row)] & CALL]
        usages = [row.usage for row in spans if bits[key_of(row)] & TOKENS]
        repeats = [row for row in spans if row.kind is AiKind.INTERACTION and not bits[key_of(row)] & CALL]
        errors = sum(row.status == "error" for row in spans) - sum(row.status == "error" for row in repeats)
        models = {row.response_model or row.request_model for row in spans} - {None}
        return SessionSummary(
            session=session,
            interactions=len(calls),
            actions=sum(row.session_id == session_id for row in owned(self._actions, project)),
            errors=errors + len(self._other_errors(project, session_id)),
            traces=len(self.traces_of_session(project, session_id)),
            has_recording=bool(self.streams(project, session_id)),
            models=sorted(model for model in models if model),
            tokens=(sum(usage.input or 0 for usage in usages), sum(usage.output or 0 for usage in usages)),
        )


def _session(project: int, sighting: SessionSighting) -> Session:
    attributes = plain_attributes(sighting.attributes)
    state = attributes.pop("state", "active")
    return Session(project, sighting.session_id, sighting.start_unix_nano, sighting.end_unix_nano, state, attributes)


def _position(session: Session) -> tuple[int, str]:
    return (session.start_unix_nano, session.session_id)


def _is_described(session: Session, wanted: SessionFilter) -> bool:
    for name, text in (("user.id", wanted.user), ("feature", wanted.feature), ("label", wanted.label)):
        if text is not None and (name not in session.attributes or str(session.attributes[name]) != text):
            return False
    if wanted.tag is not None and wanted.tag not in listed_tags(session.attributes):
        return False
    if wanted.state is not None and session.state != wanted.state:
        return False
    if wanted.since_unix_nano is not None and session.start_unix_nano < wanted.since_unix_nano:
        return False
    return wanted.until_unix_nano is None or session.start_unix_nano < wanted.until_unix_nano
