"""Hostile requests: the right answer, in bounded memory and time, and what is good among them is kept."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import requests
import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_replay.model import Signal
from otel_replay.otlp.counting import MAX_RECORDS
from tests.conformance.processes import MIB, Process, serving
from tests.outside.outside import JSON, METHODS, PROTOBUF
from tests.outside.telemetry import log, logs, span, traces
from tests.receiver.wire import bytes_field

pytestmark = [pytest.mark.slow, pytest.mark.feature("X6")]

LIMIT = 64 * MIB
MEMORY_MIB = 400
"""What one hostile request may take beyond what the process had: body, unpacked body, and what is made of it."""

SECONDS = 20
"""Four people share two cores: what is bounded takes less than a quarter of this alone."""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with serving(tmp_path_factory.mktemp("limits") / "replay.db") as running:
        post(running, traces(span("f0" * 16, 1)).SerializeToString())
        yield running


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request has taken of the server."""

    mib: float
    seconds: float


def post(process: Process, body: bytes, kind: str = PROTOBUF, path: str = "/v1/traces", **more: str) -> Any:
    headers = {"content-type": kind, **{name.replace("_", "-"): value for name, value in more.items()}}
    return requests.post(process.url + path, body, headers=headers, timeout=120)


def cost_of(process: Process, send: Callable[[], object]) -> Cost:
    before = process.resident_mib()
    process.forget_peak()
    started = time.monotonic()
    send()
    return Cost(process.peak_mib() - before, time.monotonic() - started)


def assert_cheap(cost: Cost) -> None:
    assert cost.mib < MEMORY_MIB, cost
    assert cost.seconds < SECONDS, cost


def has_trace(process: Process, trace_id: str) -> bool:
    return requests.get(f"{process.url}/api/v1/traces/{trace_id}", timeout=20).status_code == 200


def packed(encoding: str, size: int) -> bytes:
    """So many zeros."""
    if encoding == "zstd":
        packing = zstandard.ZstdCompressor().compressobj()
        return b"".join(packing.compress(bytes(MIB)) for _ in range(size // MIB)) + packing.flush()
    squeezing = zlib.compressobj(wbits=zlib.MAX_WBITS + (16 if encoding == "gzip" else 0))
    return b"".join(squeezing.compress(bytes(MIB)) for _ in range(size // MIB)) + squeezing.flush()


# Size


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_bomb_of_300_mb_over_http(process: Process, encoding: str) -> None:
    bomb = packed(encoding, 300 * MIB)
    answers: list[int] = []
    cost = cost_of(process, lambda: answers.append(post(process, bomb, content_encoding=encoding).status_code))
    assert answers == [413]
    assert_cheap(cost)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_bomb_of_300_mb_over_grpc(process: Process, compression: grpc.Compression) -> None:
    assert_refused_by_grpc(process, bytes(300 * MIB), compression)


def test_a_body_of_128_mib(process: Process) -> None:
    def parts() -> Iterator[bytes]:
        yield from (bytes(MIB) for _ in range(128))

    answers: list[int] = []
    cost = cost_of(process, lambda: answers.append(post(process, parts()).status_code))  # type: ignore[arg-type]
    assert answers == [413]
    assert_cheap(cost)


def test_a_message_of_128_mib_over_grpc(process: Process) -> None:
    assert_refused_by_grpc(process, bytes(128 * MIB), grpc.Compression.NoCompression)


def assert_refused_by_grpc(process: Process, body: bytes, compression: grpc.Compression) -> None:
    codes: list[grpc.StatusCode] = []

    def send() -> None:
        with grpc.insecure_channel(process.grpc_address, [("grpc.max_send_message_length", -1)]) as channel:
            call: Any = channel.unary_unary(METHODS[Signal.TRACES])
            codes.append(call.future(body, timeout=60, compression=compression).code())

    cost = cost_of(process, send)
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert_cheap(cost)


# What is small on the wire and large in memory


def _tiny_groups(depth: int) -> bytes:
    """32 million records (2), scopes (1) or resources (0) of two bytes each."""
    body = bytes([0x12 if depth else 0x0A, 0]) * (LIMIT // 2 - 64)
    for number in [2, 1][2 - depth :] if depth else []:
        body = bytes_field(number, body)
    return body


@pytest.mark.parametrize(
    ("signal", "depth"), [("traces", 0), ("traces", 1), ("traces", 2), ("logs", 2), ("metrics", 2)]
)
def test_more_records_than_a_request_may_have(process: Process, depth: int, signal: str) -> None:
    """A few KB of gzip: they would become 19 GB."""
    bomb = gzip.compress(_tiny_groups(depth), 1)
    answers: list[Any] = []
    path = f"/v1/{signal}"
    cost = cost_of(process, lambda: answers.append(post(process, bomb, path=path, content_encoding="gzip")))
    assert answers[0].status_code == 413
    assert f"over {MAX_RECORDS} records".encode() in answers[0].content
    assert_cheap(cost)


@pytest.mark.parametrize(
    "piece", [b"{},", b"[],", b'{"":0},', b'{"a":[]},'], ids=["objects", "arrays", "members", "nested"]
)
@pytest.mark.parametrize("path", ["/v1/traces", "/api/v1/sessions/s1/events"])
def test_json_of_very_many_containers(process: Process, piece: bytes, path: str) -> None:
    body = b'{"events":[' + piece * (LIMIT // len(piece) - 10) + b"0]}"
    answers: list[int] = []
    send = gzip.compress(body, 1)
    cost = cost_of(
        process, lambda: answers.append(post(process, send, JSON, path, content_encoding="gzip").status_code)
    )
    assert answers == [413]
    assert_cheap(cost)


def test_as_many_bad_spans_as_a_request_may_have(process: Process) -> None:
    """Each is looked at, all are counted, some are kept aside; the good one is stored."""
    good = traces(span("f1" * 16, 1)).SerializeToString()
    body = bytes_field(1, bytes_field(2, b"\x12\x00" * (MAX_RECORDS - 10))) + good
    answers: list[Any] = []
    cost = cost_of(process, lambda: answers.append(post(process, body)))
    told = ExportTraceServiceResponse.FromString(answers[0].content).partial_success
    assert (answers[0].status_code, told.rejected_spans) == (200, MAX_RECORDS - 10)
    assert has_trace(process, "f1" * 16)
    assert_cheap(cost)


def test_a_number_that_does_not_end(process: Process) -> None:
    """Read as one number, each of its bytes would cost what all before it have cost."""
    bomb = gzip.compress(b"\xff" * (16 * MIB) + b"\x0a" * (MAX_RECORDS + 1), 1)
    answers: list[int] = []
    cost = cost_of(process, lambda: answers.append(post(process, bomb, content_encoding="gzip").status_code))
    assert answers == [400]
    assert_cheap(cost)


# What is odd inside


def _deep_json(levels: int) -> bytes:
    return b'{"resourceSpans": ' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(("levels", "status"), [(1_000, 400), (100_000, 400), (10_000_000, 413)])
def test_json_1000_deep(process: Process, levels: int, status: int) -> None:
    answers: list[int] = []
    cost = cost_of(process, lambda: answers.append(post(process, _deep_json(levels), JSON).status_code))
    assert answers == [status]
    assert_cheap(cost)


def test_10_000_attributes_and_ids_of_a_million_characters(process: Process) -> None:
    """Strange, and allowed: all of it comes back."""
    many = {f"key.{number}": "value" for number in range(10_000)}
    long = {"session.id": "s" * 1_000_000, "user.id": "u" * 1_000_000, "gen_ai.conversation.id": "c" * 1_000_000}
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m" * 1_000_000}
    body = traces(
        span("f2" * 16, 1, attributes=many), span("f3" * 16, 1, attributes={**long, **call}, name="n" * 1_000_000)
    ).SerializeToString()
    answers: list[int] = []
    cost = cost_of(process, lambda: answers.append(post(process, body).status_code))
    assert answers == [200]
    assert_cheap(cost)
    for trace_id, key in (("f2" * 16, "key.9999"), ("f3" * 16, "session.id")):
        found = requests.get(f"{process.url}/api/v1/traces/{trace_id}", timeout=20).json()
        assert key in json.dumps(found)


def test_a_session_with_a_name_of_a_million_characters(process: Process) -> None:
    record = log("text", attributes={"session.id": "s" * 1_000_000, "event.name": "e" * 1_000_000})
    assert post(process, logs(record).SerializeToString(), path="/v1/logs").status_code == 200
    assert requests.get(f"{process.url}/api/v1/sessions", timeout=20).status_code == 200


def test_it_is_well_after_all_that(process: Process) -> None:
    assert post(process, traces(span("f4" * 16, 1)).SerializeToString()).status_code == 200
    assert has_trace(process, "f4" * 16)
    assert "Traceback" not in "".join(process.said)
