"""One question to several receivers: who does not answer, or answers what is of no use, is left out and named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

from otel_replay.errors import NotFound, ReplayError, StoreUnavailable
from otel_replay.query.facts import Answer, Question
from otel_replay.query.gathering import Gathered
from otel_replay.query.local import LocalReplay
from otel_replay.query.parts import Part
from otel_replay.store.base import Reader

logger = logging.getLogger(__name__)

T = TypeVar("T")
Ask = Callable[[LocalReplay, Gathered], T]
"""Makes the answer to one question of what the receivers tell."""

ASKING_THREADS = 8
"""Questions on the way to a receiver at once. Each receiver has its own: one that never answers takes none of the
others'."""

REASON_CHARACTERS = 300
"""Of what is said of an answer that is of no use."""


class FanOut:
    """The receivers that are asked as one."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self._threads = {
            one.name: ThreadPoolExecutor(ASKING_THREADS, f"otel-replay-asking-{one.name}") for one in parts
        }

    def answered(self, ask: Ask[T]) -> T:
        """What ``ask`` makes of the facts.

        Raises :class:`StoreUnavailable` when no receiver answers, and for what is not found while one is away.
        """
        gathered = Gathered(self.parts, self._submit)
        try:
            try:
                return ask(_replay(gathered), gathered)
            except ReplayError:
                raise
            except Exception as error:
                useless = _useless(gathered, ask)
                if not useless:
                    raise
                gathered.away |= useless
                logger.warning("receivers are left out: %s", gathered.reasons(), exc_info=error)
                return ask(_replay(gathered), gathered)
        except NotFound as error:
            if not gathered.away:
                raise
            raise StoreUnavailable(f"{error.message} at the receivers that answer; {gathered.reasons()}") from error

    def _submit(self, part: Part, questions: Sequence[Question]) -> Future[list[Answer]]:
        return self._threads[part.name].submit(part.ask, questions)

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)  # not for one that never answers
        for part in self.parts:
            part.close()


def _useless(gathered: Gathered, ask: Ask[T]) -> dict[str, str]:
    """Why no answer can be made of what a receiver tells, by its name: each is tried alone, with what it has told.

    What fits its type may still be no span, no time and no sketch; only who uses it finds out. What goes wrong with a
    file in reach is an error of our own.
    """
    found = {}
    for part, alone in gathered.each_alone():
        try:
            ask(_replay(alone), alone)
        except ReplayError:
            continue
        except Exception as error:  # noqa: BLE001 - whatever it is, it comes of what this receiver has told
            found[part.name] = f"what it tells cannot be used: {type(error).__name__}: {error}"[:REASON_CHARACTERS]
    return found


def _replay(gathered: Gathered) -> LocalReplay:
    return LocalReplay(cast(Reader, gathered))
