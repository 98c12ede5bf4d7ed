"""The receivers that answer as one: the file of this process, and others that are asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import requests

from otel_replay.errors import InvalidRequest, NotFound, ReplayError, RetryableError
from otel_replay.query.facts import Answer, ChunkPart, Facts, Question, questions_document, read_answers
from otel_replay.query.local import check_trace_id
from otel_replay.query.remote import Http
from otel_replay.store.base import SearchPage, SessionPage, TracePage
from otel_replay.store.sqlite.shared_rows import SessionRows, TraceRows

FACTS_PATH = "/api/v1/facts"

PATIENCE_S = (3.0, 20.0)
"""For a connection, and for the next part of an answer: who asks several receivers does not wait longer for one that
is away."""

ANSWER_S = 25.0
"""For a whole answer, however it drips in: a client of a front gives up after 30 s."""


class Part(Protocol):
    """One of the receivers."""

    name: str
    patience_s: float | None
    """For an answer; None: of a file in reach, that is waited for."""

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """In their order, each with an answer or why there is none. Raises :class:`ReplayError` when it is away."""

    def close(self) -> None: ...


class Asking(Protocol):
    """Asks all receivers that are here: :class:`~otel_replay.query.gathering.Gathered`."""

    def ask(self, name: str, *arguments: Any) -> list[tuple[Part, Any]]:
        """What each of them answers."""

    def ask_one(self, part: Part, name: str, *arguments: Any) -> Any:
        """What one of them answers; None when it is away."""

    def answers(self, name: str, *arguments: Any) -> list[Any]:
        """As :meth:`ask`, whoever says it."""

    def ahead(self, questions: Sequence[Question]) -> None:
        """Asks all of it at once, so that what asks for it one by one need not wait."""


class LocalPart:
    """What a file in reach of this process holds."""

    def __init__(self, name: str, facts: Facts, *closing: object) -> None:
        self.name = name
        self._facts = facts
        self.patience_s: float | None = None
        self._closing = closing

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        return [self._answer(one) for one in questions]

    def _answer(self, question: Question) -> Answer:
        try:
            return self._facts.answer(question)
        except ReplayError as error:
            return error

    def close(self) -> None:
        for one in self._closing:
            one.close()  # type: ignore[attr-defined]


class RemotePart:
    """A receiver by its address.

    It answers from its own file alone, also when it has upstreams itself: so there are no loops, whatever is named.
    """

    def __init__(self, http: Http) -> None:
        self.name = http.url
        self.patience_s: float | None = ANSWER_S
        self.http = http

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        try:
            answer = self._answer(questions_document(questions))
        except NotFound as error:
            raise RetryableError(f"{self.name} is not asked for facts: is it of an older version?") from error
        try:
            return [
                _usable(one, told) for one, told in zip(questions, read_answers(questions, answer.json()), strict=True)
            ]
        except (InvalidRequest, ValueError, TypeError, KeyError, RecursionError) as error:
            raise RetryableError(f"{self.name} gives an answer that cannot be read: {error}") from error

    def _answer(self, document: dict[str, Any]) -> Any:
        """Asks twice where a connection that was kept turns out to be closed."""
        try:
            return self.http.ask("POST", FACTS_PATH, json=document, timeout=PATIENCE_S)
        except RetryableError as error:
            why = error.__cause__
            if not isinstance(why, requests.ConnectionError) or isinstance(why, requests.Timeout):
                raise
        return self.http.ask("POST", FACTS_PATH, json=document, timeout=PATIENCE_S)

    def close(self) -> None:
        self.http.close()


def _usable(question: Question, answer: Answer) -> Answer:
    """The answer. Raises :class:`InvalidRequest` for ids that are none, which all would be asked about, and
    :class:`ValueError` for a part of a list after which the same would be asked for again."""
    for trace_id in _trace_ids(question, answer):
        check_trace_id(trace_id)
    if not _goes_on(question, answer):
        raise ValueError("a list that does not go on")
    return answer


def _goes_on(question: Question, answer: Answer) -> bool:
    if isinstance(answer, ChunkPart):
        return answer.next_seq is None or answer.next_seq > question.arguments[2]
    if isinstance(answer, SessionPage | TracePage | SearchPage):
        after = question.arguments[-1]
        return after is None or answer.next_position is None or answer.next_position < after
    return True


def _trace_ids(question: Question, answer: Answer) -> Iterable[str]:
    match answer:
        case list() if question.name.startswith("traces_"):
            return answer
        case TracePage():
            return (one.trace_id for one in answer.traces)
        case SearchPage():
            return (one.trace_id for one in answer.hits)
        case SessionRows():
            return (trace_id for _, trace_id in answer.traces)
        case TraceRows():
            return (one.trace_id for one in answer.interactions)
    return ()


def remote_parts(urls: Iterable[str], key: str | None, ca: Path | None) -> list[RemotePart]:
    """Each address once."""
    return [RemotePart(Http(url, key, str(ca) if ca else None)) for url in dict.fromkeys(urls)]
