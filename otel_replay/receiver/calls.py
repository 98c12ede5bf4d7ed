"""gRPC calls of limited duration: a call takes a thread while its message comes, and while its answer is read.

grpcio gives a unary call its thread before its message is there, and has no limit of its own: 32 calls that sent their
headers and nothing else stopped all ingest over gRPC. So unary requests are taken as streams of one message, which is
the same on the wire, and whoever stands still is cut off.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from otel_replay.errors import InvalidRequest
from otel_replay.receiver.grpc import abort

MESSAGE_SECONDS = 10.0
"""For the next message of a request to come as a whole; exporters give up after 10."""

PAUSE_SECONDS = 60.0
"""Between two messages of a client's stream."""

ANSWER_SECONDS = 30.0
"""For a client to read the next part of a stream."""

OPTIONS = (
    # Notices within 80 s that a peer has gone without saying so.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients that ask for life signs every 10 s are welcome: by default they would be sent away for it.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # More wait on the client's side: here each would hold as much of its message as flow control lets through.
    ("grpc.max_concurrent_streams", 256),
)

_Behaviour = Callable[[Any, Any], Any]


class CallPatience(grpc.ServerInterceptor):
    """Bounds every wait for a client; :meth:`look` cuts off those that stand still.

    Streams run on ``streams`` where they have no threads of their own: they may pause, and ingest may not wait for it.
    ``clock`` gives seconds.
    """

    def __init__(self, streams: ThreadPoolExecutor, clock: Callable[[], float] = time.monotonic) -> None:
        self._streams = streams
        self._clock = clock
        self._until: dict[grpc.ServicerContext, float] = {}
        self._watched: dict[str, Any] = {}

    def look(self, _stopping: Callable[[], bool] = lambda: False) -> None:
        """To be called once a second or so; a client that is cut off gets CANCELLED, and may send again."""
        now = self._clock()
        for context, until in list(self._until.items()):
            if now > until:
                context.cancel()

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        watched = self._watched.get(details.method)
        if watched is None:
            handler = continuation(details)
            if handler is None:
                return None  # no such method
            watched = self._watched[details.method] = self._watch(handler)
        return watched

    def _watch(self, handler: Any) -> Any:
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        if getattr(behaviour, "experimental_non_blocking", False):
            return handler  # health's Watch: it holds no thread, and is called in another way
        requests = self._messages if handler.request_streaming else self._message
        make: Any = grpc.stream_unary_rpc_method_handler
        answer = self._answering(behaviour, requests)
        if handler.response_streaming:
            make, answer = grpc.stream_stream_rpc_method_handler, self._streaming(behaviour, requests)
        if handler.request_streaming or handler.response_streaming:
            answer.__dict__.setdefault("experimental_thread_pool", self._streams)
        return make(answer, handler.request_deserializer, handler.response_serializer)

    @staticmethod
    def _answering(behaviour: _Behaviour, requests: _Behaviour) -> _Behaviour:
        @functools.wraps(behaviour)  # and with it the threads that it asks for
        def answer(messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
            return behaviour(requests(messages, context), context)

        return answer

    def _streaming(self, behaviour: _Behaviour, requests: _Behaviour) -> _Behaviour:
        @functools.wraps(behaviour)
        def answer(messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            for part in behaviour(requests(messages, context), context):
                self._until[context] = self._clock() + ANSWER_SECONDS
                try:
                    yield part  # goes on once the client has read it
                finally:
                    del self._until[context]

        return answer

    def _message(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """The one message of a unary request."""
        self._until[context] = self._clock() + MESSAGE_SECONDS
        try:
            return next(messages)
        except StopIteration:
            abort(InvalidRequest("the call has no message"), context)
        finally:
            del self._until[context]

    def _messages(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """The messages of a stream."""
        while True:
            self._until[context] = self._clock() + PAUSE_SECONDS
            try:
                message = next(messages)
            except StopIteration:
                return
            finally:
                del self._until[context]
            yield message
