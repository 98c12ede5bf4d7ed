from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.errors import InvalidRequest
from otel_replay.recording.events import (
    MAX_SEQ,
    MAX_TIMESTAMP_MS,
    ms_to_unix_nano,
    parse_events,
    raw_events,
    summarise,
)
from otel_replay.recording.uploads import chunk_from_upload
from tests.recording.pages import START_MS, event, mutation, recorded, snapshot

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def upload(payload: bytes, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "project": 1,
        "session_id": "s1",
        "stream_id": "tab",
        "seq": 0,
        "payload": payload,
        "received_unix_nano": 5,
        "sent_at_unix_nano": None,
    }
    return chunk_from_upload(**{**arguments, **changes})


@pytest.mark.parametrize("body", ["[%s]", '{"events": [%s], "seq": 4}', "%s"], ids=["array", "object", "one event"])
def test_three_forms_of_payload(body: str) -> None:
    one = event(4, {"href": "/"})
    assert parse_events((body % json.dumps(one)).encode()) == [one]


def test_order_is_kept() -> None:
    events = recorded()["events"][::-1]
    assert parse_events(json.dumps(events).encode()) == events


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"[1]", "events[0]: expected an rrweb event object, found a number"),
        (b'[{"type": 4, "timestamp": 1}, {"timestamp": 1}]', "events[1].type: expected an integer, found nothing"),
        (b'[{"type": "4", "timestamp": 1}]', "events[0].type: expected an integer, found a string"),
        (b'[{"type": true, "timestamp": 1}]', "events[0].type: expected an integer, found a boolean"),
        (b'[{"type": 4, "timestamp": "1"}]', "events[0].timestamp: "),
        (b'[{"type": 4, "timestamp": -1}]', "found -1"),
        (b'[{"type": 4, "timestamp": 1700000000000000000}]', "found 1700000000000000000"),
        (b'{"events": {}}', "events: expected an array, found an object"),
        (b"null", "events: expected an array, found nothing"),
        (b"", "events: not JSON"),
        (b"\xff", "events: not UTF-8 at byte 0"),
        (b'{"type": 4, "timestamp": NaN}', "NaN is not a JSON number"),
        (b'{"type": 4, "timestamp": 1e999}', "too large for a double"),
        (b"1" * 5_000, "events: not JSON"),
        (b"[" * 100_000, "events: nested too deeply"),
        ("[]".encode("utf-16"), "events: not UTF-8"),
    ],
)
def test_errors_say_what_and_where(payload: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_events(payload)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "value", [2**64, -(2**63) - 1, 10**40, "\ud800 alone", "fox \U0001f98a", 1.5e300, [[[{}]]]], ids=repr
)
def test_reading_back_is_exact(value: Any) -> None:
    events = [event(5, {"tag": "t", "payload": value})]
    assert raw_events(json.dumps(events).encode()) == events


@given(JSON_VALUES)
def test_nonsense_is_refused_as_invalid_request_only(document: Any) -> None:
    payload = json.dumps(document).encode()
    try:
        events = parse_events(payload)
    except InvalidRequest:
        return
    assert events == raw_events(payload)


@given(st.binary(max_size=60))
def test_random_bytes_are_refused_as_invalid_request_only(payload: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_events(payload), list)


@given(st.integers(0, MAX_TIMESTAMP_MS))
def test_whole_milliseconds_are_exact(ms: int) -> None:
    assert ms_to_unix_nano(ms) == ms * 10**6


@given(st.integers(0, MAX_TIMESTAMP_MS // 10), st.integers(1, 999))
def test_a_float_is_the_decimal_it_is_written_as(ms: int, thousandths: int) -> None:
    written = f"{ms}.{thousandths:03}"
    exact = ms * 10**6 + thousandths * 1_000
    if repr(float(written)).rstrip("0") == written.rstrip("0"):
        assert ms_to_unix_nano(float(written)) == exact
    assert abs(ms_to_unix_nano(float(written)) - exact) < 1_000


def test_a_float_of_today() -> None:
    assert ms_to_unix_nano(1795182249824.1) == 1_795_182_249_824_100_000


def test_summary_takes_earliest_and_latest() -> None:
    summary = summarise([mutation(START_MS + 9), snapshot(ms=START_MS), mutation(START_MS + 4)])
    assert (summary.start_unix_nano, summary.end_unix_nano) == (START_MS * 10**6, (START_MS + 9) * 10**6)
    assert (summary.events, summary.has_full_snapshot) == (3, True)
    assert not summarise([mutation()]).has_full_snapshot


def test_an_upload_becomes_a_chunk_byte_for_byte() -> None:
    payload = b'{"events": [ {"type":2,"timestamp":3,"data":{}} ]}'
    chunk = upload(payload, seq=None, sent_at_unix_nano=11)
    assert (chunk.payload, chunk.seq, chunk.sent_at_unix_nano, chunk.received_unix_nano) == (payload, None, 11, 5)
    assert (chunk.start_unix_nano, chunk.end_unix_nano, chunk.events) == (3_000_000, 3_000_000, 1)
    assert (chunk.has_full_snapshot, chunk.slice_index, chunk.slice_count) == (True, 1, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"session_id": ""}, "session_id: 0 characters"),
        ({"session_id": "s" * 201}, "session_id: 201 characters"),
        ({"session_id": "a\nb"}, "session_id: holds a control character"),
        ({"stream_id": "a\ud800"}, "stream_id: holds a control character"),
        ({"stream_id": ""}, "stream_id: 0 characters"),
        ({"seq": -1}, "seq: -1"),
        ({"seq": MAX_SEQ + 1}, "is not in 0..2**53"),
        ({"payload": b"[]"}, "events: the array is empty"),
    ],
)
def test_uploads_are_checked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        upload(**{"payload": json.dumps([mutation()]).encode(), **changes})
    assert words in caught.value.message


def test_the_limits_are_allowed() -> None:
    assert upload(json.dumps([mutation()]).encode(), session_id="s" * 200, seq=MAX_SEQ).seq == MAX_SEQ
