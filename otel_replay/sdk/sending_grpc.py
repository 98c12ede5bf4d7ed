"""OTLP over gRPC: bytes in, bytes out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

import otel_replay
from otel_replay.sdk.destination import Destination, Signal
from otel_replay.sdk.sending import Outcome, delivered

_PACKAGE = "opentelemetry.proto.collector"
_METHODS: dict[Signal, str] = {
    "traces": f"/{_PACKAGE}.trace.v1.TraceService/Export",
    "logs": f"/{_PACKAGE}.logs.v1.LogsService/Export",
}
_RETRYABLE = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
_EXHAUSTED = "RESOURCE_EXHAUSTED"
"""May be sent again only where the receiver says when: otherwise the request is too large, now and later."""

_OPTIONS = (
    # gRPC's own pauses between tries to connect grow to two minutes; a receiver that is back is found in five seconds.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.primary_user_agent", f"otel-replay/{otel_replay.__version__}"),
)

_Call = Callable[..., bytes]


class GrpcSender:
    """Its channel is made when it is first needed: a server that forks its workers after setting up has none then."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._metadata = tuple(destination.headers.items())
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._call: _Call | None = None

    def send(self, body: bytes, timeout_s: float) -> Outcome:
        try:
            return delivered(self._export()(body, timeout=timeout_s, metadata=self._metadata))
        except grpc.RpcError as error:
            return _outcome(error)

    def close(self) -> None:
        with self._lock:
            channel, self._channel, self._call = self._channel, None, None
        if channel is not None:
            channel.close()

    def _export(self) -> _Call:
        with self._lock:
            if self._call is None:
                self._channel = _channel(self._destination)
                self._call = self._channel.unary_unary(_METHODS[self._destination.signal])
            return self._call


def _channel(destination: Destination) -> grpc.Channel:
    url = urlsplit(destination.url)
    compression = grpc.Compression.Gzip if destination.is_compressed else None
    if url.scheme == "http":
        return grpc.insecure_channel(url.netloc, _OPTIONS, compression)
    credentials = grpc.ssl_channel_credentials(
        *map(_read, (destination.certificate_file, destination.client_key_file, destination.client_certificate_file))
    )
    return grpc.secure_channel(url.netloc, credentials, _OPTIONS, compression)


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None


def _outcome(error: Any) -> Outcome:
    code: str = error.code().name
    retry_after_s = _retry_after_s(dict(error.trailing_metadata() or ()))
    is_retryable = code in _RETRYABLE or (code == _EXHAUSTED and retry_after_s is not None)
    return Outcome("retry" if is_retryable else "refused", code, f"{code}: {error.details()}", retry_after_s)


def _retry_after_s(trailers: dict[str, Any]) -> float | None:
    """RetryInfo stands in a trailer of its own (Python's way) or in the status details (everybody else's)."""
    info = RetryInfo()
    try:
        if own := trailers.get("google.rpc.retryinfo-bin"):
            info.ParseFromString(own)
            return _seconds(info)
        for detail in Status.FromString(trailers.get("grpc-status-details-bin") or b"").details:
            if detail.Unpack(info):
                return _seconds(info)
    except DecodeError:
        return None
    return None


def _seconds(info: RetryInfo) -> float:
    seconds: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return max(0.0, seconds)
