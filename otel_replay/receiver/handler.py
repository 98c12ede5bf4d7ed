"""The one handler behind both transports: bytes in, committed, counted out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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
from otel_replay.recording.uploads import Document, chunk_from_upload
from otel_replay.store.base import ChunkReceipt, Receipt, Write

ExportResponse = ExportTraceServiceResponse | ExportLogsServiceResponse | ExportMetricsServiceResponse

MESSAGE_BYTES = 4096
"""A partial success names the rejected records up to this length: responses stay far below every client's limit."""


TURN_BYTES = 2 * 1024 * 1024
"""Requests up to this size are prepared one after the other: every scan lets go of the interpreter, and of sixteen
threads that take it from one another each needs 4.2 us a span instead of 5.2, and 8 ns a byte of a recording instead of
12. A larger one may take seconds, for which the others do not wait."""


class Sender(NamedTuple):
    """Who sends, as far as the transport can tell."""

    project: int
    source: Source
    key_id: int = 0


class Commits(Protocol):
    """All that the handler needs of a store."""

    def commit(self, write: Write) -> Receipt:
        """As :meth:`otel_replay.store.base.Store.commit`."""


class Redaction(Protocol):
    """Takes out of what arrives what a project must not keep; gives the same object where it finds nothing."""

    def touches(self, project: int, raw: bytes) -> bool:
        """Whether there may be something to find in bytes of any kind; False is certain."""

    def request(self, project: int, signal: Signal, body: bytes) -> bytes:
        """A valid OTLP protobuf request, made of a valid one."""

    def payload(self, project: int, payload: bytes) -> bytes:
        """The JSON of a chunk."""


class Handler:
    """Takes requests and chunks; returns when they are on disk.

    ``clock`` gives Unix nanoseconds, ``chunks_arrived`` is called after each commit that may hold pieces of recordings.
    ``redaction`` takes out of what arrives what must not be kept, and where it finds something, nothing of
    the original reaches the store then, neither its digest nor the records that were rejected.
    """

    def __init__(
        self,
        store: Commits,
        clock: Callable[[], int],
        chunks_arrived: Callable[[], None],
        redaction: Redaction | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._chunks_arrived = chunks_arrived
        self._redaction = redaction
        self._turns = threading.Lock()

    def export(self, signal: Signal, body: bytes, sender: Sender) -> ExportResponse:
        """Stores an OTLP protobuf request. Raises :class:`PermanentError` or :class:`RetryableError`."""
        with self._turn(len(body)):
            prepared = self._prepared(accept(signal, body), body, sender)
        return self._stored(*prepared)

    def export_json(self, signal: Signal, body: bytes, sender: Sender) -> ExportResponse:
        """The same for OTLP/JSON."""
        encoded, rejections, further = otlp_json.decode(signal, body)
        accepted = accept(signal, encoded)
        further += accepted.further_rejections
        accepted = replace(accepted, rejections=(*rejections, *accepted.rejections), further_rejections=further)
        return self._stored(*self._prepared(accepted, body, sender))

    def _prepared(self, accepted: AcceptedRequest, received: bytes, sender: Sender) -> tuple[AcceptedRequest, Write]:
        if self._redaction:
            left = _redacted(accepted, self._redaction, sender.project)
            if left is not accepted:
                accepted, received = left, left.body
        return accepted, prepare(accepted, self._origin(sender), request_digest(accepted.signal, received))

    def _stored(self, accepted: AcceptedRequest, write: Write) -> ExportResponse:
        if write.body or write.chunks or write.quarantined:
            self._store.commit(write)
        if write.chunks:
            self._chunks_arrived()
        # Pieces of recordings that could not be read are quarantined by `prepare`, not by `accept`.
        unread = [Rejection("log record", bad.reason, bad.raw) for bad in write.quarantined[len(accepted.rejections) :]]
        return _response(accepted.signal, [*accepted.rejections, *unread], accepted.further_rejections)

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
        raw = payload.payload if isinstance(payload, Document) else payload
        with self._turn(len(raw)):
            chunk = chunk_from_upload(
                project=sender.project,
                session_id=session_id,
                stream_id=stream_id,
                seq=seq,
                payload=self._redacted_payload(payload, raw, sender.project),
                received_unix_nano=origin.received_unix_nano,
                sent_at_unix_nano=sent_at_unix_nano,
            )
            write = prepare_chunk(chunk, origin)
        receipt = self._store.commit(write)
        self._chunks_arrived()
        return receipt.chunks[0]

    def _redacted_payload(self, payload: bytes | Document, raw: bytes, project: int) -> bytes | Document:
        if self._redaction is None:
            return payload
        left = self._redaction.payload(project, raw)
        return payload if left is raw else left

    def _turn(self, size: int) -> AbstractContextManager[object]:
        return self._turns if size <= TURN_BYTES else nullcontext()

    def _origin(self, sender: Sender) -> Origin:
        return Origin(sender.project, sender.source, self._clock(), sender.key_id)


def _redacted(accepted: AcceptedRequest, redaction: Redaction, project: int) -> AcceptedRequest:
    """What is left of a request; of rejected records, which nothing can be taken out of, only the reason.

    The same object where nothing was found: then nothing is parsed again.
    """
    touched = any(redaction.touches(project, one.raw) for one in accepted.rejections)
    body = redaction.request(project, accepted.signal, accepted.body)
    if body is accepted.body and not touched:
        return accepted
    left = accepted if body is accepted.body else accept(accepted.signal, body)
    rejections = tuple(replace(one, raw=b"") for one in accepted.rejections)
    return replace(left, rejections=rejections, further_rejections=accepted.further_rejections)


def request_digest(signal: Signal, body: bytes) -> bytes:
    """What tells a request from others; empty for an empty one."""
    return xxhash.xxh3_128_digest(body, seed=signal) if body else b""


def success(signal: Signal, *_request: object) -> ExportResponse:
    """Everything is stored."""
    return _response(signal, [])


def _response(signal: Signal, rejections: list[Rejection], further: int = 0) -> ExportResponse:
    """Full success leaves ``partial_success`` unset."""
    message = "; ".join(map(str, rejections))[:MESSAGE_BYTES]
    count = len(rejections) + further
    if signal is Signal.TRACES:
        spans = ExportTracePartialSuccess(rejected_spans=count, error_message=message)
        return ExportTraceServiceResponse(partial_success=spans if count else None)
    if signal is Signal.LOGS:
        logs = ExportLogsPartialSuccess(rejected_log_records=count, error_message=message)
        return ExportLogsServiceResponse(partial_success=logs if count else None)
    points = ExportMetricsPartialSuccess(rejected_data_points=count, error_message=message)
    return ExportMetricsServiceResponse(partial_success=points if count else None)
