"""The reader process: questions that take the processor for long are answered beside the receiver, never in it.

One child, started when it is first needed, with a reader of its own on the same file. Calls and answers are pickled
through its standard input and output; it ends when its input does, however the parent ended.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, NamedTuple, cast

from otel_replay.errors import ReplayError, RetryableError, StoreUnavailable
from otel_replay.store.base import Reader

logger = logging.getLogger(__name__)

METHODS = frozenset(("search_traces", "search", "statistics"))
"""What the process answers: whatever may need more than 50 ms of the processor."""

WAITING_CALLS = 4
"""With the one that runs; fewer than the server's query threads, so that other questions find one free."""

CALL_SECONDS = 25.0
"""From the question to the answer, waiting in line counted in: clients wait for 30."""

NICENESS = 5
"""The process steps back when the receiver needs the core."""

_STOP_SECONDS = 2.0
_BUSY = "ask again in a moment"
_NARROW = "narrow it: a service, an operation, or times (since, until)"


class _Call(NamedTuple):
    method: str
    positional: tuple[Any, ...]
    named: dict[str, Any]


class ReaderProcess:
    """Calls methods of a :class:`~otel_replay.store.base.Reader` of ``path`` in the child, one at a time."""

    def __init__(self, path: Path, *, call_seconds: float = CALL_SECONDS) -> None:
        self._path = path
        self._call_seconds = call_seconds
        self._places = threading.BoundedSemaphore(WAITING_CALLS)
        self._turn = threading.Lock()
        self._state = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the child; None while there is none."""
        return self._child.pid if self._child else None

    def call(self, method: str, *positional: Any, **named: Any) -> Any:
        """What the reader's method returns or raises.

        Raises :class:`StoreUnavailable` when too many wait, and :class:`RetryableError` when the child takes longer
        than ``call_seconds`` (it is ended) or dies; the next call starts another one.
        """
        if method not in METHODS:
            raise ValueError(f"{method} is not a question for the reader process")
        deadline = time.monotonic() + self._call_seconds
        if not self._places.acquire(blocking=False):
            raise StoreUnavailable("too many questions wait for the reader process", hint=_BUSY)
        try:
            return self._take_turn(_Call(method, positional, named), deadline)
        finally:
            self._places.release()

    def close(self) -> None:
        """Ends the child, also in the middle of a call; safe to repeat."""
        with self._state:
            self._closed = True
            if self._child is not None:
                self._child.kill()
        with self._turn:
            self._end()

    def _take_turn(self, call: _Call, deadline: float) -> Any:
        if not self._turn.acquire(timeout=self._call_seconds):
            raise StoreUnavailable("the reader process is busy", hint=_BUSY)
        try:
            return self._ask(call, deadline)
        finally:
            self._turn.release()

    def _ask(self, call: _Call, deadline: float) -> Any:
        child = self._running()
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), child.kill)
        timer.start()
        try:
            answer, error = self._exchange(child, call)
        except (EOFError, OSError, pickle.UnpicklingError) as trouble:
            self._end()
            if time.monotonic() >= deadline:
                raise RetryableError(f"no answer within {self._call_seconds:g} s", hint=_NARROW) from trouble
            raise RetryableError("the reader process has ended", hint=_BUSY) from trouble
        finally:
            timer.cancel()
        if error is not None:
            raise error
        return answer

    @staticmethod
    def _exchange(child: subprocess.Popen[bytes], call: _Call) -> tuple[Any, Exception | None]:
        assert child.stdin is not None
        assert child.stdout is not None
        pickle.dump(tuple(call), child.stdin)
        child.stdin.flush()
        answered: tuple[Any, Exception | None] = pickle.load(child.stdout)
        return answered

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is not None:
            self._end()
        with self._state:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            if self._child is None:
                self._child = subprocess.Popen(self._command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            return self._child

    def _command(self) -> list[str]:
        """An interpreter of its own, not a fork: gRPC's threads would not survive that. Modules are found as here."""
        program = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {__name__} import main; main()"
        return [sys.executable, "-c", program, json.dumps(sys.path), str(self._path.absolute())]

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_SECONDS)
        for pipe in (child.stdin, child.stdout):
            with suppress(OSError):  # a call that it did not read to its end
                cast(BinaryIO, pipe).close()


class _Beside:
    """A reader whose heavy questions go to the process."""

    def __init__(self, reader: Reader, process: ReaderProcess) -> None:
        self._reader = reader
        self._process = process

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            return partial(self._process.call, name)
        return getattr(self._reader, name)

    def close(self) -> None:
        self._process.close()
        close = getattr(self._reader, "close", None)
        if close:
            close()


def with_reader_process(reader: Reader, process: ReaderProcess) -> Reader:
    """``reader``, but for the :data:`METHODS` that the process answers."""
    return cast(Reader, _Beside(reader, process))


# In the child


def main() -> None:
    """Answers calls from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    calls: SimpleQueue[_Call] = SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, calls), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not pass for an answer
    ask = _Asker(Path(sys.argv[2]))
    while True:
        pickle.dump(_answer(ask, calls.get()), answers)
        answers.flush()


def _receive(source: BinaryIO, calls: SimpleQueue[_Call]) -> None:
    """Ends the process with its input, even in the middle of a long answer: nobody is left to read that."""
    try:
        while True:
            calls.put(_Call(*pickle.load(source)))
    except (EOFError, OSError, pickle.UnpicklingError):
        os._exit(0)


class _Asker:
    """Opens the reader with the first call, so that trouble with the file is an answer like any other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: Reader | None = None

    def __call__(self, call: _Call) -> Any:
        from otel_replay.store.sqlite.reader import SqliteReader

        if self._reader is None:
            self._reader = SqliteReader(self._path)
        if call.method not in METHODS:
            raise ValueError(call.method)
        return getattr(self._reader, call.method)(*call.positional, **call.named)


def _answer(ask: Callable[[_Call], Any], call: _Call) -> tuple[Any, Exception | None]:
    try:
        return ask(call), None
    except ReplayError as error:
        return None, error
    except Exception:
        logger.exception("%s failed", call.method)
        return None, RetryableError("an error inside the reader process; the log says more")
