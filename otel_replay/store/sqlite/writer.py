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
from otel_replay.store.sqlite.space import FreeSpace

logger = logging.getLogger(__name__)

GROUP_WRITES = 64
GROUP_BYTES = 16 * 1024 * 1024
"""At most this much is committed at once, so that an acknowledgement never waits for more than one large group."""

FOLLOW_BYTES = 8 * 1024 * 1024
"""Under load, followers work after so much was received; without load, in steps of this size."""

SYNCHRONOUS = {True: "FULL", False: "NORMAL"}
"""How SQLite waits for the disk, for what is durable and for what is not."""

IMPATIENT_MS = 100
"""How long to wait for another program's lock that did not go away before: nobody waits for it twice."""

T = TypeVar("T")


class _Task(NamedTuple):
    """Something to be run alone; not ``durable``: after a power failure it may not have happened; None: outside of
    any transaction."""

    run: Callable[[], Any]
    durable: bool | None


_Item = tuple["Write | _Task", "Future[Any]"]


class GroupWriter:
    """Runs ``apply(writes)`` and single tasks on one thread, each group inside one transaction of ``connection``.

    ``space`` says whether writes may be taken in, and learns what failed. ``after_commit`` is called there after
    transactions, outside of them and after their acknowledgement.
    """

    def __init__(
        self,
        connection: Any,
        apply: Callable[[Sequence[Write]], list[Receipt]],
        space: FreeSpace,
        followers: Sequence[Follower] = (),
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._apply = apply
        self._space = space
        self._followers = followers
        self._after_commit = after_commit
        self._patience_ms: int = connection.execute("PRAGMA busy_timeout").fetchone()[0]
        self._is_patient = True
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

    def run_outside(self, task: Callable[[], T]) -> Future[T]:
        """Runs ``task`` on the writer thread, outside of any transaction."""
        return self._put(_Task(task, None))

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
                self._commit_group(*self._gather(first))
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

    def _gather(self, first: _Item) -> tuple[list[tuple[Write, Future[Receipt]]], int]:
        """What waits behind ``first``, up to the group's limits, and its bytes; what else comes is held for later."""
        group: list[tuple[Write, Future[Receipt]]] = []
        size = 0
        item: _Item | None = first
        while item is not None and isinstance(item[0], Write):
            group.append((item[0], item[1]))
            size += _size(item[0])
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
        return group, size

    def _commit_group(self, group: list[tuple[Write, Future[Receipt]]], size: int) -> None:
        """Commits all; if that fails for a reason of its own, each alone, so that one write cannot hurt the others."""
        writes, futures = [write for write, _ in group], [future for _, future in group]
        try:
            self._space.admit(size)
        except StoreUnavailable as error:
            _refuse(futures, error)
            return
        self._behind = list(self._followers)
        self._owed_bytes += size
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
        durable: bool | None = True,
    ) -> bool:
        """Runs ``work`` in a transaction and hands out its results, or the error; False: nothing done, try singly."""
        try:
            results = self._transaction(work, durable=durable)
        except Exception as error:
            if not alone and not isinstance(error, sqlite3.OperationalError):
                return False
            logger.error("a write failed: %s", error, exc_info=not isinstance(error, sqlite3.OperationalError))
            _refuse(futures, StoreUnavailable(f"the store cannot write: {error}", hint="nothing was stored"))
        else:
            for future, result in zip(futures, results, strict=True):
                future.set_result(result)
        return True

    def _transaction(self, work: Callable[[], T], *, durable: bool | None) -> T:
        if durable is None:
            return work()
        self._connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS[durable]}")
        self._begin()
        try:
            result = work()
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                self._space.failed(error)
            raise
        return result

    def _begin(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            self._be_patient(False)
            raise
        self._be_patient(True)

    def _be_patient(self, is_patient: bool) -> None:
        if is_patient != self._is_patient:
            self._is_patient = is_patient
            wait_ms = self._patience_ms if is_patient else min(self._patience_ms, IMPATIENT_MS)
            self._connection.execute(f"PRAGMA busy_timeout = {wait_ms}")


def _alone(task: Callable[[], T]) -> list[T]:
    return [task()]


def _size(write: Write) -> int:
    return len(write.body) + sum([len(chunk.payload) for chunk in write.chunks])


def _refuse(futures: Sequence[Future[Any]], error: StoreUnavailable) -> None:
    for future in futures:
        future.set_exception(error)
