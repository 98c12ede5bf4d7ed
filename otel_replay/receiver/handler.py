"""The one handler behind both transports: bytes in, committed, counted out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

import xxhash
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otel_replay.model import Signal, Source
from otel_replay.otlp import json as otlp_json
from otel_replay.otlp.requests import AcceptedRequest, Rejection, accept
from otel_replay.receiver.prepare import Origin, prepare, prepare_chunk
from otel_replay.recording.events import Document, chunk_from_upload
from otel_replay.store.base import ChunkReceipt, Receipt, Write

ExportResponse = ExportTraceServiceResponse | ExportLogsServiceResponse | ExportMetricsServiceResponse

MESSAGE_BYTES = 4096
"""A partial success names the rejected records up to this length: responses stay far below every client's limit."""


class Sender(NamedTuple):
    """Who sends, as far as the transport can tell."""

    project: int
    source: Source
    key_id: int = 0


class Commits(Protocol):
    """All that the handler needs of a store."""

    def commit(self, write: Write) -> Receipt:
        """As :meth:`otel_replay.store.base.Store.commit`."""


class Handler:
    """Takes requests and chunks; returns when they are on disk.

    ``clock`` gives Unix nanoseconds, ``chunks_arrived`` is called after each commit that may hold pieces of recordings.
    ``redact`` takes out of a valid OTLP protobuf request what must not be kept, and gives a valid request: nothing of
    the original reaches the store then, neither its digest nor the records that were rejected.
    """

    def __init__(
        self,
        store: Commits,
        clock: Callable[[], int],
        chunks_arrived: Callable[[], None],
        redact: Callable[[Signal, bytes], bytes] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._chunks_arrived = chunks_arrived
        self._redact = redact

    def export(self, signal: Signal, body: bytes, sender: Sender) -> ExportResponse:
        """Stores an OTLP protobuf request. Raises :class:`PermanentError` or :class:`RetryableError`."""
        return self._commit(accept(signal, body), body, sender)

    def export_json(self, signal: Signal, body: bytes, sender: Sender) -> ExportResponse:
        """The same for OTLP/JSON."""
        encoded, rejections = otlp_json.decode(signal, body)
        accepted = accept(signal, encoded)
        return self._commit(replace(accepted, rejections=(*rejections, *accepted.rejections)), body, sender)

    def _commit(self, accepted: AcceptedRequest, received: bytes, sender: Sender) -> ExportResponse:
        if self._redact:
            accepted = _redacted(accepted, self._redact)
            received = accepted.body
        write = prepare(accepted, self._origin(sender), request_digest(accepted.signal, received))
        if write.body or write.chunks or write.quarantined:
            self._store.commit(write)
        if write.chunks:
            self._chunks_arrived()
        # Pieces of recordings that could not be read are quarantined by `prepare`, not by `accept`.
        unread = [Rejection("log record", bad.reason, bad.raw) for bad in write.quarantined[len(accepted.rejections) :]]
        return _response(accepted.signal, [*accepted.rejections, *unread])

    def upload(
        self,
        session_id: str,
        stream_id: str,
        seq: int | None,
        payload: bytes | Document,
        sent_at_unix_nano: int | None,
        sender: Sender,
    ) -> ChunkReceipt:
        """Stores one chunk of a recording: ``payload`` is JSON, an array of rrweb events or an object with them."""
        origin = self._origin(sender)
        chunk = chunk_from_upload(
            project=sender.project,
            session_id=session_id,
            stream_id=stream_id,
            seq=seq,
            payload=payload,
            received_unix_nano=origin.received_unix_nano,
            sent_at_unix_nano=sent_at_unix_nano,
        )
        receipt = self._store.commit(prepare_chunk(chunk, origin))
        self._chunks_arrived()
        return receipt.chunks[0]

    def _origin(self, sender: Sender) -> Origin:
        return Origin(sender.project, sender.source, self._clock(), sender.key_id)


def _redacted(accepted: AcceptedRequest, redact: Callable[[Signal, bytes], bytes]) -> AcceptedRequest:
    """What is left of a request; of rejected records, which nothing can be taken out of, only the reason."""
    left = accept(accepted.signal, redact(accepted.signal, accepted.body))
    rejections = (*accepted.rejections, *left.rejections)
    return replace(left, rejections=tuple(replace(one, raw=b"") for one in rejections))


def request_digest(signal: Signal, body: bytes) -> bytes:
    """What tells a request from others; empty for an empty one."""
    return xxhash.xxh3_128_digest(body, seed=signal) if body else b""


def success(signal: Signal, *_request: object) -> ExportResponse:
    """Everything is stored."""
    return _response(signal, [])


def _response(signal: Signal, rejections: list[Rejection]) -> ExportResponse:
    """Full success leaves ``partial_success`` unset."""
    message = "; ".join(map(str, rejections))[:MESSAGE_BYTES]
    count = len(rejections)
    if signal is Signal.TRACES:
        spans = ExportTracePartialSuccess(rejected_spans=count, error_message=message)
        return ExportTraceServiceResponse(partial_success=spans if count else None)
    if signal is Signal.LOGS:
        logs = ExportLogsPartialSuccess(rejected_log_records=count, error_message=message)
        return ExportLogsServiceResponse(partial_success=logs if count else None)
    points = ExportMetricsPartialSuccess(rejected_data_points=count, error_message=message)
    return ExportMetricsServiceResponse(partial_success=points if count else None)
