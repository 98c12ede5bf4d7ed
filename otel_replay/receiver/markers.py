"""One pass over many records for many byte strings: 0.3 us a span, where ``in`` for each of 15 costs 3.4."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import hyperscan
import numpy as np

from otel_replay.otlp.spans import Integers

_FEW = 64
"""Up to so many hits, setting up arrays for them takes longer than looking at each."""


class Hits(NamedTuple):
    """Where markers of one kind were found: in which records, and where in the text they end. In that order."""

    records: list[int]
    ends: list[int]


class MarkerScan:
    """Finds every occurrence of byte strings of several kinds. Safe to share by threads.

    Byte strings only: beside an expression of variable length hyperscan 0.9.1 misses some of them in short texts.
    """

    def __init__(self, *kinds: Sequence[bytes]) -> None:
        markers = [(kind, marker) for kind, members in enumerate(kinds) for marker in members]
        literals = [b"".join(b"\\x%02x" % byte for byte in marker) for _, marker in markers]
        self._kinds = np.array([kind for kind, _ in markers])
        self._sizes = np.array([len(marker) for _, marker in markers])
        self._kind_count = len(kinds)
        self._database = hyperscan.Database()
        self._database.compile(expressions=literals, ids=list(range(len(literals))))
        # Hyperscan works on a scratch space that only one thread may use at a time.
        self._scratch = threading.local()

    def find(self, text: bytes, bounds: Integers) -> list[Hits]:
        """By kind, in ``text``, whose record ``i`` lies in ``bounds[i]:bounds[i + 1]``; a hit lies in one record."""
        found: list[int] = []
        add = found.append  # marker and end as two integers: 0.1 us less than a tuple
        self._database.scan(
            text,
            match_event_handler=lambda marker, _start, end, _flags, _context: add(marker) or add(end),
            scratch=self._own_scratch(),
        )
        return self._few(found, bounds.tolist()) if len(found) <= 2 * _FEW else self._many(found, bounds)

    def _few(self, found: list[int], bounds: list[int]) -> list[Hits]:
        hits = [Hits([], []) for _ in range(self._kind_count)]
        for marker, end in zip(found[::2], found[1::2], strict=True):
            record = bisect_left(bounds, end) - 1
            if end - self._sizes[marker] >= bounds[record]:
                of_kind = hits[self._kinds[marker]]
                of_kind.records.append(record)
                of_kind.ends.append(end)
        return hits

    def _many(self, found: list[int], bounds: Integers) -> list[Hits]:
        markers, ends = np.array(found).reshape(-1, 2).T
        records = np.searchsorted(bounds, ends) - 1
        kinds = np.where(ends - self._sizes[markers] >= bounds[records], self._kinds[markers], -1)
        chosen = (np.flatnonzero(kinds == kind) for kind in range(self._kind_count))
        return [Hits(records[those].tolist(), ends[those].tolist()) for those in chosen]

    def _own_scratch(self) -> hyperscan.Scratch:
        scratch: hyperscan.Scratch | None = getattr(self._scratch, "space", None)
        if scratch is None:
            scratch = self._scratch.space = hyperscan.Scratch(self._database)
        return scratch
