"""What an exporter does with each answer, and while there is none."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_replay.sdk import OTelReplaySpanExporter, delivery
from tests.sdk.receivers import IDLE_S, Answer, Receiver, grpc_receiver, http_receiver, span

pytestmark = pytest.mark.slow

SUCCESS, FAILURE = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
RETRYABLE: dict[str, list[int | str]] = {
    "http": [429, 502, 503, 504],
    "grpc": ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"],
}
PERMANENT: dict[str, dict[int | str, str]] = {
    "http": {400: "", 401: "OTEL_REPLAY_API_KEY", 403: "OTEL_REPLAY_API_KEY", 404: "4318", 413: "larger", 500: ""},
    "grpc": {
        "INVALID_ARGUMENT": "",
        "UNAUTHENTICATED": "OTEL_REPLAY_API_KEY",
        "PERMISSION_DENIED": "OTEL_REPLAY_API_KEY",
        "UNIMPLEMENTED": "4317",
        "RESOURCE_EXHAUSTED": "larger",
        "INTERNAL": "",
    },
}


@contextmanager
def answering(way: str, *codes: int | str) -> Iterator[tuple[Receiver, OTelReplaySpanExporter]]:
    """A receiver that gives these answers first, and an exporter to it."""
    start = http_receiver if way == "http" else grpc_receiver
    answers = [Answer(code if isinstance(code, int) else grpc.StatusCode[code]) for code in codes]
    with start(*answers) as receiver:
        made = OTelReplaySpanExporter(receiver.url, "grpc" if way == "grpc" else "http/protobuf")
        try:
            yield receiver, made
        finally:
            made.shutdown()


def cases(table: Mapping[str, Iterable[int | str]]) -> list[tuple[str, int | str]]:
    return [(way, code) for way, codes in table.items() for code in codes]


@pytest.mark.parametrize(("way", "code"), cases(RETRYABLE))
def test_what_may_be_sent_again_is(way: str, code: int | str) -> None:
    with answering(way, code) as (receiver, made):
        assert made.export([span("a")]) is SUCCESS
        assert made.force_flush(5_000)
        assert receiver.names() == ["a", "a"]
        assert (made.spooled, made.lost) == (0, 0)


@pytest.mark.parametrize(("way", "code"), cases(PERMANENT))
def test_what_is_refused_for_good_is_told_once_with_a_hint(
    way: str, code: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(way, code, code) as (receiver, made):
        assert [made.export([span("a"), span("b")]), made.export([span("c")])] == [FAILURE, FAILURE]
        assert (made.lost, made.spooled, made.force_flush()) == (3, 0, False)
        assert made.export([span("d")]) is SUCCESS
        assert made.force_flush()
        assert receiver.names() == ["a", "b", "c", "d"]
    (told,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert str(code) in told.getMessage()
    assert PERMANENT[way][code] in told.getMessage()


def test_the_receivers_own_words_are_told(caplog: pytest.LogCaptureFixture) -> None:
    body = Status(code=3, message="a span id has 7 bytes").SerializeToString()
    with http_receiver(Answer(400, {"content-type": "application/x-protobuf"}, body)) as receiver:
        made = OTelReplaySpanExporter(receiver.url)
        made.export([span("a")])
        made.shutdown()
    assert "HTTP 400: a span id has 7 bytes" in caplog.text


@pytest.mark.parametrize("wish", ["1", "in a second"])
def test_http_is_not_asked_again_before_it_says(wish: str) -> None:
    value = formatdate(time.time() + 2, usegmt=True) if wish == "in a second" else wish  # whole seconds, cut off
    with http_receiver(Answer(503, {"retry-after": value})) as receiver:
        made = OTelReplaySpanExporter(receiver.url)
        assert made.export([span("a")]) is SUCCESS
        receiver.wait_for(2)
        first, second = receiver.received
        assert 0.95 < second.at - first.at < 4
        made.shutdown()


@pytest.mark.parametrize("place", ["google.rpc.retryinfo-bin", "grpc-status-details-bin"])
def test_grpc_is_not_asked_again_before_it_says(place: str) -> None:
    info = RetryInfo(retry_delay=Duration(seconds=1))
    packed = AnyMessage()
    packed.Pack(info)
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    status = Status(code=8, message="full", details=[packed])
    trailer = info.SerializeToString() if place.startswith("google") else status.SerializeToString()
    with grpc_receiver(Answer(code, {place: trailer})) as receiver:
        made = OTelReplaySpanExporter(receiver.url, "grpc")
        assert made.export([span("a")]) is SUCCESS
        receiver.wait_for(2)
        first, second = receiver.received
        assert 0.95 < second.at - first.at < 4
        made.shutdown()


def test_what_a_receiver_did_not_keep_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=2, error_message="two ids are wrong")
    body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    with http_receiver(Answer(200, body=body)) as receiver:
        made = OTelReplaySpanExporter(receiver.url)
        assert made.export([span(name) for name in "abc"]) is SUCCESS
        assert (made.lost, made.force_flush()) == (2, False)
        made.shutdown()
    assert "2 items are lost: two ids are wrong" in caplog.text


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_while_the_receiver_is_away_everything_waits_in_its_order(way: str, spool: Path) -> None:
    port = free_port()
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{port}", "grpc" if way == "grpc" else "http/protobuf")
    assert [made.export([span(name)]) for name in "abcd"] == [SUCCESS] * 4
    assert (made.spooled, made.force_flush(200), made.spooled) == (4, False, 4)
    assert len(list(spool.glob("*/*/*"))) == 4
    with http_receiver(port=port) if way == "http" else grpc_receiver(port=port) as receiver:
        assert made.force_flush(10_000)
        assert made.export([span("e")]) is SUCCESS
        assert receiver.names() == ["a", "b", "c", "d", "e"]
        assert (made.spooled, made.lost) == (0, 0)
        made.shutdown()
    assert list(spool.glob("*/*")) == []


def test_a_receiver_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_TRY_S", 0.2)
    with http_receiver(Answer(200, after_s=1.5)) as receiver:
        made = OTelReplaySpanExporter(receiver.url)
        began = time.monotonic()
        assert [made.export([span(name)]) for name in "abc"] == [SUCCESS] * 3
        assert time.monotonic() - began < 1
        assert made.force_flush(10_000)
        assert receiver.names() == ["a", "a", "b", "c"]  # The first one was on its way; a receiver knows it again.
        made.shutdown()


def test_without_a_spool_it_is_tried_until_the_timeout(caplog: pytest.LogCaptureFixture) -> None:
    with http_receiver(Answer(503)) as receiver:
        made = OTelReplaySpanExporter(receiver.url, spool=False)
        assert made.export([span("a")]) is SUCCESS
        assert receiver.names() == ["a", "a"]
        made.shutdown()
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{free_port()}", spool=False, timeout_s=0.3)
    began = time.monotonic()
    assert made.export([span("a")]) is FAILURE
    assert time.monotonic() - began < 2
    assert (made.lost, made.spooled, made.force_flush()) == (1, 0, False)
    assert "1 items are lost" in caplog.text
    made.shutdown()


def test_the_end_sends_what_waits(spool: Path) -> None:
    port = free_port()
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{port}")
    made.export([span("a")])
    made.export([span("b")])
    with http_receiver(port=port) as receiver:
        made.shutdown()
        assert receiver.names() == ["a", "b"]
    assert made.spooled == 0


def test_the_end_does_not_wait_for_a_receiver_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    made = OTelReplaySpanExporter(f"http://127.0.0.1:{free_port()}")
    made.export([span("a"), span("b")])
    began = time.monotonic()
    made.shutdown()
    assert time.monotonic() - began < 2
    assert made.spooled == 2
    assert "2 items wait in" in caplog.text


def test_a_connection_that_was_closed_meanwhile_is_not_noticed(spool: Path) -> None:
    with http_receiver() as receiver:
        made = OTelReplaySpanExporter(receiver.url)
        assert made.export([span("a")]) is SUCCESS
        time.sleep(2 * IDLE_S)
        assert made.export([span("b")]) is SUCCESS
        assert receiver.names() == ["a", "b"]
        made.shutdown()
    assert not spool.exists()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
