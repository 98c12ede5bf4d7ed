"""The one writer thread: takes all that waits, commits it in one transaction, then acknowledges.

Group commit: while one fsync runs, the next requests gather; a request costs a share of an fsync and no more. What
follows the acknowledgement (:mod:`otel_replay.store.sqlite.followers`) is done between groups: as much as keeps up
under load, and all of it when nobody waits.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, TypeVar

from sqlite_utils.utils import sqlite3

from otel_replay.errors import StoreUnavailable
from otel_replay.store.base import Receipt, Write
from otel_replay.store.sqlite.followers import Follower

logger = logging.getLogger(__name__)

GROUP_WRITES = 64
GROUP_BYTES = 16 * 1024 * 1024
"""At most this much is committed at once, so that an acknowledgement never waits for more than one large group."""

FOLLOW_BYTES = 8 * 1024 * 1024
"""Under load, followers work after so much was received; without load, in steps of this size."""

T = TypeVar("T")


class _Task(NamedTuple):
    """Something to be run alone; not ``durable``: after a power failure it may not have happened."""

    run: Callable[[], Any]
    durable: bool


_Item = tuple["Write | _Task", "Future[Any]"]


class GroupWriter:
    """Runs ``apply(writes)`` and single tasks on one thread, each group inside one transaction of ``connection``.

    ``after_commit`` is called there after transactions, outside of them and after their acknowledgement.
    """

    def __init__(
        self,
        connection: Any,
        apply: Callable[[Sequence[Write]], list[Receipt]],
        followers: Sequence[Follower] = (),
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._apply = apply
        self._followers = followers
        self._after_commit = after_commit
        self._behind = list(followers)  # what an earlier process left
        self._owed_bytes = 0
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._held: _Item | None = None
        self._closed = False
        self._lock = threading.Lock()
        self.busy_seconds = 0.0
        """Time spent on writes so far; tasks of the background do not count."""
        self._thread = threading.Thread(target=self._run, name="otel-replay-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> Future[Receipt]:
        """The receipt, once the write is on disk; :class:`StoreUnavailable` when it is not stored."""
        return self._put(write)

    def run(self, task: Callable[[], T], *, durable: bool = True) -> Future[T]:
        """Runs ``task`` on the writer thread, in a transaction of its own.

        Without ``durable`` nothing waits for the disk: for work that is done again when a power failure undoes it.
        """
        return self._put(_Task(task, durable))

    def close(self) -> None:
        """Commits what was accepted, then stops; safe to repeat."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _put(self, item: Write | _Task) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store is shutting down")
            self._queue.put((item, future))
        return future

    def _run(self) -> None:
        while (first := self._next()) is not None:
            started = time.monotonic()
            item, future = first
            if isinstance(item, Write):
                self._commit_group(self._gather(first))
                self.busy_seconds += time.monotonic() - started
            else:
                self._settle([future], partial(_alone, item.run), durable=item.durable)
            self._after_commit()

    def _next(self) -> _Item | None:
        """The next item, followers working until there is one."""
        if self._held is not None:
            item, self._held = self._held, None
            return item
        if self._owed_bytes >= FOLLOW_BYTES:
            self._follow(2 * self._owed_bytes)
        while self._behind:
            try:
                return self._queue.get_nowait()
            except queue.Empty:
                self._follow(FOLLOW_BYTES)
        return self._queue.get()

    def _follow(self, budget_bytes: int) -> None:
        self._owed_bytes = 0
        self._behind = [follower for follower in self._behind if self._step(follower, budget_bytes)]

    def _step(self, follower: Follower, budget_bytes: int) -> bool:
        """Whether the follower has more to do. One that fails waits for the next commit."""
        try:
            has_more = self._transaction(lambda: follower.step(self._connection, budget_bytes), durable=False)
        except Exception:
            logger.exception("%s failed; it goes on after the next write", type(follower).__name__)
            return False
        self._after_commit()
        return has_more

    def _gather(self, first: _Item) -> list[tuple[Write, Future[Receipt]]]:
        """What waits behind ``first``, up to the group's limits; whatever else comes is held for the next turn."""
        group: list[tuple[Write, Future[Receipt]]] = []
        size = 0
        item: _Item | None = first
        while item is not None and isinstance(item[0], Write):
            group.append((item[0], item[1]))
            size += len(item[0].body)
            if len(group) == GROUP_WRITES or size >= GROUP_BYTES:
                break
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)
            elif not isinstance(item[0], Write):
                self._held = item
        self._owed_bytes += size
        return group

    def _commit_group(self, group: list[tuple[Write, Future[Receipt]]]) -> None:
        """Commits all; if that fails for a reason of its own, each alone, so that one write cannot hurt the others."""
        self._behind = list(self._followers)
        writes, futures = [write for write, _ in group], [future for _, future in group]
        if self._settle(futures, partial(self._apply, writes), alone=len(group) == 1):
            return
        for write, future in group:
            self._settle([future], partial(self._apply, [write]))

    def _settle(
        self,
        futures: Sequence[Future[Any]],
        work: Callable[[], Sequence[Any]],
        *,
        alone: bool = True,
        durable: bool = True,
    ) -> bool:
        """Runs ``work`` in a transaction and hands out its results, or the error; False: nothing done, try singly."""
        try:
            results = self._transaction(work, durable=durable)
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

    def _transaction(self, work: Callable[[], T], *, durable: bool) -> T:
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work()
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return result


def _alone(task: Callable[[], T]) -> list[T]:
    return [task()]
