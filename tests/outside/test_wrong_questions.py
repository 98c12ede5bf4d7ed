"""Wrong uploads and wrong questions get a clear answer that says what and where."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

import otel_replay
from otel_replay._pb.v1 import replay_pb2
from otel_replay.errors import InvalidRequest, NotFound, ReplayError, StoreError
from tests.outside.outside import JSON, PROBLEM, Outside, refusal
from tests.outside.telemetry import click, page, span, traces

UNKNOWN = "ff" * 16
EVENT = {"type": 4, "timestamp": 1_763_600_000_000, "data": {}}


def problem(answer: Any, status: int) -> str:
    """The detail of a ``problem+json`` answer with that status."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    document = answer.json()
    assert (document["status"], document["type"]) == (status, "about:blank")
    assert document["title"]
    return str(document["detail"])


# Uploads of recordings


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "events: not JSON"),
        (b"nonsense", "events: not JSON"),
        (b'[{"type": 4', "events: not JSON"),
        (b'["\xff"]', "events: not UTF-8 at byte 2"),
        (b"[" * 3000 + b"]" * 3000, "events: nested too deeply"),
        (b"[]", "events: the array is empty"),
        (b'{"events": []}', "events: the array is empty"),
        (b'{"events": 5}', "events: expected an array, found a number"),
        (b"5", "events: expected an array"),
        (b"[5]", "events[0]: expected an rrweb event object, found a number"),
        (b'[{"type": 4, "timestamp": 1}, {"type": 3}]', "events[1].timestamp: expected Unix milliseconds"),
        (b'[{"type": 4, "timestamp": "1"}]', "events[0].timestamp: expected Unix milliseconds"),
        (b'[{"type": 4, "timestamp": 1763600000000000000}]', "found 1763600000000000000"),
        (b'[{"type": 4, "timestamp": -1}]', "events[0].timestamp"),
        (b'[{"timestamp": 1}]', "events[0].type: expected an integer, found nothing"),
        (b'[{"type": true, "timestamp": 1}]', "events[0].type: expected an integer, found a boolean"),
    ],
)
def test_what_is_no_recording(receiver: Outside, body: bytes, words: str) -> None:
    assert words in problem(receiver.post("/api/v1/sessions/never/events", body, JSON), 400)
    refused = refusal(
        lambda: receiver.replay_service.UploadChunk(replay_pb2.UploadChunkRequest(session_id="never", events_json=body))
    )
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in refused.details
    assert receiver.get("/api/v1/sessions/never/recording").status_code == 404


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"seq": -1}, "seq: -1 is not in 0..2**53"),
        ({"seq": 2**53 + 1}, "is not in 0..2**53"),
        ({"seq": 10**30}, "is not in 0..2**53"),
        ({"seq": "first"}, "seq 'first' is not a whole number"),
        ({"seq": 1.5}, "seq '1.5' is not a whole number"),
        ({"seq": True}, "seq 'True' is not a whole number"),
        ({"sent_at": "now"}, "sent_at 'now' is not a whole number"),
        ({"sent_at": -1}, "sent_at: -1000000 ns is not in 0..2**63"),
        ({"sent_at": 2**60}, "is not in 0..2**63"),
        ({"stream_id": "a\nb"}, "stream_id: holds a control character"),
        ({"stream_id": "x" * 201}, "stream_id: 201 characters, expected 1 to 200"),
        ({"stream_id": "\ud800"}, "stream_id: holds a control character"),
    ],
)
def test_what_is_told_wrong_of_a_chunk(receiver: Outside, told: dict[str, Any], words: str) -> None:
    body = json.dumps({"events": [EVENT], **told}).encode()
    assert words in problem(receiver.post("/api/v1/sessions/never/events", body, JSON), 400)


@pytest.mark.parametrize(
    ("header", "value"), [("seq", "-1"), ("seq", "1e3"), ("sent_at", "9999999999999999999"), ("stream", "x" * 201)]
)
def test_what_is_told_wrong_in_headers(receiver: Outside, header: str, value: str) -> None:
    body, headers = json.dumps([EVENT]).encode(), {f"x_otel_replay_{header}": value}
    detail = problem(receiver.post("/api/v1/sessions/never/events", body, JSON, **headers), 400)
    assert detail.startswith(header)


@pytest.mark.parametrize("path", ["a%0Ab", "%1B[2J", "x" * 201, "%C2%85"])
def test_a_session_id_that_a_terminal_would_obey(receiver: Outside, path: str) -> None:
    assert "session_id: " in problem(receiver.post(f"/api/v1/sessions/{path}/events", b"[]", JSON), 400)


@pytest.mark.parametrize(
    "fields", [{"session_id": ""}, {"session_id": "\x07"}, {"seq": 2**53 + 1}, {"sent_at_unix_nano": 2**63}]
)
def test_what_is_told_wrong_over_grpc(receiver: Outside, fields: dict[str, Any]) -> None:
    request = replay_pb2.UploadChunkRequest(
        **{"session_id": "never", "events_json": json.dumps([EVENT]).encode(), **fields}
    )
    refused = refusal(lambda: receiver.replay_service.UploadChunk(request))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert next(iter(fields)).removesuffix("_unix_nano") in refused.details


def test_a_bad_chunk_in_a_client_stream_keeps_those_before_it(receiver: Outside) -> None:
    good = replay_pb2.UploadChunkRequest(session_id="half", seq=0, events_json=json.dumps([EVENT]).encode())
    bad = replay_pb2.UploadChunkRequest(session_id="half", seq=1, events_json=b"[5]")
    refused = refusal(lambda: receiver.replay_service.UploadChunks(iter([good, bad, good])))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    [stream] = receiver.document("/api/v1/sessions/half/recording")["streams"]
    assert stream["events"] == [EVENT]


# Unknown things


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"/api/v1/traces/{UNKNOWN}", f"no trace {UNKNOWN}"),
        (f"/api/v1/traces/{UNKNOWN}/timeline", f"no trace {UNKNOWN}"),
        ("/api/v1/sessions/nobody/timeline", "no session nobody"),
        ("/api/v1/sessions/nobody/recording", "session nobody has no recording"),
        ("/api/v1/conversations/none/timeline", "no conversation none"),
    ],
)
def test_unknown_over_http(receiver: Outside, path: str, words: str) -> None:
    assert words in problem(receiver.get(path), 404)


def test_unknown_addresses(receiver: Outside) -> None:
    for path in ("/api/v1/nonsense", "/nonsense"):
        answer = receiver.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


def test_unknown_over_grpc(receiver: Outside) -> None:
    service = receiver.replay_service
    for request in ({"trace_id": UNKNOWN}, {"session_id": "nobody"}, {"conversation_id": "none"}):
        refused = refusal(partial(service.GetTimeline, replay_pb2.GetTimelineRequest(**request)))
        assert refused.code is grpc.StatusCode.NOT_FOUND
        assert next(iter(request.values())) in refused.details
    refused = refusal(lambda: list(service.GetRecording(replay_pb2.GetRecordingRequest(session_id="nobody"))))
    assert refused.code is grpc.StatusCode.NOT_FOUND


def test_unknown_in_python(receiver: Outside) -> None:
    for target in (receiver.url, receiver.database):
        replay = otel_replay.open(target)
        with pytest.raises(NotFound, match=UNKNOWN):
            replay.timeline(UNKNOWN)
        with pytest.raises(NotFound, match=UNKNOWN):
            replay.trace(UNKNOWN)
        with pytest.raises(NotFound, match="nobody"):
            replay.recordings.download("nobody")
        with pytest.raises(InvalidRequest, match="not a trace id"):
            replay.timeline("xyz")
        with pytest.raises(InvalidRequest, match="exactly one"):
            replay.timeline()
        with pytest.raises(InvalidRequest, match="limit is 0"):
            replay.sessions(limit=0)
        replay.close()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        otel_replay.open(tmp_path / "missing.db")
    with pytest.raises(ReplayError, match="cannot be opened"):
        otel_replay.open("ftp://example")


# Wrong parameters


def packed(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


CURSORS = ["x", "%%%", "é", packed(5), packed(None), packed({}), packed([1, 2, 3]), packed(["main", -1])]
CURSORS += [packed(["main", 2**64]), packed(["main", True]), packed([5, "\ud800"]), packed([2**70, "x"])]
CURSORS += [packed([1, 2]), base64.b64encode(b"[" * 9_000).decode(), base64.b64encode(b"\xff").decode()]


@pytest.fixture(scope="module")
def known(receiver: Outside) -> str:
    """The id of a trace that is there, whose session ``known`` has a recording."""
    trace_id = "1e" * 16
    request = traces(span(trace_id, 1), resource={"session.id": "known"})
    assert receiver.post("/v1/traces", request.SerializeToString()).status_code == 200
    receiver.upload("known", [*page(), click(5)])
    return trace_id


@pytest.mark.parametrize("cursor", CURSORS)
def test_cursors_that_were_not_given_out(receiver: Outside, known: str, cursor: str) -> None:
    for path in ("", "/known/recording", "/known/timeline"):
        detail = problem(receiver.get(f"/api/v1/sessions{path}", cursor=cursor), 400)
        assert "the cursor is not one" in detail
    refused = refusal(lambda: receiver.replay_service.ListSessions(replay_pb2.ListSessionsRequest(cursor=cursor)))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("path", "parameters", "words"),
    [
        ("/api/v1/sessions", {"usr": "u1"}, "unknown parameter 'usr'"),
        ("/api/v1/sessions", {"limit": "0"}, "limit is 0"),
        ("/api/v1/sessions", {"limit": "1001"}, "ask for 1 to 1000"),
        ("/api/v1/sessions", {"limit": "-1"}, "limit '-1' is not a whole number"),
        ("/api/v1/sessions", {"limit": "٣"}, "is not a whole number"),
        ("/api/v1/sessions", {"since": "yesterday"}, "'yesterday' is not a time"),
        ("/api/v1/sessions", {"since": "2025-11-20T10:00:00"}, "names no time zone"),
        ("/api/v1/sessions", {"until": "15"}, "'15' is not a time"),
        ("/api/v1/sessions/known/recording", {"form": "5m"}, "unknown parameter 'form'"),
        ("/api/v1/sessions/known/recording", {"from_": "5 minutes"}, "is not a time"),
        ("/api/v1/sessions/known/recording", {"max_bytes": "1MB"}, "max_bytes '1MB' is not a whole number"),
        ("/api/v1/sessions/known/timeline", {"kind": "span"}, "unknown parameter 'kind'"),
        ("/api/v1/sessions/known/timeline", {"kinds": "span,spam"}, "no such kind: spam"),
        ("/api/v1/sessions/known/timeline", {"limit": "0"}, "limit is 0"),
        ("/api/v1/sessions/known/timeline", {"window": "10"}, "'10' is not a duration"),
        ("/api/v1/traces/xyz/timeline", {}, "'xyz' is not a trace id"),
        ("/api/v1/traces/xyz", {}, "'xyz' is not a trace id"),
    ],
)
def test_parameters(receiver: Outside, known: str, path: str, parameters: dict[str, str], words: str) -> None:
    assert words in problem(receiver.get(path, **parameters), 400)


@pytest.mark.parametrize("around", ["xyz", UNKNOWN, f"{UNKNOWN}:{1:016x}", f"{UNKNOWN}:"])
def test_around_a_span_that_is_not_there(receiver: Outside, known: str, around: str) -> None:
    assert "around is TRACE_ID:SPAN_ID" in problem(receiver.get("/api/v1/sessions/known/timeline", around=around), 404)


@pytest.mark.parametrize(
    ("time", "is_past"),
    [
        ("0001-01-01T00:00:00Z", True),
        ("99999999999d", True),
        ("9999-12-31T23:59:59.999999999Z", False),
        ("9999999999999999999", False),
    ],
)
def test_times_beyond_64_bits_bound_nothing(receiver: Outside, known: str, time: str, is_past: bool) -> None:
    since, until = (receiver.document("/api/v1/sessions", **{name: time}) for name in ("since", "until"))
    assert (since["total"] > 0, until["total"] > 0) == (is_past, not is_past)
    listed = replay_pb2.ListSessionsRequest(until_unix_nano=2**64 - 1)
    assert json.loads(receiver.replay_service.ListSessions(listed).sessions_json)["total"] > 0


# Browsers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4318", "", "["])
def test_another_host_name_is_refused(receiver: Outside, host: str) -> None:
    """A page elsewhere could otherwise read everything through a name of its own that points to 127.0.0.1."""
    answer = receiver.http.get(receiver.url + "/api/v1/sessions", headers={"host": host}, timeout=20)
    assert answer.status_code == 401
    assert "sessions" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4318", "127.0.0.1:1", "[::1]:4318"])
def test_the_names_of_loopback_are_served(receiver: Outside, host: str) -> None:
    answer = receiver.http.get(receiver.url + "/healthz", headers={"host": host}, timeout=20)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def preflight(receiver: Outside, path: str, origin: str) -> Any:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,content-encoding,traceparent,x-otel-replay-seq",
    }
    return receiver.http.options(receiver.url + path, headers=asked, timeout=20)


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/rumreplay", "/api/v1/sessions/s1/events"])
@pytest.mark.parametrize(
    "origin", ["http://localhost:8600", "http://127.0.0.1:3000", "https://localhost", "http://[::1]:80"]
)
def test_pages_on_loopback_may_send(receiver: Outside, path: str, origin: str) -> None:
    answer = preflight(receiver, path, origin)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "x-otel-replay-seq" in answer.headers["access-control-allow-headers"]
    assert int(answer.headers["access-control-max-age"]) == 7200, "Chromium forgets after 5 s where nothing is said"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "http://evil.example/localhost", "null"]
)
def test_pages_elsewhere_may_not(receiver: Outside, origin: str) -> None:
    answer = preflight(receiver, "/v1/traces", origin)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


def test_a_browser_may_read_errors_and_when_to_come_back(receiver: Outside) -> None:
    answer = receiver.post("/v1/traces", b"x", JSON, origin="http://localhost:3000")
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "retry-after" in answer.headers["access-control-expose-headers"].lower()


def test_no_page_elsewhere_reads_answers(receiver: Outside, known: str) -> None:
    for origin in ("https://evil.example", "http://localhost:3000"):
        answer = receiver.http.get(receiver.url + "/api/v1/sessions", headers={"origin": origin}, timeout=20)
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/traces", "/api/v1/sessions/from-elsewhere/events"])
def test_what_a_page_elsewhere_sends_is_not_stored(receiver: Outside, path: str) -> None:
    """CORS would only keep it from reading the answer: text/plain is sent without a preflight."""
    body = b'{"events":[{"type":4,"timestamp":1763600000123,"data":{}}]}'
    answer = receiver.post(path, body, "text/plain", origin="https://evil.example")
    assert answer.status_code == 403
    assert "https://evil.example" in answer.text
    sessions = receiver.document("/api/v1/sessions?limit=1000")["sessions"]
    assert "from-elsewhere" not in {session["session_id"] for session in sessions}


def test_the_receiver_s_own_page_may_send(receiver: Outside) -> None:
    assert receiver.post("/v1/traces", b"{}", JSON, origin=receiver.url).status_code == 200


def test_a_recording_nested_too_deeply_to_be_read_back_is_refused(receiver: Outside) -> None:
    for depth, status in ((400, 200), (600, 400)):
        deep = b"[" * depth + b"]" * depth
        body = b'[{"type":5,"timestamp":1763600000123,"data":{"tag":"deep","payload":' + deep + b"}}]"
        answer = receiver.post("/api/v1/sessions/deep/events", body, JSON)
        assert answer.status_code == status, answer.text
    assert receiver.document("/api/v1/sessions/deep/recording")["streams"][0]["from_seq"] == 0
