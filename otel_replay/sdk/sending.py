"""One request on its way, once: to a receiver or into a sink, and what became of it.

Whether it may be sent again is OTLP's to say (specification 1.11, "Failures"): what may is ``retry``, what would be
answered the same way for ever is ``refused``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_replay.errors import PermanentError, RetryableError, StoreError
from otel_replay.sdk.destination import Destination
from otel_replay.sdk.sinks import SINKS

_WAYS_OUT = {
    "key": "set OTEL_REPLAY_API_KEY, or give headers=",
    "size": "one span is larger than the receiver takes; smaller requests: max_request_bytes=",
    "address": "otel-replay takes OTLP over HTTP on port 4318 and over gRPC on port 4317",
}
HINTS = {
    "401": _WAYS_OUT["key"],
    "403": _WAYS_OUT["key"],
    "404": _WAYS_OUT["address"],
    "405": _WAYS_OUT["address"],
    "413": _WAYS_OUT["size"],
    "415": _WAYS_OUT["address"],
    "UNAUTHENTICATED": _WAYS_OUT["key"],
    "PERMISSION_DENIED": _WAYS_OUT["key"],
    "UNIMPLEMENTED": _WAYS_OUT["address"],
    "RESOURCE_EXHAUSTED": _WAYS_OUT["size"],
}
"""What a person can do about a refusal, by HTTP status or gRPC code."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``code`` is the HTTP status, the gRPC code or the kind of error, so that one kind is told once.

    ``retry_after_s`` is what the receiver asks for; ``rejected`` counts the items of a delivered request that it did
    not keep.
    """

    kind: Literal["delivered", "retry", "refused"]
    code: str = ""
    reason: str = ""
    retry_after_s: float | None = None
    rejected: int = 0


class Sender(Protocol):
    """Made without I/O; used from one thread or many."""

    def send(self, body: bytes, timeout_s: float) -> Outcome:
        """Sends one serialised export request of the signal it was made for."""

    def close(self) -> None:
        """Lets go of connections; safe to repeat."""


def open_sender(destination: Destination) -> Sender:
    """Raises ``UnsupportedRequest`` for a sink that is not installed, and what opening a sink raises."""
    if destination.protocol == "sink":
        return SinkSender(destination)
    if destination.protocol == "grpc":
        from otel_replay.sdk.sending_grpc import GrpcSender

        return GrpcSender(destination)
    from otel_replay.sdk.sending_http import HttpSender

    return HttpSender(destination)


def delivered(answer: bytes) -> Outcome:
    """From the receiver's answer. ``partial_success`` has the same two fields for spans and for log records."""
    try:
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError:  # An answer of something in between; the request is with the receiver all the same.
        return Outcome("delivered")
    return Outcome("delivered", "partial", partial.error_message, rejected=partial.rejected_spans)


class SinkSender:
    """Hands requests to a sink of this process, which spans and logs share."""

    def __init__(self, destination: Destination) -> None:
        self._sink = SINKS.acquire(destination.url)
        self._released = False
        self._export: Callable[[bytes], None] | None = getattr(self._sink, f"export_{destination.signal}", None)

    def send(self, body: bytes, timeout_s: float) -> Outcome:
        if self._export is None:
            return Outcome("refused", "sink", "the sink keeps spans only")
        try:
            self._export(body)
        except (RetryableError, StoreError) as error:
            return Outcome("retry", type(error).__name__, str(error))
        except PermanentError as error:
            return Outcome("refused", type(error).__name__, str(error))
        return Outcome("delivered")

    def close(self) -> None:
        if not self._released:
            self._released = True
            SINKS.release(self._sink)
