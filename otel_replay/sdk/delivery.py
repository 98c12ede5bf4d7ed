"""Gets requests to their receiver: now, or later by way of the disk.

A request is tried once at once. When the receiver is away it is written to the spool, and so is all that follows, while
a thread sends what waits, oldest first. Without a spool (for sinks, or when it was declined) it is tried again for as
long as the timeout allows.
"""

from __future__ import annotations

import itertools
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from otel_replay.sdk.queues import Queue
from otel_replay.sdk.sending import HINTS, Outcome, Sender
from otel_replay.sdk.spool import Spool

_log = logging.getLogger(__name__)

FIRST_TRY_S = 2.0
"""How long a receiver may take before a request goes to disk: the spans that end meanwhile wait in the SDK's queue."""

ADOPT_EVERY_S = 60.0
"""How often to look for what processes that are gone have left."""

TELL_EVERY_S = 60.0
"""What goes on and on is told once a minute; what is refused is told once."""

_LONGEST_PAUSE_S = 5.0
_LONGEST_WISH_S = 300.0
"""The longest pause that a receiver is granted."""


class Delivery:
    """Of one signal to one receiver. Survives a fork: the child starts with nothing in hand.

    ``lost`` counts spans or log records that neither the receiver nor the disk has.
    """

    def __init__(self, open_sender: Callable[[], Sender], spool: Spool | None, timeout_s: float) -> None:
        self._open_sender = open_sender
        self._sender: Sender | None = open_sender()
        self._spool = spool
        self._timeout_s = timeout_s
        self.queue = Queue()
        self._inherited: list[object] = []
        self._start_over()
        if hasattr(os, "register_at_fork"):
            in_child = weakref.WeakMethod(self._in_child)
            os.register_at_fork(after_in_child=lambda: (method := in_child()) and method())

    def _start_over(self) -> None:
        self.queue.start_over()
        self.lost = 0
        self._lost_before = 0
        self._left_behind = 0
        self._changed = threading.Condition()
        self._drainer: threading.Thread | None = None
        self._is_closing = self._is_hurried = self._is_away = False
        self._resume_at = 0.0
        self._adopt_at = 0.0
        self._told: dict[str, float] = {}

    @property
    def spooled(self) -> int:
        """Spans or log records on disk that wait for the receiver; after ``close`` those that were left there."""
        return self._left_behind or (self._spool.items if self._spool else 0)

    def deliver(self, body: bytes, items: int) -> bool:
        """True when the receiver or the disk has the request; False when it is lost, which has been logged."""
        if self._spool is None:
            return self._settle(self._send_patiently(body), items)
        self._adopt(self._spool)
        if self._spool.is_empty():
            outcome = self._send(body, min(self._timeout_s, FIRST_TRY_S))
            if outcome.kind != "retry":
                return self._settle(outcome, items)
            self._note_away(outcome)
        if not self._keep(self._spool, body, items):
            return self._settle(self._send_patiently(body), items)
        self._drain_in_background()
        return True

    def flush(self, timeout_s: float) -> bool:
        """True when the receiver has all that was handed over, and nothing was lost since the last call."""
        if self._spool is not None:
            self._work_off(self._spool, timeout_s)
        lost, self._lost_before = self.lost - self._lost_before, self.lost
        return not lost and not self.spooled

    def drain(self, timeout_s: float) -> None:
        """Sends what waits on disk, and what processes that are gone have left there, for so long at most."""
        if self._spool is not None and not self._is_closing:
            self._adopt_at = 0.0
            self._adopt(self._spool)
            self._work_off(self._spool, timeout_s)

    def _work_off(self, spool: Spool, timeout_s: float) -> None:
        if spool.is_empty():
            return
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()
        self._drain_in_background()
        with self._changed:
            self._changed.wait_for(spool.is_empty, max(0.0, timeout_s))

    def close(self, timeout_s: float) -> None:
        """Sends what waits for as long as the receiver takes it; the rest stays on disk for the next process."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
            drainer = self._drainer
        if drainer is not None:
            drainer.join(max(0.0, timeout_s))
        if self._spool is not None:
            self._send_the_rest(self._spool, deadline)
            self._left_behind = self._spool.items
            if self._left_behind:
                _log.warning("%d items wait in %s for the next process", self._left_behind, self._spool.directory)
            self._spool.close()
        if self._sender is not None:
            self._sender.close()

    def _send(self, body: bytes, timeout_s: float) -> Outcome:
        try:
            if self._sender is None:
                self._sender = self._open_sender()
            return self._sender.send(body, timeout_s)
        except Exception as error:  # noqa: BLE001 - an exporter never raises; what nobody foresaw would fail again
            _log.exception("a request could not be sent")
            return Outcome("refused", type(error).__name__, str(error))

    def _send_patiently(self, body: bytes) -> Outcome:
        deadline = time.monotonic() + self._timeout_s
        for failures in itertools.count():
            outcome = self._send(body, max(0.1, deadline - time.monotonic()))
            pause = _pause_s(outcome, failures)
            if outcome.kind != "retry" or time.monotonic() + pause > deadline or self._is_closing:
                break
            with self._changed:
                self._changed.wait_for(lambda: self._is_closing, pause)
        return outcome

    def _send_oldest(self, spool: Spool, timeout_s: float) -> Outcome | None:
        """None when nothing waits."""
        entry = spool.take()
        if entry is None:
            return None
        try:
            body = entry.path.read_bytes()
        except OSError as error:
            outcome = Outcome("refused", "spool", f"it cannot be read back: {error}")
        else:
            outcome = self._send(body, timeout_s)
        if outcome.kind == "retry":
            spool.put_back(entry)
        else:
            self._settle(outcome, entry.items)
            spool.remove(entry)
        return outcome

    def _send_the_rest(self, spool: Spool, deadline: float) -> None:
        while (left := deadline - time.monotonic()) > 0:
            outcome = self._send_oldest(spool, min(left, FIRST_TRY_S))
            if outcome is None or outcome.kind == "retry":
                return

    def _drain_in_background(self) -> None:
        with self._changed:
            if self._drainer is not None or self._is_closing:
                return
            self._drainer = threading.Thread(target=self._drain, name="otel-replay-spool", daemon=True)
            try:
                self._drainer.start()
            except RuntimeError:  # The interpreter is on its way out: the next process sends it.
                self._drainer = None

    def _drain(self) -> None:
        spool = self._spool
        assert spool is not None
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))  # What we send is nobody's request.
        try:
            self._drain_in_turn(spool)
        except OSError as error:  # The next request starts it again.
            self._tell("drain", f"{spool.directory} cannot be worked off: {error}", again_after_s=TELL_EVERY_S)
            self._drainer = None
        finally:
            detach(token)

    def _drain_in_turn(self, spool: Spool) -> None:
        failures = 0
        while self._is_my_turn(spool):
            outcome = self._send_oldest(spool, self._timeout_s)
            if outcome is not None and outcome.kind == "retry":
                self._resume_at = time.monotonic() + _pause_s(outcome, failures)
                failures += 1
            else:
                failures = 0

    def _is_my_turn(self, spool: Spool) -> bool:
        """After the pause that is due. False ends the thread: nothing waits, or this is the end."""
        with self._changed:
            self._changed.notify_all()
            pause = max(0.0, self._resume_at - time.monotonic())
            self._changed.wait_for(lambda: self._is_closing or self._is_hurried or spool.is_empty(), pause)
            self._is_hurried = False
            if self._is_closing or spool.is_empty():
                self._drainer = None
                return False
            return True

    def _adopt(self, spool: Spool) -> None:
        if time.monotonic() < self._adopt_at:
            return
        self._adopt_at = time.monotonic() + ADOPT_EVERY_S
        try:
            found = spool.adopt()
        except OSError as error:
            self._tell("adopt", f"{spool.directory} cannot be looked through: {error}")
            return
        if found:
            _log.info("%d items that an earlier process left in %s are sent now", found, spool.directory)
            self._drain_in_background()

    def _keep(self, spool: Spool, body: bytes, items: int) -> bool:
        try:
            dropped = spool.put(body, items)
        except OSError as error:
            self._tell("put", f"{spool.directory} cannot take a request: {error}", again_after_s=TELL_EVERY_S)
            return False
        if dropped:
            self.lose(dropped)
            words = f"the spool {spool.directory} is full: of the oldest items, {self.lost} are lost so far"
            self._tell("full", words, again_after_s=TELL_EVERY_S)
        return True

    def _note_away(self, outcome: Outcome) -> None:
        self._resume_at = time.monotonic() + _pause_s(outcome, 0)
        if not self._is_away and self._spool is not None:
            self._is_away = True
            _log.warning("the receiver is away (%s): requests wait in %s", outcome.reason, self._spool.directory)

    def _settle(self, outcome: Outcome, items: int) -> bool:
        lost = outcome.rejected if outcome.kind == "delivered" else items
        if lost:
            self.lose(lost)
            again_after_s = TELL_EVERY_S if outcome.kind == "retry" else float("inf")
            words = f"{lost} items are lost: {outcome.reason or outcome.code}"
            self._tell(outcome.code, words, HINTS.get(outcome.code), again_after_s)
        if outcome.kind == "delivered" and self._is_away:
            self._is_away = False
            _log.warning("the receiver is back")
        return outcome.kind == "delivered"

    def note_emptied(self, entered: int, hint: str) -> None:
        """The queue before the exporter was emptied of what had ``entered`` it."""
        if dropped := self.queue.emptied(entered):
            self.lose(dropped)
            words = f"{dropped} items are lost: they were more at once than the queue holds"
            self._tell("queue", words, hint, again_after_s=TELL_EVERY_S)

    def lose(self, items: int) -> None:
        """Counts items that will not reach the receiver."""
        with self._changed:
            self.lost += items

    def _tell(self, key: str, words: str, hint: str | None = None, again_after_s: float = float("inf")) -> None:
        now = time.monotonic()
        if now >= self._told.get(key, now):
            self._told[key] = now + again_after_s
            _log.error("%s", f"{words} ({hint})" if hint else words)

    def _in_child(self) -> None:
        """Connections, locks and files belong to the parent: they are neither used nor closed."""
        self._inherited += [self._sender, self._spool, self._drainer]
        self._sender = None
        self._spool = Spool(self._spool.directory, self._spool.max_bytes) if self._spool else None
        self._start_over()


def _pause_s(outcome: Outcome, failures: int) -> float:
    """What the receiver asks for, else longer each time, spread so that not all come back at once."""
    if outcome.retry_after_s is not None:
        return min(outcome.retry_after_s, _LONGEST_WISH_S)
    return min(0.5 * 2.0 ** min(failures, 10), _LONGEST_PAUSE_S) * random.uniform(0.8, 1.2)
