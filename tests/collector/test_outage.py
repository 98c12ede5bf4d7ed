"""Behind gateway.yaml receiver and Collector are killed (SIGKILL) under load: what was accepted arrives, once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import settings
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

from otel_replay.store.sqlite import SqliteReader
from otel_replay.store.sqlite.integrity import check
from tests.collector.processes import Collector, prepared_collector, prepared_receiver, preset
from tests.durability.senders import GIVE_UP_S, ChunkSender, LogSender, Sender, SpanSender, wrong
from tests.e2e.processes import Receiver
from tests.outside.outside import PROTOBUF
from tests.outside.telemetry import click, log, logs, page

pytestmark = [pytest.mark.slow, pytest.mark.feature("C6"), pytest.mark.feature("X6")]

AWAY_S = 120 if settings.get_current_profile_name() == "soak" else 10
"""How long the receiver is gone."""

ARRIVES_WITHIN_S = 300.0


class RecordingSender(ChunkSender):
    """A recorder that sends its chunks as OTLP logs, an event each; a chunk is what one record makes."""

    def connect(self, receiver: Receiver) -> Any:
        session, _ = super().connect(receiver)
        return session, f"{receiver.url}/v1/logs"

    def batch(self, number: int) -> tuple[Any, int]:
        event = page(number * 10)[1] if number % 20 == 0 else click(number * 10)
        record = log(json.dumps(event), attributes={"rr-web.event": number + 1, "rr-web.offset": number + 1})
        return logs(record, resource={"session.id": self.name, "rum.scriptInstance": self.name}), number

    def export(self, connection: Any, batch: Any) -> bool:
        session, url = connection
        body, headers = batch.SerializeToString(), {"content-type": PROTOBUF}
        try:
            return bool(session.post(url, data=body, headers=headers, timeout=GIVE_UP_S).status_code == 200)
        except requests.RequestException:
            return False


@pytest.mark.timeout(1800)
def test_what_the_collector_accepted_arrives_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serving, receiver = prepared_receiver(tmp_path / "replay.db")
    gateway = prepared_collector(preset("gateway"), tmp_path, OTEL_REPLAY_ENDPOINT=receiver.grpc)
    serving.start()
    gateway.process.start()
    senders = _senders(gateway)
    try:
        for sender in senders:
            sender.start()
        _wait_for_more(senders)
        serving.kill()
        before = _accepted(senders)
        time.sleep(AWAY_S)
        _wait_for_more(senders)
        while_away = _accepted(senders) - before
        gateway.process.kill()
        gateway.process.start()
        _wait_for_more(senders)
        serving.start()
        _wait_for_more(senders)
        gateway.process.kill()  # once more, while it sends what has waited
        gateway.process.start()
        for sender in senders:
            sender.stop()
        lost = _lost(receiver, senders)
    finally:
        for sender in senders:
            sender.abandon()
        gateway.process.stop()
        serving.stop()
    with capsys.disabled():
        sys.stdout.write(f"{AWAY_S} s away, {while_away} batches accepted then, {_accepted(senders)} in all\n")
    assert while_away > 0
    assert lost == []
    assert check(receiver.db).damaged == []


def _senders(gateway: Collector) -> list[Sender]:
    """Spans and logs over both transports, and a recording; to senders the Collector looks like a receiver."""
    to = gateway.as_receiver()
    return [
        SpanSender(lambda: to, GrpcSpanExporter),
        SpanSender(lambda: to, HttpSpanExporter),
        LogSender(lambda: to, GrpcLogExporter),
        LogSender(lambda: to, HttpLogExporter),
        RecordingSender(lambda: to),
    ]


def _accepted(senders: Sequence[Sender]) -> int:
    return sum(len(sender.acknowledged) for sender in senders)


def _wait_for_more(senders: Sequence[Sender]) -> None:
    """Until the Collector has accepted something of each."""
    before = [len(sender.acknowledged) for sender in senders]
    deadline = time.monotonic() + 60
    while any(len(sender.acknowledged) == count for sender, count in zip(senders, before, strict=True)):
        assert not [error for sender in senders for error in sender.errors]
        assert time.monotonic() < deadline, "nothing is accepted any more"
        time.sleep(0.01)


def _lost(receiver: Receiver, senders: Sequence[Sender]) -> list[Any]:
    """What was accepted and is not there exactly once, when all that waited has had the time to come."""
    reader = SqliteReader(receiver.db)
    try:
        deadline = time.monotonic() + ARRIVES_WITHIN_S
        while lost := [one for sender in senders for one in wrong(reader, sender, 0, len(sender.acknowledged))]:
            if time.monotonic() > deadline:
                break
            time.sleep(1)
        return lost
    finally:
        reader.close()
