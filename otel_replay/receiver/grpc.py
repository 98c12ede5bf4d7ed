"""OTLP over gRPC: raw bytes go to the handler, errors through the one table.

grpcio's synchronous server with raw-bytes handlers serves 1.4-1.6 million spans/s on one core, grpc.aio 1.0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

import grpc

# Imported for their descriptors: reflection can only describe services that are registered.
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from otel_replay.access.guard import RPC_CALLER
from otel_replay.access.scopes import INGEST
from otel_replay.model import Signal
from otel_replay.receiver.complaints import Complaints
from otel_replay.receiver.handler import Handler, Sender
from otel_replay.receiver.in_flight import InFlight
from otel_replay.receiver.measures import GRPC, Measures
from otel_replay.receiver.status import answer, explain, note, trailing_metadata

T = TypeVar("T")

SERVICES = {
    trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"].full_name: Signal.TRACES,
    logs_service_pb2.DESCRIPTOR.services_by_name["LogsService"].full_name: Signal.LOGS,
    metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"].full_name: Signal.METRICS,
}


class GrpcReceiver:
    """What every ingest RPC goes through: counted while in flight, errors answered by the one table."""

    def __init__(self, handler: Handler, in_flight: InFlight, measures: Measures, complaints: Complaints) -> None:
        self.handler = handler
        self._complaints = complaints
        self._in_flight = in_flight
        self._measures = measures

    def otlp_handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """A generic handler for each OTLP service."""
        return tuple(self._service(name, signal) for name, signal in SERVICES.items())

    def run(self, route: str, size: int, call: Callable[[], T], context: grpc.ServicerContext) -> T:
        """Runs ``call`` for one message of ``size`` bytes; an error ends the RPC with its row of the table."""
        try:
            with self._in_flight.request() as hold:
                hold.add(size)
                RPC_CALLER.get().charge(size)
                result = call()
        except Exception as error:  # noqa: BLE001 - the one table answers for every error
            told = answer(error)
            self._measures.answered(GRPC, route, told.grpc_code.name, size)
            self._measures.refused(GRPC, INGEST.scope, told.http_status)
            self._complaints.of(f"{GRPC} {route}", error)
            abort(error, context)
        self._measures.answered(GRPC, route, "OK", size)
        return result

    def _service(self, name: str, signal: Signal) -> grpc.GenericRpcHandler:
        route = signal.name.lower()

        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            def stored() -> bytes:
                return self.handler.export(signal, body, rpc_sender()).SerializeToString()

            return self.run(route, len(body), stored, context)

        return grpc.method_handlers_generic_handler(name, {"Export": grpc.unary_unary_rpc_method_handler(export)})


def rpc_sender() -> Sender:
    """Who calls the RPC that this thread answers."""
    caller = RPC_CALLER.get()
    return Sender(caller.project, caller.source, caller.key_id)


def guarded(call: Callable[[], T], context: grpc.ServicerContext) -> T:
    """Runs ``call``; an error ends the RPC with its row of the table."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - the one table answers for every error
        abort(error, context)


def abort(error: Exception, context: grpc.ServicerContext) -> NoReturn:
    """Ends the RPC as the table says; what nobody foresaw is logged in full."""
    note(error)
    context.set_trailing_metadata(trailing_metadata(error))
    context.abort(answer(error).grpc_code, explain(error))
    raise AssertionError("abort raises")
