"""Trace search: what matches, in which order, page by page, whatever the order and number of versions."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_replay.model import MAX_UNIX_NANO, Signal, Source
from otel_replay.otlp.requests import accept
from otel_replay.receiver.prepare import Origin, prepare
from otel_replay.store import trace_search
from otel_replay.store.base import AttributeTest, Reader, SpanFilter, TracePage, TraceSummary
from otel_replay.store.matching import parse_attribute_test
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite import SqliteReader, SqliteStore, scan
from otel_replay.store.trace_search import RankedTrace, TraceRanking
from tests.genai.spans import key_values
from tests.store.conftest import Backend
from tests.store.groups import commit_as_group, on_the_writer
from tests.store.requests import CHAT, ERROR, START, span, traces, write

PROJECT = 1


def trace(number: int) -> str:
    return f"{number:032x}"


def found(reader: Reader, limit: int = 100, **wanted: Any) -> list[str]:
    """Ids of the traces with a match, in order."""
    texts = wanted.pop("attributes", ())
    wanted["attributes"] = tuple(map(parse_attribute_test, texts))
    return [one.trace_id for one in reader.search_traces(PROJECT, SpanFilter(**wanted), limit=limit).traces]


def matches(reader: Reader, *attributes: str, **wanted: Any) -> bool:
    return bool(found(reader, attributes=attributes, **wanted))


def pages(reader: Reader, wanted: SpanFilter, limit: int, project: int = PROJECT) -> list[TracePage]:
    """Page after page to the end."""
    answered = [reader.search_traces(project, wanted, limit=limit)]
    while answered[-1].next_position:
        answered.append(reader.search_traces(project, wanted, limit=limit, after=answered[-1].next_position))
    return answered


# What matches


@pytest.fixture
def filled(backend: Backend) -> Reader:
    """One span with a value of every kind, on itself, its resource, its scope and an event."""
    values = {"text": "/cart", "whole": 500, "half": 0.5, "yes": True, "digits": "500", "list": ["a", 7], "none": None}
    one = span(1, values, end=START + 250, name="GET /cart", status=ERROR)
    one.events.add(name="retry", attributes=key_values({"attempt": 3}))
    request = traces(one, resource={"service.name": "shop", "host.name": "h1", "both": "resource"})
    request.resource_spans[0].scope_spans[0].scope.attributes.extend(key_values({"scoped": "s"}))
    backend.commit(write(request))
    return backend.reader


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("text=/cart", True),
        ("text=/car", False),
        ("text=/cart/", False),
        ("whole=500", True),
        ("whole=500.0", True),
        ("whole=5e2", True),
        ("whole=501", False),
        ('whole="500"', False),
        ("half=0.5", True),
        ("half=1", False),
        ("yes=true", True),
        ("yes=false", False),
        ("yes=1", False),
        ("whole=true", False),
        ("digits=500", False),
        ('digits="500"', True),
        ("list=a", True),
        ("list=7", True),
        ("list=b", False),
        ("none=*", True),
        ("text=*", True),
        ("absent=*", False),
        ("ext=/cart", False),
        ("host.name=h1", True),
        ("resource.host.name=h1", True),
        ("span.host.name=h1", False),
        ("span.text=/cart", True),
        ("event.text=/cart", False),
        ("resource.text=/cart", False),
        ("scope.text=/cart", False),
        ("scoped=s", True),
        ("scope.scoped=s", True),
        ("resource.scoped=s", False),
        ("attempt=3", True),
        ("event.attempt=3", True),
        ("span.attempt=3", False),
        ("resource.service.name=shop", True),
    ],
)
@pytest.mark.feature("K8")
def test_attributes(filled: Reader, text: str, expected: bool) -> None:
    assert matches(filled, text) is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"service": "shop"}, True),
        ({"service": "sho"}, False),
        ({"operation": "GET /cart"}, True),
        ({"operation": "GET"}, False),
        ({"status": "error"}, True),
        ({"status": "unset"}, False),
        ({"min_duration_ns": 250}, True),
        ({"min_duration_ns": 251}, False),
        ({"max_duration_ns": 250}, True),
        ({"max_duration_ns": 249}, False),
        ({"since_unix_nano": START}, True),
        ({"since_unix_nano": START + 1}, False),
        ({"until_unix_nano": START + 1}, True),
        ({"until_unix_nano": START}, False),
        ({"service": "shop", "status": "error", "operation": "GET /cart", "min_duration_ns": 1}, True),
    ],
)
@pytest.mark.feature("K8")
def test_what_speaks_of_the_span(filled: Reader, wanted: dict[str, Any], expected: bool) -> None:
    assert matches(filled, **wanted) is expected


def test_all_has_to_hold_on_one_span(backend: Backend) -> None:
    backend.commit(write(traces(span(1, {"a": 1}, name="x"), span(2, {"b": 1}, name="y"))))
    assert matches(backend.reader, "a=1", "span.a=*")
    assert not matches(backend.reader, "a=1", "b=1")
    assert not matches(backend.reader, "a=1", operation="y")


def test_services_that_are_written_with_escapes(backend: Backend) -> None:
    names = ['a "quoted" \\ name', "größe", "nul\0inside", "", "100%"]
    for number, name in enumerate(names, 1):
        backend.commit(write(traces(span(trace=trace(number)), resource={"service.name": name} if name else {})))
    for number, name in enumerate(names, 1):
        assert found(backend.reader, service=name) == [trace(number)]
    assert backend.reader.services(PROJECT) == sorted(filter(None, names))


def test_the_last_of_equal_keys_counts(backend: Backend) -> None:
    one = span(1, {"n": 1})
    one.attributes.extend(key_values({"n": 2}))
    backend.commit(write(traces(one)))
    assert not matches(backend.reader, "n=1")
    assert matches(backend.reader, "n=2")


LONG = "x" * 5_000


def test_values_that_are_stored_apart_from_their_span(backend: Backend) -> None:
    """What was said is taken out of AI spans."""
    said = '[{"role": "user", "parts": [{"type": "text", "content": "Where is it?"}]}]'
    attributes = {**CHAT, "gen_ai.input.messages": said, "gen_ai.tool.call.arguments": "few", "note": LONG, "n": 9}
    request = traces(span(1, {**attributes, "stop": ["length", "stop"]}), span(2, {"n": 9}, trace=trace(5)))
    backend.commit(write(request))
    assert matches(backend.reader, f"note={LONG}")
    assert matches(backend.reader, f"gen_ai.input.messages={said}")
    assert not matches(backend.reader, f"gen_ai.input.messages={said} ")
    assert matches(backend.reader, "gen_ai.tool.call.arguments=few", "n=9", "stop=stop")
    assert not matches(backend.reader, "gen_ai.tool.call.arguments=few", "n=8")


def test_odd_encodings(backend: Backend) -> None:
    """Overlong lengths and numbers, and the value before its key: every protobuf library reads them."""
    number = b"\x0a\x86\x80\x00status\x12\x84\x00\x18\xf4\x83\x00"
    route = b"\x12\x87\x00\x0a\x05/cart\x0a\x05route"
    raw = span().SerializeToString() + b"".join(b"\x4a" + bytes((len(one),)) + one for one in (number, route))
    assert Span.FromString(raw) == span(1, {"status": 500, "route": "/cart"})
    group = b"\x12" + bytes((len(raw),)) + raw
    body = b"\x0a" + bytes((len(group) + 2, 0x12, len(group))) + group
    backend.commit(prepare(accept(Signal.TRACES, body), Origin(PROJECT, Source.SERVER, START), b"odd"))
    assert matches(backend.reader, "status=500", "route=/cart")
    assert not matches(backend.reader, "status=501")
    assert not matches(backend.reader, "route=/car")


# Order and pages


@pytest.mark.feature("K8")
def test_newest_first_by_the_latest_matching_span(backend: Backend) -> None:
    for number, starts in ((1, (0, 50)), (2, (30,)), (3, (40, 10)), (4, (30,))):
        spans = [span(place, {"n": place}, trace=trace(number), start=START + at) for place, at in enumerate(starts, 1)]
        backend.commit(write(traces(*spans)))
    assert found(backend.reader) == [trace(1), trace(3), trace(4), trace(2)]
    assert found(backend.reader, attributes=["n=1"]) == [trace(3), trace(4), trace(2), trace(1)]
    assert found(backend.reader, attributes=["n=2"]) == [trace(1), trace(3)]
    for limit in (1, 2, 3):
        listed = pages(backend.reader, SpanFilter(), limit)
        assert [one.trace_id for page in listed for one in page.traces] == found(backend.reader)
        assert all(len(page.traces) == limit for page in listed[:-1])


def test_a_candidate_keeps_the_latest_start_it_was_found_with() -> None:
    places = {b"\1": 50, b"\2": 40, b"\3": 55}

    def read(trace_id: bytes) -> RankedTrace:
        name = trace_id.hex()
        return RankedTrace((places[trace_id], name), TraceSummary(name, "", "", 0, 0, 1, 0, "", []))

    ranking = TraceRanking(1, None, read)
    ranking.add({b"\3": 55})
    assert not ranking.is_complete(60)
    ranking.add({b"\1": 50, b"\2": 48, b"\3": 30})
    assert ranking.is_complete(45)
    assert [one.trace_id for one in ranking.page().traces] == ["03"]


def test_a_page_that_is_just_full_has_no_next(backend: Backend) -> None:
    backend.commit(*(write(traces(span(trace=trace(number)))) for number in (1, 2)))
    assert backend.reader.search_traces(PROJECT, SpanFilter(), limit=2).next_position is None
    assert backend.reader.search_traces(PROJECT, SpanFilter(), limit=1).next_position == (START, trace(2))


def test_a_superseded_version_does_not_match(backend: Backend) -> None:
    """The newer version of a span, in another block, has another status and place in the order."""
    running = span(1, {"state": "running"}, trace=trace(1), start=START + 90, end=START + 90)
    done = span(1, {"state": "done"}, trace=trace(1), start=START + 5, end=START + 200, status=ERROR)
    other = span(1, {"state": "running"}, trace=trace(2), start=START + 50)
    backend.commit(write(traces(running)), write(traces(done)), write(traces(other)))
    assert found(backend.reader, attributes=["state=running"]) == [trace(2)]
    assert found(backend.reader) == [trace(2), trace(1)]
    assert [one.trace_id for page in pages(backend.reader, SpanFilter(), 1) for one in page.traces] == [
        trace(2),
        trace(1),
    ]


def test_projects_are_apart(backend: Backend) -> None:
    backend.commit(write(traces(span(trace=trace(1))), project=2))
    assert found(backend.reader) == []
    assert backend.reader.services(PROJECT) == []
    assert backend.reader.services(2) == ["api"]


def test_the_summary(backend: Backend) -> None:
    root = span(1, {"session.id": "s2"}, start=START + 5, end=START + 40, name="GET /", status=ERROR)
    child = span(2, {"session.id": "s1", "n": 1}, parent_span_id=root.span_id, start=START + 2, end=START + 90)
    late = span(3, {"n": 1}, parent_span_id=root.span_id, start=START + 1, end=START + 3)
    backend.commit(write(traces(root)), write(traces(child, late, resource={"service.name": "db"})))
    [summary] = backend.reader.search_traces(
        PROJECT, SpanFilter(attributes=(AttributeTest("", "n", 1),)), limit=5
    ).traces
    assert summary == TraceSummary(
        trace_id=root.trace_id.hex(),
        root_service="api",
        root_name="GET /",
        start_unix_nano=START + 1,
        duration_ns=89,
        spans=3,
        errors=1,
        session_id="s1",
        matched_span_ids=[f"{3:016x}", f"{2:016x}"],
    )


def test_without_a_root_the_earliest_span_stands_for_it(backend: Backend) -> None:
    parts = [span(n, parent_span_id=b"12345678", name=f"n{n}", start=START + at) for n, at in ((1, 9), (2, 3), (3, 5))]
    backend.commit(write(traces(*parts)))
    [summary] = backend.reader.search_traces(PROJECT, SpanFilter(), limit=5).traces
    assert (summary.root_name, summary.start_unix_nano) == ("n2", START + 3)


def test_times_beyond_signed_64_bits(backend: Backend) -> None:
    backend.commit(write(traces(span(start=2**64 - 2, end=2**64 - 1))))
    page = backend.reader.search_traces(PROJECT, SpanFilter(), limit=1)
    assert page.traces[0].start_unix_nano == MAX_UNIX_NANO
    assert page.traces[0].duration_ns == 0


# Against the memory store

VALUES = [1, 2, 1.0, 0.5, -1, 2**63 - 1, True, "1", "a", "ab", LONG, ["a", 1], None]
KEYS = ["n", "nn", "host", "gen_ai.tool.call.arguments"]
NAMES = ["GET", "GET /"]
ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
TIMES = st.integers(START, START + 6)


@st.composite
def requests(draw: st.DrawFn) -> Any:
    """Few identities, so that many spans are versions of one another, over blocks that overlap in time."""
    resource = {"service.name": draw(st.sampled_from(["api", "web"])), **draw(ATTRIBUTES)}
    spans = []
    for number in range(draw(st.integers(1, 4))):
        attributes = draw(ATTRIBUTES) | (CHAT if draw(st.booleans()) else {})
        one = span(
            draw(st.integers(1, 3)),
            # Equal bytes under different resources would be equal versions, of which any may win.
            attributes | {"place": f"{resource} {number}"},
            trace=trace(draw(st.integers(1, 4))),
            start=draw(TIMES),
            end=draw(TIMES),
            name=draw(st.sampled_from(NAMES)),
            status=draw(st.sampled_from([None, ERROR])),
        )
        one.events.add(attributes=key_values(draw(ATTRIBUTES)))
        spans.append(one)
    return traces(*spans, resource=resource)


TESTS = st.builds(
    AttributeTest,
    st.sampled_from(["", "span", "resource", "scope", "event"]),
    st.sampled_from(KEYS),
    st.sampled_from([value for value in VALUES if not isinstance(value, list)]),
)
FILTERS = st.builds(
    SpanFilter,
    service=st.sampled_from([None, "api", "web"]),
    operation=st.sampled_from([None, None, *NAMES]),
    attributes=st.lists(TESTS, max_size=2).map(tuple),
    status=st.sampled_from([None, None, "error", "unset"]),
    min_duration_ns=st.sampled_from([None, None, 1]),
    max_duration_ns=st.sampled_from([None, None, 2]),
    since_unix_nano=st.none() | TIMES,
    until_unix_nano=st.none() | TIMES,
)


@pytest.mark.slow
@settings(max_examples=2 * settings().max_examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    told=st.lists(requests(), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
    wanted=st.lists(FILTERS, min_size=1, max_size=6),
    pending=st.sampled_from([1, 1_000]),
)
def test_sqlite_answers_as_memory_does(
    told: Sequence[Any], order: Any, wanted: Sequence[SpanFilter], pending: int
) -> None:
    writes = [write(one, received=START) for one in [*told, *told[:2]]]
    order.shuffle(writes)
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "PIECE_BLOCKS", 2)
        patch.setattr(trace_search, "PENDING_TRACES", pending)
        memory, store = MemoryStore(), SqliteStore(Path(directory) / "replay.db")
        other = SqliteReader(Path(directory) / "replay.db")
        try:
            for at in range(0, len(writes), 2):
                for one in writes[at : at + 2]:
                    memory.commit(one)
                commit_as_group(store, writes[at : at + 2])
            for asked in [SpanFilter(), *wanted]:
                assert pages(store, asked, 2) == pages(other, asked, 2) == pages(memory, asked, 2), asked
        finally:
            other.close()
            store.close()


def test_a_damaged_block_hides_no_other(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "replay.db")
    for number in range(1, 4):
        store.commit(write(traces(span(trace=trace(number), start=START + number))))
    on_the_writer(store, "UPDATE blocks SET data = zeroblob(40) WHERE last_start_unix_nano = ?", START + 2)
    assert found(store) == [trace(3), trace(1)]
    store.close()


def test_what_compaction_moves_in_the_middle_of_a_scan_is_found(tmp_path: Path) -> None:
    """Spans of a block not scanned yet go to a new one whose latest start has been passed."""
    store = SqliteStore(tmp_path / "replay.db")
    for number in range(1, 4):
        store.commit(write(traces(span(trace=trace(number), start=START + number))))
    order = scan._NewestFirst(PROJECT, SpanFilter(), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "PIECE_BLOCKS", 1)
        with store._connections.snapshot() as connection:
            [first] = order.next_piece(connection)
        move = "UPDATE blocks SET id = 100, level = 1, last_start_unix_nano = ? WHERE last_start_unix_nano = ?"
        on_the_writer(store, move, START + 50, START + 1)
        with store._connections.snapshot() as connection:
            moved, second = order.next_piece(connection)
    assert (first.floor, moved, second.floor) == (START + 3, (START + 3, 100), START + 2)
    store.close()
