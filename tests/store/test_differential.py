"""Any workload: SQLite answers every question as the memory store does, which keeps everything and searches it all."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_replay.model import Source
from otel_replay.otlp import thin
from otel_replay.store.base import ChunkReceipt, Reader, Receipt, SessionFilter, SessionPage, Write
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite import SqliteReader, SqliteStore, ingest
from tests.store.groups import commit_as_group
from tests.store.requests import (
    CHAT,
    CLICK,
    ERROR,
    START,
    click_event,
    log,
    logs,
    metrics,
    payload,
    span,
    traces,
    upload,
    write,
)

X_RAY = [f"6925d0f30af7651916cd43dd{number:08x}" for number in (1, 2)]
"""These start with the time: the first 8 bytes are equal."""
SHORT = [f"{number:032x}" for number in (1, 2)]
"""64-bit ids start with zeros."""
TRACES = [*X_RAY, *SHORT]
SESSIONS = ["s1", "s2", "7", "ü"]
CONVERSATIONS = ["c1", "c2"]
PROJECTS = [1, 2]
STREAMS = ["a", "b"]
FILTERS = [
    SessionFilter(),
    SessionFilter(user="ada"),
    SessionFilter(feature="None", label="x"),
    SessionFilter(since_unix_nano=START + 1, until_unix_nano=START + 3),
]

NAMING: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, *({"session.id": one} for one in SESSIONS), {"session.id": 7}, {"langfuse.session.id": "s1"}, {"note": "s1"}]
)
KINDS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        CLICK,
        CHAT,
        CHAT | {"gen_ai.conversation.id": "c1", "gen_ai.usage.input_tokens": 5},
        CHAT | {"gen_ai.conversation.id": "c2", "user.id": "ada", "label": "x"},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.response.model": "m2", "gen_ai.usage.input_tokens": 7},
    ]
)
TIMES = st.integers(START, START + 4)
RESOURCES = st.sampled_from([{"service.name": "api"}, {"service.name": "web", "rum.sessionId": "s2"}, {}])


@st.composite
def span_requests(draw: st.DrawFn) -> Any:
    """Spans of few identities, so that many are versions of one another."""
    resource = draw(RESOURCES)
    spans = [
        span(
            draw(st.integers(1, 3)),
            draw(KINDS) | draw(NAMING),
            trace=draw(st.sampled_from(TRACES)),
            start=draw(TIMES),
            end=draw(TIMES),
            # Equal bytes under different resources would be equal versions, of which any may win.
            name=str(resource.get("service.name")),
            status=draw(st.sampled_from([None, ERROR])),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    return traces(*spans, resource=resource)


LOGS = st.builds(
    log, NAMING, trace=st.sampled_from(["", *TRACES]), time=TIMES, event_name=st.sampled_from(["", "session.end"])
)
REQUESTS = st.one_of(
    span_requests(),
    st.builds(
        lambda records, resource: logs(*records, resource=resource), st.lists(LOGS, min_size=1, max_size=3), RESOURCES
    ),
    st.builds(metrics, st.integers(0, 2), resource=RESOURCES),
)
UPLOADS = st.builds(
    upload,
    st.none() | st.integers(0, 3),
    st.builds(payload, st.builds(click_event, st.integers(0, 2))),
    session=st.sampled_from(SESSIONS[:2]),
    stream=st.sampled_from(STREAMS),
    project=st.sampled_from(PROJECTS),
)
WRITES = UPLOADS | st.builds(
    write,
    REQUESTS,
    project=st.sampled_from(PROJECTS),
    source=st.sampled_from(Source),
    received=st.integers(START, START + 9),
)


class Group(NamedTuple):
    """Writes that wait for the writer at the same time, and what happens after them."""

    writes: list[Write]
    distill: bool
    ask: bool


@st.composite
def workloads(draw: st.DrawFn) -> list[Group]:
    """Writes, some of them twice, shuffled, in groups."""
    writes = draw(st.lists(WRITES, min_size=3, max_size=16))
    writes += draw(st.lists(st.sampled_from(writes), max_size=4))
    waiting = draw(st.permutations(writes))
    groups = []
    while waiting:
        size = draw(st.integers(1, 4))
        groups.append(Group(waiting[:size], draw(st.booleans()), draw(st.booleans())))
        waiting = waiting[size:]
    return groups


@pytest.mark.slow
@settings(
    max_examples=3 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(workload=workloads())
def test_sqlite_answers_as_memory_does(workload: list[Group]) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "TAIL_BLOCKS", 4)
        path = Path(directory) / "replay.db"
        memory, store = MemoryStore(), SqliteStore(path)
        other = SqliteReader(path)
        try:
            for group in workload:
                expected = [memory.commit(write) for write in group.writes]
                assert _plain(commit_as_group(store, group.writes)) == _plain(expected)
                if group.distill:
                    memory.distill()
                    store.distill()
                if group.ask:
                    assert answers(other) == answers(memory)
            assert answers(store) == answers(other) == answers(memory)
        finally:
            other.close()
            store.close()


def _plain(receipts: Sequence[Receipt]) -> list[tuple[bool, list[ChunkReceipt]]]:
    return [(receipt.duplicate, list(receipt.chunks)) for receipt in receipts]


def answers(reader: Reader) -> dict[str, Any]:
    """What a reader says to every question about the ids of the workloads; lists that have no order sorted."""
    counts = reader.counts()
    del counts["blocks"]
    said: dict[str, Any] = {"counts": counts}
    for project in PROJECTS:
        for trace in TRACES:
            said[f"{project} trace {trace}"] = _of_trace(reader, project, trace)
        for session in SESSIONS:
            said[f"{project} session {session}"] = _of_session(reader, project, session)
        said[f"{project} conversations"] = [reader.traces_of_conversation(project, one) for one in CONVERSATIONS]
        said[f"{project} metrics"] = _metrics(reader.metrics(project))
        for wanted in FILTERS:
            said[f"{project} {wanted}"] = _pages(reader, project, wanted)
    return said


def _of_trace(reader: Reader, project: int, trace: str) -> Any:
    spans = sorted((piece.resource, piece.scope, piece.raw) for piece in thin.slices(reader.trace(project, trace)))
    assert _parts(reader.spans_of_trace(project, trace)) == spans
    return (
        spans,
        sorted(one.digest for one in reader.logs_of_trace(project, trace)),
        reader.sessions_of_trace(project, trace),
    )


def _of_session(reader: Reader, project: int, session: str) -> Any:
    streams = {
        stream: (
            list(reader.chunks(project, session, stream)),
            reader.chunk_infos(project, session, stream),
            reader.dom_events(project, session, stream),
        )
        for stream in reader.streams(project, session)
    }
    return (
        reader.session(project, session),
        _parts(reader.spans_of_session(project, session)),
        sorted(one.digest for one in reader.logs_of_session(project, session)),
        reader.traces_of_session(project, session),
        streams,
        reader.undistilled(project, session),
    )


def _parts(spans: Sequence[Any]) -> list[tuple[bytes, ...]]:
    return sorted(tuple(part.SerializeToString() for part in (one.resource, one.scope, one.span)) for one in spans)


def _metrics(bodies: Any) -> list[bytes]:
    found = [ExportMetricsServiceRequest.FromString(body) for body in bodies]
    return sorted(group.SerializeToString() for request in found for group in request.resource_metrics)


def _pages(reader: Reader, project: int, wanted: SessionFilter) -> list[Any]:
    pages: list[SessionPage] = []
    after = None
    while not pages or after:
        page = reader.sessions(project, wanted, limit=2, after=after)
        pages.append(page)
        after = page.next_position
    return pages
