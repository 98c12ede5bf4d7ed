"""Erasing at several receivers: everywhere, or the answer says where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from otel_replay.access.guard import Caller
from otel_replay.errors import NotFound, ReplayError, RetryableError
from otel_replay.model import DEFAULT_PROJECT
from otel_replay.query.parts import RemotePart

PATH = "/api/v1/erase"


class Erasing(Protocol):
    """What :class:`~otel_replay.query.privacy.PrivacyDesk` does for routes."""

    def erase(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]: ...
    def prune(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]: ...
    def audit(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]: ...


class ErasingEverywhere:
    """The desk of a receiver with upstreams: what is erased goes there, too.

    Not for other projects, of which the upstreams' key knows nothing, and not what a key wrote: keys are of one
    receiver. Pruning is each receiver's own.
    """

    def __init__(self, own: Erasing, upstreams: Sequence[RemotePart]) -> None:
        self._own = own
        self._upstreams = upstreams

    def erase(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]:
        """How much went in all, and of each receiver.

        Raises :class:`RetryableError` that names those where it failed, when it is done at the others: it may be asked
        for again. Raises :class:`NotFound` when nobody has it.
        """
        if caller.project != DEFAULT_PROJECT or given.get("project") is not None or given.get("kind") == "key":
            return self._own.erase(caller, given)
        done: dict[str, dict[str, Any]] = {}
        failed: dict[str, str] = {}
        unknown: NotFound | None = None
        try:
            done["this receiver"] = self._own.erase(caller, given)
        except NotFound as error:
            unknown = error
        for part in self._upstreams:
            try:
                done[part.name] = part.http.ask("POST", PATH, json=dict(given)).json()
            except NotFound as error:
                unknown = error
            except (ReplayError, ValueError) as error:
                failed[part.name] = str(error)
        if failed:
            where = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise RetryableError(f"not erased everywhere: {where}", hint="ask again; elsewhere it is done")
        if not done:
            assert unknown is not None
            raise unknown
        return {**_summed(done.values()), "receivers": done}

    def prune(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._own.prune(caller, given)

    def audit(self, caller: Caller, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._own.audit(caller, given)


def _summed(done: Any) -> dict[str, Any]:
    """Counts are added; what is none is that of the first."""
    total: dict[str, Any] = {}
    for one in done:
        for name, value in one.items():
            is_count = type(value) is int and type(total.get(name)) is int
            total[name] = total[name] + value if is_count else total.get(name, value)
    return total
