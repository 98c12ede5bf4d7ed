"""What the queue of a batch processor of the SDK drops when it is full: the SDK logs that it does, not how much.

Counted is what was put into the queue, and what came out of it to the exporter. Once the queue was emptied, what is
missing has been dropped.
"""

from __future__ import annotations

import itertools

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import TraceFlags

from otel_replay.sdk.processor import SessionSpanProcessor

_SAMPLED = TraceFlags.SAMPLED


class Queue:
    """The counts of one exporter's queue."""

    def __init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """In a forked child, whose queues the SDK empties."""
        self.counter = itertools.count()
        """For ``next`` with every item that is put in: that is one step, whatever thread it is on."""
        self._looks = self._left = self._dropped = 0

    def leave(self, items: int) -> None:
        """So many were handed to the exporter, which is called by one thread at a time."""
        self._left += items

    @property
    def entered(self) -> int:
        """How many were put in so far. A look takes a number from the counter as well, so looks are taken off."""
        self._looks += 1
        return next(self.counter) - self._looks + 1

    def emptied(self, entered: int) -> int:
        """How many more were dropped, of those that had ``entered`` before the queue was emptied."""
        before, self._dropped = self._dropped, max(entered - self._left, self._dropped)
        return self._dropped - before


class CountingSpanProcessor(SessionSpanProcessor):
    """For behind the batch processor: what it counts is in the queue, or was dropped."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def on_end(self, span: ReadableSpan) -> None:
        context = span.context
        if context is not None and context.trace_flags & _SAMPLED:  # a batch processor takes no others
            next(self._queue.counter)


class CountingLogProcessor(LogRecordProcessor):
    """The same for log records."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        next(self._queue.counter)

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is buffered."""
        return True
