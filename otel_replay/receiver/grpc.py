"""OTLP over gRPC: raw bytes go to the handler, errors through the one table.

grpcio's synchronous server with raw-bytes handlers serves 1.4-1.6 million spans/s on one core, grpc.aio 1.0.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

# Imported for their descriptors: reflection can only describe services that are registered.
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from otel_replay.model import DEFAULT_PROJECT, Signal, Source
from otel_replay.receiver.handler import Handler, Sender
from otel_replay.receiver.status import answer, explain, trailing_metadata

logger = logging.getLogger(__name__)

SERVICES = {
    trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name: Signal.TRACES,
    logs_service_pb2.DESCRIPTOR.services_by_name["LogsService"].full_name: Signal.LOGS,
    metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"].full_name: Signal.METRICS,
}

GRPC_SENDER = Sender(DEFAULT_PROJECT, Source.SERVER)


def otlp_handlers(handler: Handler) -> tuple[grpc.GenericRpcHandler, ...]:
    """A generic handler for each OTLP service."""

    def service(name: str, signal: Signal) -> grpc.GenericRpcHandler:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            with_status = guarded(lambda: handler.export(signal, body, GRPC_SENDER).SerializeToString(), context)
            return bytes(with_status)

        return grpc.method_handlers_generic_handler(name, {"Export": grpc.unary_unary_rpc_method_handler(export)})

    return tuple(service(name, signal) for name, signal in SERVICES.items())


def guarded(call: Callable[[], Any], context: grpc.ServicerContext) -> Any:
    """Runs ``call``; an error ends the RPC with its row of the table."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the one table answers for every error
        abort(error, context)


def abort(error: Exception, context: grpc.ServicerContext) -> NoReturn:
    """Ends the RPC as the table says; what nobody foresaw is logged in full."""
    told = answer(error)
    if told.retryable:
        logger.error("%s: %s", told.grpc_code.name, error, exc_info=error)
    context.set_trailing_metadata(trailing_metadata(error))
    context.abort(told.grpc_code, explain(error))
    raise AssertionError("abort raises")
