"""Chunks of recordings: stored once, read back exactly, distilled to the same events in whatever order they come."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import otel_replay
from otel_replay.model import DomEvent
from otel_replay.query.local import LocalReplay
from otel_replay.recording.streams import find_gaps
from otel_replay.store.base import Reader, Write
from otel_replay.store.distillation import Distillation, Due
from otel_replay.store.memory import MemoryStore
from otel_replay.store.sqlite import SqliteStore, distilling
from tests.recording.pages import add, element, event, mutation, snapshot, text
from tests.store.conftest import Backend, Opening, memory, second_view, sqlite
from tests.store.requests import START_MS, TRACE, click_event, payload, slices, span, traces, upload, write

BUTTON, PARAGRAPH = 5, 6
LOADED = event(0, {}, START_MS)


def page_shown(ms: int = START_MS) -> dict[str, Any]:
    return snapshot(element(BUTTON, "button", id="send"), element(PARAGRAPH, "p", id="answer"), ms=ms)


def words(number: int) -> dict[str, Any]:
    """Word ``number`` appears in the answer."""
    return mutation(START_MS + number, adds=[add(PARAGRAPH, text(100 + number, f"word{number} "))])


def address(path: str) -> dict[str, Any]:
    return event(4, {"href": f"http://shop/{path}", "width": 800, "height": 600}, START_MS)


def seqs(reader: Reader, stream: str = "tab") -> list[int | None]:
    return [chunk.seq for chunk in reader.chunks(1, "s1", stream)]


def story(reader: Reader) -> list[DomEvent]:
    return reader.dom_events(1, "s1", "tab")


def titles(reader: Reader) -> list[str]:
    return [one.title for one in story(reader)]


CHUNKS = [payload(page_shown()), payload(words(1), words(2)), payload(click_event(3)), payload(click_event(4, 99))]


def test_chunks_come_back_exactly(backend: Backend) -> None:
    odd = b'  {"events" : [ {"type":3,"timestamp":1763600000000.5,"data":{"source":2,"x":1e2}} ] ,"\\ud83e":1}\n'
    sent = [upload(0, CHUNKS[0]), upload(1, odd), upload(7, CHUNKS[2])]
    backend.commit(*sent)
    assert list(backend.reader.chunks(1, "s1", "tab")) == [one.chunks[0] for one in sent]
    infos = backend.reader.chunk_infos(1, "s1", "tab")
    assert [(one.seq, one.has_full_snapshot) for one in infos] == [(0, True), (1, False), (7, False)]
    assert infos[2].start_unix_nano == infos[2].end_unix_nano == (START_MS + 3000) * 1_000_000


@pytest.mark.feature("C3")
def test_a_file_opened_by_python_gives_the_recording_of_a_session_and_of_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    announced = event(5, {"tag": "otel.action", "payload": {"trace_id": TRACE, "span_id": "0" * 15 + "1"}}, START_MS)
    store = SqliteStore(path)
    for written in (upload(0, CHUNKS[0]), upload(1, payload(announced)), write(traces(span(1)))):
        store.commit(written)
    store.distill()
    replay = otel_replay.open(path)
    assert isinstance(replay, LocalReplay)
    (recording,) = replay.recordings.download("s1")
    assert (recording.stream_id, recording.events) == ("tab", [page_shown(), announced])
    kinds = {entry["kind"] for entry in replay.timeline(TRACE).to_dict()["entries"]}
    assert kinds == {"dom", "span"}
    replay.close()
    store.close()


def test_numbered_chunks_are_stored_once_in_any_order(backend: Backend) -> None:
    receipts = backend.commit(*(upload(seq, CHUNKS[seq]) for seq in (2, 0, 3, 0, 1, 2)))
    assert [one.chunks[0] for one in receipts] == [(2, False), (0, False), (3, False), (0, True), (1, False), (2, True)]
    assert seqs(backend.reader) == [0, 1, 2, 3]
    assert backend.reader.counts()["chunks"] == 4


def test_of_one_number_the_first_chunk_stays(backend: Backend) -> None:
    backend.commit(upload(0, CHUNKS[0]), upload(0, CHUNKS[1]))
    assert [chunk.payload for chunk in backend.reader.chunks(1, "s1", "tab")] == [CHUNKS[0]]


def test_chunks_without_a_number_get_one(backend: Backend) -> None:
    """An equal body is the same chunk, whichever way it came before."""
    numbered = [
        (0, CHUNKS[0]),
        (None, CHUNKS[1]),
        (None, CHUNKS[0]),
        (9, CHUNKS[2]),
        (None, CHUNKS[3]),
        (None, CHUNKS[1]),
    ]
    receipts = backend.commit(*(upload(seq, body) for seq, body in numbered))
    assert [one.chunks[0] for one in receipts] == [
        (0, False),
        (1, False),
        (0, True),
        (9, False),
        (10, False),
        (1, True),
    ]
    assert [chunk.payload for chunk in backend.reader.chunks(1, "s1", "tab")] == [CHUNKS[at] for at in (0, 1, 2, 3)]


def test_bounds_are_inclusive(backend: Backend) -> None:
    backend.commit(*(upload(seq, CHUNKS[1]) for seq in (0, 2, 4, 6)))

    def found(**bounds: int) -> list[int | None]:
        return [chunk.seq for chunk in backend.reader.chunks(1, "s1", "tab", **bounds)]

    assert found(from_seq=2) == [2, 4, 6]
    assert found(to_seq=4) == [0, 2, 4]
    assert found(from_seq=2, to_seq=4) == [2, 4]
    assert found(from_seq=3, to_seq=3) == []


def test_streams_and_projects_stay_apart(backend: Backend) -> None:
    backend.commit(
        upload(0, payload(click_event(9)), stream="late"),
        upload(0, CHUNKS[0], stream="early"),
        upload(0, CHUNKS[0], stream="as early"),
        upload(0, CHUNKS[1], session="s2", stream="early"),
        upload(0, CHUNKS[2], project=2, stream="early"),
    )
    backend.store.distill()
    assert backend.reader.streams(1, "s1") == ["as early", "early", "late"]
    assert backend.reader.streams(2, "s1") == backend.reader.streams(1, "s2") == ["early"]
    (chunk,) = backend.reader.chunks(2, "s1", "early")
    assert chunk.payload == CHUNKS[2]
    assert [one.title for one in backend.reader.dom_events(1, "s1", "late")] == ["click on the page"]
    assert backend.reader.dom_events(1, "s1", "early") == []
    assert backend.reader.streams(3, "s1") == []


def test_missing_chunks_are_gaps(backend: Backend) -> None:
    backend.commit(upload(5, CHUNKS[0]), upload(1, CHUNKS[1]), upload(2, CHUNKS[2]))
    gaps = find_gaps("tab", backend.reader.chunk_infos(1, "s1", "tab"))
    assert [(gap.after_seq, gap.missing, gap.resumes_at) for gap in gaps] == [(-1, 1, 5), (2, 2, 5)]


def test_dom_events_follow_the_page(backend: Backend) -> None:
    backend.commit(*(upload(seq, body) for seq, body in enumerate(CHUNKS)))
    assert story(backend.reader) == []
    backend.store.distill()
    assert [(one.seq, one.title) for one in story(backend.reader)] == [
        (1, "text in #answer: “word1”"),
        (1, "text in #answer: “word1 word2”"),
        (2, "click on #send"),
        (3, "click on the page"),
    ]


def test_what_a_page_says_may_nest_deeply(backend: Backend) -> None:
    nested: Any = "deepest"
    for _ in range(252):
        nested = [nested]
    said = event(5, {"tag": "state", "payload": nested}, START_MS)
    backend.commit(upload(0, json.dumps([said]).encode()))
    backend.store.distill()
    assert [one.detail["payload"] for one in story(backend.reader)] == [nested]


def test_undistilled_chunks_are_counted(backend: Backend) -> None:
    def waiting() -> int:
        return backend.reader.undistilled(1, "s1")

    backend.commit(upload(0, CHUNKS[0]), upload(2, CHUNKS[2]), upload(0, CHUNKS[0], session="s2"))
    assert waiting() == 2
    backend.store.distill()
    assert waiting() == 0
    backend.commit(upload(3, CHUNKS[3]), upload(0, CHUNKS[0]))
    assert waiting() == 1
    backend.commit(upload(1, CHUNKS[1]))
    assert waiting() == 3
    assert len(story(backend.reader)) == 1
    backend.store.distill()
    backend.store.distill()
    assert waiting() == 0
    assert len(story(backend.reader)) == 4


def test_slices_of_an_event_are_joined_in_any_order(tmp_path: Path) -> None:
    pieces = [*slices(0, page_shown(), [40, 7]), upload(3, CHUNKS[2])]
    for number, order in enumerate(permutations(pieces)):
        with sqlite(_made(tmp_path / str(number))) as backend:
            for piece in order:
                backend.commit(piece)
                backend.store.distill()
            assert titles(backend.reader) == ["click on #send"]


def test_slices_may_end_behind_the_chunks_distilled_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "STEP_CHUNKS", 2)
    for number, first_seq in enumerate((0, 1)):
        with sqlite(_made(tmp_path / str(number))) as backend:
            backend.commit(upload(0, payload(click_event(1))))
            backend.commit(*slices(first_seq + 1, page_shown(), [30, 30, 30]), upload(first_seq + 5, CHUNKS[2]))
            backend.store.distill()
            assert titles(backend.reader) == ["click on the page", "click on #send"]
            assert backend.reader.undistilled(1, "s1") == 0


def test_a_late_chunk_is_put_into_the_story(backend: Backend) -> None:
    """Behind the gap nothing is known of the page until the chunk comes that holds it."""
    backend.commit(upload(1, CHUNKS[2]))
    backend.store.distill()
    assert titles(backend.reader) == ["click on the page"]
    backend.commit(upload(0, CHUNKS[0]))
    assert titles(backend.reader) == ["click on the page"]
    backend.store.distill()
    assert titles(backend.reader) == ["click on #send"]


def test_a_chunk_may_come_while_its_stream_is_distilled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = [upload(0, CHUNKS[0])]
    run = Distillation.run

    def slow_run(*arguments: Any) -> list[DomEvent]:
        events = run(*arguments)
        if late:
            backend.commit(late.pop())
        return events

    monkeypatch.setattr(Distillation, "run", slow_run)
    with sqlite(tmp_path) as backend:
        backend.commit(upload(1, CHUNKS[2]))
        backend.store.distill()
        assert titles(backend.reader) == ["click on #send"]
        assert backend.reader.undistilled(1, "s1") == 0


def test_what_a_chunk_tells_before_its_snapshot_is_of_the_page_before(backend: Backend) -> None:
    backend.commit(upload(0, CHUNKS[0]), upload(2, CHUNKS[2]))
    backend.store.distill()
    backend.commit(upload(1, payload(click_event(1), page_shown())))
    backend.store.distill()
    assert titles(backend.reader) == ["click on #send", "click on #send"]


def test_an_address_told_before_the_last_snapshot_is_still_known(backend: Backend) -> None:
    """The Meta event after the second snapshot repeats the address of the first page, and tells nothing new."""
    bodies = [payload(address("a"), page_shown()), payload(page_shown()), payload(address("a"), click_event(1))]
    backend.commit(*(upload(seq, body) for seq, body in enumerate(bodies[:2])))
    backend.store.distill()
    backend.commit(upload(3, payload(click_event(2))))
    backend.store.distill()
    backend.commit(upload(2, bodies[2]))
    backend.store.distill()
    assert titles(backend.reader) == ["navigated to http://shop/a", "click on #send", "click on #send"]


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


KINDS = st.one_of(
    st.builds(address, st.sampled_from("ab")),
    st.just(page_shown()),
    st.builds(address, st.sampled_from("ab")),
    st.builds(words, st.integers(0, 20)),
    st.builds(click_event, st.integers(0, 9), st.sampled_from([BUTTON, PARAGRAPH, 99])),
    st.just(mutation(removes=[{"parentId": 3, "id": PARAGRAPH}])),
    st.just(event(5, {"tag": "otel.action", "payload": {"trace_id": TRACE}})),
)
PARTS = st.one_of(
    st.builds(payload, KINDS, KINDS),
    st.builds(payload, KINDS),
    st.builds(payload, st.just(LOADED), st.builds(address, st.sampled_from("ab"))),
    st.tuples(KINDS, st.lists(st.integers(1, 30), min_size=1, max_size=3)),
)


@st.composite
def recordings(draw: st.DrawFn) -> list[Write]:
    """A stream in sequence order, of which some chunks may be missing."""
    made: list[Write] = []
    for part in draw(st.lists(PARTS, min_size=2, max_size=9)):
        made += [upload(len(made), part)] if isinstance(part, bytes) else slices(len(made), *part)
    missing = draw(st.sets(st.integers(0, len(made) - 1), max_size=2))
    return [one for seq, one in enumerate(made) if seq not in missing]


@pytest.mark.slow
@pytest.mark.parametrize("open_backend", [memory, sqlite, second_view], ids=lambda one: one.__name__)
@settings(
    max_examples=2 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(sent=recordings(), at_once=st.integers(1, 4), data=st.data())
def test_the_story_does_not_depend_on_the_order_of_arrival(
    open_backend: Opening, sent: list[Write], at_once: int, data: st.DataObject
) -> None:
    expected = _in_order(sent)
    arriving = data.draw(st.permutations(sent))
    pauses = data.draw(st.sets(st.integers(0, len(sent))))
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(distilling, "STEP_CHUNKS", at_once)
        with open_backend(Path(directory)) as backend:
            for place, chunk in enumerate(arriving):
                backend.commit(chunk)
                if place in pauses:
                    backend.store.distill()
            backend.store.distill()
            assert story(backend.reader) == story(expected)
            assert list(backend.reader.chunks(1, "s1", "tab")) == list(expected.chunks(1, "s1", "tab"))
            assert backend.reader.undistilled(1, "s1") == 0


def _in_order(sent: Sequence[Write]) -> MemoryStore:
    store = MemoryStore()
    for one in sent:
        store.commit(one)
    store.distill()
    return store


def test_distillation_can_be_stopped_and_goes_on_later(backend: Backend) -> None:
    backend.commit(upload(0, payload(click_event(0))))
    backend.store.distill(stopping=lambda: True)
    assert backend.reader.undistilled(1, "s1") == 1
    backend.store.distill()
    assert backend.reader.undistilled(1, "s1") == 0
    assert len(backend.reader.dom_events(1, "s1", "tab")) == 1


def test_a_stream_with_much_to_do_does_not_keep_others_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "STEP_CHUNKS", 1)
    with sqlite(tmp_path) as backend:
        backend.commit(*(upload(seq, payload(click_event(seq))) for seq in range(5)))
        backend.commit(upload(100, payload(click_event(100)), session="s2"))
        backend.store.distill(stopping=lambda: bool(backend.reader.dom_events(1, "s2", "tab")))
        assert backend.reader.undistilled(1, "s1") == 4
        backend.store.distill()
        assert len(backend.reader.dom_events(1, "s1", "tab")) == 5


@pytest.mark.parametrize(
    ("arriving", "runs"),
    [(4, [Due(1, 3), Due(4, 4)]), (0, [Due(1, 3), Due(0, 3)]), (2, [Due(1, 3), Due(1, 3)])],
    ids=["the next chunk: what was done stays done", "an earlier one: all is due again", "one that was missing: too"],
)
def test_a_chunk_that_arrives_while_another_is_distilled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arriving: int, runs: list[Due]
) -> None:
    seen: list[Due] = []
    working = Distillation.run

    def run(self: Distillation, stream: Any, due: Due, *rest: Any) -> list[DomEvent]:
        if not seen:
            backend.commit(upload(arriving, payload(click_event(arriving))))
        seen.append(due)
        return working(self, stream, due, *rest)

    monkeypatch.setattr(Distillation, "run", run)
    with sqlite(tmp_path) as backend:
        backend.commit(*(upload(seq, payload(click_event(seq))) for seq in (1, 3)))
        backend.store.distill()
        assert (seen, backend.reader.undistilled(1, "s1")) == (runs, 0)
        assert [one.seq for one in backend.reader.dom_events(1, "s1", "tab")] == sorted([1, 3, arriving])
