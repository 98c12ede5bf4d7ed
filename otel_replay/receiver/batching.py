"""Small requests are taken together: one of ten spans costs as much to prepare as one of a hundred.

What waits when the thread is free is merged (concatenated OTLP requests are one request), validated, prepared and
committed as one. Nothing waits for company. Whenever that does not work out, each request goes its own way.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import NamedTuple

from google.protobuf.message import DecodeError

from otel_replay.errors import RetryableError
from otel_replay.model import Signal
from otel_replay.otlp import thin
from otel_replay.otlp.requests import accept
from otel_replay.receiver.handler import ExportResponse, Handler, Sender, request_digest, success
from otel_replay.receiver.prepare import prepare

SMALL_BYTES = 16 * 1024
BATCH_REQUESTS = 64


class _Waiting(NamedTuple):
    body: bytes
    sender: Sender
    answer: Future[ExportResponse]


class BatchingHandler(Handler):
    """A handler that takes small requests of traces together, from :meth:`start` to :meth:`stop`."""

    _batches: _Batches | None = None

    def start(self) -> None:
        self._batches = _Batches(self._take)

    def stop(self) -> None:
        """Finishes what waits; safe to repeat."""
        batches, self._batches = self._batches, None
        if batches is not None:
            batches.close()

    def export(self, signal: Signal, body: bytes, sender: Sender) -> ExportResponse:
        batches = self._batches
        if signal is not Signal.TRACES or not 0 < len(body) <= SMALL_BYTES or self._redact or batches is None:
            return super().export(signal, body, sender)
        return batches.put(body, sender)

    def _take(self, waiting: Sequence[_Waiting]) -> None:
        """Answers requests of one sender: together, or else one by one."""
        try:
            together = len(waiting) > 1 and self._stored_together([one.body for one in waiting], waiting[0].sender)
        except RetryableError as error:
            for one in waiting:
                one.answer.set_exception(error)
            return
        for one in waiting:
            _answer(one.answer, success if together else super().export, Signal.TRACES, one.body, one.sender)

    def _stored_together(self, bodies: Sequence[bytes], sender: Sender) -> bool:
        """Whether all of them were good, new, and are on disk now; else nothing is."""
        distinct = {request_digest(Signal.TRACES, body): body for body in bodies}
        if not all(map(_is_whole, distinct.values())):
            return False
        accepted = accept(Signal.TRACES, b"".join(distinct.values()))
        if accepted.rejections:
            return False
        first, *further = distinct
        write = replace(prepare(accepted, self._origin(sender), first), further_digests=tuple(further))
        return not write.body or not self._store.commit(write).duplicate


def _is_whole(body: bytes) -> bool:
    """Whether a request ends where its last field does: two broken halves must not make a good one."""
    try:
        thin.parse(body)
    except DecodeError:
        return False
    return True


def _answer(answer: Future[ExportResponse], call: Callable[..., ExportResponse], *arguments: object) -> None:
    try:
        answer.set_result(call(*arguments))
    except Exception as error:  # noqa: BLE001 - whoever sent the request is told
        answer.set_exception(error)


class _Batches:
    """Gathers what waits, on a thread of its own, and hands it on by sender."""

    def __init__(self, take: Callable[[Sequence[_Waiting]], None]) -> None:
        self._take = take
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="otel-replay-batches", daemon=True)
        self._thread.start()

    def put(self, body: bytes, sender: Sender) -> ExportResponse:
        """The answer, once the request is on disk; raises what its own handling raises."""
        waiting = _Waiting(body, sender, Future())
        self._queue.put(waiting)
        return waiting.answer.result()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            by_sender: dict[Sender, list[_Waiting]] = {}
            one = self._queue.get()
            for _ in range(BATCH_REQUESTS):
                if one is None:
                    is_open = False
                    break
                by_sender.setdefault(one.sender, []).append(one)
                try:
                    one = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                self._queue.put(one)
            for waiting in by_sender.values():
                self._take(waiting)
