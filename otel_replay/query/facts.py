"""What receivers tell each other, so that several of them can answer as one: facts, not finished answers.

A click stored at one receiver and the call it caused at another are linked by who puts both together; a span stored at
both counts once only there. So a receiver gives rows, spans as the bytes received, chunks, and sketches. The format is
internal, and has a version: receivers of another one do not understand each other, and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from otel_replay.errors import InvalidRequest, PermanentError, ReplayError, RetryableError
from otel_replay.genai.prices import Cost
from otel_replay.model import Chunk, DomEvent, StoredLog
from otel_replay.query.packing import codec
from otel_replay.recording.streams import ChunkInfo
from otel_replay.store.base import (
    InteractionFilter,
    Lag,
    Reader,
    SearchPage,
    SessionFilter,
    SessionPage,
    SpanFilter,
    TracePage,
)
from otel_replay.store.sqlite.shared_rows import RolledUpGroup, SessionRows, SharedRows, TraceRows

VERSION = 1
"""Of the format. Within a version fields and questions are only added."""

MOST_QUESTIONS = 2_000
"""Of one request."""

CHUNK_BYTES = 8 * 1024 * 1024
"""Of payloads that one answer holds, but for a chunk that is larger by itself."""

Position = tuple[int, str]


class Question(NamedTuple):
    """One of :data:`QUESTIONS` with its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()


class StreamInfos(NamedTuple):
    """A stream of a recording, and the chunks of it that are stored."""

    stream_id: str
    infos: list[ChunkInfo]


class ChunkPart(NamedTuple):
    """Chunks in sequence order; ``next_seq`` goes on after them."""

    chunks: list[Chunk]
    next_seq: int | None


class Facts:
    """What the file of one receiver holds of one project; every method is one of :data:`QUESTIONS`."""

    def __init__(self, reader: Reader, rows: SharedRows, project: int) -> None:
        self._reader = reader
        self._rows = rows
        self._project = project

    def answer(self, question: Question) -> Any:
        """Raises what the reader raises."""
        if question.name not in QUESTIONS:
            raise InvalidRequest(f"no question {question.name[:40]!r}")
        own = getattr(self, question.name, None)
        source = self._rows if question.name in _OF_ROWS else self._reader
        try:
            return own(*question.arguments) if own else self._of(source, question)
        except ValueError as error:  # an id that cannot be one
            raise InvalidRequest(f"{question.name}: {error}") from error

    def _of(self, source: Reader | SharedRows, question: Question) -> Any:
        return getattr(source, question.name)(self._project, *question.arguments)

    def traces_naming_session(self, session_id: str) -> list[str]:
        """By an edge, or by a span."""
        spans = self._reader.spans_of_session(self._project, session_id)
        return sorted({*self._reader.traces_of_session(self._project, session_id), *(one.trace_id for one in spans)})

    def stream_infos(self, session_id: str) -> list[StreamInfos]:
        streams = self._reader.streams(self._project, session_id)
        return [StreamInfos(one, self._reader.chunk_infos(self._project, session_id, one)) for one in streams]

    def chunk_part(self, session_id: str, stream_id: str, from_seq: int, to_seq: int) -> ChunkPart:
        """As many chunks as :data:`CHUNK_BYTES` hold."""
        found: list[Chunk] = []
        size = 0
        for chunk in self._reader.chunks(self._project, session_id, stream_id, from_seq=from_seq, to_seq=to_seq):
            if found and size + len(chunk.payload) > CHUNK_BYTES:
                return ChunkPart(found, chunk.seq)
            found.append(chunk)
            size += len(chunk.payload)
        return ChunkPart(found, None)

    def listed_sessions(self, wanted: SessionFilter, limit: int, after: Position | None) -> SessionPage:
        return self._reader.sessions(self._project, wanted, limit=limit, after=after)

    def found_traces(self, wanted: SpanFilter, limit: int, after: Position | None) -> TracePage:
        return self._reader.search_traces(self._project, wanted, limit=limit, after=after)

    def found_texts(self, text: str, wanted: InteractionFilter, limit: int, after: Position | None) -> SearchPage:
        return self._reader.search(self._project, text, wanted, limit=limit, after=after)

    def waiting(self) -> Lag:
        return self._reader.lag(self._project)


class Kinds(NamedTuple):
    """Of a question."""

    arguments: tuple[Any, ...]
    answer: Any


QUESTIONS: dict[str, Kinds] = {
    "trace": Kinds((str,), bytes),
    "logs_of_trace": Kinds((str,), list[StoredLog]),
    "logs_of_session": Kinds((str,), list[StoredLog]),
    "sessions_of_trace": Kinds((str,), list[str]),
    "traces_of_session": Kinds((str,), list[str]),
    "traces_naming_session": Kinds((str,), list[str]),
    "traces_of_conversation": Kinds((str,), list[str]),
    "costs_of_traces": Kinds((list[str],), dict[tuple[str, str], Cost]),
    "stream_infos": Kinds((str,), list[StreamInfos]),
    "chunk_part": Kinds((str, str, int, int), ChunkPart),
    "damaged_chunks": Kinds((str, str), frozenset[int]),
    "dom_events": Kinds((str, str), list[DomEvent]),
    "undistilled": Kinds((str,), int),
    "services": Kinds((), list[str]),
    "operations": Kinds((str,), list[str]),
    "listed_sessions": Kinds((SessionFilter, int, Position | None), SessionPage),
    "found_traces": Kinds((SpanFilter, int, Position | None), TracePage),
    "found_texts": Kinds((str, InteractionFilter, int, Position | None), SearchPage),
    "waiting": Kinds((), Lag),
    "rows_of_sessions": Kinds((list[str],), SessionRows),
    "rows_of_traces": Kinds((list[str],), TraceRows),
    "traces_of_calls": Kinds((InteractionFilter, int), list[str]),
    "sessions_with_errors": Kinds((InteractionFilter, int), list[str]),
    "rolled_up": Kinds((str, InteractionFilter, int), list[RolledUpGroup]),
}
_OF_ROWS = ("rows_of_sessions", "rows_of_traces", "traces_of_calls", "sessions_with_errors", "rolled_up")

Answer = Any | ReplayError
"""What was asked for, or why it cannot be answered."""


def questions_document(questions: Sequence[Question]) -> dict[str, Any]:
    """A request: ``{"version": 1, "questions": [{"ask": NAME, "with": [...]}, ...]}``."""
    packed = []
    for one in questions:
        kinds = QUESTIONS[one.name].arguments
        given = [codec(kind).pack(value) for kind, value in zip(kinds, one.arguments, strict=True)]
        packed.append({"ask": one.name, "with": given})
    return {"version": VERSION, "questions": packed}


def read_questions(document: Any) -> list[Question]:
    """Raises :class:`InvalidRequest` for what is none."""
    match document:
        case {"version": int(version)} if version != VERSION:
            raise InvalidRequest(f"version {version} of facts is not spoken here", hint=f"this is version {VERSION}")
        case {"version": int(), "questions": [*questions]} if len(questions) <= MOST_QUESTIONS:
            return [_question(one, f"questions[{place}]") for place, one in enumerate(questions)]
    raise InvalidRequest(f"expected a version and at most {MOST_QUESTIONS} questions")


def _question(data: Any, where: str) -> Question:
    match data:
        case {"ask": str(name), "with": [*given]} if name in QUESTIONS:
            kinds = QUESTIONS[name].arguments
            try:
                told = [codec(kind).unpack(one) for kind, one in zip(kinds, given, strict=True)]
            except (ValueError, TypeError, RecursionError) as error:
                raise InvalidRequest(f"{where}: {error}") from error
            return Question(name, tuple(told))
    raise InvalidRequest(f"{where}: no such question")


def answers_document(questions: Sequence[Question], answer: Callable[[Question], Any]) -> dict[str, Any]:
    """``{"version": 1, "answers": [{"is": ...} | {"error": TEXT, "hint": TEXT, "permanent": true}, ...]}``."""
    return {"version": VERSION, "answers": [_answer_document(one, answer) for one in questions]}


def _answer_document(question: Question, answer: Callable[[Question], Any]) -> dict[str, Any]:
    try:
        return {"is": codec(QUESTIONS[question.name].answer).pack(answer(question))}
    except ReplayError as error:
        return {"error": error.message, "hint": error.hint, "permanent": isinstance(error, PermanentError)}


def read_answers(questions: Sequence[Question], document: Any) -> list[Answer]:
    """In the order of the questions. Raises :class:`ValueError` for what is no such document."""
    match document:
        case {"version": version, "answers": [*answers]} if version == VERSION:
            return [_answer(one, data) for one, data in zip(questions, answers, strict=True)]
    raise ValueError("not an answer of this version")


def _answer(question: Question, data: Any) -> Answer:
    match data:
        case {"error": str(message), "hint": str(hint), "permanent": bool(is_permanent)}:
            return (InvalidRequest if is_permanent else RetryableError)(message, hint=hint)
        case {"is": value}:
            return codec(QUESTIONS[question.name].answer).unpack(value)
    raise ValueError("not an answer")
