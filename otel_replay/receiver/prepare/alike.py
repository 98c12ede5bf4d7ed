"""Names that stand alike in most records of a request, read all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from otel_replay.otlp.spans import Integers
from otel_replay.receiver.markers import Hits

Mask = NDArray[np.bool_]


class Alike(NamedTuple):
    """Record ``records[i]`` has the name ``names[i]``; ascending, no record twice."""

    records: Integers
    names: Sequence[bytes]

    def without(self, records: Iterable[int]) -> Alike:
        left = ~np.isin(self.records, list(records))
        return Alike(self.records[left], list(compress(self.names, left.tolist())))


def read_alike(
    text: bytes, bounds: Integers, hits: Hits, head_of: Callable[[int], bytes], key_offset: int
) -> tuple[Alike, Hits]:
    """The names of the length that most have, and the hits that are left: 0.35 us a hit, one by one 0.7.

    ``head_of`` gives what an attribute with a value of some length begins with, up to the value (empty: there is no
    such attribute), and its key ends ``key_offset`` bytes after its beginning.
    """
    records, key_ends = np.array(hits.records), np.array(hits.ends)
    lengths = np.frombuffer(text, np.uint8).take(key_ends + 3, mode="clip")
    length = int(np.bincount(lengths).argmax())
    head = head_of(length)
    size, at = len(head) + length, key_ends - key_offset
    fitting = _alone(records) & (at >= bounds[records]) & (at + size <= bounds[records + 1])
    if not head or not length or not fitting.any():
        return Alike(records[:0], ()), hits
    windows = np.ndarray(len(text) - size + 1, f"V{size}", text, strides=1)[np.where(fitting, at, 0)]
    rows = windows.view(np.uint8).reshape(-1, size)
    chosen = fitting & (rows[:, : len(head)] == np.frombuffer(head, np.uint8)).all(axis=1)
    names = rows[chosen, len(head) :].view(f"V{length}").ravel().tolist()
    return Alike(records[chosen], names), _left(hits, ~chosen)


def _alone(records: Integers) -> Mask:
    """Which of these ascending numbers are there once."""
    alone = np.ones(len(records), dtype=np.bool_)
    differ = records[1:] != records[:-1]
    alone[1:] = differ
    alone[:-1] &= differ
    return alone


def _left(hits: Hits, left: Mask) -> Hits:
    if not left.any():
        return Hits([], [])
    chosen = left.tolist()
    return Hits(list(compress(hits.records, chosen)), list(compress(hits.ends, chosen)))
