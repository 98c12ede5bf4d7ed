"""Which sessions are recorded, and what is kept in memory of the others until something goes wrong in them. Pure.

Whether a session is recorded follows from its id alone, so that every process and every page decides alike:

    first 8 hexadecimal digits of SHA-256 of the id in UTF-8, as an integer, < rate * 2^32

In a browser: ``parseInt(hex.slice(0, 8), 16) < rate * 4294967296``, where ``hex`` is what ``crypto.subtle.digest``
gives for ``new TextEncoder().encode(id)``. What belongs to no session is decided by its trace id, 32 lower-case digits.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_OPENED = 20_000
"""Sessions remembered in which something went wrong."""

MAX_TALLIES = 20_000
"""Sessions for which it is counted what was thrown away."""


def is_sampled(key: str, rate: float) -> bool:
    """Whether a session, or a trace without one, is among the share ``rate`` (0 to 1) that is recorded."""
    digest = hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()
    return int(digest[:8], 16) < rate * 2**32


class Piece(NamedTuple):
    """A span or a log record: whose it is, what it weighs in bytes, when it was, whether it tells of an error."""

    key: str
    item: Any
    weight: int
    start_unix_nano: int
    end_unix_nano: int
    is_error: bool


class Tally(NamedTuple):
    """What was thrown away of one session."""

    records: int
    start_unix_nano: int
    end_unix_nano: int

    def with_one_more(self, piece: Piece) -> Tally:
        start, end = min(self.start_unix_nano, piece.start_unix_nano), max(self.end_unix_nano, piece.end_unix_nano)
        return Tally(self.records + 1, start, end)


class Opened(NamedTuple):
    """A session in which something went wrong: what is missing of it, and who told."""

    key: str
    missing: Tally | None
    by: Any


class Sifted(NamedTuple):
    """What is to be sent: pieces by lane, in order, and sessions from which on everything is."""

    items: dict[str, list[Any]]
    opened: list[Opened]


@dataclass(slots=True, eq=False)
class _Held:
    lane: str
    piece: Piece | None
    """None once it was sent or thrown away."""
    received_ns: int


class Backlog:
    """Keeps what is not sent for ``keep_ns`` and up to ``keep_bytes``. Not safe to use from several threads at once."""

    def __init__(self, rate: float, keep_ns: int, keep_bytes: int) -> None:
        self._rate = rate
        self._keep_ns = keep_ns
        self._keep_bytes = keep_bytes
        self._order: deque[_Held] = deque()
        self._by_key: dict[str, deque[_Held]] = {}
        self._opened: OrderedDict[str, None] = OrderedDict()
        self._tallies: OrderedDict[str, Tally] = OrderedDict()
        self.bytes = 0
        """What is held weighs."""

    def sift(self, lane: str, pieces: Iterable[Piece], now_ns: int) -> Sifted:
        """What to send of new pieces, and of what was held. Times in nanoseconds of one clock."""
        sifted = Sifted({}, [])
        self._forget(now_ns)
        for piece in pieces:
            if piece.is_error and not self._is_sent(piece.key):
                self._open(piece, sifted)
            if self._is_sent(piece.key):
                sifted.items.setdefault(lane, []).append(piece.item)
            else:
                self._hold(lane, piece, now_ns)
        self._forget(now_ns)
        return sifted

    def _is_sent(self, key: str) -> bool:
        if key in self._opened:
            self._opened.move_to_end(key)
            return True
        return is_sampled(key, self._rate)

    def _open(self, piece: Piece, sifted: Sifted) -> None:
        self._opened[piece.key] = None
        if len(self._opened) > MAX_OPENED:
            self._opened.popitem(last=False)
        for held in self._by_key.pop(piece.key, ()):
            sifted.items.setdefault(held.lane, []).append(self._let_go(held).item)
        sifted.opened.append(Opened(piece.key, self._tallies.pop(piece.key, None), piece.item))

    def _hold(self, lane: str, piece: Piece, now_ns: int) -> None:
        held = _Held(lane, piece, now_ns)
        self._order.append(held)
        self._by_key.setdefault(piece.key, deque()).append(held)
        self.bytes += piece.weight

    def _forget(self, now_ns: int) -> None:
        """Throws away what is too old, and the oldest of what is too much."""
        while self._order:
            oldest = self._order[0]
            if oldest.piece is not None:
                if self.bytes <= self._keep_bytes and now_ns - oldest.received_ns <= self._keep_ns:
                    return
                self._throw_away(oldest)
            self._order.popleft()

    def _throw_away(self, held: _Held) -> None:
        piece = self._let_go(held)
        key, same = piece.key, self._by_key[piece.key]
        same.popleft()  # it is the oldest of its session, too
        if not same:
            del self._by_key[key]
        known = self._tallies.get(key) or Tally(0, piece.start_unix_nano, piece.end_unix_nano)
        self._tallies[key] = known.with_one_more(piece)
        self._tallies.move_to_end(key)
        if len(self._tallies) > MAX_TALLIES:
            self._tallies.popitem(last=False)

    def _let_go(self, held: _Held) -> Piece:
        piece, held.piece = held.piece, None
        assert piece is not None  # nothing is sent or thrown away twice
        self.bytes -= piece.weight
        return piece
