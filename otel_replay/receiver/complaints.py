"""What is refused, in the log: who looks there why nothing arrives must find it, and no sender may fill it.

Exporters tell little. OpenTelemetry's Python exporter shows the status of an answer and not its words; one that speaks
gRPC to the port of HTTP, or the other way round, shows bytes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from otel_replay.receiver.status import answer, explain

logger = logging.getLogger(__name__)

EVERY_S = 60.0
"""Between two lines about the same, in which senders may try again a thousand times."""

MAX_CHARS = 500
"""Of what is told: some words are the sender's."""


class Complaints:
    """One line for each kind of refusal, at most one a minute; ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, tuple[float, int]] = {}
        """By kind: when it was told last, and how often it came since."""

    def of(self, where: str, error: Exception) -> None:
        """An answer that will not be another one the next time; ``status.note`` has logged the others."""
        told = answer(error)
        if not told.retryable:
            self.tell(f"{where} {told.http_status}", explain(error))

    def tell(self, kind: str, words: str) -> None:
        """``kind`` is one of few, such as ``http traces 415``; ``words`` say what is wrong and what to do."""
        now = self._clock()
        with self._lock:
            last, since = self._told.get(kind, (now - EVERY_S, 0))
            is_due = now - last >= EVERY_S
            self._told[kind] = (now, 0) if is_due else (last, since + 1)
        if is_due:
            more = f"; {since} more since this was told last" if since else ""
            logger.warning("refused, %s: %s%s", kind, ascii(words[:MAX_CHARS])[1:-1], more)
