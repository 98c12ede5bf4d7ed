"""Uploads of recordings: the facts of a chunk from an HTTP request, and ReplayService's upload RPCs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import grpc

from otel_replay._pb.v1 import replay_pb2
from otel_replay.access.guard import RPC_CALLER
from otel_replay.errors import InvalidRequest
from otel_replay.receiver.grpc import GrpcReceiver, rpc_sender
from otel_replay.recording.events import ms_to_unix_nano
from otel_replay.recording.streams import DEFAULT_STREAM
from otel_replay.recording.uploads import Document
from otel_replay.store.base import ChunkReceipt


class UploadFacts(NamedTuple):
    """A chunk as the handler takes it."""

    session_id: str
    stream_id: str
    seq: int | None
    payload: Document
    sent_at_unix_nano: int | None


def upload_facts(session_id: str, headers: Mapping[str, str], body: bytes) -> UploadFacts:
    """Reads ``stream_id``, ``seq`` and ``sent_at`` from headers, or from an object body; headers win.

    The body is read here, and handed on with what was read.
    """
    payload = Document(body)
    told = payload.told
    sent_at = headers.get("x-otel-replay-sent-at", told.get("sent_at"))
    return UploadFacts(
        session_id=session_id,
        stream_id=str(headers.get("x-otel-replay-stream", told.get("stream_id") or DEFAULT_STREAM)),
        seq=_integer("seq", headers.get("x-otel-replay-seq", told.get("seq"))),
        payload=payload,
        sent_at_unix_nano=_sent_at(_integer("sent_at", sent_at)),
    )


def _sent_at(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else _in_range(ms_to_unix_nano(milliseconds))


def _in_range(sent_at_unix_nano: int) -> int:
    if not 0 <= sent_at_unix_nano < 2**63:
        raise InvalidRequest(f"sent_at: {sent_at_unix_nano} ns is not in 0..2**63", hint="send Unix milliseconds")
    return sent_at_unix_nano


def _integer(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    raise InvalidRequest(f"{name} {str(value)[:40]!r} is not a whole number")


class UploadRpcs:
    """``UploadChunk`` and ``UploadChunks`` of ReplayService."""

    def __init__(self, receiver: GrpcReceiver) -> None:
        self._receiver = receiver

    def upload_chunk(
        self, request: replay_pb2.UploadChunkRequest, context: grpc.ServicerContext
    ) -> replay_pb2.UploadChunkResponse:
        receipt = self._store(request, context)
        return replay_pb2.UploadChunkResponse(seq=receipt.seq, duplicate=receipt.duplicate)

    def upload_chunks(
        self, requests: Iterator[replay_pb2.UploadChunkRequest], context: grpc.ServicerContext
    ) -> replay_pb2.UploadChunksResponse:
        totals = replay_pb2.UploadChunksResponse()
        for number, request in enumerate(requests):
            receipt = self._store(request, context, is_further=number > 0)
            totals.stored += not receipt.duplicate
            totals.duplicates += receipt.duplicate
        return totals

    def _store(
        self, request: replay_pb2.UploadChunkRequest, context: grpc.ServicerContext, *, is_further: bool = False
    ) -> ChunkReceipt:
        def stored() -> ChunkReceipt:
            if is_further:
                RPC_CALLER.get().admit()
            return self._receiver.handler.upload(
                request.session_id,
                request.stream_id or DEFAULT_STREAM,
                request.seq if request.HasField("seq") else None,
                request.events_json,
                _in_range(request.sent_at_unix_nano) if request.HasField("sent_at_unix_nano") else None,
                rpc_sender(),
            )

        return self._receiver.run("chunks", len(request.events_json), stored, context)
