"""The names of services and of their operations (span names), noted as spans arrive."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from otel_replay.store.base import KEPT_OPERATIONS
from otel_replay.store.names import KEPT_SERVICES, kept_name, kept_pairs
from otel_replay.store.sqlite.queries import Queries

_REMEMBERED = 50_000
"""Names kept in memory at most (about 10 MB); beyond it they are read from the table again."""

_SERVICES = (
    "WITH RECURSIVE names(service) AS ("
    " SELECT min(service) FROM operations WHERE project = :project UNION ALL"
    " SELECT (SELECT min(service) FROM operations WHERE project = :project AND service > names.service)"
    " FROM names WHERE service IS NOT NULL) SELECT service FROM names WHERE service IS NOT NULL"
)
"""A seek for each service; DISTINCT would read every operation."""


class OperationNotes:
    """Notes (service, operation) pairs in the writer's transaction, and remembers them so that it seldom writes.

    It remembers only what the table held before the transaction: a rollback leaves nothing to forget.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._known: dict[tuple[int, str], frozenset[str]] = {}
        self._full: set[int] = set()  # projects that have all the services they may have

    def forget(self) -> None:
        """Something was deleted from the table."""
        self._known.clear()
        self._full.clear()

    def note(self, project: int, pairs: frozenset[tuple[str, str]]) -> None:
        """Stores the pairs that are new. To be called once for each project and transaction."""
        unseen = defaultdict(set)
        for service, name in kept_pairs(pairs):
            known = self._known.get((project, service))
            if known is None or (name not in known and len(known) < KEPT_OPERATIONS):
                unseen[service].add(name)
        for service in sorted(unseen):
            self._add(project, service, unseen[service])

    def _add(self, project: int, service: str, names: set[str]) -> None:
        known = self._read(project, service)
        if not known and not self._has_room(project):
            return
        fresh = sorted(names - known)[: KEPT_OPERATIONS - len(known)]
        rows = [(project, service, name) for name in fresh]
        self._connection.executemany("INSERT INTO operations VALUES (?, ?, ?)", rows)

    def _read(self, project: int, service: str) -> frozenset[str]:
        query = "SELECT name FROM operations WHERE project = ? AND service = ?"
        known = frozenset(name for (name,) in self._connection.execute(query, (project, service)))
        if len(known) + sum(map(len, self._known.values())) > _REMEMBERED:
            self._known.clear()
        if known:
            self._known[project, service] = known
        return known

    def _has_room(self, project: int) -> bool:
        """For one more service."""
        if project not in self._full:
            services = self._connection.execute(_SERVICES, {"project": project}).fetchall()
            if len(services) < KEPT_SERVICES:
                return True
            self._full.add(project)
        return False


class NameQueries(Queries):
    """What services there are, and what they do."""

    def services(self, project: int) -> list[str]:
        with self._connections.snapshot() as connection:
            return [service for (service,) in connection.execute(_SERVICES, {"project": project}) if service]

    def operations(self, project: int, service: str) -> list[str]:
        query = "SELECT name FROM operations WHERE project = ? AND service = ? ORDER BY name"
        return self._column(query, (project, kept_name(service)))
