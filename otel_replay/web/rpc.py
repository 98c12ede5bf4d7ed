"""ReplayService: uploads go to the receiver, queries to the query module."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from otel_replay._pb.v1 import replay_pb2, replay_pb2_grpc
from otel_replay.access.guard import RPC_CALLER
from otel_replay.query import LocalReplay
from otel_replay.receiver.grpc import abort, guarded
from otel_replay.receiver.recordings import UploadRpcs

PART_BYTES = 1024 * 1024
"""A recording is streamed in parts of about this size, well below the 4 MiB that clients accept by default."""


QUERIES = ("GetTimeline", "ListSessions")


class ReplayService(replay_pb2_grpc.ReplayServiceServicer):
    """The service of proto/otel_replay/v1/replay.proto."""

    def __init__(self, uploads: UploadRpcs, replay: LocalReplay, queries: ThreadPoolExecutor) -> None:
        self._uploads = uploads
        self._replay = replay
        for name in QUERIES:
            setattr(self, name, _on(queries, getattr(self, name)))

    def UploadChunk(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 (gRPC's names)
        return self._uploads.upload_chunk(request, context)

    def UploadChunks(self, request_iterator: Iterator[Any], context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._uploads.upload_chunks(request_iterator, context)

    def GetTimeline(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            timeline = _of_caller(self._replay).timeline(
                request.trace_id or None,
                session_id=request.session_id or None,
                conversation_id=request.conversation_id or None,
            )
            return replay_pb2.GetTimelineResponse(timeline_json=json.dumps(timeline.to_dict()))

        return guarded(answer, context)

    def ListSessions(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        def answer() -> Any:
            # The fields have the names of the keywords; those that are empty are not listed.
            asked = {field.name: value for field, value in request.ListFields()}
            found = _of_caller(self._replay).sessions(**asked)
            return replay_pb2.ListSessionsResponse(sessions_json=json.dumps(found))

        return guarded(answer, context)

    def GetRecording(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        cursor = None
        try:
            while True:
                page = _of_caller(self._replay).recordings.page(
                    request.session_id, stream=request.stream_id or None, max_bytes=PART_BYTES, cursor=cursor
                )
                for part in page.streams:
                    for events in _parts(part.events):
                        yield replay_pb2.RecordingPart(stream_id=part.stream_id, seq=part.from_seq, events_json=events)
                cursor = page.next_cursor
                if cursor is None:
                    return
        except Exception as error:  # noqa: BLE001 - the one table answers for every error
            abort(error, context)


def _of_caller(replay: LocalReplay) -> LocalReplay:
    """What the project of who calls holds."""
    return replay.of_project(RPC_CALLER.get().project)


def _parts(events: Iterable[Any]) -> Iterator[bytes]:
    """Arrays of events of about ``PART_BYTES``, at least one: a chunk, as it was sent, may be of any size."""
    part: list[str] = []
    size = 0
    for event in events:
        text = json.dumps(event)
        if part and size + len(text) > PART_BYTES:
            yield f"[{','.join(part)}]".encode()
            part, size = [], 0
        part.append(text)
        size += len(text)
    yield f"[{','.join(part)}]".encode()


def _on(threads: ThreadPoolExecutor, answer: Callable[..., Any]) -> Callable[..., Any]:
    """The RPC, run on threads of its own: grpcio looks for them on the function."""

    def call(request: Any, context: grpc.ServicerContext) -> Any:
        return answer(request, context)

    call.experimental_thread_pool = threads  # type: ignore[attr-defined]
    return call
