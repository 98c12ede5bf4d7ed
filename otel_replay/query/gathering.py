"""A reader over several receivers: what they tell, put together by the rules that each of them follows by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from otel_replay.errors import InvalidRequest, ReplayError, RetryableError, StoreUnavailable
from otel_replay.genai.prices import Cost
from otel_replay.model import DEFAULT_PROJECT, Chunk, DomEvent, Session, StoredLog, StoredSpan
from otel_replay.query.facts import MOST_QUESTIONS, Answer, Question
from otel_replay.query.merged_lists import After, find_texts, find_traces, list_sessions
from otel_replay.query.merged_rows import merged_rows
from otel_replay.query.merged_statistics import merged_statistics
from otel_replay.query.merged_streams import MergedStream, merged_streams
from otel_replay.query.parts import Part
from otel_replay.recording.streams import ChunkInfo
from otel_replay.store import blocks
from otel_replay.store.base import (
    InteractionFilter,
    Lag,
    SearchPage,
    SessionFilter,
    SessionPage,
    SessionSummary,
    SpanFilter,
    StatisticsTable,
    TracePage,
)

Told = tuple[Part, Any]
Submit = Callable[[Part, Sequence[Question]], Future[list[Answer]]]
"""Asks a receiver on another thread."""


class Gathered:
    """The :class:`~otel_replay.store.base.Reader` of one question to several receivers, made anew for each; but for
    metrics and counts, which no question is about.

    A receiver that does not answer is left out from then on, and is in :attr:`away`; when none is left that raises
    :class:`StoreUnavailable`. What was told is remembered, so that all of an answer is made of the same. The project of
    a question is that of each receiver's key.
    """

    def __init__(self, parts: Sequence[Part], submit: Submit) -> None:
        self._parts = list(parts)
        self._submit = submit
        self._told: dict[tuple[str, Question], Answer] = {}
        self.away: dict[str, str] = {}
        """Why a receiver gives no answer, by its name."""

    def reasons(self) -> str:
        """Why those that are away are."""
        return "; ".join(f"{name}: {why}" for name, why in self.away.items())

    def each_alone(self) -> Iterator[tuple[Part, Gathered]]:
        """Each receiver that is here and elsewhere, as if it were the only one; what it has told is remembered."""
        for part in self._here():
            if part.patience_s is not None:
                alone = Gathered([part], self._submit)
                alone._told = {key: answer for key, answer in self._told.items() if key[0] == part.name}
                yield part, alone

    # Asking

    def ask(self, name: str, *arguments: Any) -> list[Told]:
        """What each receiver answers. Raises :class:`InvalidRequest` for what none can answer."""
        question = _question(name, arguments)
        self.ahead([question])
        return [(part, self._told[part.name, question]) for part in self._here()]

    def ask_one(self, part: Part, name: str, *arguments: Any) -> Any:
        """What one of them answers; None when it is away."""
        question = _question(name, arguments)
        self._settle([part], [question])
        return None if part.name in self.away else self._told.pop((part.name, question))  # it may be large

    def answers(self, name: str, *arguments: Any) -> list[Any]:
        return [answer for _, answer in self.ask(name, *arguments)]

    def ahead(self, questions: Sequence[Question]) -> None:
        """Asks all of it at once, so that what asks for it one by one need not wait."""
        for at in range(0, len(questions), MOST_QUESTIONS):
            self._settle(self._here(), questions[at : at + MOST_QUESTIONS])
        if not self._here():
            raise StoreUnavailable(f"none of the receivers answers: {self.reasons()}", hint="are they running?")

    def _here(self) -> list[Part]:
        return [part for part in self._parts if part.name not in self.away]

    def _settle(self, parts: Sequence[Part], questions: Sequence[Question]) -> None:
        due = {part.name: [one for one in questions if (part.name, one) not in self._told] for part in parts}
        asked = [(part, self._submit(part, due[part.name])) for part in parts if due[part.name]]
        began = time.monotonic()
        refused: list[InvalidRequest] = []
        for part, answering in asked:
            try:
                answers = _within(part, answering, began)
            except ReplayError as error:
                self.away[part.name] = str(error)
                continue
            for question, answer in zip(due[part.name], answers, strict=True):
                if isinstance(answer, InvalidRequest):
                    refused.append(answer)
                elif isinstance(answer, ReplayError):
                    self.away[part.name] = str(answer)
                self._told[part.name, question] = answer
        if refused:
            raise refused[0]

    # Spans and logs

    def trace(self, project: int, trace_id: str) -> bytes:
        return blocks.trace_data(self._matches(trace_id))

    def spans_of_trace(self, project: int, trace_id: str) -> list[StoredSpan]:
        return blocks.stored_spans(self._matches(trace_id))

    def _matches(self, trace_id: str) -> list[blocks.Matched]:
        return blocks.spans_of_trace(self.answers("trace", trace_id), bytes.fromhex(trace_id))

    def spans_of_session(self, project: int, session_id: str) -> list[StoredSpan]:
        bodies = [body for trace in self._union("traces_naming_session", session_id) for body in self._bodies(trace)]
        return blocks.stored_spans(blocks.spans_of_session(bodies, session_id, lambda _traces: bodies))

    def _bodies(self, trace_id: str) -> list[bytes]:
        return self.answers("trace", trace_id)

    def logs_of_trace(self, project: int, trace_id: str) -> list[StoredLog]:
        return _distinct(self.answers("logs_of_trace", trace_id))

    def logs_of_session(self, project: int, session_id: str) -> list[StoredLog]:
        return _distinct(self.answers("logs_of_session", session_id))

    # Edges and sessions

    def sessions_of_trace(self, project: int, trace_id: str) -> list[str]:
        return self._union("sessions_of_trace", trace_id)

    def traces_of_session(self, project: int, session_id: str) -> list[str]:
        return self._union("traces_of_session", session_id)

    def traces_of_conversation(self, project: int, conversation_id: str) -> list[str]:
        return self._union("traces_of_conversation", conversation_id)

    def costs_of_traces(self, project: int, trace_ids: Iterable[str]) -> dict[tuple[str, str], Cost]:
        found: dict[tuple[str, str], Cost] = {}
        for told in self.answers("costs_of_traces", sorted(trace_ids)):
            found |= told
        return found

    def session(self, project: int, session_id: str) -> Session | None:
        return merged_rows(self, [session_id], with_calls=False).session(DEFAULT_PROJECT, session_id)

    def session_summary(self, project: int, session_id: str) -> SessionSummary | None:
        return merged_rows(self, [session_id]).session_summary(DEFAULT_PROJECT, session_id)

    # Recordings

    def streams(self, project: int, session_id: str) -> list[str]:
        found = self._streams(session_id)
        return sorted(found, key=lambda name: (min(info.start_unix_nano for info in found[name].infos), name))

    def chunk_infos(self, project: int, session_id: str, stream_id: str) -> list[ChunkInfo]:
        stream = self._streams(session_id).get(stream_id)
        return stream.infos if stream else []

    def chunks(
        self, project: int, session_id: str, stream_id: str, *, from_seq: int = 0, to_seq: int | None = None
    ) -> Iterator[Chunk]:
        stream = self._streams(session_id).get(stream_id)
        if stream:
            yield from stream.chunks(self, session_id, from_seq, to_seq)

    def damaged_chunks(self, project: int, session_id: str, stream_id: str) -> frozenset[int]:
        stream = self._streams(session_id).get(stream_id)
        return stream.damaged(self, session_id) if stream else frozenset()

    def dom_events(self, project: int, session_id: str, stream_id: str) -> list[DomEvent]:
        stream = self._streams(session_id).get(stream_id)
        return stream.dom_events(self, session_id) if stream else []

    def undistilled(self, project: int, session_id: str) -> int:
        return sum(self.answers("undistilled", session_id))

    def _streams(self, session_id: str) -> dict[str, MergedStream]:
        return merged_streams(self.ask("stream_infos", session_id))

    # Lists

    def sessions(
        self,
        project: int,
        wanted: SessionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
        skip: int = 0,
    ) -> SessionPage:
        listed = list_sessions(self, wanted, limit, After(after) if after else None, skip)
        position = listed.go_on.shown if listed.go_on else None
        return SessionPage(listed.sessions, listed.total, position, listed.total_at_least)

    def search_traces(
        self, project: int, wanted: SpanFilter, *, limit: int, after: tuple[int, str] | None = None
    ) -> TracePage:
        return find_traces(self, wanted, limit, after)

    def search(
        self,
        project: int,
        text: str,
        wanted: InteractionFilter,
        *,
        limit: int,
        after: tuple[int, str] | None = None,
    ) -> SearchPage:
        return find_texts(self, text, wanted, limit, after)

    def statistics(self, project: int, by: str, wanted: InteractionFilter, *, limit: int) -> StatisticsTable:
        return merged_statistics(self, by, wanted, limit)

    # Names and progress

    def services(self, project: int) -> list[str]:
        return self._union("services")

    def operations(self, project: int, service: str) -> list[str]:
        return self._union("operations", service)

    def lag(self, project: int | None = None) -> Lag:
        for part in self._parts:
            self._told.pop((part.name, Question("waiting")), None)  # it is asked for until it is nothing
        return Lag(*map(sum, zip(*self.answers("waiting"), strict=True)))

    def _union(self, name: str, *arguments: Any) -> list[str]:
        return sorted({one for told in self.answers(name, *arguments) for one in told})


def _within(part: Part, answering: Future[list[Answer]], began: float) -> list[Answer]:
    """Its answers. Raises :class:`RetryableError` where they are not there, and whole, in time."""
    left = None if part.patience_s is None else max(0.0, began + part.patience_s - time.monotonic())
    try:
        return answering.result(left)
    except TimeoutError as error:
        answering.cancel()
        raise RetryableError(f"no whole answer from {part.name} within {part.patience_s:g} s") from error


def _question(name: str, arguments: Sequence[Any]) -> Question:
    """With arguments that can be looked up."""
    return Question(name, tuple(tuple(one) if isinstance(one, list) else one for one in arguments))


def _distinct(told: Iterable[Iterable[StoredLog]]) -> list[StoredLog]:
    """A record that several receivers got is one, whatever number its project has at each of them."""
    found = {
        (log.resource.SerializeToString(), log.scope.SerializeToString(), log.record.SerializeToString()): log
        for logs in told
        for log in logs
    }
    return list(found.values())
