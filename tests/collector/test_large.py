"""8,192 spans of 20 KB in one request, as agents with the batch processor send them: cut, and nothing dropped."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from hypothesis import settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_replay.model import Signal
from otel_replay.store.sqlite import SqliteReader
from tests.bench.load.words import text
from tests.collector.clients import BySpan, by_span, stored
from tests.collector.processes import Collector, collector, preset, receivers
from tests.outside.outside import METHODS, PROTOBUF
from tests.outside.telemetry import CHAT, span, traces

pytestmark = [pytest.mark.slow, pytest.mark.feature("C6")]

SPANS, SPAN_BYTES = 8_192, 20_000
BATCHES = 6 if settings.get_current_profile_name() == "soak" else 1
ARRIVES_WITHIN_S = 600.0
MIB = 1024 * 1024


def batch(number: int) -> ExportTraceServiceRequest:
    """Traces of 64 calls, each with a question of its own."""
    rng = random.Random(f"large {number}")
    spans = []
    for place in range(SPANS):
        if place % 64 == 0:
            trace_id = rng.randbytes(16).hex()
        message = f'[{{"role":"user","parts":[{{"type":"text","content":"{text(rng, SPAN_BYTES - 600)}"}}]}}]'
        spans.append(span(trace_id, place + 1, attributes={**CHAT, "gen_ai.input.messages": message}))
    return traces(*spans)


@pytest.mark.timeout(1800)
def test_large_batches_are_cut_and_not_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    with receivers(tmp_path) as [receiver]:
        settings = {
            "OTEL_REPLAY_ENDPOINT": receiver.grpc,
            "GOMEMLIMIT": "1600MiB",
        }  # as in the pod of docs/collector.md
        with collector(preset("gateway"), tmp_path / "collector", **settings) as gateway:
            for number in range(BATCHES):
                request = batch(number)
                body = request.SerializeToString()
                assert len(body) > SPANS * SPAN_BYTES * 0.98
                send(gateway, body, over_grpc=number % 2 == 0)
            reader = SqliteReader(receiver.db)
            arrived = wait_for(reader, SPANS * BATCHES)
            memory = gateway.process.peak_mib()
            lost = gateway.lost()
            reader.close()
        few = sample(request)
        assert stored(receiver, few) == few
    with capsys.disabled():
        took = f"{time.monotonic() - began:.0f} s, Collector at most {memory:.0f} MiB"
        sys.stdout.write(f"{BATCHES} batches of {len(body) / MIB:.0f} MiB in {took}\n")
    assert arrived == SPANS * BATCHES
    assert lost == {}


def send(gateway: Collector, body: bytes, *, over_grpc: bool) -> None:
    if not over_grpc:
        answer = requests.post(f"{gateway.url}/v1/traces", body, headers={"content-type": PROTOBUF}, timeout=120)
        assert answer.status_code == 200, answer.text
        return
    with grpc.insecure_channel(gateway.grpc) as channel:
        call: Any = channel.unary_unary(METHODS[Signal.TRACES])
        call(body, timeout=120)


def wait_for(reader: SqliteReader, spans: int) -> int:
    """How many spans there are, once they are as many or no more come."""
    deadline = time.monotonic() + ARRIVES_WITHIN_S
    while (found := reader.counts()["spans"]) < spans and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def sample(request: ExportTraceServiceRequest) -> BySpan:
    """The spans of one trace."""
    spans = by_span(request)
    first = next(iter(spans.values())).span.trace_id
    return {key: sent for key, sent in spans.items() if sent.span.trace_id == first}
