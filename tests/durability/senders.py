"""Clients that send without end, each kind the way it does in the field, and note what was acknowledged."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import requests
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import set_span_in_context

from tests.e2e.processes import Receiver
from tests.outside.telemetry import CHAT, click, page

SPANS, RECORDS = 20, 10
"""In a batch, which is one trace."""

RETRY_S = 0.05
GIVE_UP_S = 1.0
"""After so long an exporter says that it failed; its batch is sent again."""

logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)


class Sender:
    """Sends on a thread of its own to wherever ``receiver()`` says; a batch is sent until it is acknowledged.

    ``acknowledged`` are trace ids; of recordings sequence numbers of the stream ``name``.
    """

    def __init__(self, receiver: Callable[[], Receiver]) -> None:
        self.name = uuid.uuid4().hex
        self.acknowledged: list[Any] = []
        self.errors: list[BaseException] = []
        self._receiver = receiver
        self._stopped = threading.Event()
        self._abandoned = False
        self._to: Receiver | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the batch at hand is acknowledged."""
        self._stopped.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def abandon(self) -> None:
        """Ends with the answer at hand, whatever it is."""
        self._abandoned = True
        self._stopped.set()

    def connect(self, receiver: Receiver) -> Any:
        """What sends to this receiver."""
        raise NotImplementedError

    def batch(self, number: int) -> tuple[Any, Any]:
        """What to send, and what to note once it is acknowledged."""
        raise NotImplementedError

    def export(self, connection: Any, batch: Any) -> bool:
        """Whether it was acknowledged."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            number = 0
            while not self._stopped.is_set():
                batch, noted = self.batch(number)
                self._send(batch)
                if not self._abandoned:
                    self.acknowledged.append(noted)
                number += 1
        except BaseException as error:
            if not self._abandoned:
                self.errors.append(error)
                raise

    def _send(self, batch: Any) -> None:
        while True:
            receiver = self._receiver()
            if receiver is not self._to:
                self._to, self._connection = receiver, self.connect(receiver)
            if self.export(self._connection, batch) or self._abandoned:
                return
            time.sleep(RETRY_S)


class SpanSender(Sender):
    """The official exporters of spans; every third span is a call of a model."""

    def __init__(self, receiver: Callable[[], Receiver], exporter: type[Any]) -> None:
        super().__init__(receiver)
        self._exporter = exporter
        self._finished = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._finished))
        self._tracer = provider.get_tracer("durability")

    def connect(self, receiver: Receiver) -> Any:
        if self._exporter is GrpcSpanExporter:
            return GrpcSpanExporter(endpoint=receiver.grpc, insecure=True, timeout=GIVE_UP_S)
        return HttpSpanExporter(endpoint=f"{receiver.url}/v1/traces", timeout=GIVE_UP_S)

    def batch(self, number: int) -> tuple[Any, str]:
        said = json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"question {number} " * 30}]}])
        root = self._tracer.start_span("root", attributes={"session.id": f"{self.name}-{number // 10}"})
        for place in range(1, SPANS):
            attributes: dict[str, Any] = {"n": place}
            if place % 3 == 0:
                attributes |= {**CHAT, "gen_ai.input.messages": said}
            self._tracer.start_span(f"work {place}", set_span_in_context(root), attributes=attributes).end()
        root.end()
        spans: Sequence[Any] = self._finished.get_finished_spans()
        self._finished.clear()
        return spans, f"{root.get_span_context().trace_id:032x}"

    def export(self, connection: Any, batch: Any) -> bool:
        return str(connection.export(batch).name) == "SUCCESS"


class LogSender(Sender):
    """The official exporters of logs."""

    def __init__(self, receiver: Callable[[], Receiver], exporter: type[Any]) -> None:
        super().__init__(receiver)
        self._exporter = exporter
        self._finished: Any = cast(Any, InMemoryLogRecordExporter)()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(self._finished))
        self._logger = provider.get_logger("durability")
        self._tracer = TracerProvider(shutdown_on_exit=False).get_tracer("durability")

    def connect(self, receiver: Receiver) -> Any:
        if self._exporter is GrpcLogExporter:
            return GrpcLogExporter(endpoint=receiver.grpc, insecure=True, timeout=GIVE_UP_S)
        return HttpLogExporter(endpoint=f"{receiver.url}/v1/logs", timeout=GIVE_UP_S)

    def batch(self, number: int) -> tuple[Any, str]:
        span = self._tracer.start_span("around")
        for place in range(RECORDS):
            self._logger.emit(LogRecord(body=f"{self.name} {number} {place}", context=set_span_in_context(span)))
        records = self._finished.get_finished_logs()
        self._finished.clear()
        return records, f"{span.get_span_context().trace_id:032x}"

    def export(self, connection: Any, batch: Any) -> bool:
        return str(connection.export(batch).name) == "SUCCESS"


class ChunkSender(Sender):
    """A recorder that uploads numbered chunks."""

    def connect(self, receiver: Receiver) -> Any:
        session = requests.Session()
        session.trust_env = False
        return session, f"{receiver.url}/api/v1/sessions/{self.name}/events"

    def batch(self, number: int) -> tuple[Any, int]:
        events = page(number * 10) if number % 20 == 0 else [click(number * 10), click(number * 10 + 5)]
        return {"seq": number, "stream_id": self.name, "events": events}, number

    def export(self, connection: Any, batch: Any) -> bool:
        session, url = connection
        try:
            return bool(session.post(url, json=batch, timeout=GIVE_UP_S).status_code == 200)
        except requests.RequestException:
            return False


def one_of_each(receiver: Callable[[], Receiver]) -> list[Sender]:
    """Spans and logs over both transports, and a recording."""
    return [
        SpanSender(receiver, GrpcSpanExporter),
        SpanSender(receiver, HttpSpanExporter),
        LogSender(receiver, GrpcLogExporter),
        LogSender(receiver, HttpLogExporter),
        ChunkSender(receiver),
    ]


def wrong(reader: Any, sender: Sender, first: int, last: int) -> list[str]:
    """Of what was acknowledged (from ``first`` to before ``last``) that which is not there exactly once, with how much
    of it is."""
    noted = sender.acknowledged[first:last]
    if isinstance(sender, ChunkSender):
        stored = Counter(chunk.seq for chunk in reader.chunks(1, sender.name, sender.name))
        return [f"chunk {seq}: {stored[seq]} times" for seq in noted if stored[seq] != 1]
    ask, kind, count = (
        (reader.spans_of_trace, "spans", SPANS)
        if isinstance(sender, SpanSender)
        else (reader.logs_of_trace, "logs", RECORDS)
    )
    found = ((trace, len(ask(1, trace))) for trace in noted)
    return [f"{trace}: {there} of {count} {kind}" for trace, there in found if there != count]
