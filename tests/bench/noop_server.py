"""The ceilings: OTLP over gRPC with raw bytes in, "full success" out, and between them nothing, or a full parse.

``python -m tests.bench.noop_server [--parse]`` prints ``noop: grpc 127.0.0.1:PORT`` on standard error when it listens,
and stops on SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
MAX_MESSAGE_BYTES = 64 << 20


def export(request: bytes, context: grpc.ServicerContext) -> bytes:
    """An empty ``ExportTraceServiceResponse`` has no bytes."""
    return b""


def parse(request: bytes, context: grpc.ServicerContext) -> bytes:
    ExportTraceServiceRequest.FromString(request)
    return b""


def main() -> None:
    server = grpc.server(
        ThreadPoolExecutor(max_workers=16), options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    )
    behaviour = parse if "--parse" in sys.argv[1:] else export
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Export": grpc.unary_unary_rpc_method_handler(behaviour)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"noop: grpc 127.0.0.1:{port}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=1))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
