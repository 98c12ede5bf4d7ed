"""From writes to blocks: requests of one project, signal and source class are joined, which is a valid protobuf merge.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from otel_replay.model import Signal, Source
from otel_replay.store.base import Write

BLOCK_BYTES = 200_000
"""A block ends with the request that brings it to this size: larger ones compress better and cost a lookup more."""


class Run(NamedTuple):
    """So many bytes in a row of a block's body that one key wrote."""

    key_id: int
    length: int


class Block(NamedTuple):
    """A stored unit of telemetry with its summary and the ids it is found by.

    ``body`` is an OTLP request whose records may be cut (:mod:`otel_replay.store.bodies`). Of the records' times
    ``start_unix_nano`` is the least start, ``last_start_unix_nano`` the greatest start, ``end_unix_nano`` the greatest
    end. ``level`` and ``partition`` are compaction's: see :mod:`otel_replay.store.compacting`.
    """

    project: int
    signal: Signal
    source: Source
    level: int
    partition: int
    received_unix_nano: int
    start_unix_nano: int
    last_start_unix_nano: int
    end_unix_nano: int
    items: int
    errors: int
    services: frozenset[str]
    runs: tuple[Run, ...]
    trace_ids: frozenset[bytes]
    session_ids: frozenset[str]
    body: bytes


def mergeable(writes: Iterable[Write]) -> list[list[Write]]:
    """The writes that have a body, gathered to blocks of one project, signal and source class."""
    gathering: dict[tuple[int, int, int], tuple[list[Write], int]] = {}
    done = []
    for write in writes:
        if not write.body:
            continue
        key = (write.project, write.signal, write.source)
        group, size = gathering.get(key, ([], 0))
        group.append(write)
        size += len(write.body)
        gathering[key] = (group, size)
        if size >= BLOCK_BYTES:
            done.append(gathering.pop(key)[0])
    return done + [group for group, _ in gathering.values()]


def merge(group: Sequence[Write], bodies: Sequence[bytes]) -> Block:
    """One block of writes that :func:`mergeable` put together; ``bodies`` are theirs as they are to be stored."""
    first = group[0]
    return Block(
        project=first.project,
        signal=first.signal,
        source=first.source,
        level=0,
        partition=0,
        received_unix_nano=max(write.received_unix_nano for write in group),
        start_unix_nano=min(write.start_unix_nano for write in group),
        last_start_unix_nano=max(write.last_start_unix_nano for write in group),
        end_unix_nano=max(write.end_unix_nano for write in group),
        items=sum(write.items for write in group),
        errors=sum(write.errors for write in group),
        services=frozenset().union(*[write.services for write in group]),
        runs=runs((write.key_id, len(body)) for write, body in zip(group, bodies, strict=True)),
        trace_ids=frozenset().union(*[write.trace_ids for write in group]),
        session_ids=frozenset().union(*[write.session_ids for write in group]),
        body=b"".join(bodies),
    )


def runs(lengths: Iterable[tuple[int, int]]) -> tuple[Run, ...]:
    """Of (key id, bytes) in order; neighbours of one key are one run."""
    grouped = groupby(lengths, key=lambda part: part[0])
    return tuple(Run(key_id, sum(length for _, length in parts)) for key_id, parts in grouped)
