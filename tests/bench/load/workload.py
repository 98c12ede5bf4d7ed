"""What the load generator sends: four streams, fresh in every request and in every run.

``w1``
    Infrastructure: HTTP server and database client spans with about ten attributes each, in traces of eight spans;
    about 465 bytes a span, one session a trace.
``w2``
    The same, but one span in ten is a ``chat`` span that carries about 6.6 KB of messages; 1,180 bytes a span.
``w2c``
    The same share of chats, but each is a turn of one of 64 conversations of 20 turns, whose input messages repeat
    everything said before: 66 KB a chat, 7 KB a span. A conversation is a session.
``recordings``
    rrweb chunks in JSON, in sequence: a full snapshot of about 300 KB, then chunks of 20 to 60 KB (:mod:`pages`).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .fresh import Mask, Template, templates
from .pages import chunks
from .spans import FIRST_START_UNIX_NANO, Spans

SPANS_PER_REQUEST = 512
"""What an OpenTelemetry SDK sends at most; W2c, whose requests would be 5 MB then, has a quarter of it."""
TEMPLATE_SPANS = 32_768
"""Serialized for a pass of W1 and W2: 64 requests of 512."""
CONVERSATION_SPANS = 12_800
"""The same for W2c: each of 64 conversations comes to its end."""


class Workload(StrEnum):
    """The streams; the values are their names in options, reports and file names."""

    W1 = "w1"
    W2 = "w2"
    W2C = "w2c"
    RECORDINGS = "recordings"

    @property
    def usual_items(self) -> int:
        """Spans in a request, or chunks, where nobody asks for another number."""
        return {Workload.W2C: SPANS_PER_REQUEST // 4, Workload.RECORDINGS: 1}.get(self, SPANS_PER_REQUEST)


class Entry(NamedTuple):
    """One request; an empty path is that of OTLP's traces. `items` are spans or chunks."""

    body: bytes
    items: int
    path: str = ""


@dataclass(frozen=True)
class Stream:
    """A workload from its beginning: equal streams give equal entries, another `seed` gives other ids and texts."""

    workload: Workload
    seed: str
    spans_per_request: int = 0
    """0: as many as is usual."""
    first_start_unix_nano: int = FIRST_START_UNIX_NANO

    def entries(self, first: int = 0) -> Iterator[Entry]:
        """Without end, from the entry with number `first` on."""
        if self.workload is Workload.RECORDINGS:
            made = chunks(self.seed, self.first_start_unix_nano // 1_000_000)
            return (Entry(body, 1, path) for path, body in itertools.islice(made, first, None))
        return self._spans(first)

    def _spans(self, first: int) -> Iterator[Entry]:
        spans = self.spans_per_request or self.workload.usual_items
        cycle = span_templates(self.workload, spans)
        begins = self.first_start_unix_nano - FIRST_START_UNIX_NANO
        for number in itertools.count(first):
            turn, at = divmod(number, len(cycle.templates))
            mask = Mask.of(self.seed, turn, begins + turn * cycle.duration_ns)
            yield Entry(cycle.templates[at].patched(mask).tobytes(), spans)


class Cycle(NamedTuple):
    """Templates and the time from the first start to the last."""

    templates: list[Template]
    duration_ns: int


@cache
def span_templates(workload: Workload, spans_per_request: int) -> Cycle:
    chats = 0.0 if workload is Workload.W1 else 0.10
    spans = Spans(workload.value, chats, workload is Workload.W2C, spans_per_request)
    enough = CONVERSATION_SPANS if workload is Workload.W2C else TEMPLATE_SPANS
    requests = list(spans.requests(-(-enough // spans_per_request)))
    return Cycle(templates(requests), spans.clock_unix_nano - FIRST_START_UNIX_NANO)


def write_entries(path: Path, entries: Iterable[Entry]) -> int:
    """Writes the file that the client reads: 32 bits length, 16 bits length of the path, path, body. Returns items."""
    items = 0
    with path.open("wb") as file:
        for entry in entries:
            file.write(struct.pack("<IH", len(entry.body), len(entry.path)) + entry.path.encode() + entry.body)
            items += entry.items
    return items


def read_entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """(path, body) of each entry of a file."""
    with path.open("rb") as file:
        while head := file.read(6):
            length, path_length = struct.unpack("<IH", head)
            yield file.read(path_length).decode(), file.read(length)
