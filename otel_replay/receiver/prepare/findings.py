"""What one pass over a request collects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple

from otel_replay.model import MAX_UNIX_NANO, Chunk, Signal, Source
from otel_replay.store.base import (
    ActionRow,
    AttributeValue,
    ErrorRow,
    InteractionRow,
    LogContents,
    Quarantined,
    SessionSighting,
    Write,
)
from otel_replay.store.folding import merge_attributes

SESSION_ATTRIBUTES = (
    "user.id",
    "feature",
    "label",
    "variant",
    "session.name",
    "session.previous_id",
    "otel_replay.session.metadata",
)
"""Attributes of an AI span, user action or session event that describe its session."""


class Origin(NamedTuple):
    """Who sent a request, and when it came."""

    project: int
    source: Source
    received_unix_nano: int
    key_id: int = 0


_NOTHING: Mapping[str, AttributeValue] = MappingProxyType({})


@dataclass(slots=True)
class Findings:
    """Collected record by record, or many at a time; made a :class:`Write` at the end. Times are as received."""

    trace_ids: frozenset[bytes] = frozenset()
    times: tuple[int, int, int] = (0, 0, 0)  # least start, greatest start, greatest end
    items: int = 0
    errors: int = 0
    services: set[str] = field(default_factory=set)
    operations: set[tuple[str, str]] = field(default_factory=set)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    told: dict[str, Mapping[str, AttributeValue]] = field(default_factory=dict)
    interactions: list[InteractionRow] = field(default_factory=list)
    actions: list[ActionRow] = field(default_factory=list)
    session_traces: set[tuple[str, str]] = field(default_factory=set)
    chunks: list[Chunk] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    log_contents: list[LogContents] = field(default_factory=list)
    error_rows: list[ErrorRow] = field(default_factory=list)

    def see(self, session: str, start: int, end: int) -> None:
        """A session was mentioned. Runs for every span that names one, so it makes no objects."""
        known = self.seen.get(session)
        if known is None:
            self.seen[session] = (start, end)
        elif start < known[0] or end > known[1]:
            self.seen[session] = (min(start, known[0]), max(end, known[1]))

    def tell(self, session: str, attributes: dict[str, AttributeValue]) -> None:
        """Something was said of a session."""
        self.told[session] = merge_attributes(self.told.get(session, {}), attributes)

    def write(self, signal: Signal, origin: Origin, *, body: bytes = b"", digest: bytes = b"") -> Write:
        start, last_start, end = map(capped, self.times)
        return Write(
            project=origin.project,
            signal=signal,
            source=origin.source,
            received_unix_nano=origin.received_unix_nano,
            key_id=origin.key_id,
            digest=digest,
            body=body,
            items=self.items,
            errors=self.errors,
            start_unix_nano=start,
            last_start_unix_nano=last_start,
            end_unix_nano=end,
            services=frozenset(self.services),
            operations=frozenset(self.operations),
            trace_ids=self.trace_ids,
            session_ids=frozenset(self.seen),
            sessions=self._sightings(),
            interactions=self.interactions,
            actions=self.actions,
            session_traces=frozenset(self.session_traces),
            chunks=self.chunks,
            quarantined=self.quarantined,
            log_contents=self.log_contents,
            error_rows=self.error_rows,
        )

    def _sightings(self) -> list[SessionSighting]:
        told = self.told.get
        return [
            SessionSighting(session, capped(start), capped(end), told(session, _NOTHING))
            for session, (start, end) in self.seen.items()
        ]


def capped(unix_nano: int) -> int:
    """A time as rows and summaries can hold it."""
    return min(unix_nano, MAX_UNIX_NANO)


def said(told: Mapping[str, Any], unix_nano: int, digest: str) -> dict[str, AttributeValue]:
    """What a session can be described by and JSON can say: no arrays, maps, bytes, NaN or infinity."""
    return {
        name: AttributeValue(capped(unix_nano), digest, value)
        for name, value in told.items()
        if isinstance(value, str | bool | int) or (isinstance(value, float) and isfinite(value))
    }
