"""What follows the acknowledgement: work on stored writes that is done soon after them, never before they are durable.

A follower keeps its place in the file, in the transaction that does the work: a kill at any point loses none of it and
does none twice.
"""

from __future__ import annotations

from typing import Any, Protocol


class Follower(Protocol):
    """Works off what commits left for it, in steps of bounded size."""

    def step(self, connection: Any, budget_bytes: int) -> bool:
        """Works off some, about ``budget_bytes`` of what was received; True when more waits.

        Called on the writer thread, inside a transaction of its own.
        """

    def waiting(self, connection: Any) -> int:
        """How many items wait, on any connection to the file."""
