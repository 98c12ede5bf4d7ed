"""Whether what was sent is there: some of it is read back from outside and compared byte for byte."""

from __future__ import annotations

import mmap
import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_replay.errors import ReplayError

from .client import Address

SAMPLES = 20
REACH_BYTES = 16 << 20
"""How far before and after a sample the other spans of its trace may stand in the file."""
TIMEOUT_S = 60
SPAN_HEAD = re.compile(rb"\x0a\x10(.{16})\x12\x08", re.DOTALL)

Record = tuple[bytes, bytes, bytes]
"""A span with its resource and scope, each serialized."""


def compare_traces(server: Address, entries: Path, succeeded: int) -> int:
    """Reads traces back and compares every span of them; returns how many. `succeeded` entries were sent.

    Raises :class:`ReplayError` that names the first trace that is not there as it was sent.
    """
    compared = 0
    for trace_id, sent in sampled_traces(entries, succeeded).items():
        answer = requests.get(
            f"{server.url}/api/v1/traces/{trace_id.hex()}",
            headers={"accept": "application/x-protobuf"},
            timeout=TIMEOUT_S,
        )
        stored = Counter(records(answer.content, trace_id)) if answer.ok else Counter()
        if stored != sent:
            found = f"{stored.total()} came back, {(stored & sent).total()} as sent (HTTP {answer.status_code})"
            raise ReplayError(f"trace {trace_id.hex()}: {sent.total()} spans were sent, {found}")
        compared += sent.total()
    return compared


def sampled_traces(entries: Path, succeeded: int) -> dict[bytes, Counter[Record]]:
    """All that was sent of some traces, spread over the file."""
    with entries.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        bodies = list(positions(mapped))[:succeeded]
        found = {}
        for number in range(0, len(bodies), max(1, len(bodies) // SAMPLES)):
            start, end = bodies[number]
            head = SPAN_HEAD.search(mapped, start, end)
            if head:
                near = [one for one in bodies if abs(one[0] - start) < REACH_BYTES]
                found[head[1]] = Counter(
                    record
                    for begin, stop in near
                    if mapped.find(head[1], begin, stop) >= 0
                    for record in records(mapped[begin:stop], head[1])
                )
        return found


def positions(mapped: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Where the body of each entry begins and ends."""
    at = 0
    while at < len(mapped):
        length, path_length = struct.unpack_from("<IH", mapped, at)
        start = at + 6 + path_length
        yield start, start + length
        at = start + length


def records(request: bytes, trace_id: bytes) -> Iterator[Record]:
    """The spans of one trace in a request, or in ``TracesData``: their encodings are the same."""
    for group in TracesData.FromString(request).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                if span.trace_id == trace_id:
                    yield (
                        group.resource.SerializeToString(),
                        scope.scope.SerializeToString(),
                        span.SerializeToString(),
                    )


def compare_recordings(server: Address, sent: Iterator[tuple[str, bytes]], succeeded: int) -> int:
    """Reads the first recordings back and compares their events in order; returns how many chunks that were."""
    sessions: dict[str, dict[int, list[Any]]] = defaultdict(dict)
    for _, (path, body) in zip(range(succeeded), sent, strict=False):
        if path in sessions or len(sessions) < 3:
            document = orjson.loads(body)
            sessions[path][document["seq"]] = document["events"]
    for path, chunks in sessions.items():
        events = [event for seq in sorted(chunks) for event in chunks[seq]]
        if recorded(server, path.split("/")[-2]) != events:
            raise ReplayError(f"the recording behind {path} is not what was sent")
    return sum(map(len, sessions.values()))


def recorded(server: Address, session_id: str) -> list[Any]:
    """The events of a session's only stream, page by page."""
    events: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        parameters = {"cursor": cursor} if cursor else {}
        answer = requests.get(
            f"{server.url}/api/v1/sessions/{session_id}/recording", params=parameters, timeout=TIMEOUT_S
        )
        answer.raise_for_status()
        document = orjson.loads(answer.content)
        for stream in document["streams"]:
            events += stream["events"]
        cursor = document["next_cursor"]
    return events
