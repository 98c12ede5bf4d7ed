"""Which contents are stored already: digest -> body id, with inserts that stay in one corner of the file.

Digests are random, so that one index over all of them would dirty a page for each (75 MB/s of log at 14,000 contents a
second). They are kept in generations of 65,536 instead, of which only the newest is written to; a Bloom filter for each
says in memory which generations are worth a look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple

import numpy as np

GENERATION_BITS = 16
_FILTER_BITS = 20
"""16 bits for each digest and 4 hashes: a wrong look in one of 400 generations."""

REMEMBERED = 65_536
"""Digests kept in memory (about 15 MB): what repeats mostly repeats soon."""

_PER_WORD = 64
_Positions = np.ndarray[Any, Any]


class Known(NamedTuple):
    """A stored content: its id, and a time that its origin does not come after."""

    body: int
    start_unix_nano: int


class DigestIndex:
    """For the writer, inside its transactions. Digests have 16 bytes, and belong to one project by their making."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._newest: tuple[bytes, int] | None = None
        self._known: dict[bytes, Known] = {}
        self._filters = _Filters()
        self._load()

    def rolled_back(self) -> bool:
        """Whether what was added last is not in the file: then everything in memory is forgotten.

        To be asked first in every transaction that adds, so that nothing else can have taken the numbers meanwhile.
        """
        if self._newest is None:
            return False
        digest, body = self._newest
        known = self._look_up(digest, body >> GENERATION_BITS)
        if known and known.body == body:
            return False
        self._load()
        return True

    def find(self, digests: Collection[bytes]) -> dict[bytes, Known]:
        """Those of the digests that are stored."""
        known = self._known
        found = {digest: known[digest] for digest in digests if digest in known}
        unknown = [digest for digest in digests if digest not in found]
        for digest, generations in self._filters.candidates(unknown):
            one = next(filter(None, (self._look_up(digest, generation) for generation in generations)), None)
            if one:
                found[digest] = one
                self._remember(digest, one)
        return found

    def add(self, bodies: Mapping[bytes, Known]) -> None:
        """New digests, their ids ascending."""
        rows = [(known.body >> GENERATION_BITS, digest, known.body) for digest, known in bodies.items()]
        for generation, members in groupby(rows, key=lambda row: row[0]):
            if self._newest and (before := self._newest[1] >> GENERATION_BITS) < generation:
                self._complete(before)
            mine = list(members)
            self._connection.executemany("INSERT INTO body_digests VALUES (?, ?, ?)", sorted(mine))
            self._filters.add(generation, [digest for _, digest, _ in mine])
            self._newest = mine[-1][1:]
        for digest, known in bodies.items():
            self._remember(digest, known)

    def forget(self, digests: Iterable[bytes]) -> None:
        """Forgets what is known in memory of contents that change or go."""
        for digest in digests:
            self._known.pop(digest, None)

    def _complete(self, generation: int) -> None:
        """Keeps the filter of a generation that nothing is added to any more."""
        row = (generation, self._filters.bits(generation))
        self._connection.execute("INSERT OR REPLACE INTO digest_filters VALUES (?, ?)", row)

    def _remember(self, digest: bytes, known: Known) -> None:
        self._known[digest] = known
        if len(self._known) > REMEMBERED:
            for oldest in list(islice(self._known, REMEMBERED // 4)):
                del self._known[oldest]

    def _look_up(self, digest: bytes, generation: int) -> Known | None:
        query = (
            "SELECT bodies.id, start_unix_nano FROM body_digests JOIN bodies USING (id)"
            " WHERE generation = ? AND digest = ?"
        )
        row = self._connection.execute(query, (generation, digest)).fetchone()
        return Known(*row) if row else None

    def _load(self) -> None:
        """Filters of the complete generations, digests of the others."""
        self._newest = None
        self._known.clear()
        self._filters = _Filters()
        complete = -1
        for complete, bits in self._connection.execute("SELECT generation, bits FROM digest_filters ORDER BY 1"):
            self._filters.load(complete, bits)
        query = (
            "SELECT digest, id, start_unix_nano FROM body_digests JOIN bodies USING (id)"
            " WHERE generation > ? ORDER BY id"
        )
        rows = self._connection.execute(query, (complete,)).fetchall()
        for generation, members in groupby(rows, key=lambda row: row[1] >> GENERATION_BITS):
            self._filters.add(generation, [row[0] for row in members])
        self._known = {digest: Known(body, start) for digest, body, start in rows[-REMEMBERED:]}
        if rows:
            self._newest = rows[-1][:2]


class _Filters:
    """Bloom filters of up to 64 generations side by side: one bit of each in every word."""

    def __init__(self) -> None:
        self._words: list[np.ndarray[Any, Any]] = []

    def add(self, generation: int, digests: Sequence[bytes]) -> None:
        words, bit = self._place(generation)
        words[_positions(digests)] |= bit

    def load(self, generation: int, packed: bytes) -> None:
        words, bit = self._place(generation)
        words[np.unpackbits(np.frombuffer(packed, np.uint8)).astype(bool)] |= bit

    def bits(self, generation: int) -> bytes:
        words, bit = self._place(generation)
        return np.packbits(words & bit != 0).tobytes()

    def candidates(self, digests: Sequence[bytes]) -> list[tuple[bytes, list[int]]]:
        """The digests that may be in some generation, with these generations, newest first."""
        found: dict[bytes, list[int]] = {}
        positions = _positions(digests)
        for number, words in reversed([*enumerate(self._words)] if digests else []):
            hits = np.bitwise_and.reduce(words[positions], axis=1)
            for place in np.flatnonzero(hits).tolist():
                mask = int(hits[place])
                generations = [number * _PER_WORD + bit for bit in reversed(range(_PER_WORD)) if mask >> bit & 1]
                found.setdefault(digests[place], []).extend(generations)
        return list(found.items())

    def _place(self, generation: int) -> tuple[np.ndarray[Any, Any], Any]:
        number, bit = divmod(generation, _PER_WORD)
        while len(self._words) <= number:
            self._words.append(np.zeros(1 << _FILTER_BITS, np.uint64))
        return self._words[number], np.uint64(1 << bit)


def _positions(digests: Sequence[bytes]) -> _Positions:
    """Four for each digest: its own bits are as random as any hash of it."""
    return np.frombuffer(b"".join(digests), "<u4").reshape(-1, 4) >> (32 - _FILTER_BITS)
