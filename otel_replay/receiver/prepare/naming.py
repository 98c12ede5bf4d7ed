"""Which session and user each record of a request names.

A name in the usual encoding is read off the bytes; a record that names one in another way is decoded. (A text or blob
that imitates the encoding of an attribute counts as one: it could as well have been sent as one.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import xxhash

from otel_replay.genai.identity import Identity
from otel_replay.receiver.markers import Hits
from otel_replay.receiver.prepare.findings import Findings, said

Times = Sequence[int] | Mapping[int, int]


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


class _Names(dict[bytes, str]):
    """Encoded names to names; empty for those that are none: blank, or not UTF-8."""

    def __missing__(self, encoded: bytes) -> str:
        name = encoded.decode(errors="replace")
        self[encoded] = name = name if name.strip() and name.encode() == encoded else ""
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

    def read(self, text: bytes, bounds: Sequence[int], session: Hits, user: Hits, usual: UsualNames) -> set[int]:
        """Takes the names in the usual encoding; gives the records that have to be decoded to know.

        ``session`` and ``user`` are where the keys may end in ``text``, whose record ``i`` begins at ``bounds[i]``.
        """
        unread = self._read(self._sessions, text, bounds, session, usual.session)
        return unread | self._read(self._users, text, bounds, user, usual.user)

    def _read(
        self, column: dict[int, str], text: bytes, bounds: Sequence[int], hits: Hits, usual: UsualName
    ) -> set[int]:
        column.update(zip(hits.records, usual.read(text, bounds, hits), strict=True))
        return {record for record in hits.records if not column[record]}

    def assign(self, record: int, identity: Identity) -> None:
        """This record names these."""
        self._sessions[record], self._users[record] = identity

    def assign_rest(self, records: Iterable[int], identity: Identity) -> None:
        """Those of the records of which nothing is known name these."""
        for column, name in zip((self._sessions, self._users), identity, strict=True):
            if name:
                for record in records:
                    column.setdefault(record, name)

    def session_of(self, record: int) -> str:
        return self._sessions.get(record, "")

    def forget(self, record: int) -> None:
        self._sessions.pop(record, None)
        self._users.pop(record, None)

    def note(self, starts: Times, ends: Times, found: Findings) -> None:
        """Sees every session that is named and tells it of its users; the times are by record."""
        for record, session in self._sessions.items():
            if session:
                found.see(session, starts[record], ends[record])
        last: dict[tuple[str, str], int] = {}
        for record, user in self._users.items():
            if user and (session := self.session_of(record)):
                pair = (session, user)
                last[pair] = max(ends[record], last.get(pair, 0))
        for (session, user), end in last.items():
            found.tell(session, said({"user.id": user}, end, xxhash.xxh3_128_hexdigest(user.encode())))
