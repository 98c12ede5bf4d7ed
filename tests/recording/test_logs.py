from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_replay.errors import InvalidRequest
from otel_replay.model import Chunk
from otel_replay.recording.events import parse_events
from otel_replay.recording.logs import chunk_from_log, is_recording
from tests.recording.pages import START_MS, mutation, snapshot

START = START_MS * 10**6
HYPERDX = {"rum.sessionId": "ab" * 16, "rum.scriptInstance": "cd" * 8}
NUMBERS = {"rr-web.offset": 3.0, "rr-web.event": 2.0, "rr-web.chunk": 1.0, "rr-web.total-chunks": 1.0}


def chunk(body: Any = None, *, record: Any = NUMBERS, resource: Any = HYPERDX, time: int = START + 128) -> Chunk:
    return chunk_from_log(
        project=1,
        resource_attributes=resource,
        record_attributes=record,
        body=json.dumps(mutation()) if body is None else body,
        time_unix_nano=time,
        received_unix_nano=START + 5,
    )


def test_which_records_are_recordings() -> None:
    marked = LogRecord(attributes=[KeyValue(key="rr-web.event", value=AnyValue(double_value=1))])
    assert is_recording(marked, "")
    assert is_recording(LogRecord(), "rum.rr-web")
    assert is_recording(LogRecord(), "splunk.rr-web")
    assert not is_recording(LogRecord(attributes=[KeyValue(key="event")]), "my.logger")


def test_a_record_of_hyperdx() -> None:
    made = chunk(json.dumps(snapshot()))
    assert (made.session_id, made.stream_id, made.seq) == ("ab" * 16, "cd" * 8, 2)
    assert (made.events, made.has_full_snapshot, made.slice_count) == (1, True, 1)
    assert made.start_unix_nano == made.end_unix_nano == START, "the event's own time, not the record's rounded one"
    assert json.loads(made.payload) == snapshot()


@pytest.mark.parametrize("offset", [7, 7.0, "7"])
def test_numbers_come_in_three_types(offset: Any) -> None:
    assert chunk(record={"rr-web.offset": offset}).seq == 6


@pytest.mark.parametrize("offset", [0, -1, 1.5, "x", "", True, float("nan"), float("inf"), 2**60, [1]])
def test_what_is_no_offset_is_refused(offset: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"rr-web\.offset"):
        chunk(record={"rr-web.offset": offset})


def test_without_offset_the_store_numbers() -> None:
    assert chunk(record={"rr-web.event": 1}).seq is None


@pytest.mark.parametrize("missing", range(5))
def test_precedence_of_session_ids(missing: int) -> None:
    """From the greatest precedence on, each name counts once those before it are gone."""
    names = [
        ("record", "session.id"),
        ("resource", "session.id"),
        ("resource", "rum.sessionId"),
        ("resource", "splunk.rumSessionId"),
        ("resource", "browser.session.id"),
    ]
    attributes: dict[str, dict[str, Any]] = {"record": {}, "resource": {}}
    for place, key in names[missing:]:
        attributes[place][key] = f"{place} {key}"
    made = chunk(record=attributes["record"], resource=attributes["resource"])
    assert made.session_id == " ".join(names[missing])


def test_the_name_decides_before_the_place() -> None:
    assert chunk(record={"rum.sessionId": "record"}, resource={"session.id": "resource"}).session_id == "resource"


@pytest.mark.parametrize("missing", range(5))
def test_precedence_of_stream_ids(missing: int) -> None:
    names = ["rr-web.stream", "rum.scriptInstance", "splunk.scriptInstance", "browser.instance.id"]
    resource = {"session.id": "s", **{name: name for name in names[missing:]}}
    assert chunk(resource=resource).stream_id == [*names, "main"][missing]


def test_a_session_is_needed() -> None:
    with pytest.raises(InvalidRequest, match=r"session\.id: missing"):
        chunk(resource={})


def test_slices_are_not_parsed() -> None:
    whole = json.dumps(snapshot())
    numbers = {"rr-web.offset": 4.0, "rr-web.chunk": 1.0, "rr-web.total-chunks": 2.0}
    first = chunk(whole[:40], record=numbers, time=START)
    second = chunk(whole[40:], record={**numbers, "rr-web.offset": 5.0, "rr-web.chunk": 2.0}, time=START)
    assert (first.seq, first.slice_index, first.slice_count, first.events) == (3, 1, 2, 1)
    assert (second.seq, second.slice_index, second.slice_count, second.events) == (4, 2, 2, 0)
    assert (first.has_full_snapshot, second.has_full_snapshot) == (True, False)
    assert first.start_unix_nano == first.end_unix_nano == START


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        ('{"type":2,"data":{', True),
        ('{"timestamp":17.5, "type": 2, "data"', True),
        ('{"type":3,"data":{"type":2,', False),
        ('{"type":20,', False),
        ('x{"type":2,', False),
    ],
)
def test_a_full_snapshot_is_seen_by_its_first_slice(beginning: str, expected: bool) -> None:
    numbers = {"rr-web.offset": 1, "rr-web.chunk": 1, "rr-web.total-chunks": 2}
    assert chunk(beginning, record=numbers).has_full_snapshot is expected
    assert not chunk(beginning, record={**numbers, "rr-web.chunk": 2}).has_full_snapshot


@pytest.mark.parametrize(
    ("time", "expected"),
    [(START, START), (START_MS, START), (0, START + 5), (10**15 - 1, START + 5), (2**64 - 1, START + 5)],
    ids=["nanoseconds", "milliseconds", "none", "neither", "beyond 64 bits"],
)
def test_the_time_of_a_slice(time: int, expected: int) -> None:
    assert chunk("x", record={"rr-web.offset": 1, "rr-web.total-chunks": 2}, time=time).start_unix_nano == expected


@pytest.mark.parametrize(
    ("body", "record"),
    [
        (None, {"rr-web.chunk": 3, "rr-web.total-chunks": 2, "rr-web.offset": 1}),
        (None, {"rr-web.chunk": 1, "rr-web.total-chunks": 2}),
        (None, {"rr-web.total-chunks": 10**6, "rr-web.offset": 1}),
        ("not json", NUMBERS),
        ("[]", NUMBERS),
        ({"type": 2}, NUMBERS),
        ("\ud800", NUMBERS),
        (None, {**NUMBERS, "segmentMetadata": 5}),
        ([1], {**NUMBERS, "segmentMetadata": "{}"}),
    ],
)
def test_nonsense_is_refused(body: Any, record: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        chunk(body, record=record)


def test_bytes_are_taken_as_they_are() -> None:
    assert chunk(json.dumps(mutation()).encode()).payload == json.dumps(mutation()).encode()


SPLUNK = {"splunk.rumSessionId": "ef" * 16, "splunk.scriptInstance": "12" * 8}
METADATA = {
    "id": "XWbmoZ",
    "format": "binary",
    "browser.instance.id": "D1meVf",
    "startUnixMs": START_MS + 0.5,
    "endUnixMs": START_MS + 2_000.25,
    "lastKnownSegmentEndUnixMs": None,
}


def segment(body: Any, metadata: Any = METADATA, **changes: Any) -> Chunk:
    told = metadata if isinstance(metadata, str) else json.dumps(metadata)
    record = {**NUMBERS, "segmentMetadata": told, **changes}
    return chunk(body, record=record, resource=SPLUNK, time=START_MS + 1)


def payload(made: Chunk) -> dict[str, Any]:
    [event] = parse_events(made.payload)
    assert (event["type"], event["data"]["tag"]) == (5, "splunk.segment")
    told: dict[str, Any] = event["data"]["payload"]
    return told


def test_a_binary_segment_is_kept_as_it_came() -> None:
    body = bytes(range(256))
    made = segment(body)
    assert base64.b64decode(payload(made)["body"]) == body
    assert payload(made)["encoding"] == "base64"
    assert json.loads(payload(made)["metadata"]) == METADATA
    assert payload(made)["playable"] is False
    assert (made.session_id, made.stream_id, made.seq) == ("ef" * 16, "D1meVf", None)
    assert (made.start_unix_nano, made.end_unix_nano) == (START, START + 2_000 * 10**6)
    assert (made.events, made.has_full_snapshot, made.slice_count) == (1, False, 1)


@pytest.mark.parametrize("body", ['{"assets":[],"events":[]}', "", "\ud83d", "é😀"])
def test_a_segment_of_json_is_kept_as_it_came(body: str) -> None:
    assert (payload(segment(body))["body"], payload(segment(body))["encoding"]) == (body, "utf-8")


def test_a_segment_sent_again_is_the_same_bytes() -> None:
    """By the next page, which counts from 1 again; a slice is not the next one."""
    first = segment(b"abc")
    again = segment(b"abc", **{"rr-web.offset": 1.0, "rr-web.event": 1.0})
    assert (first.payload, first.stream_id) == (again.payload, again.stream_id)
    slices = [segment(b"abc", **{"rr-web.chunk": float(nth), "rr-web.total-chunks": 2.0}) for nth in (1, 2)]
    assert [(payload(one)["chunk"], payload(one)["chunks"]) for one in slices] == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    "metadata", ["", "[1]", "not json", {}, {"startUnixMs": "x", "browser.instance.id": 5}, {"startUnixMs": 2**60}]
)
def test_metadata_of_any_kind_is_kept(metadata: Any) -> None:
    made = segment(b"abc", metadata)
    assert payload(made)["metadata"] == (metadata if isinstance(metadata, str) else json.dumps(metadata))
    assert (made.stream_id, made.start_unix_nano) == ("12" * 8, START + 10**6), "milliseconds of the record"


@pytest.mark.parametrize(
    ("record", "anew"),
    [
        ({"rr-web.offset": 1.0}, True),
        ({"rr-web.offset": 2}, True),
        ({"rr-web.event": 1}, False),
        ({"rr-web.offset": 1, "rr-web.stream": "tab"}, False),
    ],
)
def test_who_counts_anew(record: Any, anew: bool) -> None:
    """Our own recorder names its stream and counts on; without a number nothing is counted."""
    assert chunk(record=record).counted_anew is anew


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
KEYS = st.sampled_from([*NUMBERS, *HYPERDX, "session.id", "rr-web.stream", "segmentMetadata"])
ATTRIBUTES = st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=2), max_size=5)


@given(SCALARS, ATTRIBUTES, ATTRIBUTES, st.integers(0, 2**64 - 1))
def test_random_records_are_refused_as_invalid_request_only(body: Any, record: Any, resource: Any, time: int) -> None:
    try:
        made = chunk(body, record=record, resource={**resource, "session.id": "s"}, time=time)
    except InvalidRequest:
        return
    assert 0 <= made.start_unix_nano <= made.end_unix_nano < 2**63
