"""The one table from an error to what a client is told, over both transports.

A retryable answer makes an OTLP client keep its data, a permanent one makes it throw the data away: trouble of the
store is always retryable, and an error nobody foresaw is too (OTLP 1.11, "Failures"; UNKNOWN and 500 would lose it).
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_replay.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    RateLimited,
    ReplayError,
    RequestTooLarge,
    RetryableError,
    Stopping,
    StoreError,
    Unauthenticated,
    UnsupportedRequest,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1
"""Short on purpose: exporters drop their data when the delay is longer than what is left of their 10 s timeout."""


class Answer(NamedTuple):
    """What an error becomes."""

    grpc_code: grpc.StatusCode
    http_status: int
    retryable: bool = False


_UNAVAILABLE = Answer(grpc.StatusCode.UNAVAILABLE, 503, retryable=True)

ANSWERS: dict[type[Exception], Answer] = {
    InvalidRequest: Answer(grpc.StatusCode.INVALID_ARGUMENT, 400),
    UnsupportedRequest: Answer(grpc.StatusCode.UNIMPLEMENTED, 415),
    RequestTooLarge: Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    Unauthenticated: Answer(grpc.StatusCode.UNAUTHENTICATED, 401),
    Forbidden: Answer(grpc.StatusCode.PERMISSION_DENIED, 403),
    NotFound: Answer(grpc.StatusCode.NOT_FOUND, 404),
    RateLimited: Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, retryable=True),
    RetryableError: _UNAVAILABLE,
    StoreError: _UNAVAILABLE,
}


_EXPECTED = (RateLimited, Overloaded, Stopping)


def answer(error: Exception) -> Answer:
    """The table's row for an error; what nobody foresaw is retryable."""
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    return _UNAVAILABLE


def note(error: Exception) -> None:
    """Logs what the operator has to see: what will be sent again, in full where nobody foresaw it.

    What is answered by the thousand while nothing is wrong inside must not fill the log; ``/metrics`` counts it. The
    words alone: a handler that keeps records would keep the error's frames, in them the call, and grpcio refuses all
    further calls of a connection once 256 are kept.
    """
    if answer(error).retryable and not isinstance(error, _EXPECTED):
        unforeseen = None if isinstance(error, ReplayError) else error
        logger.error("answered as unavailable: %s", str(error), exc_info=unforeseen)


def explain(error: Exception) -> str:
    """What a client may read: our own errors in their words, others without their insides."""
    return str(error) if isinstance(error, ReplayError) else "an error inside the receiver; its log says more"


def rpc_status(error: Exception) -> Status:
    """``google.rpc.Status``, with RetryInfo where a retry can help: the body of an OTLP/HTTP error."""
    told = answer(error)
    status = Status(code=getattr(Code, told.grpc_code.name), message=explain(error))
    if told.retryable:
        packed = AnyMessage()
        packed.Pack(_retry_info(error))
        status.details.append(packed)
    return status


def trailing_metadata(error: Exception) -> tuple[tuple[str, bytes], ...]:
    """RetryInfo for both kinds of gRPC client: Go reads the status details, Python a trailer of its own."""
    if not answer(error).retryable:
        return ()
    details = rpc_status(error).SerializeToString()
    return (("grpc-status-details-bin", details), ("google.rpc.retryinfo-bin", _retry_info(error).SerializeToString()))


def retry_seconds(error: Exception) -> int:
    """How long a client should wait."""
    return error.retry_after_s if isinstance(error, RateLimited) else RETRY_SECONDS


def _retry_info(error: Exception) -> RetryInfo:
    return RetryInfo(retry_delay=Duration(seconds=retry_seconds(error)))
