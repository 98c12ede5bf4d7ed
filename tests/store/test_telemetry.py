"""Spans, log records and metrics: every backend gives back what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

import otel_replay
from otel_replay.model import Source, StoredSpan
from otel_replay.query.local import LocalReplay
from otel_replay.store.base import SessionFilter
from otel_replay.store.sqlite import SqliteStore
from tests.store.conftest import Backend
from tests.store.requests import CHAT, ERROR, OTHER_TRACE, START, TRACE, log, logs, metrics, span, traces, write

NOTHING_ASKED = SessionFilter()
UNKNOWN = b"\xfa\xff\x01\x06future"
"""Field 4095, length-delimited: from a version of OTLP that does not exist yet."""


def numbers(spans: Sequence[StoredSpan]) -> list[int]:
    return sorted(int(one.span_id, 16) for one in spans)


def with_unknown(message: Message) -> bytes:
    return message.SerializeToString() + UNKNOWN


def from_the_future() -> ExportTraceServiceRequest:
    """Two spans of one trace, with a field that nobody knows in every message around and inside them."""
    request = ExportTraceServiceRequest()
    for number in (1, 2):
        sent = traces(Span.FromString(with_unknown(span(number, CHAT))), resource={"host.name": f"h{number}"})
        group = sent.resource_spans[0]
        group.resource.MergeFromString(UNKNOWN)
        scope_group = group.scope_spans[0]
        scope_group.scope.MergeFromString(UNKNOWN)
        scope_group.MergeFrom(ScopeSpans.FromString(UNKNOWN))
        scope_group.schema_url = "https://opentelemetry.io/schemas/1.37.0"
        group.MergeFrom(ResourceSpans.FromString(UNKNOWN))
        group.schema_url = "https://opentelemetry.io/schemas/1.38.0"
        request.resource_spans.append(group)
    return request


def test_a_trace_comes_back_as_the_bytes_received(backend: Backend) -> None:
    sent = from_the_future()
    backend.commit(write(traces(span(9, trace=OTHER_TRACE))), write(sent))
    assert sent.SerializeToString().count(UNKNOWN) == 10
    assert backend.reader.trace(1, TRACE) == sent.SerializeToString()


@pytest.mark.feature("X1")
def test_a_file_opened_by_python_gives_the_bytes_received(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    sent = from_the_future()
    store = SqliteStore(path)
    store.commit(write(sent))
    replay = otel_replay.open(path)
    assert isinstance(replay, LocalReplay)
    assert replay.trace(TRACE) == sent.SerializeToString()
    entry = replay.timeline(TRACE).to_dict()["entries"][0]
    assert (entry["start_unix_nano"], entry["end_unix_nano"]) == (str(START), str(START + 10))
    replay.close()
    store.close()


def test_only_the_spans_of_the_trace_are_given(backend: Backend) -> None:
    backend.commit(write(traces(span(1), span(2, trace=OTHER_TRACE), span(3))), write(traces(span(4))))
    assert numbers(backend.reader.spans_of_trace(1, TRACE)) == [1, 3, 4]
    assert numbers(backend.reader.spans_of_trace(1, OTHER_TRACE)) == [2]
    kept = ExportTraceServiceRequest.FromString(backend.reader.trace(1, OTHER_TRACE))
    assert [one.span_id for group in kept.resource_spans for one in group.scope_spans[0].spans] == [span(2).span_id]


def test_a_trace_id_inside_another_record_is_no_match(backend: Backend) -> None:
    link = Span.Link(trace_id=bytes.fromhex(TRACE), span_id=b"12345678")
    own, other = log(trace=TRACE), log({"about": bytes.fromhex(TRACE)}, trace=OTHER_TRACE)
    backend.commit(write(traces(span(1), span(2, trace=OTHER_TRACE, links=[link]))), write(logs(own, other)))
    assert numbers(backend.reader.spans_of_trace(1, TRACE)) == [1]
    assert [one.record for one in backend.reader.logs_of_trace(1, TRACE)] == [own]


def test_what_is_unknown_is_empty(backend: Backend) -> None:
    backend.commit(write(traces(span(1))))
    reader = backend.reader
    assert reader.trace(1, OTHER_TRACE) == b""
    assert reader.spans_of_trace(1, OTHER_TRACE) == []
    assert reader.logs_of_trace(1, OTHER_TRACE) == []
    assert not reader.spans_of_session(1, "s1")
    assert not reader.logs_of_session(1, "s1")
    assert reader.sessions_of_trace(1, TRACE) == reader.traces_of_session(1, "s1") == []
    assert reader.traces_of_conversation(1, "c1") == []
    assert reader.session(1, "s1") is None
    assert not reader.streams(1, "s1")
    assert not reader.chunk_infos(1, "s1", "tab")
    assert not reader.dom_events(1, "s1", "tab")
    assert not list(reader.chunks(1, "s1", "tab"))
    assert not list(reader.metrics(1))
    assert reader.undistilled(1, "s1") == 0


def test_spans_of_a_session_name_it_themselves_or_by_their_resource(backend: Backend) -> None:
    backend.commit(
        write(traces(span(1, {"session.id": "s1"}), span(2, {"session.id": "s2"}), span(3))),
        write(traces(span(4), span(5, {"session.id": "s2"}), resource={"rum.sessionId": "s1"})),
        write(traces(span(6, {"langfuse.session.id": "s1", **CHAT}))),
        write(traces(span(7), resource={"session.id": "s1"})),
        write(traces(span(8, {"note": "s1"}))),
        write(traces(span(9, {"session.id": ""}), resource={"session.id": "s1"})),
    )
    assert numbers(backend.reader.spans_of_session(1, "s1")) == [1, 4, 6, 7, 9]
    assert numbers(backend.reader.spans_of_session(1, "s2")) == [2, 5]


def test_a_session_id_may_be_a_number(backend: Backend) -> None:
    backend.commit(
        write(traces(span(1, {"session.id": 42}), span(2, {"session.id": "42"}), span(3, {"session.id": "7"}))),
        write(logs(log({"session.id": 42}))),
    )
    assert numbers(backend.reader.spans_of_session(1, "42")) == [1, 2]
    assert len(backend.reader.logs_of_session(1, "42")) == 1


def test_only_attributes_name_a_session(backend: Backend) -> None:
    """The same key in a link or a text is about something else."""
    named = span(2, {"session.id": "s2"}).attributes
    spans = (
        span(1, links=[Span.Link(attributes=named)]),
        span(3, {"note": "\n\nsession.id\x12\x04\n\x02s2"}),
        span(4, {"session.id": "  "}),
    )
    backend.commit(write(traces(*spans, resource={"session.id": "s1"})))
    assert numbers(backend.reader.spans_of_session(1, "s1")) == [1, 3, 4]
    assert backend.reader.session(1, "s1") is not None
    assert backend.reader.session(1, "s2") is None


def test_events_and_scopes_name_sessions_too(backend: Backend) -> None:
    """The span itself first, then its events, then its scope, then its resource."""
    event = Span.Event(name="e", attributes=span(1, {"session.id": "of event"}).attributes)
    request = traces(
        span(1, events=[event]),
        span(2, {"session.id": "own"}, events=[event]),
        span(3),
        resource={"session.id": "of resource"},
    )
    request.resource_spans[0].scope_spans[0].scope.attributes.extend(span(1, {"session.id": "of scope"}).attributes)
    backend.commit(write(request))
    found = {name: numbers(backend.reader.spans_of_session(1, name)) for name in ("own", "of event", "of scope")}
    assert found == {"own": [2], "of event": [1], "of scope": [3]}
    assert [bool(backend.reader.session(1, name)) for name in (*found, "of resource")] == [True, True, True, False]


def test_log_records_by_trace_and_by_session(backend: Backend) -> None:
    backend.commit(
        write(logs(log({"session.id": "s1"}, trace=TRACE), log({"n": 2}, trace=TRACE), log({"n": 3}))),
        write(logs(log({"n": 4}), log({"session.id": "s2", "n": 5}), resource={"rum.sessionId": "s1"})),
    )
    of_trace = backend.reader.logs_of_trace(1, TRACE)
    of_session = backend.reader.logs_of_session(1, "s1")
    sent = log({"session.id": "s1"}, trace=TRACE)
    assert [one.record for one in of_trace] == [sent, log({"n": 2}, trace=TRACE)]
    assert [one.record for one in of_session] == [sent, log({"n": 4})]
    assert of_session[1].resource.attributes[0].key == "rum.sessionId"
    assert of_trace[0].scope.name == "test"
    assert of_trace[0].digest == of_session[0].digest != of_trace[1].digest


def test_equal_log_records_are_one(backend: Backend) -> None:
    again = log({"session.id": "s1"})
    backend.commit(write(logs(again, again)), write(logs(again, log({"session.id": "s1", "n": 2}))))
    assert len(backend.reader.logs_of_session(1, "s1")) == 2


def test_metrics_come_back_oldest_first(backend: Backend) -> None:
    sent = [metrics(1, 2), metrics(3)]
    backend.commit(*map(write, sent))
    found = [ExportMetricsServiceRequest.FromString(body) for body in backend.reader.metrics(1)]
    assert found == sent


def test_an_equal_request_is_acknowledged_and_not_stored_again(backend: Backend) -> None:
    request = traces(span(1, {**CHAT, "session.id": "s1"}))
    first, second, other_project = backend.commit(write(request), write(request), write(request, project=2))
    assert [first.duplicate, second.duplicate, other_project.duplicate] == [False, True, False]
    assert backend.reader.counts()["spans"] == 2


VERSIONS = [
    traces(span(1, {**CHAT, "session.id": "s1", "v": "x"}, end=START + 9, name="shorter lived")),
    traces(span(1, {**CHAT, "session.id": "s1"}, end=START + 20, name="less told")),
    traces(span(1, {**CHAT, "session.id": "s1", "v": "a", "gen_ai.conversation.id": "c1"}, end=START + 20, name="A")),
    traces(span(1, {**CHAT, "session.id": "s1", "v": "b", "gen_ai.conversation.id": "c2"}, end=START + 20, name="B")),
]


def test_of_equal_spans_the_greatest_version_wins_in_any_order(backend: Backend) -> None:
    """By end time, then length, then digest; each order in a project of its own."""
    winners = set()
    for project, order in enumerate(permutations(VERSIONS), start=1):
        backend.commit(*(write(request, project=project) for request in order))
        (found,) = backend.reader.spans_of_trace(project, TRACE)
        (of_session,) = backend.reader.spans_of_session(project, "s1")
        assert of_session == found
        conversation = {"A": "c1", "B": "c2"}[found.span.name]
        assert backend.reader.traces_of_conversation(project, conversation) == [TRACE]
        assert backend.reader.traces_of_conversation(project, {"c1": "c2", "c2": "c1"}[conversation]) == []
        winners.add(found.span.name)
    assert len(winners) == 1


def test_the_winning_version_says_which_session_a_span_is_of(backend: Backend) -> None:
    """Wherever the versions stand: in one block or apart, in any order, in blocks that name the session or not."""
    first = span(1, {"session.id": "s1"}, end=START + 1)
    moved = span(1, {"session.id": "s2"}, end=START + 2)
    silent = span(1, end=START + 3)
    of_resource = traces(span(1, end=START + 4), resource={"session.id": "s3"})
    cases = {
        1: ([traces(first), traces(moved)], "s2"),
        2: ([traces(moved, first)], "s2"),
        3: ([traces(silent), traces(first)], None),
        4: ([traces(first, span(2, {"session.id": "s1"})), traces(moved), traces(silent)], None),
        5: ([of_resource, traces(silent, first)], "s3"),
    }
    for project, (requests, winner) in cases.items():
        backend.commit(*(write(request, project=project) for request in requests))
        naming = {
            session: [
                one.span_id for one in backend.reader.spans_of_session(project, session) if one.span_id[-1] == "1"
            ]
            for session in ("s1", "s2", "s3")
        }
        assert [session for session, found in naming.items() if found] == ([winner] if winner else [])
    assert numbers(backend.reader.spans_of_session(4, "s1")) == [2]


def test_a_session_of_many_traces(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are looked up at once."""
    monkeypatch.setattr("otel_replay.store.sqlite.telemetry._PIECE_TRACES", 3)
    monkeypatch.setattr("otel_replay.store.sqlite.telemetry.PIECE_BLOCKS", 2)
    for number in range(1, 21):
        later = span(number, {"v": 2}, trace=f"{number:032x}", end=START + 11)
        attributes = {"session.id": "s1"}
        backend.commit(
            write(traces(span(number, attributes, trace=f"{number:032x}"), span(100 + number, attributes))),
            *([write(traces(later))] if number % 4 == 0 else []),
        )
    expected = [number for number in range(1, 21) if number % 4] + list(range(101, 121))
    assert numbers(backend.reader.spans_of_session(1, "s1")) == expected


def test_metrics_can_be_read_slowly(backend: Backend) -> None:
    backend.commit(*(write(metrics(number)) for number in range(3)))
    reading = backend.reader.metrics(1)
    assert ExportMetricsServiceRequest.FromString(next(reading)) == metrics(0)
    backend.commit(write(metrics(9)))
    assert len(list(reading)) == 2


def test_user_actions_follow_the_same_rule(backend: Backend) -> None:
    mine = {"browser.action": "click", "session.id": "s1"}
    late = span(1, {**mine, "session.id": "s2"}, end=START + 20)
    backend.commit(write(traces(late)), write(traces(span(1, mine))), write(traces(span(2, mine))))
    assert backend.reader.counts()["actions"] == 2
    page = backend.reader.sessions(1, NOTHING_ASKED, limit=10)
    assert {one.session.session_id: one.actions for one in page.sessions} == {"s1": 1, "s2": 1}


def test_projects_see_nothing_of_each_other(backend: Backend) -> None:
    chat = {**CHAT, "session.id": "s1", "gen_ai.conversation.id": "c1"}
    for project in (1, 2):
        attributes = {**chat, "user.id": f"u{project}"}
        backend.commit(
            write(traces(span(project, attributes)), project=project),
            write(logs(log({"session.id": "s1", "project": project}, trace=TRACE)), project=project),
            write(metrics(project), project=project),
        )
    for project in (1, 2):
        assert numbers(backend.reader.spans_of_trace(project, TRACE)) == [project]
        assert numbers(backend.reader.spans_of_session(project, "s1")) == [project]
        assert (
            len(backend.reader.logs_of_trace(project, TRACE)) == len(backend.reader.logs_of_session(project, "s1")) == 1
        )
        assert len(list(backend.reader.metrics(project))) == 1
        page = backend.reader.sessions(project, NOTHING_ASKED, limit=10)
        assert [(one.session.attributes["user.id"], one.interactions) for one in page.sessions] == [(f"u{project}", 1)]
    assert backend.reader.trace(3, TRACE) == b""
    assert backend.reader.traces_of_conversation(3, "c1") == backend.reader.sessions_of_trace(3, TRACE) == []
    assert backend.reader.session(3, "s1") is None
    one, two = (backend.reader.logs_of_trace(project, TRACE)[0].digest for project in (1, 2))
    assert one != two


def test_times_and_ids_at_the_edges(backend: Backend) -> None:
    """OTLP's times are unsigned 64-bit integers; a span that claims the year 2554 is kept as it is."""
    edges = span(1, {**CHAT, "session.id": "s1"}, start=2**64 - 1, end=2**64 - 1)
    nul = span(2, {"session.id": "a\0b"}, start=0, end=0, trace="ff" * 16)
    backend.commit(write(traces(edges)), write(traces(nul)))
    assert backend.reader.spans_of_trace(1, TRACE)[0].span == edges
    assert backend.reader.spans_of_session(1, "a\0b")[0].span == nul
    session = backend.reader.session(1, "s1")
    assert session is not None
    assert session.start_unix_nano == session.end_unix_nano == 2**63 - 1


def test_records_that_cannot_be_read_are_counted_apart(backend: Backend) -> None:
    bad = span(2)
    bad.trace_id = b"short"
    backend.commit(write(traces(span(1), bad)))
    assert backend.reader.counts()["quarantine"] == 1
    assert numbers(backend.reader.spans_of_trace(1, TRACE)) == [1]


def test_counts(backend: Backend) -> None:
    backend.commit(
        write(traces(span(1, {**CHAT, "session.id": "s1"}, status=ERROR), span(2)), source=Source.BROWSER),
        write(logs(log(), log({"session.id": "s2"}))),
        write(metrics(1)),
    )
    counts = backend.reader.counts()
    del counts["blocks"]  # how many is a backend's own business
    assert counts == {
        "spans": 2,
        "log_records": 2,
        "metrics": 1,
        "chunks": 0,
        "sessions": 2,
        "interactions": 1,
        "actions": 0,
        "quarantine": 0,
    }
