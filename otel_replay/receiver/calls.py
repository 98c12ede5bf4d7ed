"""gRPC calls of limited duration: a call takes a thread while its message comes, and while its answer is read.

grpcio gives a unary call its thread before its message is there, and has no limit of its own: 32 calls that sent their
headers and nothing else stopped all ingest over gRPC. So unary requests are taken as streams of one message, which is
the same on the wire, and whoever stands still is cut off. Who is slow is not: how much of a message has come is what
the system has counted on its connection (:mod:`otel_replay.receiver.progress`).
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from otel_replay.errors import InvalidRequest
from otel_replay.receiver.grpc import abort
from otel_replay.receiver.progress import peer_of, received_by_peer

STILL_SECONDS = 10.0
"""Without the next bytes of a message; exporters give up after 10. Where the system does not count bytes it is for a
whole message."""

LEAST_BYTES = 4096
"""That count as next bytes, for each message that a connection has begun: life signs have 17. Of bodies Apache asks for
500 a second (mod_reqtimeout)."""

MESSAGE_SECONDS = 600.0
"""For a message as a whole: 64 MiB take 540 s at a megabit a second."""

PAUSE_SECONDS = 60.0
"""Between two messages of a client's stream, in place of ``STILL_SECONDS``."""

ANSWER_SECONDS = 30.0
"""For a client to read the next part of a stream."""

YOUNG_SECONDS = 0.9
"""Waits that nothing is asked about: nearly all end within one look."""

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


class _Wait:
    """For a client: since when, and how far its connection was when something came last."""

    __slots__ = ("began", "for_message", "moved", "received", "still_s")

    def __init__(self, now: float, still_s: float, *, for_message: bool = True) -> None:
        self.began = self.moved = now
        self.still_s = still_s
        self.for_message = for_message
        self.received = 0

    def note(self, now: float, received: int, least: int) -> None:
        """``received`` bytes have come over its connection; ``least`` more than before are progress."""
        if received >= self.received + least:
            self.received, self.moved = received, now

    def is_over(self, now: float) -> bool:
        return now - self.moved > self.still_s or (self.for_message and now - self.began > MESSAGE_SECONDS)


class CallPatience(grpc.ServerInterceptor):
    """Bounds every wait for a client; :meth:`look` cuts off those that stand still.

    Streams run on ``streams`` where they have no threads of their own: they may pause, and ingest may not wait for it.
    ``clock`` gives seconds.
    """

    def __init__(self, streams: ThreadPoolExecutor, clock: Callable[[], float] = time.monotonic) -> None:
        self._streams = streams
        self._clock = clock
        self._waits: dict[grpc.ServicerContext, _Wait] = {}
        self._watched: dict[str, Any] = {}

    def look(self, _stopping: Callable[[], bool] = lambda: False) -> None:
        """To be called once a second or so; a client that is cut off gets CANCELLED, and may send again."""
        now = self._clock()
        waits = {context: wait for context, wait in list(self._waits.items()) if now - wait.began > YOUNG_SECONDS}
        self._note_progress(now, {context: wait for context, wait in waits.items() if wait.for_message})
        for context, wait in waits.items():
            if wait.is_over(now):
                context.cancel()

    @staticmethod
    def _note_progress(now: float, waits: Mapping[grpc.ServicerContext, _Wait]) -> None:
        if not waits:
            return
        received = received_by_peer()
        peers = {context: peer_of(context.peer()) for context in waits}
        begun = Counter(peers.values())
        for context, wait in waits.items():
            peer = peers[context]
            if peer is not None and peer in received:
                wait.note(now, received[peer], LEAST_BYTES * begun[peer])

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
                self._waits[context] = _Wait(self._clock(), ANSWER_SECONDS, for_message=False)
                try:
                    yield part  # goes on once the client has read it
                finally:
                    del self._waits[context]

        return answer

    def _message(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """The one message of a unary request."""
        self._waits[context] = _Wait(self._clock(), STILL_SECONDS)
        try:
            return next(messages)
        except StopIteration:
            abort(InvalidRequest("the call has no message"), context)
        finally:
            del self._waits[context]

    def _messages(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """The messages of a stream."""
        while True:
            self._waits[context] = _Wait(self._clock(), PAUSE_SECONDS)
            try:
                message = next(messages)
            except StopIteration:
                return
            finally:
                del self._waits[context]
            yield message
