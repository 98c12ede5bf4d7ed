"""Recordings come in by every way and out by every way: the same events, in the order of the page."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard

import otel_replay
from otel_replay._pb.v1 import replay_pb2
from otel_replay.model import Signal
from tests.outside.outside import JSON, Outside, answered
from tests.outside.telemetry import click, custom, log, logs, page
from tests.recording.pages import START_MS, event

Events = list[dict[str, Any]]

ODD: dict[str, Any] = {
    "type": 5,
    "timestamp": START_MS + 7.5,
    "data": {"tag": "odd", "payload": {"text": 'é😀\u2028\u0000"\\', "big": 2**64 + 1, "small": 1e-7, "no": None}},
    "delay": -3,
    "a field of a later rrweb": [True, {}],
}
LONE = {"type": 5, "timestamp": START_MS + 8, "data": {"tag": "cut emoji", "payload": "\ud83d"}}

pytestmark = pytest.mark.feature("C3")


def chunks_of(count: int) -> list[Events]:
    """A page with a full snapshot, then chunks of a few clicks each."""
    return [page(), *([click(number * 10 + nth) for nth in range(3)] for number in range(1, count))]


# Ways in: each stores the chunks as sequence numbers 0, 1, 2, ... of stream "tab".


def _body(seq: int, events: Events) -> bytes:
    return json.dumps({"stream_id": "tab", "seq": seq, "events": events}).encode()


def by_object(receiver: Outside, session: str, chunks: list[Events]) -> None:
    for seq, events in enumerate(chunks):
        answer = receiver.post(f"/api/v1/sessions/{session}/events", _body(seq, events), JSON)
        told = {"session_id": session, "stream_id": "tab", "seq": seq, "duplicate": False}
        assert (answer.status_code, answer.json()) == (200, told)


def by_array_and_headers(receiver: Outside, session: str, chunks: list[Events]) -> None:
    for seq, events in enumerate(chunks):
        headers = {
            "x_otel_replay_stream": "tab",
            "x_otel_replay_seq": str(seq),
            "x_otel_replay_sent_at": "1763600000000",
        }
        answer = receiver.post(f"/api/v1/sessions/{session}/events", json.dumps(events).encode(), JSON, **headers)
        assert (answer.status_code, answer.json()["seq"]) == (200, seq)


def _compressed(
    receiver: Outside, session: str, chunks: list[Events], encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    for seq, events in enumerate(chunks):
        body = pack(_body(seq, events))
        answer = receiver.post(f"/api/v1/sessions/{session}/events", body, "text/plain", content_encoding=encoding)
        assert (answer.status_code, answer.json()["seq"]) == (200, seq)


def by_gzip(receiver: Outside, session: str, chunks: list[Events]) -> None:
    _compressed(receiver, session, chunks, "gzip", gzip.compress)


def by_zstd(receiver: Outside, session: str, chunks: list[Events]) -> None:
    _compressed(receiver, session, chunks, "zstd", zstandard.ZstdCompressor().compress)


def _upload(session: str, seq: int, events: Events) -> Any:
    events_json = json.dumps(events).encode()
    return replay_pb2.UploadChunkRequest(session_id=session, stream_id="tab", seq=seq, events_json=events_json)


def by_grpc(receiver: Outside, session: str, chunks: list[Events]) -> None:
    for seq, events in enumerate(chunks):
        answer = receiver.replay_service.UploadChunk(_upload(session, seq, events))
        assert (answer.seq, answer.duplicate) == (seq, False)


def by_grpc_stream(receiver: Outside, session: str, chunks: list[Events]) -> None:
    requests = [_upload(session, seq, events) for seq, events in enumerate(chunks)]
    answer = receiver.replay_service.UploadChunks(iter([*requests, requests[0]]))
    assert (answer.stored, answer.duplicates) == (len(chunks), 1)


def by_otlp_logs(receiver: Outside, session: str, chunks: list[Events]) -> None:
    """One record for each event: as many chunks as there are events."""
    records = [
        log(json.dumps(event), attributes={"rr-web.event": 1, "rr-web.offset": offset})
        for offset, event in enumerate((event for events in chunks for event in events), 1)
    ]
    request = logs(*records, resource={"session.id": session, "browser.instance.id": "tab"}, scope="splunk.rr-web")
    assert receiver.export(Signal.LOGS, request.SerializeToString()) == b""


WAYS_IN = [by_object, by_array_and_headers, by_gzip, by_zstd, by_grpc, by_grpc_stream, by_otlp_logs]


# Ways out: each gives the events of every stream.


def over_http(receiver: Outside, session: str) -> dict[str, Events]:
    found = receiver.document(f"/api/v1/sessions/{session}/recording")
    assert found["next_cursor"] is None
    return {stream["stream_id"]: stream["events"] for stream in found["streams"]}


def over_http_in_small_pages(receiver: Outside, session: str) -> dict[str, Events]:
    found: dict[str, Events] = {}
    path = f"/api/v1/sessions/{session}/recording"
    cursor: dict[str, str] = {}
    while True:
        part = receiver.document(path, max_bytes=150, **cursor)
        for stream in part["streams"]:
            found.setdefault(stream["stream_id"], []).extend(stream["events"])
        if part["next_cursor"] is None:
            return found
        assert {"cursor": part["next_cursor"]} != cursor
        cursor = {"cursor": part["next_cursor"]}


def over_grpc(receiver: Outside, session: str) -> dict[str, Events]:
    found: dict[str, Events] = {}
    for part in receiver.replay_service.GetRecording(replay_pb2.GetRecordingRequest(session_id=session)):
        found.setdefault(part.stream_id, []).extend(json.loads(part.events_json))
    return found


def _downloaded(target: str | Path, session: str) -> dict[str, Events]:
    replay = otel_replay.open(target)
    found = {stream.stream_id: stream.events for stream in replay.recordings.download(session)}
    replay.close()
    return found


def from_the_file(receiver: Outside, session: str) -> dict[str, Events]:
    return _downloaded(receiver.database, session)


def from_the_url(receiver: Outside, session: str) -> dict[str, Events]:
    return _downloaded(receiver.url, session)


def by_command(receiver: Outside, session: str) -> dict[str, Events]:
    streams = over_http(receiver, session)
    return {stream: answered(receiver.command("recording", session, "--stream", stream)) for stream in streams}


WAYS_OUT = [over_http, over_http_in_small_pages, over_grpc, from_the_file, from_the_url, by_command]


def name_of(way: Callable[..., Any]) -> str:
    return way.__name__


@pytest.mark.feature("R2")
@pytest.mark.feature("R5")
@pytest.mark.parametrize("way_in", WAYS_IN, ids=name_of)
def test_every_event_comes_back_exactly(
    receiver: Outside, way_in: Callable[[Outside, str, list[Events]], None]
) -> None:
    session = f"session of {way_in.__name__}"
    chunks = [*chunks_of(5), [ODD, LONE]]
    way_in(receiver, session, chunks)
    expected = {"tab": [event for events in chunks for event in events]}
    for way_out in WAYS_OUT:
        assert way_out(receiver, session) == expected, way_out.__name__


def test_hyperdx_sends_doubles_and_slices(receiver: Outside) -> None:
    events = [*page(), click(20)]
    whole = json.dumps(events[1])
    pieces = [json.dumps(events[0]), whole[:40], whole[40:90], whole[90:], json.dumps(events[2])]
    slices = [(1.0, 1.0), (1.0, 3.0), (2.0, 3.0), (3.0, 3.0), (1.0, 1.0)]
    records = [
        log(
            piece,
            attributes={
                "rr-web.event": 1.0,
                "rr-web.offset": float(offset),
                "rr-web.chunk": index,
                "rr-web.total-chunks": count,
            },
        )
        for offset, (piece, (index, count)) in enumerate(zip(pieces, slices, strict=True), 1)
    ]
    random.Random(3).shuffle(records)
    resource = {"rum.sessionId": "hyperdx", "rum.scriptInstance": "cd" * 8, "service.name": "shop"}
    for half in (records[:2], records[2:]):
        receiver.export(Signal.LOGS, logs(*half, resource=resource, scope="rum.rr-web").SerializeToString())
    for way_out in WAYS_OUT:
        assert way_out(receiver, "hyperdx") == {"cd" * 8: events}, way_out.__name__


@pytest.mark.feature("X5")
def test_slices_that_were_cut_within_a_character_lose_that_character_alone(receiver: Outside) -> None:
    """HyperDX cuts by bytes and decodes each slice by itself: half a character comes as one U+FFFD or several."""
    said = custom(20, "said", text="€" * 100)
    raw = json.dumps(said, ensure_ascii=False).encode()
    at = raw.index("€".encode())
    cuts = [0, at + 31, at + 62, at + 93, len(raw)]  # behind one byte of three, two, and none
    slices = [raw[start:end].decode(errors="replace") for start, end in pairwise(cuts)]
    numbered = [(nth, json.dumps(one), 1, 1) for nth, one in enumerate(page(), 1)]
    numbered += [(2 + nth, part, nth, len(slices)) for nth, part in enumerate(slices, 1)]
    records = [
        log(
            body, attributes={"rr-web.event": 3.0, "rr-web.offset": n, "rr-web.chunk": index, "rr-web.total-chunks": of}
        )
        for n, body, index, of in numbered
    ]
    resource = {"rum.sessionId": "cut", "rum.scriptInstance": "page"}
    answer = receiver.export(Signal.LOGS, logs(*records, resource=resource, scope="rum.rr-web").SerializeToString())
    assert answer == b"", "nothing is rejected"
    [*shown, found] = over_http(receiver, "cut")["page"]
    assert shown == page()
    text = found["data"]["payload"]["text"]
    assert (text.count("€"), set(text)) == (98, {"€", "\ufffd"})
    assert found == custom(20, "said", text=text)


@pytest.mark.feature("X4")
def test_a_slice_whose_time_was_rounded_down_is_of_its_page(receiver: Outside) -> None:
    """HyperDX reckons nanoseconds in doubles: they may be those of the millisecond before."""
    ms = next(ms for ms in range(20) if int(float((START_MS + ms) * 10**6)) < (START_MS + ms) * 10**6)
    events = page(ms)
    meta, whole = map(json.dumps, events)
    records = [
        log(
            text,
            attributes={"rr-web.event": 1.0, "rr-web.offset": offset, "rr-web.chunk": index, "rr-web.total-chunks": of},
        )
        for offset, (text, index, of) in enumerate([(meta, 1, 1), (whole[:40], 1, 2), (whole[40:], 2, 2)], 1)
    ]
    for record in records:
        record.time_unix_nano = int(float((START_MS + ms) * 10**6))
    resource = {"rum.sessionId": "rounded", "rum.scriptInstance": "page"}
    receiver.export(Signal.LOGS, logs(*records, resource=resource, scope="rum.rr-web").SerializeToString())
    assert over_http(receiver, "rounded") == {"page": events}


@pytest.mark.feature("X5")
@pytest.mark.parametrize("path", ["/v1/logs", "/v1/rumreplay?auth=PUBLIC"])
def test_milliseconds_for_nanoseconds_in_a_beacon(
    receiver: Outside, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What Splunk's rrweb line writes, as a browser sends it when a page is left: JSON called text/plain."""
    session, events = f"beacon to {path[4:8]}", [*page(), click(20)]
    records = [
        {
            "timeUnixNano": event["timestamp"],
            "body": {"stringValue": json.dumps(event)},
            "attributes": [{"key": "rr-web.offset", "value": {"doubleValue": offset}}],
        }
        for offset, event in enumerate(events, 1)
    ]
    attributes = [{"key": "splunk.rumSessionId", "value": {"stringValue": session}}]
    scope = {"scope": {"name": "splunk.rr-web", "version": "0.24.0"}, "logRecords": records}
    body = {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [scope]}]}
    with caplog.at_level("DEBUG"):
        answer = receiver.post(path, json.dumps(body).encode(), "text/plain;charset=UTF-8", origin="http://localhost")
        assert receiver.post(path, b"[", "text/plain").status_code == 400
    assert (answer.status_code, answer.json()) == (200, {})
    assert over_http(receiver, session) == {"main": events}
    said = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    assert "PUBLIC" not in "".join(said)
    [listed] = [one for one in receiver.document("/api/v1/sessions")["sessions"] if one["session_id"] == session]
    assert listed["start_unix_nano"] == str(START_MS * 10**6)


@pytest.mark.feature("X4")
@pytest.mark.parametrize("batches", [1, 2])
def test_a_session_that_begins_on_a_page_keeps_apart_what_waited_of_the_one_before(
    receiver: Outside, batches: int
) -> None:
    """HyperDX stamps all records of a batch with the session that there is when it is sent, and counts from 1 again."""
    before, after = [click(1), click(2)], [*page(10), click(20), click(30)]
    session = f"rotated in {batches}"
    resource = {"rum.sessionId": session, "rum.scriptInstance": "page"}

    def send(*numbers: tuple[int, Events | dict[str, Any]]) -> None:
        records = [log(json.dumps(one), attributes={"rr-web.event": 1.0, "rr-web.offset": nth}) for nth, one in numbers]
        receiver.export(Signal.LOGS, logs(*records, resource=resource, scope="rum.rr-web").SerializeToString())

    waiting, begun = [*enumerate(before, 40)], [*enumerate(after, 1)]
    for batch in [[*waiting, *begun]] if batches == 1 else [waiting, begun]:
        send(*batch)
    later = [click(1_000 + nth) for nth in range(50)]
    send(*enumerate(later, 5))
    for way_out in WAYS_OUT:
        assert way_out(receiver, session) == {"page (before)": before, "page": [*after, *later]}, way_out.__name__
    timeline = receiver.timeline(f"/api/v1/sessions/{session}/timeline")
    clicks = [(entry["stream_id"], entry["title"]) for entry in timeline["entries"] if entry["kind"] == "dom"][:3]
    assert clicks == [("page (before)", "click on the page")] * 2 + [("page", "click on #send “Send”")]
    assert timeline["gaps"] == []


@pytest.mark.feature("X4")
def test_slices_that_are_equal_are_each_kept(receiver: Outside) -> None:
    """Of a long run of one letter, by a page that has begun another session meanwhile."""
    resource = {"rum.sessionId": "equal", "rum.scriptInstance": "page"}
    before, after = custom(1, "said", text="a" * 60), page(1_000)
    text = json.dumps(before)
    at = text.index("a" * 60)
    slices = [text[:at], "a" * 20, "a" * 20, "a" * 20, text[at + 60 :]]
    numbered = [(nth, json.dumps(one), 1, 1) for nth, one in enumerate(after, 1)]
    numbered += [(40 + nth, part, nth, len(slices)) for nth, part in enumerate(slices, 1)]
    for offset, body, index, count in [*numbered, *numbered]:
        numbers = {"rr-web.offset": offset, "rr-web.chunk": index, "rr-web.total-chunks": count}
        record = log(body, attributes={"rr-web.event": 1.0, **numbers})
        record.time_unix_nano = START_MS * 10**6
        receiver.export(Signal.LOGS, logs(record, resource=resource, scope="rum.rr-web").SerializeToString())
    assert over_http(receiver, "equal") == {"page (before)": [before], "page": after}


def _unnamed(receiver: Outside, session: str, *numbered: tuple[int, Events | dict[str, Any]]) -> None:
    """Sends records of a page that says of which session it is, and not which page."""
    records = [log(json.dumps(one), attributes={"rr-web.event": 1.0, "rr-web.offset": nth}) for nth, one in numbered]
    request = logs(*records, resource={"splunk.rumSessionId": session}, scope="splunk.rr-web")
    assert receiver.export(Signal.LOGS, request.SerializeToString()) == b"", "nothing is rejected"


@pytest.mark.feature("X5")
def test_pages_that_do_not_say_which_they_are_are_told_apart_by_time(receiver: Outside) -> None:
    """Each page of a session counts from 1 again; what one has left comes when the next has begun."""
    session = "pages without a name"
    pages = [[*page(ms), *(click(ms + 10 + nth) for nth in range(6))] for ms in (0, 10_000, 20_000)]
    for before, now in zip([[], *pages], [*pages, []], strict=True):
        left, begun = [*enumerate(before, 1)][-2:], [*enumerate(now, 1)][:-2]
        _unnamed(receiver, session, *begun[:3])
        _unnamed(receiver, session, *left, *begun[3:])
    found = over_http(receiver, session)
    assert found["main"] == pages[2]
    assert {*found} == {"main", "main (before)"}
    assert _sorted(found["main (before)"]) == _sorted([*pages[0], *pages[1]])
    streams = receiver.document(f"/api/v1/sessions/{session}/recording")["streams"]
    assert [(one["playable"], one["gaps"]) for one in streams] == [(True, [])] * 2


@pytest.mark.feature("X5")
@pytest.mark.parametrize("apart_ms", [0, 3], ids=["at once", "in turn"])
def test_tabs_that_do_not_say_which_they_are_lose_nothing(receiver: Outside, apart_ms: int) -> None:
    """They share a stream and its numbers, perhaps in the same millisecond; what comes again is still no other."""
    session = f"tabs without a name, {apart_ms} ms apart"
    tabs = [[custom(nth * 10 + tab * apart_ms, "said", tab=tab, nth=nth) for nth in range(20)] for tab in (0, 1)]
    order = [(nth, one) for nth, both in enumerate(zip(*tabs, strict=True), 1) for one in both]
    random.Random(5).shuffle(order)
    for batch in (order[:10], order[10:], order[5:25]):
        _unnamed(receiver, session, *batch)
    found = over_http(receiver, session)
    assert _sorted([one for events in found.values() for one in events]) == _sorted([*tabs[0], *tabs[1]])


def _sorted(events: Events) -> Events:
    return sorted(events, key=lambda one: (one["timestamp"], json.dumps(one)))


@pytest.mark.feature("X5")
def test_a_segment_of_splunks_own_format_is_kept_once(receiver: Outside) -> None:
    """The recorder sends again what it does not know to have arrived, with other numbers and from the next page."""
    metadata = {"id": "a", "format": "binary", "browser.instance.id": "tab", "startUnixMs": START_MS}
    for offset, instance in ((7, "one"), (1, "two")):
        record = log(
            b"\x00\xff",
            attributes={"segmentMetadata": json.dumps(metadata), "rr-web.event": 1.0, "rr-web.offset": offset},
        )
        resource = {"splunk.rumSessionId": "segments", "splunk.scriptInstance": instance}
        answer = receiver.export(
            Signal.LOGS, logs(record, resource=resource, scope="splunk.rr-web").SerializeToString()
        )
        assert answer == b"", "nothing is rejected"
    for way_out in WAYS_OUT:
        [(stream, [event])] = way_out(receiver, "segments").items()
        told = event["data"]["payload"]
        assert (stream, told["playable"], told["body"]) == ("tab", False, "AP8="), way_out.__name__
        assert json.loads(told["metadata"]) == metadata
    for session, playable in (("segments", False), ("playable", True)):
        if playable:
            receiver.upload(session, page(), stream_id="tab")
        [found] = receiver.document(f"/api/v1/sessions/{session}/recording")["streams"]
        replay = otel_replay.open(receiver.url)
        [downloaded] = replay.recordings.download(session)
        replay.close()
        assert (found["playable"], downloaded.playable) == (playable, playable)


def test_chunks_out_of_order_and_repeated(receiver: Outside) -> None:
    chunks = chunks_of(8)
    order = [*range(8), *range(0, 8, 2)]
    random.Random(11).shuffle(order)
    seen: set[int] = set()
    for seq in order:
        told = receiver.upload("shuffled", chunks[seq], stream_id="tab", seq=seq)
        assert told["duplicate"] is (seq in seen)
        seen.add(seq)
    assert over_http(receiver, "shuffled") == {"tab": [event for events in chunks for event in events]}


def test_a_number_that_is_taken_keeps_what_it_has(receiver: Outside) -> None:
    receiver.upload("taken", [click(1)], seq=0)
    assert receiver.upload("taken", [click(2)], seq=0)["duplicate"] is True
    assert over_http(receiver, "taken") == {"main": [click(1)]}


@pytest.mark.feature("R4")
def test_without_numbers_the_order_of_arrival_counts(receiver: Outside) -> None:
    replay = otel_replay.open(receiver.url)
    events = [[click(30)], [click(10)], [click(20)]]
    assert [replay.recordings.upload("counted", one) for one in events] == [0, 1, 2]
    assert replay.recordings.upload("counted", events[1]) == 1, "the same bytes again are the same chunk"
    assert replay.recordings.upload("counted", [click(1)], stream="other tab") == 0
    replay.close()
    assert over_grpc(receiver, "counted") == {"other tab": [click(1)], "main": [click(30), click(10), click(20)]}


@pytest.mark.feature("X4")
def test_a_gap_is_shown_until_it_is_filled(receiver: Outside) -> None:
    chunks = chunks_of(6)
    for seq in (0, 1, 4):
        receiver.upload("holey", chunks[seq], stream_id="tab", seq=seq)
    receiver.upload("holey", page(100), stream_id="tab", seq=5)
    expected = {
        "stream_id": "tab",
        "after_seq": 1,
        "missing": 2,
        "reason": "missing",
        "from_unix_nano": str((START_MS + 12) * 10**6),
        "to_unix_nano": str((START_MS + 40) * 10**6),
        "resumes_at": 5,
    }
    [stream] = receiver.document("/api/v1/sessions/holey/recording")["streams"]
    assert (stream["from_seq"], stream["to_seq"], stream["gaps"]) == (0, 5, [expected])
    timeline = receiver.timeline("/api/v1/sessions/holey/timeline")
    assert timeline["gaps"] == [expected]
    assert [entry["id"] for entry in timeline["entries"] if entry["kind"] == "gap"] == ["gap:tab:1"]
    for seq in (3, 2):
        receiver.upload("holey", chunks[seq], stream_id="tab", seq=seq)
    assert receiver.document("/api/v1/sessions/holey/recording")["streams"][0]["gaps"] == []
    assert receiver.timeline("/api/v1/sessions/holey/timeline")["gaps"] == []


@pytest.mark.feature("X4")
def test_tabs_are_kept_apart(receiver: Outside) -> None:
    tabs = {f"tab {number}": [page(number), [click(number + 20)]] for number in range(3)}
    for seq in (1, 0):
        for name, chunks in tabs.items():
            receiver.upload("tabs", chunks[seq], stream_id=name, seq=seq)
    expected = {name: [*chunks[0], *chunks[1]] for name, chunks in tabs.items()}
    for way_out in WAYS_OUT:
        assert way_out(receiver, "tabs") == expected, way_out.__name__
    [only] = receiver.document("/api/v1/sessions/tabs/recording", stream="tab 1")["streams"]
    assert only["events"] == expected["tab 1"]
    part = replay_pb2.GetRecordingRequest(session_id="tabs", stream_id="tab 2")
    assert [json.loads(one.events_json) for one in receiver.replay_service.GetRecording(part)] == [expected["tab 2"]]
    refused = receiver.command("recording", "tabs")
    assert refused.exit_code == 2
    assert "choose one with --stream: tab 0, tab 1, tab 2" in refused.stderr
    unknown = receiver.get("/api/v1/sessions/tabs/recording", stream="tab 9")
    assert unknown.status_code == 404
    assert "it has: tab 0, tab 1, tab 2" in unknown.json()["detail"]


@pytest.mark.feature("K3")
@pytest.mark.parametrize("order", ["as it happened", "shuffled"])
def test_the_timeline_tells_of_rage_and_of_clicks_that_do_nothing(receiver: Outside, order: str) -> None:
    """In whatever order the chunks come: a late one has what follows it distilled again."""
    session = f"behaviour {order}"
    moved = [event(3, {"source": 1, "positions": []}, START_MS + ms) for ms in (9_000, 12_000)]
    scrolled = event(3, {"source": 3, "id": 1, "x": 0, "y": 400}, START_MS + 8_500)
    happened = [page(), [click(100)], [click(300)], [click(500)], [scrolled], [moved[0]], page(10_000), [moved[1]]]
    numbers = list(range(len(happened)))
    if order == "shuffled":
        random.Random(5).shuffle(numbers)
    for seq in numbers:
        receiver.upload(session, happened[seq], stream_id="tab", seq=seq)
    timeline = receiver.timeline(f"/api/v1/sessions/{session}/timeline")
    told = [(entry["title"], int(entry["start_unix_nano"]) // 10**6 - START_MS) for entry in timeline["entries"]]
    assert told == [
        ("navigated to https://shop.example/chat", 0),
        ("click on #send “Send”", 100),
        ("dead click on #send “Send”", 100),
        ("click on #send “Send”", 300),
        ("click on #send “Send”", 500),
        ("rage click on #send “Send”", 500),
        ("scroll of the page to 400", 8_500),
    ]


def test_a_chunk_that_opens_a_session_with_its_facts(receiver: Outside) -> None:
    facts = custom(0, "otel.session", attributes={"user.id": "u7", "feature": "chat", "service.name": "shop"})
    receiver.upload("facts", [facts])
    [found] = receiver.document("/api/v1/sessions", user="u7")["sessions"]
    assert (found["session_id"], found["feature"], found["service"]) == ("facts", "chat", "shop")
    assert found["has_recording"] is True


@pytest.mark.parametrize("session", ["a/b", "a/events", "über 😀", "%41", "a?b#c"])
def test_session_ids_are_anything(receiver: Outside, session: str) -> None:
    replay = otel_replay.open(receiver.url)
    replay.recordings.upload(session, page())
    assert over_grpc(receiver, session) == {"main": page()}
    assert replay.recordings.download(session)[0].events == page()
    assert replay.timeline(session_id=session).sessions == (session,)
    replay.close()


def test_a_recording_longer_than_a_page_over_grpc(receiver: Outside) -> None:
    """Several megabytes, more than one message of gRPC holds by default."""
    events = [custom(number, "big", text="x" * 300_000) for number in range(40)]
    by_object(receiver, "big", [events[:20], *([event] for event in events[20:])])
    parts = list(receiver.replay_service.GetRecording(replay_pb2.GetRecordingRequest(session_id="big")))
    assert max(len(part.events_json) for part in parts) < 2**21
    assert over_grpc(receiver, "big") == {"tab": events}
