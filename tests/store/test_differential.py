"""Any workload: SQLite answers every question as the memory store does, which keeps everything and searches it all."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_replay.model import Source
from otel_replay.otlp import thin
from otel_replay.store import compacting
from otel_replay.store.base import (
    STATISTICS_GROUPS,
    AttributeTest,
    ChunkReceipt,
    InteractionFilter,
    Reader,
    Receipt,
    SessionFilter,
    SpanFilter,
    Statistics,
    Write,
)
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite import SqliteReader, SqliteStore, compaction, ingest
from tests.genai.spans import any_value
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
    SessionFilter(service="api", model="m1"),
    SessionFilter(state="ended"),
    SessionFilter(has_error=True),
    SessionFilter(has_error=False, model="m2"),
    SessionFilter(text="refund"),
    SessionFilter(tag="work"),
    SessionFilter(tag="urgent", has_error=True),
]
SPAN_FILTERS = [
    SpanFilter(),
    SpanFilter(service="web", operation="weba"),
    SpanFilter(status="error", min_duration_ns=1),
    SpanFilter(status="unset", max_duration_ns=1),
    SpanFilter(since_unix_nano=START + 1, until_unix_nano=START + 3),
    SpanFilter(attributes=(AttributeTest("", "session.id", "s1"),)),
    SpanFilter(attributes=(AttributeTest("resource", "rum.sessionId", "s2"), AttributeTest("span", "session.id", 7))),
    SpanFilter(attributes=(AttributeTest("", "gen_ai.output.messages", None),)),
    SpanFilter(attributes=(AttributeTest("event", "note", "s1"),)),
]
CONSOLE_ERROR = {
    "type": 6,
    "timestamp": START // 10**6,
    "data": {"plugin": "rrweb/console@1", "payload": {"level": "error", "payload": ['"failed"']}},
}
WORDS = ["refund", "Order late", '"late refund"', "ref*", "absent"]
INTERACTION_FILTERS = [
    InteractionFilter(),
    InteractionFilter(model="m1", since_unix_nano=START + 1),
    InteractionFilter(session_id="s1"),
    InteractionFilter(conversation_id="c1"),
    InteractionFilter(provider="openai", variant="b"),
]
OF_SESSIONS = [
    InteractionFilter(session_id="s1"),
    InteractionFilter(user="ada"),
    InteractionFilter(label="x", since_unix_nano=START + 1, until_unix_nano=START + 4),
]


def said(*texts: str) -> str:
    """Messages as a JSON string, the way the conventions have them."""
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]} for text in texts])


SAID = {"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2}
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
        CHAT | {"gen_ai.input.messages": said("Where is my order?")},
        CHAT
        | {"gen_ai.input.messages": said("Where is my order?", "It is late.", "Then: a refund"), "feature": "help"},
        CHAT | {"gen_ai.conversation.id": "c1", "gen_ai.output.messages": said("A late refund, with thanks")},
        {"gen_ai.operation.name": "execute_tool", "gen_ai.response.model": "m2", "gen_ai.usage.input_tokens": 7},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 9, "gen_ai.usage.cost": 0.5},
        CHAT | SAID | {"gen_ai.response.id": "r1", "gen_ai.provider.name": "openai"},
        CHAT | SAID | {"gen_ai.response.id": "r1", "variant": "b", "gen_ai.conversation.id": "c2"},
        {**CHAT, **SAID, "gen_ai.request.model": "gpt-4o-mini", "gen_ai.provider.name": "openai"},
    ]
)
TIMES = st.integers(START, START + 4)
PARENTS = st.sampled_from([b"", *(number.to_bytes(8, "big") for number in (1, 2, 3, 99))])
RESOURCES = st.sampled_from([{"service.name": "api"}, {"service.name": "web", "rum.sessionId": "s2"}, {}])


@st.composite
def span_requests(draw: st.DrawFn) -> Any:
    """Spans of few identities, so that many are versions of one another."""
    resource, scope = draw(RESOURCES), draw(st.sampled_from("ab"))
    spans = [
        span(
            draw(st.integers(1, 3)),
            draw(KINDS) | draw(NAMING),
            trace=draw(st.sampled_from(TRACES)),
            start=draw(TIMES),
            end=draw(TIMES),
            # Equal bytes under different resources or scopes would be equal versions, of which any may win.
            name=f"{resource.get('service.name')}{scope}",
            parent_span_id=draw(PARENTS),
            status=draw(st.sampled_from([None, ERROR])),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    return traces(*spans, resource=resource, scope=scope)


TELLING: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"event_name": "session.end"},
        {"event_name": "session.update", "severity_number": 17},
        {"severity_number": 17},
        {"event_name": "gen_ai.user.message", "body": any_value({"content": "Where is my order?"})},
        {"event_name": "gen_ai.choice", "body": any_value({"message": {"content": "A late refund"}, "index": 0})},
        {"event_name": "gen_ai.client.inference.operation.details", "body": any_value("no map")},
    ]
)
"""Fields of a log record."""
SAYING: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"exception.type": "ValueError"},
        {"otel_replay.session.tags": '["work", "urgent"]'},
        {"otel_replay.session.tags": '["urgent", "urgent", 7]'},
        {"gen_ai.input.messages": said("Where is my order?", "A refund", "Then: a refund")},
        {"gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "late refund"}]}]},
    ]
)
LOGS = st.builds(
    lambda naming, saying, fields, **told: log(naming | saying, **fields, **told),
    NAMING,
    SAYING,
    TELLING,
    trace=st.sampled_from(["", *TRACES]),
    time=TIMES,
    span_id=st.sampled_from([b"", *(number.to_bytes(8, "big") for number in (1, 2, 3))]),
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
    st.builds(payload, st.builds(click_event, st.integers(0, 2)) | st.just(CONSOLE_ERROR)),
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
    compact: bool
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
        groups.append(Group(waiting[:size], draw(st.booleans()), draw(st.integers(0, 3)) == 0, draw(st.booleans())))
        waiting = waiting[size:]
    return groups


@pytest.mark.slow
@settings(
    max_examples=min(3 * settings().max_examples, 2_000),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(workload=workloads())
def test_sqlite_answers_as_memory_does(workload: list[Group]) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "TAIL_BLOCKS", 4)
        patch.setattr(compaction, "FEW_BLOCKS", 2)
        patch.setattr(compacting, "SPLIT_BYTES", 1_000)
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
                if group.compact:
                    store.compact_now()
                if group.ask:
                    _let_follow(store)
                    assert answers(other) == answers(memory)
            _let_follow(store)
            assert answers(store) == answers(other) == answers(memory)
        finally:
            other.close()
            store.close()


def _let_follow(store: SqliteStore) -> None:
    """Until texts are searchable and statistics counted; recordings are distilled when the workload says so."""
    deadline = time.monotonic() + 20
    while any(store.lag()[:2]):
        assert time.monotonic() < deadline, store.lag()
        time.sleep(0.001)


def _plain(receipts: Sequence[Receipt]) -> list[tuple[bool, list[ChunkReceipt]]]:
    return [(receipt.duplicate, list(receipt.chunks)) for receipt in receipts]


def answers(reader: Reader) -> dict[str, Any]:
    """What a reader says to every question about the ids of the workloads; lists that have no order sorted."""
    counts = reader.counts()
    del counts["blocks"]
    answered: dict[str, Any] = {"counts": counts}
    for project in PROJECTS:
        for trace in TRACES:
            answered[f"{project} trace {trace}"] = _of_trace(reader, project, trace)
        for session in SESSIONS:
            answered[f"{project} session {session}"] = _of_session(reader, project, session)
        answered[f"{project} conversations"] = [reader.traces_of_conversation(project, one) for one in CONVERSATIONS]
        answered[f"{project} metrics"] = _metrics(reader.metrics(project))
        answered[f"{project} costs"] = reader.costs_of_traces(project, TRACES)
        answered |= _lists(reader, project)
    return answered


def _lists(reader: Reader, project: int) -> dict[str, Any]:
    """Everything that comes in pages or groups."""
    answered: dict[str, Any] = {"services": reader.services(project)}
    answered["operations"] = [reader.operations(project, service) for service in ("api", "web", "")]
    for sessions in FILTERS:
        answered[f"{sessions}"] = _pages(partial(reader.sessions, project, sessions, limit=2))
    for spans in SPAN_FILTERS:
        answered[f"{spans}"] = _pages(partial(reader.search_traces, project, spans, limit=2))
    for calls in INTERACTION_FILTERS:
        for words in WORDS:
            found = _pages(partial(reader.search, project, words, calls, limit=2))
            answered[f"{words} {calls}"] = [page.hits for page in found]  # each has positions of its own
    for by in STATISTICS_GROUPS:
        answered[by] = _statistics(reader, project, by, InteractionFilter())
    for by, filters in (("conversation", INTERACTION_FILTERS), ("session", OF_SESSIONS)):
        for calls in filters:
            answered[f"by {by} of {calls}"] = _statistics(reader, project, by, calls)
    return {f"{project} {question}": answer for question, answer in answered.items()}


def _pages(ask: Callable[..., Any]) -> list[Any]:
    pages: list[Any] = []
    after = None
    while not pages or after:
        pages.append(ask(after=after))
        after = pages[-1].next_position
    return pages


def _statistics(reader: Reader, project: int, by: str, wanted: InteractionFilter) -> Any:
    table = reader.statistics(project, by, wanted, limit=100)
    return [_about(one) for one in (*table.groups, table.total)], table.since_unix_nano, table.until_unix_nano


@dataclass(eq=False)
class Within:
    """A percentile, equal to one that is within 1 % of it."""

    value: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Within) and abs(self.value - other.value) <= 0.01 * max(self.value, other.value) + 1


def _about(row: Statistics) -> Any:
    times = [all_four and tuple(map(Within, all_four)) for all_four in row[6:8]]
    return (*row[:6], *times, row.duration_ns)


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
        reader.session_summary(project, session),
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
