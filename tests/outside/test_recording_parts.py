"""A part of a recording: from where a player can begin, without what only repeats."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import otel_replay
from tests.outside.outside import Outside, answered, running
from tests.outside.telemetry import click, page
from tests.recording.pages import START_MS

Events = list[dict[str, Any]]

pytestmark = pytest.mark.feature("R5")


def test_part_of_a_recording_begins_where_a_player_can(receiver: Outside) -> None:
    chunks = [page(), [click(1_000)], page(2_000), [click(3_000)], [click(4_000)]]
    for seq, events in enumerate(chunks):
        receiver.upload("long", events, seq=seq)
    window = {"from_": (START_MS + 3_500) * 10**6, "to": (START_MS + 3_900) * 10**6}
    [part] = receiver.document("/api/v1/sessions/long/recording", **window)["streams"]
    assert (part["from_seq"], part["to_seq"], part["events"]) == (2, 3, [*page(2_000), click(3_000)])
    times = ("--from", str(window["from_"]), "--to", str(window["to"]))
    assert answered(receiver.command("recording", "long", *times)) == part["events"]
    replay = otel_replay.open(receiver.url)
    [stream] = replay.recordings.download("long", from_unix_nano=window["from_"], to_unix_nano=window["to"])
    replay.close()
    assert stream.events == part["events"]


def again(ms: int) -> Events:
    """The page taken once more, as this project's recorder does where everything is told."""
    meta, whole = page(ms)
    return [meta, {**whole, "repeats": True}]


BUSY = [page(), [click(1_000)], again(2_000), [click(2_500)], again(3_000), [click(3_500)], page(4_000), [click(4_500)]]
FROM = {"from_": START_MS * 10**6}


def test_a_part_is_without_the_snapshots_that_repeat(receiver: Outside) -> None:
    for seq, events in enumerate(BUSY):
        receiver.upload("busy", events, seq=seq)
    path = "/api/v1/sessions/busy/recording"
    [part] = receiver.document(path, **FROM)["streams"]
    told = [event for seq, events in enumerate(BUSY) if seq not in (2, 4) for event in events]
    assert (part["from_seq"], part["to_seq"], part["gaps"], part["events"]) == (0, 7, [], told)
    [late] = receiver.document(path, from_=(START_MS + 3_000) * 10**6)["streams"]
    assert (late["from_seq"], late["events"][:2]) == (4, again(3_000))
    [whole] = receiver.document(path)["streams"]
    assert whole["events"] == [event for events in BUSY for event in events]


def test_behind_a_gap_they_are_where_a_player_goes_on(receiver: Outside) -> None:
    for seq, events in enumerate(BUSY):
        if seq != 1:
            receiver.upload("busy-gap", events, seq=seq)
    [part] = receiver.document("/api/v1/sessions/busy-gap/recording", **FROM)["streams"]
    assert [gap["resumes_at"] for gap in part["gaps"]] == [2]
    assert again(2_000)[1] in part["events"]
    assert again(3_000)[1] not in part["events"]


def test_and_behind_damage(tmp_path: Path) -> None:
    database = tmp_path / "replay.db"
    with running(database) as receiver:
        for seq, events in enumerate(BUSY):
            receiver.upload("busy", events, seq=seq)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE chunks SET payload = x'00' WHERE seq = 1")
    replay = otel_replay.open(database)
    [part] = replay.recordings.download("busy", from_unix_nano=FROM["from_"])
    replay.close()
    assert [(gap.reason, gap.resumes_at) for gap in part.gaps] == [("damaged", 2)]
    assert again(2_000)[1] in part.events


def test_a_snapshot_that_is_not_alone_is_never_left_out(receiver: Outside) -> None:
    chunks = [page(), [*again(1_000), click(1_001)], [click(2_000)]]
    for seq, events in enumerate(chunks):
        receiver.upload("busy-mixed", events, seq=seq)
    [part] = receiver.document("/api/v1/sessions/busy-mixed/recording", **FROM)["streams"]
    assert part["events"] == [event for events in chunks for event in events]


@pytest.mark.parametrize("mark", [True, False, None, 1, "yes", {}])
def test_whatever_the_mark_is_the_event_is_kept(receiver: Outside, mark: Any) -> None:
    meta, whole = page(1_000)
    session = f"marked {mark!r}"
    for seq, events in enumerate([page(), [meta, {**whole, "repeats": mark}]]):
        receiver.upload(session, events, seq=seq)
    path = f"/api/v1/sessions/{quote(session, safe='')}/recording"
    [recorded] = receiver.document(path)["streams"]
    assert recorded["events"] == [*page(), meta, {**whole, "repeats": mark}]
    [part] = receiver.document(path, **FROM)["streams"]
    assert len(part["events"]) == (2 if mark is True else 4)
