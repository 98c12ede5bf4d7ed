"""``recordings.upload`` and ``.download`` from Python, at a server and in a file: what comes out is what went in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import otel_replay
from otel_replay.errors import InvalidRequest, NotFound, RateLimited, StoreError, Unauthenticated
from otel_replay.query.uploads import PART_BYTES, chunk_bodies
from otel_replay.sdk import OTelReplaySpanExporter
from otel_replay.store.sqlite import SqliteStore
from tests.outside.access import make_key
from tests.outside.outside import Outside, running
from tests.outside.telemetry import click, custom, page
from tests.recording.pages import START_MS

pytestmark = [pytest.mark.feature("R4"), pytest.mark.feature("R5"), pytest.mark.slow]

Events = list[dict[str, Any]]

ODD: dict[str, Any] = {
    "type": 5,
    "timestamp": START_MS + 7.5,
    "data": {"tag": "odd", "payload": {"text": 'é😀\u2028"\\\ud83d', "big": 2**64 + 1, "small": 1e-7, "no": None}},
    "a field of a later rrweb": [True, {}],
}
EVENTS = [*page(), click(5), ODD]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that nobody writes."""
    SqliteStore(tmp_path / "replay.db").close()
    return tmp_path / "replay.db"


@pytest.fixture(params=["server", "file", "file that a server writes", "file that this process records into"])
def target(request: pytest.FixtureRequest, file: Path) -> Iterator[str | Path]:
    if request.param == "file":
        yield file
        return
    if request.param == "file that this process records into":
        exporter = OTelReplaySpanExporter(f"sqlite:///{file}")
        yield file
        exporter.shutdown()
        return
    with running(file) as receiver:
        yield receiver.url if request.param == "server" else file


def test_a_round_trip(target: str | Path) -> None:
    replay = otel_replay.open(target)
    assert replay.recordings.upload("s/1", EVENTS) == 0
    assert replay.recordings.upload("s/1", iter([click(30)])) == 1
    assert replay.recordings.upload("s/1", page(), stream="tab ü") == 0
    found = {one.stream_id: one.events for one in replay.recordings.download("s/1")}
    assert found == {"main": [*EVENTS, click(30)], "tab ü": page()}
    assert [one.stream_id for one in replay.recordings.download("s/1", "main")] == ["main"]
    with pytest.raises(NotFound):
        replay.recordings.download("nobody")
    replay.close()


def test_large_recordings_go_in_parts_and_may_be_sent_again(target: str | Path) -> None:
    events = [*page(), *(custom(number, "large", text=f"{number}" * 100_000) for number in range(1, 60))]
    assert sum(map(len, chunk_bodies("main", events))) > 2 * PART_BYTES
    replay = otel_replay.open(target)
    last = replay.recordings.upload("large", events)
    assert last == 2
    assert replay.recordings.upload("large", events) == last
    (stream,) = replay.recordings.download("large")
    assert (stream.to_seq, stream.gaps) == (last, [])
    assert stream.events == events
    replay.close()


def test_what_broke_off_goes_on(file: Path) -> None:
    """The first chunk of three is there already."""
    events = [custom(number, "large", text="x" * (PART_BYTES // 2)) for number in range(5)]
    with running(file) as receiver:
        body = chunk_bodies("main", events)[0]
        assert receiver.post("/api/v1/sessions/again/events", body, "application/json").json()["seq"] == 0
        replay = otel_replay.open(receiver.url)
        assert replay.recordings.upload("again", events) == len(chunk_bodies("main", events)) - 1
        (stream,) = replay.recordings.download("again")
        replay.close()
    assert stream.events == events


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "there are none"),
        ([click(1), {"type": 3}], r"events\[1\]\.timestamp"),
        ([click(1), click(2), {"timestamp": 1}], r"events\[2\]\.type"),
        ([click(1), "text"], r"events\[1\]"),
        ([{"type": 3, "timestamp": -1}], r"events\[0\]\.timestamp"),
        ([click(1) | {"data": float("nan")}], r"events\[0\]"),
        ([click(1) | {"data": object()}], r"events\[0\]"),
    ],
    ids=("none", "no time", "no type", "text", "time before 1970", "no number", "an object"),
)
def test_what_is_no_event_is_named_before_anything_is_stored(target: str | Path, events: Any, words: str) -> None:
    replay = otel_replay.open(target)
    with pytest.raises(InvalidRequest, match=words):
        replay.recordings.upload("bad", events)
    with pytest.raises(NotFound):
        replay.recordings.download("bad")
    with pytest.raises(InvalidRequest, match="session_id"):
        replay.recordings.upload("a\nb", page())
    replay.close()


def test_what_is_uploaded_into_a_file_is_distilled(file: Path) -> None:
    replay = otel_replay.open(file)
    replay.recordings.upload("told", [*page(), click(10)])
    timeline = replay.timeline(session_id="told")
    replay.close()
    assert timeline.warnings == ()
    assert [entry.title for entry in timeline.entries] == [
        "navigated to https://shop.example/chat",
        "click on #send “Send”",
    ]


def test_a_file_that_another_program_writes_says_so(file: Path) -> None:
    store = SqliteStore(file)
    replay = otel_replay.open(file)
    with pytest.raises(StoreError, match="process"):
        replay.recordings.upload("s", page())
    replay.close()
    store.close()


def test_a_key_is_needed_where_the_server_wants_one(file: Path) -> None:
    with running(file) as receiver:
        make_key(receiver, "admin")
        keyless = otel_replay.open(file)
        with pytest.raises(Unauthenticated):
            keyless.recordings.upload("keyed", page())
        keyless.close()
        for target in (file, receiver.url):
            replay = otel_replay.open(target, key=make_key(receiver, "ingest", "read"))
            assert replay.recordings.upload("keyed", page()) == 0
            assert replay.recordings.download("keyed")[0].events == page()
            replay.close()


def test_a_server_that_is_busy_is_asked_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(file) as receiver:
        replay = otel_replay.open(receiver.url, key=make_key(receiver, "ingest", "read", requests_per_second=1))
        assert [replay.recordings.upload("slowly", [click(number)]) for number in range(3)] == [0, 1, 2]
        monkeypatch.setattr("otel_replay.query.remote.WAITS_S", ())
        with pytest.raises(RateLimited):
            _ = [replay.recordings.upload("slowly", [click(number)]) for number in range(3, 9)]
        replay.close()


def test_a_session_by_itself(file: Path) -> None:
    with running(file) as receiver:
        receiver.upload("one", page())
        expected = receiver.document("/api/v1/sessions")["sessions"][0]
        for target in (file, receiver.url):
            replay = otel_replay.open(target)
            found = replay.session("one")
            assert {name: found[name] for name in expected} == expected
            with pytest.raises(NotFound):
                replay.session("two")
            replay.close()


def test_a_session_among_many_that_began_together(receiver: Outside) -> None:
    ids = ["a", "aa", "a\\", "b", "0" * 32, "f" * 32, "é", "z" * 200]
    for session_id in ids:
        receiver.upload(quote(session_id, safe=""), page(), seq=0)
    replay = otel_replay.open(receiver.database)
    assert [replay.session(one)["session_id"] for one in ids] == ids
    replay.close()
