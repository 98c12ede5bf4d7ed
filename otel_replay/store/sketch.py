"""A histogram of logarithmic buckets that answers percentiles within 1 %, and from which values can be taken out again.

The buckets are those of DDSketch (Masson, Rim, Lee: "DDSketch", PVLDB 12, 2019): each holds the values up to ``GAMMA``
times its least, so that its middle is within ``(GAMMA - 1) / (GAMMA + 1)`` = 0.9 % of all of them. Numbers below 512
have buckets of their own, for there rounding to whole numbers would add more than the 0.1 % that are left. Adding
sketches adds counts. A library would do for that, but none takes values out, and a span that turns out to have ended
later replaces what was counted of it. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from math import ceil, log
from typing import Any

import numpy as np

GAMMA = 1.018
_LOG_GAMMA = log(GAMMA)
_GREATEST_EXACT = 511
BUCKETS = _GREATEST_EXACT + 2 + ceil(64 * log(2) / _LOG_GAMMA)
"""More than numbers of 64 bits need, less than the 2**15 that fit beside a mark in two bytes."""

PERCENTILES = (50, 95, 99)

_REMOVED = 0x8000
_HEADER = struct.Struct("<HB")
_SAMPLE = struct.Struct("<H")
_WIDTHS: dict[int, Any] = {1: np.dtype("i1"), 2: np.dtype("<i2"), 4: np.dtype("<i4"), 8: np.dtype("<i8")}


def bucket(value: int) -> int:
    """The bucket of a whole number from 0 to 2**64."""
    if value <= _GREATEST_EXACT:
        return value
    return _GREATEST_EXACT + ceil(log(value / _GREATEST_EXACT) / _LOG_GAMMA)


def middle(number: int) -> int:
    """The whole number that stands for a bucket: within 1 % of all in it."""
    if number <= _GREATEST_EXACT:
        return number
    return round(2 * _GREATEST_EXACT * GAMMA ** (number - _GREATEST_EXACT) / (GAMMA + 1))


def pack_sample(value: int, *, removed: bool = False) -> bytes:
    """A single value, or its removal, by its bucket in 2 bytes. Such bytes may be joined."""
    return _SAMPLE.pack(bucket(value) | (_REMOVED if removed else 0))


class Sketch:
    """Counts of values by bucket."""

    def __init__(self) -> None:
        self._counts: Any = np.zeros(BUCKETS, dtype=np.int64)

    def add_samples(self, packed: bytes) -> None:
        """Counts what :func:`pack_sample` gave, joined."""
        words = np.frombuffer(packed, dtype="<u2")
        removed = words >= _REMOVED
        self._counts += np.bincount(words[~removed], minlength=BUCKETS)
        if removed.any():
            self._counts -= np.bincount(words[removed] & (_REMOVED - 1), minlength=BUCKETS)

    def add_packed(self, packed: bytes) -> None:
        """Counts what :meth:`pack` gave."""
        if packed:
            first, width = _HEADER.unpack_from(packed)
            counts = np.frombuffer(packed, dtype=_WIDTHS[width], offset=_HEADER.size)
            self._counts[first : first + len(counts)] += counts

    def pack(self) -> bytes:
        """The buckets between the least and the greatest that count, in as few bytes as their counts need."""
        used = np.flatnonzero(self._counts)
        if not len(used):
            return b""
        counts = self._counts[used[0] : used[-1] + 1]
        greatest = int(np.abs(counts).max())
        width = next(width for width in _WIDTHS if greatest < 1 << (8 * width - 1))
        return _HEADER.pack(used[0], width) + bytes(counts.astype(_WIDTHS[width]))

    def percentiles(self) -> tuple[int, int, int] | None:
        """(p50, p95, p99) by nearest rank: the least value that p % of all do not exceed. None without values."""
        upto = np.cumsum(self._counts)
        total = int(upto[-1])
        if total <= 0:
            return None
        p50, p95, p99 = (middle(int(np.searchsorted(upto, rank(percent, total)))) for percent in PERCENTILES)
        return p50, p95, p99

    def mean(self) -> int | None:
        """Of all values; None without any."""
        total = int(self._counts.sum())
        return round(float(self._counts @ _middles()) / total) if total > 0 else None


@lru_cache(1)
def _middles() -> Any:
    return np.array([middle(number) for number in range(BUCKETS)], dtype=np.float64)


def rank(percent: int, total: int) -> int:
    """The nearest rank, counted from 1."""
    return -(-percent * total // 100)


def exact_percentiles(values: Iterable[int]) -> tuple[int, int, int] | None:
    """The same without buckets; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    p50, p95, p99 = (ordered[rank(percent, len(ordered)) - 1] for percent in PERCENTILES)
    return p50, p95, p99
