"""Wrong OTLP gets a clear answer, and loses nothing else."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
import zstandard
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from sqlite_utils import Database

from otel_replay.errors import RequestTooLarge
from otel_replay.model import Signal
from otel_replay.receiver import bodies
from tests.outside.outside import JSON, PATHS, PROBLEM, PROTOBUF, Outside, refusal, running
from tests.outside.telemetry import log, logs, span, span_id, traces

INVALID_ARGUMENT, UNIMPLEMENTED = 3, 12
RANDOM = random.Random(5).randbytes(300)


def rpc_status(answer: Any) -> Status:
    """The body of an OTLP/HTTP error, in the request's encoding."""
    if answer.headers["content-type"] == JSON:
        document = answer.json()
        return Status(code=document["code"], message=document["message"])
    assert answer.headers["content-type"] == PROTOBUF
    return Status.FromString(answer.content)


def stored_spans(receiver: Outside, trace_id: str) -> set[str]:
    """The span ids that a trace has; empty when there is no such trace."""
    answer = receiver.get(f"/api/v1/traces/{trace_id}")
    if answer.status_code == 404:
        return set()
    groups = answer.json()["resourceSpans"]
    return {one["spanId"] for group in groups for scope in group["scopeSpans"] for one in scope["spans"]}


def last_quarantined(receiver: Outside) -> tuple[int, str, bytes]:
    """Signal, reason and bytes of the record that was kept aside last."""
    connection = Database(receiver.database).conn
    row: tuple[int, str, bytes] = connection.execute(
        "SELECT signal, reason, raw FROM quarantine ORDER BY id DESC LIMIT 1"
    ).fetchone()
    connection.close()
    return row


def own_trace_id(case: str) -> str:
    return f"{zlib.crc32(case.encode()):032x}"


# Whole requests


@pytest.mark.parametrize("signal", Signal, ids=lambda signal: signal.name.lower())
@pytest.mark.parametrize("body", [RANDOM, b"\x0a\xff", b"\x0a\x05\x0a"], ids=["random", "bad length", "truncated"])
def test_bytes_that_are_no_request(receiver: Outside, signal: Signal, body: bytes) -> None:
    answer = receiver.post(PATHS[signal], body)
    told = rpc_status(answer)
    assert (answer.status_code, told.code) == (400, INVALID_ARGUMENT)
    assert "the body is not an Export" in told.message
    refused = refusal(lambda: receiver.export(signal, body))
    assert (refused.code, refused.details) == (grpc.StatusCode.INVALID_ARGUMENT, told.message)
    assert refused.trailers == {}
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_truncated_request_is_never_taken_for_a_whole_one(receiver: Outside, cut: int) -> None:
    trace_id = f"{0x7C00 + cut:032x}"
    body = traces(span(trace_id, 1), span(trace_id, 2)).SerializeToString()[:-cut]
    answer = receiver.post("/v1/traces", body)
    assert answer.status_code == 400
    assert stored_spans(receiver, trace_id) == set()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"nonsense", "not JSON"),
        (b'{"resourceSpans": [', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"[" * 3000 + b"]" * 3000, "not JSON"),
        (b"[]", "a JSON list, not an object"),
        (b'"text"', "a JSON str, not an object"),
        (b'{"resourceSpans": 5}', "resourceSpans is not an array"),
        (b'{"resourceSpans": [{}, 7]}', "resourceSpans[1] is not an object"),
        (
            b'{"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]}',
            "resourceSpans[0].scopeSpans[0].spans is not an array",
        ),
        (b'{"resourceSpans": [{"schemaUrl": 5}]}', "resourceSpans[0].schemaUrl is not a string"),
        (b'{"resourceSpans": [{"resource": {"attributes": 5}}]}', "resourceSpans[0].resource:"),
    ],
)
def test_json_that_is_no_request(receiver: Outside, body: bytes, words: str) -> None:
    answer = receiver.post("/v1/traces", body, JSON)
    told = rpc_status(answer)
    assert (answer.status_code, told.code) == (400, INVALID_ARGUMENT)
    assert words in told.message


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "text/html", "application/x-protobufx"])
def test_another_content_type(receiver: Outside, content_type: str) -> None:
    answer = receiver.post("/v1/traces", b"", content_type)
    told = rpc_status(answer)
    assert (answer.status_code, told.code) == (415, UNIMPLEMENTED)
    assert repr(content_type) in told.message
    assert "application/json" in told.message


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_answer_names_its_bare_type(receiver: Outside, content_type: str) -> None:
    """The Collector compares it as a string."""
    answer = receiver.post("/v1/traces", b"{}", content_type)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, JSON, b"{}")


def test_empty_requests_are_fine(receiver: Outside) -> None:
    for signal, path in PATHS.items():
        assert receiver.export(signal, b"") == b""
        for end in ("", "/"):
            assert (receiver.post(path + end, b"").status_code, receiver.post(path, b"{}", JSON).text) == (200, "{}")


@pytest.mark.parametrize("path", PATHS.values())
def test_otlp_takes_nothing_but_post(receiver: Outside, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        for kind in (JSON, PROTOBUF):
            answer = receiver.http.request(method, receiver.url + path, headers={"content-type": kind}, timeout=20)
            assert (answer.status_code, answer.headers["content-type"]) == (405, kind)
            assert rpc_status(answer).code == UNIMPLEMENTED
            assert "POST" in answer.headers["allow"]


# One bad record among good ones


BAD_UTF8 = b"\x2a\x02\xff\xfe"
"""As a span's name."""


def _deep(levels: int) -> bytes:
    """An attribute (field 9 of a span) whose value stands in so many arrays; the library refuses to make it."""
    value = b"\x0a\x01x"
    for _ in range(levels):
        value = _field(5, _field(1, value))
    return _field(9, _field(1, b"deep") + _field(2, value))


def _field(number: int, payload: bytes) -> bytes:
    low, rest = len(payload) & 0x7F, len(payload) >> 7
    length = [low | 0x80, rest] if rest else [low]
    return bytes([number << 3 | 2, *length]) + payload


def _bad_spans(trace_id: str) -> dict[str, bytes]:
    """By the beginning of what is said of them."""
    good = span(trace_id, 9).SerializeToString()
    return {
        "trace_id has 3 bytes, not 16": span("abcdef", 9).SerializeToString(),
        "trace_id has 0 bytes, not 16": span("", 9).SerializeToString(),
        "trace_id is all zeros": span("00" * 16, 9).SerializeToString(),
        "span_id is all zeros": span(trace_id, 0).SerializeToString(),
        "span_id has 2 bytes, not 8": good + _field(2, b"\1\2"),
        "not valid protobuf": good + BAD_UTF8,
        "not valid protobuf: ": good + _deep(51),
    }


def _with_raw_span(trace_id: str, raw: bytes) -> bytes:
    """Spans 1, ``raw`` and 3, each under a resource of its own."""
    first, last = (traces(span(trace_id, number)).SerializeToString() for number in (1, 3))
    return first + _field(1, _field(2, _field(2, raw))) + last


@pytest.mark.parametrize("reason", _bad_spans("ab" * 16))
@pytest.mark.parametrize("way", ["grpc", "http"])
def test_one_bad_span_is_named_and_kept_aside(receiver: Outside, way: str, reason: str) -> None:
    trace_id = own_trace_id(way + reason)
    raw = _bad_spans(trace_id)[reason]
    body = _with_raw_span(trace_id, raw)
    content = receiver.export(Signal.TRACES, body) if way == "grpc" else receiver.post("/v1/traces", body).content
    told = ExportTraceServiceResponse.FromString(content).partial_success
    assert told.rejected_spans == 1
    assert told.error_message.startswith(f"resource_spans[1].scope_spans[0].spans[0]: {reason}")
    assert stored_spans(receiver, trace_id) == {span_id(1), span_id(3)}
    assert last_quarantined(receiver) == (Signal.TRACES, told.error_message, raw)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"traceId": "abc"}, "traceId 'abc' is not hexadecimal"),
        ({"traceId": "ab" * 15}, "has 30 characters, not 32"),
        ({"traceId": "q" * 32}, "is not hexadecimal"),
        ({"traceId": None}, "trace_id has 0 bytes"),
        ({"traceId": "00" * 16}, "trace_id is all zeros"),
        ({"spanId": "ab" * 16}, "has 32 characters, not 16"),
        ({"spanId": 7}, "spanId"),
        ({"kind": {"a": 1}}, "kind"),
        ({"startTimeUnixNano": "soon"}, "startTimeUnixNano"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano"),
        ({"name": "\ud800"}, "surrogate"),
        ({"name": 5}, "name"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "a"}}]}, "bytesValue"),
        ({"links": [5]}, "links"),
        (
            {
                "attributes": json.loads(
                    '[{"key": "k", "value": ' + '{"arrayValue": {"values": [' * 60 + "]}}" * 60 + "}]"
                )
            },
            "deep",
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_one_bad_span_of_json_is_named_and_kept_aside(receiver: Outside, changes: dict[str, Any], words: str) -> None:
    trace_id = own_trace_id(json.dumps(changes))
    good = {"traceId": trace_id, "name": "good", "startTimeUnixNano": "5"}
    bad = {**good, "spanId": span_id(2), **changes}
    spans = [{**good, "spanId": span_id(1)}, bad, {**good, "spanId": span_id(3)}]
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    answer = receiver.post("/v1/traces", body, JSON)
    told = answer.json()["partialSuccess"]
    assert (answer.status_code, told["rejectedSpans"]) == (200, "1")
    assert told["errorMessage"].startswith("resourceSpans[0].scopeSpans[0].spans[1]: ")
    assert words in told["errorMessage"]
    assert len(told["errorMessage"]) < 400
    assert stored_spans(receiver, trace_id) == {span_id(1), span_id(3)}
    signal, reason, kept = last_quarantined(receiver)
    assert (signal, reason, json.loads(kept)) == (Signal.TRACES, told["errorMessage"], bad)


def test_a_bad_log_record_and_a_bad_piece_of_a_recording(receiver: Outside) -> None:
    trace_id = "1a" * 16
    piece = log("not JSON", attributes={"rr-web.event": 1, "session.id": "s1"})
    good = [log("good", trace_id=trace_id), log("also good", trace_id=trace_id, ms=1)]
    body = logs(good[0], piece, good[1]).SerializeToString()
    told = ExportLogsServiceResponse.FromString(receiver.export(Signal.LOGS, body)).partial_success
    signal, reason, kept = last_quarantined(receiver)
    entries = receiver.document(f"/api/v1/traces/{trace_id}/timeline")["entries"]
    assert (told.rejected_log_records, signal) == (1, Signal.LOGS)
    assert told.error_message == f"log record: {reason}"
    assert reason.startswith("events: not JSON")
    assert kept == piece.SerializeToString()
    assert [entry["title"] for entry in entries] == ["good", "also good"]


# What OTLP/JSON allows


def test_json_in_all_its_spellings(receiver: Outside) -> None:
    spans = [
        {"traceId": "AB" * 15 + "01", "spanId": "00000000000000AA", "name": "a", "startTimeUnixNano": "12", "kind": 3},
        {"traceId": "ab" * 15 + "01", "spanId": "00000000000000bb", "name": "b", "startTimeUnixNano": 12, "kind": 3},
    ]
    attributes = [{"key": "n", "value": {"intValue": "7"}}, {"key": "m", "value": {"intValue": 7}}]
    unknown = {"newField": {"deeper": [1, {"x": None}]}}
    group = {
        "scopeSpans": [{"spans": [{**one, "attributes": attributes, **unknown} for one in spans], **unknown}],
        **unknown,
    }
    answer = receiver.post("/v1/traces", json.dumps({"resourceSpans": [group], **unknown}).encode(), JSON)
    assert (answer.status_code, answer.json()) == (200, {})
    found = receiver.document("/api/v1/traces/" + "Ab" * 15 + "01")["resourceSpans"][0]["scopeSpans"][0]["spans"]
    expected = {"traceId": "ab" * 15 + "01", "startTimeUnixNano": "12", "kind": 3}
    expected["attributes"] = [{"key": key, "value": {"intValue": "7"}} for key in "nm"]
    assert found == [{**expected, "spanId": f"{name * 2:0>16}", "name": name} for name in "ab"]


def test_json_nested_deep_in_what_nobody_knows(receiver: Outside) -> None:
    good = {"traceId": "ab" * 15 + "02", "spanId": span_id(1), "name": "good"}
    deep = json.loads("[" * 800 + "]" * 800)
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [good, {**good, "x": deep}]}]}]}).encode()
    answer = receiver.post("/v1/traces", body, JSON)
    assert (answer.status_code, answer.json()["partialSuccess"]["rejectedSpans"]) == (200, "1")
    assert stored_spans(receiver, "ab" * 15 + "02") == {span_id(1)}


# Compression and size


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _deflate_without_header(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": _zstd}


@pytest.mark.parametrize("encoding", PACKED)
def test_compressed_requests(receiver: Outside, encoding: str) -> None:
    trace_id = own_trace_id(encoding)
    body = PACKED[encoding](traces(span(trace_id, 1)).SerializeToString())
    assert receiver.post("/v1/traces", body, content_encoding=encoding.upper()).status_code == 200
    assert stored_spans(receiver, trace_id) == {span_id(1)}


def test_deflate_as_some_clients_send_it(receiver: Outside) -> None:
    """Without zlib's header; HTTP means zlib's format by the name, but not all clients do."""
    trace_id = own_trace_id("raw deflate")
    body = _deflate_without_header(traces(span(trace_id, 1)).SerializeToString())
    assert receiver.post("/v1/traces", body, content_encoding="deflate").status_code == 200
    assert stored_spans(receiver, trace_id) == {span_id(1)}


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("cut", [1, 5, 12])
def test_a_truncated_compressed_body(receiver: Outside, encoding: str, cut: int) -> None:
    trace_id = f"{0xCC00 + cut:032x}"
    body = traces(*(span(trace_id, number) for number in range(1, 50))).SerializeToString()
    answer = receiver.post("/v1/traces", PACKED[encoding](body)[:-cut], content_encoding=encoding)
    assert (answer.status_code, rpc_status(answer).code) == (400, INVALID_ARGUMENT)
    assert f"the {encoding} body ends too early" in rpc_status(answer).message
    assert stored_spans(receiver, trace_id) == set()


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("gzip", RANDOM, "the gzip body is broken"),
        ("zstd", RANDOM, "the zstd body is broken"),
        ("deflate", b"\xff" * 300, "the deflate body is broken"),
        ("deflate", b"x", "the deflate body"),
        ("deflate", zlib.compress(b"") * 2, "goes on after its end"),
        ("gzip", gzip.compress(b"") * 100, "has over 16 members"),
        ("zstd", _zstd(b"") * 2, "goes on after its first frame"),
        ("zstd", _zstd(b"") + b"x", "goes on after its first frame"),
        ("br", b"", "content-encoding 'br' is not served (use one of: deflate, gzip, zstd)"),
        ("gzip, gzip", b"", "content-encoding 'gzip, gzip' is not served"),
    ],
)
def test_wrong_compression(receiver: Outside, encoding: str, body: bytes, words: str) -> None:
    answer = receiver.post("/v1/traces", body, content_encoding=encoding)
    told = rpc_status(answer)
    assert (answer.status_code, told.code) == (400, INVALID_ARGUMENT)
    assert words in told.message


def test_gzip_of_several_members(receiver: Outside) -> None:
    body = traces(span("0e" * 16, 1)).SerializeToString()
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:])
    assert receiver.post("/v1/traces", packed, content_encoding="gzip").status_code == 200
    assert stored_spans(receiver, "0e" * 16) == {span_id(1)}


RESOURCE_EXHAUSTED = 8
LIMIT = 10_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A receiver with a limit that tests can pass without sending 64 MiB."""
    with running(tmp_path_factory.mktemp("small") / "replay.db", max_body_bytes=LIMIT) as outside:
        yield outside


@pytest.mark.parametrize("encoding", ["identity", *PACKED])
def test_bodies_over_the_limit(small: Outside, encoding: str) -> None:
    pack = PACKED.get(encoding, bytes)
    for size, status in ((LIMIT, 400), (LIMIT + 1, 413), (100 * LIMIT, 413)):
        answer = small.post("/v1/traces", pack(bytes(size)), content_encoding=encoding)
        assert answer.status_code == status
    told = rpc_status(answer)
    assert told.code == RESOURCE_EXHAUSTED
    assert f"over {LIMIT} bytes" in told.message
    upload = small.post("/api/v1/sessions/s1/events", pack(bytes(LIMIT + 1)), JSON, content_encoding=encoding)
    assert (upload.status_code, upload.headers["content-type"]) == (413, PROBLEM)


@pytest.mark.parametrize("encoding", PACKED)
def test_a_bomb_is_not_unpacked_beyond_the_limit(encoding: str) -> None:
    """200 MB from a few KB; what is unpacked before the refusal is bounded, not only the answer."""
    bomb = PACKED[encoding](bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(RequestTooLarge):
        bodies.decompress(bomb, encoding, LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_a_grpc_message_over_the_limit(small: Outside) -> None:
    """Without RetryInfo: it is as large the next time."""
    refused = refusal(lambda: small.export(Signal.TRACES, bytes(LIMIT + 1)))
    assert (refused.code, refused.trailers) == (grpc.StatusCode.RESOURCE_EXHAUSTED, {})
    assert refusal(lambda: small.export(Signal.TRACES, bytes(LIMIT))).code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_request_over_the_4_mib_that_grpc_has_by_default(receiver: Outside) -> None:
    receiver.export(Signal.TRACES, traces(span("0f" * 16, 1, name="n" * 5_000_000)).SerializeToString())
    assert stored_spans(receiver, "0f" * 16) == {span_id(1)}
