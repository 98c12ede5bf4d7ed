"""The receivers that answer as one: the file of this process, and others that are asked over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from otel_replay.errors import PermanentError, ReplayError, RetryableError
from otel_replay.query.facts import Answer, Facts, Question, questions_document, read_answers
from otel_replay.query.remote import Http

FACTS_PATH = "/api/v1/facts"

PATIENCE_S = (3.0, 20.0)
"""For a connection, and for an answer: who asks several receivers does not wait longer for one that is away."""


class Part(Protocol):
    """One of the receivers."""

    name: str

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """In their order, each with an answer or why there is none. Raises :class:`ReplayError` when it is away."""

    def close(self) -> None: ...


class LocalPart:
    """What a file in reach of this process holds."""

    def __init__(self, name: str, facts: Facts, *closing: object) -> None:
        self.name = name
        self._facts = facts
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
        self.http = http

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        answer = self.http.ask("POST", FACTS_PATH, json=questions_document(questions), timeout=PATIENCE_S)
        try:
            return read_answers(questions, answer.json())
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RetryableError(f"{self.name} gives an answer that cannot be read: {error}") from error

    def close(self) -> None:
        self.http.close()


def is_of_the_question(answer: Answer) -> bool:
    """Whether it says that nobody can answer, such as for a filter that is none."""
    return isinstance(answer, PermanentError)
