"""The one writer thread: takes all that waits, commits it in one transaction, then acknowledges.

Group commit: while one fsync runs, the next requests gather; a request costs a share of an fsync and no more.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from sqlite_utils.utils import sqlite3

from otel_replay.errors import StoreUnavailable
from otel_replay.store.base import Receipt, Write

logger = logging.getLogger(__name__)

GROUP_WRITES = 64
GROUP_BYTES = 16 * 1024 * 1024
"""At most this much is committed at once, so that an acknowledgement never waits for more than one large group."""

T = TypeVar("T")
_Item = tuple[Any, "Future[Any]"]


class GroupWriter:
    """Runs ``apply(writes)`` and single tasks on one thread, each group inside one transaction of ``connection``."""

    def __init__(self, connection: Any, apply: Callable[[Sequence[Write]], list[Receipt]]) -> None:
        self._connection = connection
        self._apply = apply
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._held: _Item | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="otel-replay-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> Future[Receipt]:
        """The receipt, once the write is on disk; :class:`StoreUnavailable` when it is not stored."""
        return self._put(write)

    def run(self, task: Callable[[], T]) -> Future[T]:
        """Runs ``task`` on the writer thread, in a transaction of its own."""
        return self._put(task)

    def close(self) -> None:
        """Commits what was accepted, then stops; safe to repeat."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _put(self, item: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store is shutting down")
            self._queue.put((item, future))
        return future

    def _run(self) -> None:
        while (first := self._next()) is not None:
            item, future = first
            if isinstance(item, Write):
                self._commit_group(self._gather(first))
            else:
                self._settle([future], partial(_alone, item))

    def _next(self) -> _Item | None:
        if self._held is not None:
            item, self._held = self._held, None
            return item
        return self._queue.get()

    def _gather(self, first: _Item) -> list[_Item]:
        """What waits behind ``first``, up to the group's limits; whatever else comes is held for the next turn."""
        group, size = [first], len(first[0].body)
        while len(group) < GROUP_WRITES and size < GROUP_BYTES:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)
                break
            if not isinstance(item[0], Write):
                self._held = item
                break
            group.append(item)
            size += len(item[0].body)
        return group

    def _commit_group(self, group: list[_Item]) -> None:
        """Commits all; if that fails for a reason of its own, each alone, so that one write cannot hurt the others."""
        writes, futures = [item for item, _ in group], [future for _, future in group]
        if self._settle(futures, partial(self._apply, writes), alone=len(group) == 1):
            return
        for write, future in group:
            self._settle([future], partial(self._apply, [write]))

    def _settle(self, futures: Sequence[Future[Any]], work: Callable[[], Sequence[Any]], *, alone: bool = True) -> bool:
        """Runs ``work`` in a transaction and hands out its results, or the error; False: nothing done, try singly."""
        try:
            results = self._transaction(work)
        except Exception as error:
            if not alone and not isinstance(error, sqlite3.OperationalError):
                return False
            logger.error("a write failed: %s", error, exc_info=not isinstance(error, sqlite3.OperationalError))
            for future in futures:
                future.set_exception(StoreUnavailable(f"the store cannot write: {error}", hint="nothing was stored"))
        else:
            for future, result in zip(futures, results, strict=True):
                future.set_result(result)
        return True

    def _transaction(self, work: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            results = work()
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return results


def _alone(task: Callable[[], T]) -> list[T]:
    return [task()]
