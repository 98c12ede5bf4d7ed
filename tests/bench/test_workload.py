"""A benchmark is comparable only while what it sends is the same, and fresh in every request and every run."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.bench.load.spans import FIRST_START_UNIX_NANO, TURNS
from tests.bench.load.workload import Entry, Stream, Workload, read_entries, span_templates, write_entries

pytestmark = pytest.mark.slow
BYTES_PER_SPAN = {Workload.W1: 465, Workload.W2: 1_180, Workload.W2C: 7_000}
SPANS = pytest.mark.parametrize("workload", list(BYTES_PER_SPAN))
EACH = pytest.mark.parametrize("workload", list(Workload))


def entries(workload: Workload, count: int, seed: str = "a", **more: Any) -> list[Entry]:
    return list(islice(Stream(workload, seed, **more).entries(), count))


def spans(sent: list[Entry]) -> list[Span]:
    groups = chain.from_iterable(ExportTraceServiceRequest.FromString(entry.body).resource_spans for entry in sent)
    return list(chain.from_iterable(scope.spans for group in groups for scope in group.scope_spans))


def texts(span: Span, key: str) -> list[str]:
    """The contents of a span's messages under an attribute."""
    (raw,) = (found.value.string_value for found in span.attributes if found.key == key)
    return [message["parts"][0]["content"] for message in json.loads(raw)]


@EACH
def test_equal_seeds_send_equal_bytes(workload: Workload) -> None:
    assert entries(workload, 3) == entries(workload, 9)[:3]


@EACH
def test_another_seed_sends_nothing_of_it(workload: Workload) -> None:
    first, second = entries(workload, 20), entries(workload, 20, seed="b")
    assert {one[::2] for one in first} & {one[::2] for one in second} == set()


@SPANS
def test_every_span_is_new_in_every_pass_over_the_templates(workload: Workload) -> None:
    stream = Stream(workload, "a", 512)
    per_pass = len(span_templates(workload, 512).templates)
    sent = list(islice(stream.entries(), 3))
    again = list(islice(stream.entries(per_pass), 3))
    first, second = spans(sent), spans(again)
    ids = [span.span_id for span in first + second]
    assert len(set(ids)) == len(ids) == sum(entry.items for entry in sent + again)
    assert {span.trace_id for span in first} & {span.trace_id for span in second} == set()
    assert [span.name for span in first] == [span.name for span in second]


@SPANS
def test_parents_are_spans_of_the_same_trace(workload: Workload) -> None:
    found = spans(entries(workload, 4))
    traces = {span.span_id: span.trace_id for span in found}
    children = [span for span in found if span.parent_span_id]
    assert len(children) > len(found) / 2
    assert all(traces.get(span.parent_span_id) == span.trace_id for span in children)


@SPANS
def test_starts_where_it_is_told_to(workload: Workload) -> None:
    begins = FIRST_START_UNIX_NANO + 10**15 + 7
    found = spans(entries(workload, 2, first_start_unix_nano=begins))
    assert all(0 <= span.start_time_unix_nano - begins < 10**9 for span in found)
    assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in found)


@pytest.mark.parametrize(("workload", "size"), BYTES_PER_SPAN.items())
def test_size_of_a_span(workload: Workload, size: int) -> None:
    templates = span_templates(workload, workload.usual_items).templates
    mean = sum(template.raw.size for template in templates) / len(templates) / workload.usual_items
    assert mean == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize("workload", [Workload.W2, Workload.W2C])
def test_one_span_in_ten_is_a_chat(workload: Workload) -> None:
    names = [span.name for span in spans(entries(workload, 24))]
    assert sum(name.startswith("chat ") for name in names) / len(names) == pytest.approx(0.10, rel=0.2)


def test_traces_have_eight_spans() -> None:
    traces = Counter(span.trace_id for span in spans(entries(Workload.W1, 4)))
    assert sorted(traces.values())[len(traces) // 2] == 8


def test_texts_are_new_in_every_pass() -> None:
    stream = Stream(Workload.W2, "a", 512)
    per_pass = len(span_templates(Workload.W2, 512).templates)
    both = [spans(list(islice(stream.entries(first), 1))) for first in (0, per_pass)]
    said = [[texts(span, "gen_ai.output.messages")[0] for span in one if span.name.startswith("chat")] for one in both]
    assert len(said[0]) > 20
    assert set(said[0]) & set(said[1]) == set()


def test_a_turn_repeats_its_conversation() -> None:
    turns: dict[str, list[list[str]]] = defaultdict(list)
    for span in spans(entries(Workload.W2C, len(span_templates(Workload.W2C, 128).templates))):
        for found in span.attributes:
            if found.key == "gen_ai.conversation.id":
                said = texts(span, "gen_ai.input.messages") + texts(span, "gen_ai.output.messages")
                turns[found.value.string_value].append(said)
    complete = [told for told in turns.values() if len(told) == TURNS]
    assert len(complete) > 30
    for told in complete:
        assert [len(said) for said in told] == [1 + 2 * turn for turn in range(1, TURNS + 1)]
        assert all(after[: len(said)] == said for said, after in pairwise(told))


def test_recordings_begin_with_a_snapshot_and_go_on_in_sequence() -> None:
    sessions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries(Workload.RECORDINGS, 96):
        sessions[entry.path].append(json.loads(entry.body))
    assert len(sessions) == 16
    for chunks in sessions.values():
        assert [chunk["seq"] for chunk in chunks] == list(range(6))
        assert [event["type"] for event in chunks[0]["events"]] == [4, 2]
        times = [event["timestamp"] for chunk in chunks for event in chunk["events"]]
        assert times == sorted(times)
    sizes = [len(entry.body) for entry in entries(Workload.RECORDINGS, 96)]
    assert all(200_000 < size < 400_000 for size in sizes[:16])
    assert all(20_000 < size < 80_000 for size in sizes[16:])


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    sent = [Entry(b"", 1), Entry(b"\0" * 300, 5, "/somewhere")]
    assert write_entries(tmp_path / "file", sent) == 6
    assert list(read_entries(tmp_path / "file")) == [(entry.path, entry.body) for entry in sent]
