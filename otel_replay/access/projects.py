"""Projects that a request names itself, in its path or its body."""

from __future__ import annotations

from otel_replay.access.guard import Caller
from otel_replay.access.registry import Registry
from otel_replay.errors import NotFound


def project_named(registry: Registry, caller: Caller, named: str | int) -> int:
    """The project to serve: that of a key, whatever is named; without a key the caller's own, by its number or name.

    Raises :class:`NotFound` for any other, in the same words whether it exists or not.
    """
    own = registry.project_name(caller.project)
    if caller.key_id or str(named) in (str(caller.project), own):
        return caller.project
    raise NotFound(f"no project {str(named)[:80]!r} here", hint=f"without a key it is {own!r}; a key says its own")
