"""Which session and user each record of a request names.

A name in the usual encoding is read off the bytes; a record that names one in another way is decoded. (A text or blob
that imitates the encoding of an attribute counts as one: it could as well have been sent as one.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xxhash

from otel_replay.genai.identity import Identity
from otel_replay.otlp.spans import Integers, Times
from otel_replay.receiver.markers import Hits
from otel_replay.receiver.prepare.alike import Alike, read_alike
from otel_replay.receiver.prepare.findings import Findings, said

_FEW = 32
"""Up to so many hits, setting up arrays for them takes longer than looking at each."""


class UsualName:
    """A string attribute of a record as encoders write it, for one key.

    ``tag`` is that of the record's attributes; other places, such as the attributes of events, have other tags.
    """

    def __init__(self, tag: int, key: str) -> None:
        after_key = len(key) + 6
        self._before = len(key) + 4
        self._heads = {  # by the length of the string, as far as the attribute's own fits into one byte
            length: bytes((tag, length + after_key, 0x0A, len(key)))
            + key.encode()
            + bytes((0x12, length + 2, 0x0A, length))
            for length in range(0x80 - after_key)
        }

    def read(self, text: bytes, bounds: Sequence[int], hits: Hits) -> list[str]:
        """For each hit the string of such an attribute whose key ends there; empty where there is no name in it.

        ``text`` is that of all records, whose record ``i`` lies in ``bounds[i]:bounds[i + 1]``.
        """
        before, heads, names, size = self._before, self._heads, _Names(), len(text)
        found = []
        for record, key_end in zip(hits.records, hits.ends, strict=True):
            start = key_end + 4
            at, length = key_end - before, text[start - 1] if start <= size else 0
            end = start + length
            is_usual = text[at:start] == heads.get(length) and at >= bounds[record] and end <= bounds[record + 1]
            found.append(names[text[start:end]] if is_usual else "")
        return found

    def read_alike(self, text: bytes, bounds: Integers, hits: Hits) -> tuple[Alike | None, Hits]:
        """The names that many hits have alike, and the other hits."""
        if len(hits.records) <= _FEW:
            return None, hits
        alike, left = read_alike(text, bounds, hits, lambda length: self._heads.get(length, b""), self._before)
        names = _Names()
        return (alike, left) if all(names[name] for name in set(alike.names)) else (None, hits)


class _Names(dict[bytes, str]):
    """Encoded names to names; empty for those that are none: blank, or not UTF-8."""

    def __missing__(self, encoded: bytes) -> str:
        try:
            name = encoded.decode()
        except UnicodeDecodeError:
            name = ""
        self[encoded] = name = "" if name.isspace() else name
        return name


class UsualNames(NamedTuple):
    """How records of a signal name their session and their user."""

    session: UsualName
    user: UsualName

    @staticmethod
    def under(tag: int) -> UsualNames:
        return UsualNames(UsualName(tag, "session.id"), UsualName(tag, "user.id"))


class Naming:
    """The session and the user of each record of a request, as far as they are known; empty: it names none."""

    def __init__(self) -> None:
        self._sessions: dict[int, str] = {}
        self._users: dict[int, str] = {}
        self._alike: Alike | None = None  # sessions that are not in `_sessions` yet; what is there, is preferred

    def read(self, text: bytes, bounds: Integers, session: Hits, user: Hits, usual: UsualNames) -> set[int]:
        """Takes the names in the usual encoding; gives the records that have to be decoded to know.

        ``session`` and ``user`` are where the keys may end in ``text``, whose record ``i`` begins at ``bounds[i]``.
        """
        self._alike, session = usual.session.read_alike(text, bounds, session)
        unread = self._read(self._sessions, text, bounds, session, usual.session)
        return unread | self._read(self._users, text, bounds, user, usual.user)

    def _read(self, column: dict[int, str], text: bytes, bounds: Integers, hits: Hits, usual: UsualName) -> set[int]:
        if hits.records:
            column.update(zip(hits.records, usual.read(text, bounds.tolist(), hits), strict=True))
        return {record for record in hits.records if not column[record]}

    def assign(self, record: int, identity: Identity) -> None:
        """This record names these."""
        self._sessions[record], self._users[record] = identity

    def assign_rest(self, records: Iterable[int], identity: Identity) -> None:
        """Those of the records of which nothing is known name these."""
        if identity.session_id:
            self._spread()
        for column, name in zip((self._sessions, self._users), identity, strict=True):
            if name:
                for record in records:
                    column.setdefault(record, name)

    def session_of(self, record: int) -> str:
        self._spread()
        return self._sessions.get(record, "")

    def session_of_one(self, record: int) -> str:
        """The same for one record of few: others stay as they are, many at once."""
        if record in self._sessions or not self._alike:
            return self._sessions.get(record, "")
        place = int(np.searchsorted(self._alike.records, record))
        is_there = place < len(self._alike.records) and self._alike.records[place] == record
        return self._alike.names[place].decode() if is_there else ""

    def _spread(self) -> None:
        """Looks at every record by itself from now on."""
        if self._alike:
            pairs = zip(self._alike.records.tolist(), map(bytes.decode, self._alike.names), strict=True)
            self._sessions = dict(pairs) | self._sessions
            self._alike = None

    def forget(self, record: int) -> None:
        self._spread()
        self._sessions.pop(record, None)
        self._users.pop(record, None)

    def note_alike(self, starts: Times, ends: Times, found: Findings) -> None:
        """Sees many sessions at once; :meth:`note` is left with the others. The times are by record."""
        if self._alike and not any(self._users.values()):  # who has users is told of them session by session
            alike = self._alike.without(self._sessions) if self._sessions else self._alike
            for session, start, end in _spans_of(alike, starts, ends):
                found.see(session.decode(), start, end)
            self._alike = None

    def note(self, starts: Times | Mapping[int, int], ends: Times | Mapping[int, int], found: Findings) -> None:
        """Sees every session that is named and tells it of its users; the times are by record."""
        self._spread()
        for record, session in self._sessions.items():
            if session:
                found.see(session, int(starts[record]), int(ends[record]))
        last: dict[tuple[str, str], int] = {}
        for record, user in self._users.items():
            if user and (session := self.session_of(record)):
                pair = (session, user)
                last[pair] = max(int(ends[record]), last.get(pair, 0))
        for (session, user), end in last.items():
            found.tell(session, said({"user.id": user}, end, xxhash.xxh3_128_hexdigest(user.encode())))


def _spans_of(alike: Alike, starts: Times, ends: Times) -> Iterator[tuple[bytes, int, int]]:
    """Each name once, with its earliest start and its latest end; the times are by record."""
    first: dict[bytes, int] = {}
    last: dict[bytes, int] = {}
    columns = alike.names, starts[alike.records].tolist(), ends[alike.records].tolist()
    for name, start, end in zip(*columns, strict=True):
        if name not in first:
            first[name], last[name] = start, end
            continue
        if start < first[name]:
            first[name] = start
        if end > last[name]:
            last[name] = end
    return zip(first, first.values(), last.values(), strict=True)
