"""Contents given back: to the records that carry them, and to whoever searches or shows them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import zstandard
from google.protobuf.message import DecodeError

from otel_replay.model import Signal
from otel_replay.otlp.requests import RECORD_TYPES
from otel_replay.store import bodies

logger = logging.getLogger(__name__)

_CACHED_BLOCKS = 32


class BodyReader:
    """Gives contents back, for the length of one query: it keeps what it has read. Call inside a read transaction."""

    def __init__(self, connection: Any, project: int, signal: Signal = Signal.TRACES) -> None:
        self._connection = connection
        self._project = project
        self._signal = signal
        self._decompressor = zstandard.ZstdDecompressor()
        self._blocks: dict[int, bytes] = {}

    def whole(self, record: bytes) -> bytes:
        """The record as it was received.

        Contents that cannot be read are blanks of their length, which is logged: damage must not hide the span. Where
        that leaves no span, it is empty.
        """
        if not bodies.is_cut(record):
            return record
        contents = self.contents(bodies.body_ids(record))
        try:
            return bodies.whole(record, contents)
        except bodies.MissingBody:
            return self._damaged(record, contents)

    def contents(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Contents by id; those that cannot be read are left out."""
        found = {}
        for body, block, start, length in self._places(ids):
            data = self._block(block)
            if len(data) >= start + length:
                found[body] = data[start : start + length]
        return found

    def _places(self, ids: Iterable[int]) -> list[tuple[int, int, int, int]]:
        wanted = sorted(set(ids))
        rows: list[tuple[int, int, int, int]] = []
        for at in range(0, len(wanted), 500):
            part = wanted[at : at + 500]
            query = (
                "SELECT id, block, start, length FROM bodies"
                f" WHERE project = ? AND id IN ({', '.join('?' * len(part))})"
            )
            rows += self._connection.execute(query, (self._project, *part))
        return rows

    def _block(self, number: int) -> bytes:
        data = self._blocks.pop(number, None)
        if data is None:
            data = self._read(number)
        self._blocks[number] = data  # last again
        if len(self._blocks) > _CACHED_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        return data

    def _read(self, number: int) -> bytes:
        row = self._connection.execute("SELECT data FROM body_blocks WHERE id = ?", (number,)).fetchone()
        try:
            return self._decompressor.decompress(row[0]) if row else b""
        except (zstandard.ZstdError, MemoryError) as error:  # a damaged header may claim any size
            logger.error("contents %d cannot be read and are left out: %s", number, error)
            return b""

    def _damaged(self, record: bytes, contents: Mapping[int, bytes]) -> bytes:
        lengths = {body: length for body, _, _, length in self._places(bodies.body_ids(record))}
        for blank in (bodies.blank_text, bodies.blank_value):
            blanks = {body: blank(lengths.get(body, 0)) for body in bodies.body_ids(record)}
            raw = bodies.whole(record, {**blanks, **contents})
            try:
                RECORD_TYPES[self._signal].FromString(raw)
            except DecodeError:
                continue
            return raw
        return b""
