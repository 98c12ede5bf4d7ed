"""The ceiling: OTLP over gRPC with raw bytes in, "full success" out and nothing done between.

Prints ``noop: grpc 127.0.0.1:PORT`` on standard error when it listens, and stops on SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
MAX_MESSAGE_BYTES = 64 << 20


def export(request: bytes, context: grpc.ServicerContext) -> bytes:
    """An empty ``ExportTraceServiceResponse`` has no bytes."""
    return b""


def main() -> None:
    server = grpc.server(
        ThreadPoolExecutor(max_workers=16), options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    )
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"noop: grpc 127.0.0.1:{port}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=1))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
