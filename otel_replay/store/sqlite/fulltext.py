"""Full text over contents: one document each, numbered so that the newest come first, made after the acknowledgement.

The index keeps no text (``content=''``) and no positions (``detail=none``): 100 MB/s and a tenth of its text in size,
against 54 MB/s and more than the text. What it finds is checked, and shown, in the stored content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from otel_replay.genai.contents import text_of
from otel_replay.store.sqlite.bodies import BodyWriter
from otel_replay.store.sqlite.body_reading import BodyReader
from otel_replay.store.text_query import TextQuery, fold

SLOT_SHIFT, SEQUENCE_BITS = 27, 12
"""A document's number is its time in slots of 134 ms, then its place among those of the slot: numbers that are close
make a small index. What is too much for a slot goes to the next one."""

STEP_BODIES = 4_096
STEP_MOVED = 64


def slot_of(start_unix_nano: int) -> int:
    return start_unix_nano >> SLOT_SHIFT


def first_document(slot: int) -> int:
    return slot << SEQUENCE_BITS


def match_expression(project: int, query: TextQuery) -> str:
    """FTS5's form of a query: every word quoted, so that none is an operator."""
    words = (f'"{word}"*' if is_prefix else f'"{word}"' for word, is_prefix in query.words)
    return " AND ".join((f'"{_project_word(project)}"', *words))


def _project_word(project: int) -> str:
    """In no text and no query: both leave out what Unicode has for private use."""
    return f"\ue000{project}"


class _Body(NamedTuple):
    number: int
    project: int
    start_unix_nano: int
    length: int
    doc: int | None


_PROJECT_AND_TEXT = "? || ' ' || ?"
"""Put together by SQLite: text of ASCII is handed over as it is, with the project's word in it it is encoded anew."""

_BODY = "bodies.id, project, start_unix_nano, length, doc"


class FullTextFollower:
    """Makes the documents of new contents, and moves those whose origin turned out to be earlier."""

    def __init__(self, bodies: BodyWriter) -> None:
        self._bodies = bodies

    def step(self, connection: Any, budget_bytes: int) -> bool:
        """Works off about ``budget_bytes`` of contents, at least one; True when more waits."""
        moved = self._move(connection)
        return self._add(connection, budget_bytes) or moved

    def waiting(self, connection: Any) -> int:
        return waiting_texts(connection)

    def remove(self, connection: Any, ids: Sequence[int]) -> None:
        """Takes the documents of some hundred contents away, which have to be readable still."""
        query = f"SELECT {_BODY} FROM bodies WHERE doc IS NOT NULL AND id IN ({', '.join('?' * len(ids))})"
        bodies = [_Body(*row) for row in connection.execute(query, ids)]
        _delete(connection, bodies, self._texts(connection, bodies))

    def _add(self, connection: Any, budget_bytes: int) -> bool:
        query = f"SELECT {_BODY} FROM bodies WHERE id > ? ORDER BY id LIMIT ?"
        waiting = [_Body(*row) for row in connection.execute(query, (_indexed(connection), STEP_BODIES))]
        taken = _within(waiting, budget_bytes)
        if taken:
            self._index(connection, taken)
            connection.execute("UPDATE meta SET value = ? WHERE key = 'texts_indexed'", (str(taken[-1].number),))
        return len(taken) < len(waiting) or len(waiting) == STEP_BODIES

    def _move(self, connection: Any) -> bool:
        query = f"SELECT {_BODY} FROM moved_texts CROSS JOIN bodies USING (id) LIMIT ?"
        moved = [_Body(*row) for row in connection.execute(query, (STEP_MOVED,))]
        if not moved:
            return False
        texts = self._texts(connection, moved)
        _delete(connection, moved, texts)
        self._index(connection, moved, texts)
        connection.executemany("DELETE FROM moved_texts WHERE id = ?", [(body.number,) for body in moved])
        return len(moved) == STEP_MOVED

    def _index(self, connection: Any, bodies: Sequence[_Body], texts: dict[int, str] | None = None) -> None:
        texts = texts or self._texts(connection, bodies)
        documents = _numbered(connection, bodies)
        words = {body.number: _project_word(body.project) for body in bodies}
        rows = [(document, words[body], texts[body]) for document, body in sorted(documents)]
        connection.executemany(f"INSERT INTO texts (rowid, text) VALUES (?, {_PROJECT_AND_TEXT})", rows)
        connection.executemany("UPDATE bodies SET doc = ? WHERE id = ?", documents)

    def _texts(self, connection: Any, bodies: Iterable[_Body]) -> dict[int, str]:
        """What is indexed of each beside the word of its project, by number."""
        missing: dict[int, list[int]] = defaultdict(list)
        pieces: dict[int, bytes] = {}
        projects = {body.number: body.project for body in bodies}
        for number, project in projects.items():
            piece = self._bodies.take_recent(number)
            if piece is None:
                missing[project].append(number)
            else:
                pieces[number] = piece
        for project, numbers in missing.items():
            pieces |= BodyReader(connection, project).contents(numbers)
        return {number: _indexable(text_of(pieces.get(number, b""))) for number in projects}


def _delete(connection: Any, bodies: Iterable[_Body], texts: dict[int, str]) -> None:
    """The index forgets a document when it is told its text again."""
    connection.executemany(
        f"INSERT INTO texts (texts, rowid, text) VALUES ('delete', ?, {_PROJECT_AND_TEXT})",
        [(body.doc, _project_word(body.project), texts[body.number]) for body in bodies],
    )


def _indexable(text: str) -> str:
    """A folded text, but for what FTS5's tokenizer folds itself: the case of ASCII."""
    return text if text.isascii() else fold(text)


def waiting_texts(connection: Any, project: int | None = None) -> int:
    """How many contents are not searchable yet, or not under the right time; None: of all projects."""
    query = (
        "SELECT (SELECT count(*) FROM bodies WHERE id > ?2 AND (?1 IS NULL OR project = ?1))"
        " + (SELECT count(*) FROM moved_texts CROSS JOIN bodies USING (id) WHERE ?1 IS NULL OR project = ?1)"
    )
    return int(connection.execute(query, (project, _indexed(connection))).fetchone()[0])


def _indexed(connection: Any) -> int:
    """The id up to which contents have a document."""
    return int(connection.execute("SELECT value FROM meta WHERE key = 'texts_indexed'").fetchone()[0])


def _within(bodies: Sequence[_Body], budget_bytes: int) -> Sequence[_Body]:
    for place, body in enumerate(bodies, 1):
        budget_bytes -= body.length
        if budget_bytes <= 0:
            return bodies[:place]
    return bodies


def _numbered(connection: Any, bodies: Iterable[_Body]) -> list[tuple[int, int]]:
    """(document, body): the next free numbers of each slot."""
    free: dict[int, int] = {}
    documents = []
    for body in sorted(bodies, key=lambda one: (one.start_unix_nano, one.number)):
        slot = slot_of(body.start_unix_nano)
        while (document := free.get(slot) or _first_free(connection, slot)) >= first_document(slot + 1):
            free[slot] = document
            slot += 1
        free[slot] = document + 1
        documents.append((document, body.number))
    return documents


def _first_free(connection: Any, slot: int) -> int:
    query = "SELECT max(doc) + 1 FROM bodies WHERE doc >= ? AND doc < ?"
    first = first_document(slot)
    row = connection.execute(query, (first, first_document(slot + 1))).fetchone()
    return int(row[0] or first)
