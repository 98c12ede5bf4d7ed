"""A heavy recording, 100,000 events in ten minutes: what it takes in the file, and the 20 seconds around a trace of it.

A player needs a full snapshot to start from, so how much is read depends on how often a page is recorded anew: by this
project's recorder when the changes since the last time are many and outweigh it, and by others every five minutes or
with every page that is loaded. Measured with both.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

import otel_replay

from .ingest import POLL_S
from .load import machine
from .load.client import Address
from .load.metrics import waiting
from .load.pages import CHUNK_MS, START_MS, Events, Json, Visit
from .load.spans import attributes
from .promises import BY_RECORDER, EVERY_5_MINUTES
from .queries import Timings, get
from .rows import Row
from .setup import Setup, say

EVENTS, SECONDS = 100_000, 600
CHUNKS = SECONDS * 1000 // CHUNK_MS
AROUND_MS = 10_000
TRACES = 40
MS = 1_000_000


@dataclass
class Checkouts:
    """The rule of ``checkouts.ts``: many changes since the last full snapshot, and more text than it."""

    min_changes: int
    weight: float
    snapshot: int = 0
    changed: int = 0
    changes: int = 0

    @classmethod
    def of_recorder(cls) -> Checkouts:
        source = (machine.ROOT / "otel_replay" / "browser" / "src" / "checkouts.ts").read_text("utf-8")
        found = dict(re.findall(r"^const (\w+) = ([\d.]+);$", source, re.MULTILINE))
        return cls(int(found["MIN_CHANGES"]), float(found["WEIGHT"]))

    def take(self, events: list[Json]) -> None:
        for event in events:
            length = len(json.dumps(event, separators=(",", ":")))
            if event["type"] == 4:
                self.snapshot = self.changed = self.changes = 0
            if event["type"] == 3:
                self.changed, self.changes = self.changed + length, self.changes + 1
            else:
                self.snapshot += length

    @property
    def is_due(self) -> bool:
        return self.changes >= self.min_changes and self.changed > self.weight * self.snapshot


Rule = Callable[["Heavy"], bool]
"""Whether a full snapshot is due."""


def every_5_minutes(visit: Heavy) -> bool:
    return visit.passed_ms - visit.snapshot_ms >= 300_000


def by_recorder(visit: Heavy) -> bool:
    return visit.checkouts.is_due


RULES: dict[str, Rule] = {EVERY_5_MINUTES: every_5_minutes, BY_RECORDER: by_recorder}


@dataclass
class Heavy(Visit):
    """Evenly many events a second, and a full snapshot of a page as large as the first every so often."""

    step_ms: float = SECONDS * 1000 / EVENTS
    passed_ms: float = 0.0
    snapshot_ms: float = 0.0
    checkouts: Checkouts = field(default_factory=Checkouts.of_recorder)

    def event(self, kind: int, data: Json) -> Json:
        self.passed_ms += self.step_ms
        return {"type": kind, "data": data, "timestamp": START_MS + int(self.passed_ms)}

    def chunks(self, is_due: Rule) -> Iterator[Events]:
        """One for every five seconds; another begins with each full snapshot, which is alone where it repeats."""
        act = (self.move, self.move, self.answer, self.answer, self.cards, self.typing)
        events = self.snapshot()
        for number in range(CHUNKS):
            while self.passed_ms < (number + 1) * CHUNK_MS:
                happened = list(self.rng.choice(act)())
                self.checkouts.take(happened)
                events += happened
                if is_due(self):
                    yield Events.of(events)
                    events = self.snapshot(repeats=is_due is by_recorder)
                    if is_due is by_recorder:
                        yield Events.of(events)
                        events = []
            if events:
                yield Events.of(events)
            events = []

    def snapshot(self, *, repeats: bool = False) -> list[Json]:
        self.snapshot_ms = self.passed_ms
        self.containers.clear()
        self.added.clear()
        meta = self.event(4, {"href": "https://shop.example.com/assistant", "width": 1280, "height": 800})
        whole = self.event(2, {"node": self.document(), "initialOffset": {"left": 0, "top": 0}})
        events = [meta, {"repeats": True} | whole if repeats else whole]
        self.checkouts.take(events)
        return events


@dataclass
class Recorded:
    """A heavy recording in a receiver, and the traces that began while it was made."""

    session: str
    begins_ms: int
    traces: dict[str, int] = field(default_factory=dict)
    """Trace id to when it began, in milliseconds from the beginning."""

    @property
    def path(self) -> str:
        return f"/api/v1/sessions/{self.session}"


def record(url: str, rule: Rule) -> Recorded:
    """Sends a recording, and one span for each trace."""
    recorded = Recorded(secrets.token_hex(16), time.time_ns() // MS - SECONDS * 1000)
    with requests.Session() as session:
        for seq, chunk in enumerate(Heavy(random.Random(7)).chunks(rule)):
            headers = {"content-type": "application/json", "x-otel-replay-stream": "tab", "x-otel-replay-seq": str(seq)}
            body = chunk.at(recorded.begins_ms)
            session.post(f"{url}{recorded.path}/events", data=body, headers=headers, timeout=60).raise_for_status()
        for number in range(TRACES):
            offset = AROUND_MS + number * (SECONDS * 1000 - 2 * AROUND_MS) // TRACES
            trace_id = secrets.token_hex(16)
            recorded.traces[trace_id] = offset
            body = _trace(recorded, trace_id, offset).SerializeToString()
            headers = {"content-type": "application/x-protobuf"}
            session.post(f"{url}/v1/traces", data=body, headers=headers, timeout=60).raise_for_status()
    return recorded


def _trace(recorded: Recorded, trace_id: str, offset_ms: int) -> ExportTraceServiceRequest:
    start = (recorded.begins_ms + offset_ms) * MS
    span = Span(
        trace_id=bytes.fromhex(trace_id),
        span_id=secrets.token_bytes(8),
        name="POST /api/chat",
        start_time_unix_nano=start,
        end_time_unix_nano=start + 500 * MS,
        attributes=attributes({"session.id": recorded.session}),
    )
    group = ResourceSpans(resource=Resource(attributes=attributes({"service.name": "chat"})))
    group.scope_spans.append(ScopeSpans(spans=[span]))
    return ExportTraceServiceRequest(resource_spans=[group])


def around(server: Address, session: requests.Session, trace_id: str) -> bytes:
    """The 20 seconds around a trace of which only the id is known: its spans, then the recording of their session."""
    [group] = get(server, f"/api/v1/traces/{trace_id}", session)["resourceSpans"]
    [span] = group["scopeSpans"][0]["spans"]
    [owner] = [one["value"]["stringValue"] for one in span["attributes"] if one["key"] == "session.id"]
    start = int(span["startTimeUnixNano"])
    window = {"from": start - AROUND_MS * MS, "to": start + AROUND_MS * MS}
    answer = session.get(f"{server.url}/api/v1/sessions/{owner}/recording", params=window, timeout=60)
    answer.raise_for_status()
    return answer.content


def stored(database: Path, session: str) -> dict[int, int]:
    """Bytes of each chunk of a recording in the file, by its number."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        query = "SELECT seq, length(payload) FROM chunks WHERE session_id = ?"
        return dict(connection.execute(query, (session,)).fetchall())


def repeating(database: Path, session: str) -> set[int]:
    """Numbers of the chunks that are not sent to who starts before them."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        query = "SELECT seq FROM chunks WHERE session_id = ? AND has_full_snapshot = 2"
        return {seq for (seq,) in connection.execute(query, (session,))}


class Reading(NamedTuple):
    """Bytes: of the chunks that came as an answer, how many these are, and what was read of the file for them."""

    answered: int
    chunks: int
    read: int


def readings(database: Path, recorded: Recorded) -> list[Reading]:
    """What the 20 seconds around each trace take, each time of a file that was just opened. Linux only."""
    sizes, left_out = stored(database, recorded.session), repeating(database, recorded.session)
    found = []
    for offset in recorded.traces.values():
        moment = recorded.begins_ms + offset
        start, end = (moment - AROUND_MS) * MS, (moment + AROUND_MS) * MS
        replay = otel_replay.open(database)
        replay.sessions(limit=1)  # what is read of any file at first
        before = _bytes_read()
        [stream] = replay.recordings.download(recorded.session, from_unix_nano=start, to_unix_nano=end)
        read = _bytes_read() - before
        replay.close()
        later = range(stream.from_seq + 1, stream.to_seq + 1)
        answered = [sizes[stream.from_seq], *(sizes[seq] for seq in later if seq not in left_out)]
        found.append(Reading(sum(answered), len(answered), read))
    return found


def _bytes_read() -> int:
    """By this process so far, cached by the system or not."""
    return int(Path("/proc/self/io").read_text().splitlines()[0].removeprefix("rchar: "))


def recording(setup: Setup) -> Iterator[Row]:
    """Size and seeking, for each rule of full snapshots."""
    for subject, rule in RULES.items():
        with setup.replay() as (server, scratch):
            recorded = record(server.http.url, rule)
            while waiting(server.http, "chunks"):
                time.sleep(POLL_S)
            timings = Timings()
            with requests.Session() as session:
                for trace_id in recorded.traces:
                    timings.timed("around", partial(around, server.http, session, trace_id))
            size = sum(stored(scratch / "replay.db", recorded.session).values())
            found = readings(scratch / "replay.db", recorded)
        values = {
            "stored MB": size / 1e6,
            "stored B an event": size / EVENTS,
            **timings.percentiles_ms("around"),
            **_percentages("read", [reading.answered for reading in found], size),
            **_percentages("of the file", [reading.read for reading in found], size),
            "of the file p50 KB": statistics.median(reading.read for reading in found) / 1e3,
        }
        say(f"recording: {values}")
        yield Row("recording", subject, "100,000 events", values)


def _percentages(what: str, sizes: list[int], whole: int) -> dict[str, float]:
    figures = {"p50": statistics.median(sizes), "least": min(sizes), "most": max(sizes)}
    return {f"{what} {name} %": 100 * size / whole for name, size in figures.items()}
